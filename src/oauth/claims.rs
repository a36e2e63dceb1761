//! The claims of a token's payload, read without checking the signature.
//!
//! * A token that is no JWT has no claims, which is not an error.
//! * A claim of an unexpected type counts as absent.
//! * The *access* token's `exp` decides about refreshing; an ID token's is much shorter and never used.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// The claim with the ChatGPT account, as written in error messages.
pub const ACCOUNT_CLAIM: &str = "https://api.openai.com/auth.chatgpt_account_id";

/// The JWT claims that this program uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// `exp`, in seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// `iat`, the time of issue by the issuer's clock, in seconds since the Unix epoch.
    pub issued_at: Option<u64>,
    /// The user's mail address.
    pub email: Option<String>,
    /// The ChatGPT account (workspace) id.
    pub account_id: Option<String>,
    /// The ChatGPT user id.
    pub user_id: Option<String>,
    /// The plan in the issuer's spelling, for example `plus`.
    pub plan: Option<String>,
    /// Whether the account is a FedRAMP workspace.
    pub fedramp: bool,
}

impl Claims {
    /// Decodes the payload of `token`; `None` if it is not a JWT.
    pub fn decode(token: &str) -> Option<Self> {
        let mut segments = token.split('.');
        let (_header, payload, _signature) = (segments.next()?, segments.next()?, segments.next()?);
        if segments.next().is_some() {
            return None;
        }
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let payload: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
        Some(Self::from_payload(&payload))
    }

    /// Decodes `token`; all claims are absent if it is not a JWT.
    pub fn of(token: &str) -> Self {
        Self::decode(token).unwrap_or_default()
    }

    fn from_payload(payload: &Map<String, Value>) -> Self {
        let empty = Map::new();
        let object = |name: &str| payload.get(name).and_then(Value::as_object).unwrap_or(&empty);
        let (auth, profile) = (object(AUTH), object(PROFILE));
        Self {
            expires_at: payload.get("exp").and_then(seconds),
            issued_at: payload.get("iat").and_then(seconds),
            email: text(payload, "email").or_else(|| text(profile, "email")),
            account_id: text(auth, "chatgpt_account_id"),
            user_id: text(auth, "chatgpt_user_id").or_else(|| text(auth, "user_id")),
            plan: text(auth, "chatgpt_plan_type"),
            fedramp: auth.get("chatgpt_account_is_fedramp").and_then(Value::as_bool).unwrap_or(false),
        }
    }
}

fn text(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Some issuers write `exp` as a fraction.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the filter before it")]
fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        value.as_f64().filter(|seconds| (0.0..1e15).contains(seconds)).map(|seconds| seconds.trunc() as u64)
    })
}

const AUTH: &str = "https://api.openai.com/auth";
const PROFILE: &str = "https://api.openai.com/profile";

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("eyJhbGciOiJub25lIn0.{}.sig", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn reads_every_claim() {
        let claims =
            Claims::of(&jwt(r#"{"exp":1786161248,"iat":1785297248,"email":"a@b.c","https://api.openai.com/auth":
            {"chatgpt_account_id":"acc","chatgpt_plan_type":"plus","chatgpt_user_id":"user-1","user_id":"user-2",
             "chatgpt_account_is_fedramp":true}}"#));
        assert_eq!((claims.expires_at, claims.issued_at), (Some(1_786_161_248), Some(1_785_297_248)));
        assert_eq!(claims.email.as_deref(), Some("a@b.c"));
        assert_eq!(claims.account_id.as_deref(), Some("acc"));
        assert_eq!(claims.user_id.as_deref(), Some("user-1"));
        assert_eq!(claims.plan.as_deref(), Some("plus"));
        assert!(claims.fedramp);
    }

    #[test]
    fn falls_back_to_the_second_place_of_a_claim() {
        let claims = Claims::of(&jwt(r#"{"exp":1786161248.75,"https://api.openai.com/profile":{"email":"p@b.c"},
            "https://api.openai.com/auth":{"user_id":"user-2"}}"#));
        assert_eq!(claims.expires_at, Some(1_786_161_248));
        assert_eq!(claims.email.as_deref(), Some("p@b.c"));
        assert_eq!(claims.user_id.as_deref(), Some("user-2"));
    }

    #[test]
    fn odd_types_count_as_absent() {
        let claims = Claims::of(&jwt(r#"{"exp":"soon","email":7,"https://api.openai.com/auth":[1]}"#));
        assert_eq!(claims, Claims::default());
    }

    #[test]
    fn what_is_no_jwt_has_no_claims() {
        for token in ["", "at-opaque", "a.b", "a.b.c", "a.b.c.d", "..", "e30.W10.e30", "x.bm90IGpzb24.y"] {
            assert_eq!(Claims::decode(token), None, "{token}");
        }
    }
}
