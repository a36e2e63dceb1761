//! The token issuer: signing in, refreshing, revoking, and what tokens say about themselves.
//!
//! * [`claims`]: the payload of a token.
//! * [`client`]: one call to the issuer each: refresh, code exchange, device sign-in, revocation.
//! * [`error`]: which refusals end a login and which pass.
//! * `pkce`, `callback` (native): the browser sign-in, from the address to the code.
//!
//! Nothing here knows where a login is kept.

#[cfg(not(target_arch = "wasm32"))]
pub mod callback;
pub mod claims;
pub mod client;
pub mod error;
#[cfg(not(target_arch = "wasm32"))]
pub mod pkce;

pub use client::Client;
pub use error::{Ended, IssuerError};

use serde::Deserialize;

use crate::credentials::secret::Secret;

/// The client id that the Codex backend accepts logins of.
pub const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";

/// What the issuer answers to a refresh or a code exchange. What is absent stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenSet {
    /// Who signed in.
    pub id_token: Option<Secret>,
    /// The bearer for the backend.
    pub access_token: Option<Secret>,
    /// The next single-use refresh token.
    pub refresh_token: Option<Secret>,
    /// Seconds until the access token expires, where the issuer says so.
    pub expires_in: Option<u64>,
}

impl TokenSet {
    /// Reads an answer; an empty token counts as absent. `None` where it is no JSON object.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let answer: Answer = serde_json::from_slice(body).ok()?;
        let token = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Secret::new);
        Some(Self {
            id_token: token(answer.id_token),
            access_token: token(answer.access_token),
            refresh_token: token(answer.refresh_token),
            expires_in: answer.expires_in,
        })
    }
}

#[derive(Deserialize)]
struct Answer {
    id_token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<u64>,
}
