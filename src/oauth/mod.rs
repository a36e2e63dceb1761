//! The token issuer: sign-in, refresh, revocation, and the tokens' claims.
//!
//! * [`claims`]: the payload of a token.
//! * [`client`]: refresh, code exchange, device sign-in, revocation.
//! * [`error`]: the errors that end a login, and the temporary ones.
//! * `pkce`, `callback` (native): the browser sign-in, from its address to the code.
//!
//! This room knows nothing of stores.

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

/// The OAuth client id whose logins the Codex backend accepts.
pub const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";

/// The issuer's answer to a refresh or a code exchange. An absent token stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenSet {
    /// The ID token, which names the user.
    pub id_token: Option<Secret>,
    /// The backend's bearer token.
    pub access_token: Option<Secret>,
    /// The next single-use refresh token.
    pub refresh_token: Option<Secret>,
    /// The access token's lifetime in seconds, if stated.
    pub expires_in: Option<u64>,
}

impl TokenSet {
    /// Reads an answer. An empty token and a field of the wrong type count as absent: the old refresh token is used up
    /// by now, so no other field may cost the new one. `None` if it is not a JSON object.
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

/// Reads seconds from a number or from a string, which this issuer uses for some numbers.
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
