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
use serde_json::Value;

use crate::secret::Secret;

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
    /// Reads an answer; an empty token counts as absent, and so does what is of another type than it should be: the old
    /// refresh token is used up by now, so nothing else in the answer may cost the new one. `None` where it is no JSON
    /// object.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let answer: Answer = serde_json::from_slice(body).ok()?;
        let token = |value: Option<Value>| match value {
            Some(Value::String(text)) if !text.is_empty() => Some(Secret::new(text)),
            _ => None,
        };
        Some(Self {
            id_token: token(answer.id_token),
            access_token: token(answer.access_token),
            refresh_token: token(answer.refresh_token),
            expires_in: answer.expires_in.as_ref().and_then(whole_seconds),
        })
    }
}

/// Seconds as a number or, as this issuer writes some of its numbers, as a text.
fn whole_seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[derive(Deserialize)]
struct Answer {
    id_token: Option<Value>,
    access_token: Option<Value>,
    refresh_token: Option<Value>,
    expires_in: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beside_a_token_costs_the_token() {
        for (rest, expires_in) in [
            (r#""expires_in":864000"#, Some(864_000)),
            (r#""expires_in":"864000""#, Some(864_000)),
            (r#""expires_in":-1"#, None),
            (r#""expires_in":8.5"#, None),
            (r#""expires_in":null,"id_token":{},"scope":["x"]"#, None),
            (r#""id_token":"","token_type":"Bearer""#, None),
        ] {
            let body = format!(r#"{{"access_token":"a","refresh_token":"r",{rest}}}"#);
            let tokens = TokenSet::parse(body.as_bytes()).expect("tokens");
            assert_eq!(tokens.access_token, Some(Secret::new("a")), "{rest}");
            assert_eq!(tokens.refresh_token, Some(Secret::new("r")), "{rest}");
            assert_eq!((tokens.id_token, tokens.expires_in), (None, expires_in), "{rest}");
        }
        for body in ["", "null", "[]", "\"a\"", "<html>"] {
            assert_eq!(TokenSet::parse(body.as_bytes()), None, "{body}");
        }
    }
}
