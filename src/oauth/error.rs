//! The issuer's errors, and their consequence for a login.
//!
//! * Three codes end a login for good: `refresh_token_expired`, `refresh_token_reused`, `refresh_token_invalidated`,
//!   with any status, in any case.
//! * Every other error is temporary: a plain 401, a Cloudflare page, 429, 5xx, a broken connection, a timeout.
//! * No message carries a token: only the message of the issuer's error object is quoted.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::platform::TransportError;

/// The reason that a refresh token has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was unused for too long.
    Expired,
    /// It was used before.
    Reused,
    /// It was revoked.
    Invalidated,
}

/// The reason that the issuer gave no tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The login has ended, and the user must sign in again.
    #[error("the refresh token {0}")]
    Ended(Ended),
    /// The issuer rejected this request.
    #[error("the sign-in service answered {status}{}", detail(message.as_deref()))]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The code of its error object.
        code: Option<String>,
        /// The message of its error object.
        message: Option<String>,
        /// The time until the next attempt.
        retry_after: Option<Duration>,
    },
    /// An intermediary, such as Cloudflare, answered in the issuer's place.
    #[error("the sign-in service is behind a Cloudflare challenge (HTTP {status})")]
    Blocked {
        /// The HTTP status.
        status: StatusCode,
    },
    /// The issuer could not be reached.
    #[error("the sign-in service could not be reached: {0}")]
    Transport(#[from] TransportError),
    /// The issuer did not answer in time.
    #[error("the sign-in service did not answer within {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// The answer cannot be interpreted.
    #[error("the sign-in service sent an unusable answer: {0}")]
    Invalid(Cow<'static, str>),
}

impl IssuerError {
    /// Reads an error answer. `body` may be anything.
    pub fn from_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let value: Option<Value> = serde_json::from_slice(body).ok();
        let Some(value) = value else {
            return Self::from_foreign_answer(status, headers, body);
        };
        let code = error_code(&value);
        if let Some(ended) = code.as_deref().and_then(Ended::from_code) {
            return Self::Ended(ended);
        }
        Self::Refused { status, code, message: error_message(&value), retry_after: retry_after(headers) }
    }

    fn from_foreign_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let challenged = headers.contains_key("cf-mitigated") || CHALLENGE_MARKS.iter().any(|mark| text.contains(mark));
        if challenged {
            return Self::Blocked { status };
        }
        Self::Refused { status, code: None, message: None, retry_after: retry_after(headers) }
    }
}

impl Ended {
    fn from_code(code: &str) -> Option<Self> {
        let is = |name: &str| code.eq_ignore_ascii_case(name);
        if is("refresh_token_expired") {
            Some(Self::Expired)
        } else if is("refresh_token_reused") {
            Some(Self::Reused)
        } else if is("refresh_token_invalidated") {
            Some(Self::Invalidated)
        } else {
            None
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Expired => "has expired",
            Self::Reused => "was already used",
            Self::Invalidated => "was revoked",
        })
    }
}

/// Returns `error.code`, else `error` itself, else a `code` beside it.
fn error_code(value: &Value) -> Option<String> {
    let error = value.get("error");
    let code = error.and_then(|error| error.get("code")).and_then(Value::as_str);
    code.or_else(|| error.and_then(Value::as_str))
        .or_else(|| value.get("code").and_then(Value::as_str))
        .map(str::to_owned)
}

fn error_message(value: &Value) -> Option<String> {
    let message = value.get("error").and_then(|error| error.get("message")).and_then(Value::as_str);
    message.or_else(|| value.get("error_description").and_then(Value::as_str)).map(str::to_owned)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn detail(message: Option<&str>) -> String {
    message.map(|message| format!(": {message}")).unwrap_or_default()
}

const CHALLENGE_MARKS: [&str; 4] = ["Just a moment", "Attention Required", "_cf_chl_opt", "cf-mitigated"];

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> IssuerError {
        let status = StatusCode::from_u16(status).unwrap();
        IssuerError::from_answer(status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn three_codes_end_a_login_wherever_they_stand() {
        let cases = [
            (400, r#"{"error":{"code":"refresh_token_reused","message":"m"}}"#, Ended::Reused),
            (401, r#"{"error":{"code":"Refresh_Token_Expired"}}"#, Ended::Expired),
            (403, r#"{"error":"refresh_token_invalidated"}"#, Ended::Invalidated),
            (500, r#"{"code":"REFRESH_TOKEN_REUSED"}"#, Ended::Reused),
        ];
        for (status, body, ended) in cases {
            assert_eq!(refusal(status, body), IssuerError::Ended(ended), "{body}");
        }
    }

    #[test]
    fn everything_else_may_pass() {
        for (status, body) in [
            (401, ""),
            (401, r#"{"error":{"code":"token_expired"}}"#),
            (400, r#"{"error":"invalid_grant","error_description":"nope"}"#),
            (429, "slow down"),
            (500, "{}"),
            (502, "[1]"),
            (503, "null"),
        ] {
            assert!(matches!(refusal(status, body), IssuerError::Refused { .. }), "{status} {body}");
        }
        let blocked = refusal(403, "<html><title>Just a moment...</title>");
        assert_eq!(blocked, IssuerError::Blocked { status: StatusCode::FORBIDDEN });
    }

    #[test]
    fn keeps_message_and_delay() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", http::HeaderValue::from_static("7"));
        let body = br#"{"error":{"message":"too fast","code":"rate"}}"#;
        let error = IssuerError::from_answer(StatusCode::TOO_MANY_REQUESTS, &headers, body);
        assert_eq!(error.to_string(), "the sign-in service answered 429 Too Many Requests: too fast");
        let IssuerError::Refused { retry_after, code, .. } = error else { panic!("{error}") };
        assert_eq!((retry_after, code.as_deref()), (Some(Duration::from_secs(7)), Some("rate")));
    }
}
