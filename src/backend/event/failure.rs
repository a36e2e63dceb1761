//! The backend's failures, in all of its formats.
//!
//! * `{"error":{message,type,param,code,…}}`: error bodies, nested `error` events and `response.failed`.
//! * `{"code","message","param"}` at the top level: flat `error` events.
//! * `{"detail":"…"}`, where `detail` may also be an object or an array: the web framework in front of the models.

use serde::Deserialize;
use serde_json::{Number, Value};

use crate::backend::answer::verdict::Inconsistency;
use crate::backend::event::Event;
use crate::backend::event::sse::LARGEST_FRAME;
use crate::fault::Details;

/// A failure, as the backend reports it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Failure {
    /// The backend's code, such as `rate_limit_exceeded`.
    pub code: Option<String>,
    /// The backend's error type; some failures are distinguished only by it.
    pub r#type: Option<String>,
    /// The message, a sentence.
    pub message: Option<String>,
    /// The request field at fault.
    pub param: Option<String>,
    /// The HTTP status that the failure would have had, if the failure tells it.
    pub status: Option<u16>,
    /// Further facts, which few failures have.
    pub details: Details,
}

impl Failure {
    /// Returns the usage window's reset in seconds from now, rounded up.
    pub fn resets_in_seconds(&self) -> Option<u64> {
        self.details.resets_in_seconds.as_ref().and_then(whole)
    }

    /// Returns the usage window's reset in Unix seconds, rounded up.
    pub fn resets_at(&self) -> Option<u64> {
        self.details.resets_at.as_ref().and_then(whole)
    }

    /// Creates the failure for an event that exceeds the largest frame.
    pub(crate) fn of_an_event_too_large() -> Self {
        let message = format!("the backend sent an event of more than {} MiB", LARGEST_FRAME >> 20);
        Self { code: Some(EVENT_TOO_LARGE.to_owned()), message: Some(message), ..Self::default() }
    }

    /// Reads the failure in an error body, or `None` if `body` is no JSON object of a known format.
    pub fn from_body(body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let detail = value.get("detail");
        let error = value.get("error").or_else(|| detail.filter(|detail| detail.is_object()));
        if let Some(error) = error {
            let mut failure = Self::from_error(error);
            failure.status = failure.status.or_else(|| status_of(&value));
            return Some(failure);
        }
        detail.map(|detail| Self { message: Some(plain_text(detail)), ..Self::default() })
    }

    /// Reads the failure in an `error` event, nested or flat.
    pub fn from_error_event(data: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(data).unwrap_or_default();
        match value.get("error") {
            Some(error) if !error.is_null() => {
                let mut failure = Self::from_error(error);
                failure.status = failure.status.or_else(|| status_of(&value));
                failure
            }
            _ => {
                let mut failure = Self::from_error(&value);
                // The flat form's `type` is the event's own name.
                failure.r#type = None;
                failure
            }
        }
    }

    /// Reads the failure in a `response.failed` event.
    pub fn from_failed_response(event: &Event<'_>) -> Self {
        #[derive(Default, Deserialize)]
        struct Failed {
            #[serde(default)]
            error: Value,
        }
        let failed: Failed =
            event.response.as_ref().and_then(|view| serde_json::from_slice(view.json).ok()).unwrap_or_default();
        Self::from_error(&failed.error)
    }

    fn from_error(error: &Value) -> Self {
        let string = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name: &str| error.get(name).and_then(Value::as_number).cloned();
        Self {
            code: string("code"),
            r#type: string("type"),
            message: string("message").or_else(|| error.as_str().map(str::to_owned)),
            param: string("param"),
            status: status_of(error),
            details: Details {
                plan_type: string("plan_type"),
                resets_at: number("resets_at"),
                resets_in_seconds: number("resets_in_seconds"),
                ..Details::default()
            },
        }
    }
}

/// Rounds up to a whole number; none for a negative number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
fn whole(number: &Number) -> Option<u64> {
    number.as_f64().filter(|number| *number >= 0.0).map(|number| number.ceil() as u64)
}
impl From<Inconsistency> for Failure {
    fn from(inconsistency: Inconsistency) -> Self {
        Self { code: Some(INCONSISTENT.to_owned()), message: Some(inconsistency.to_string()), ..Self::default() }
    }
}

/// The code of an answer with an event that exceeds the largest frame.
pub(crate) const EVENT_TOO_LARGE: &str = "upstream_event_too_large";

/// The code of an answer that contradicts itself.
pub(crate) const INCONSISTENT: &str = "upstream_answer_inconsistent";

fn status_of(value: &Value) -> Option<u16> {
    let status = ["status", "status_code"].iter().find_map(|name| value.get(*name)?.as_u64())?;
    u16::try_from(status).ok().filter(|status| (400..600).contains(status))
}

/// Returns a string unchanged, and anything else as JSON.
fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_dialect() {
        let nested = Failure::from_body(
            br#"{"error":{"type":"usage_limit_reached","message":"m","resets_at":1777936568,"resets_in_seconds":13872.5}}"#,
        )
        .unwrap();
        assert_eq!(nested.r#type.as_deref(), Some("usage_limit_reached"));
        assert_eq!((nested.resets_at(), nested.resets_in_seconds()), (Some(1_777_936_568), Some(13_873)));

        let detail = Failure::from_body(br#"{"detail":"Unauthorized"}"#).unwrap();
        assert_eq!(detail.message.as_deref(), Some("Unauthorized"));
        let listed = Failure::from_body(br#"{"detail":[{"loc":["body"]}]}"#).unwrap();
        assert_eq!(listed.message.as_deref(), Some(r#"[{"loc":["body"]}]"#));
        let object = Failure::from_body(br#"{"detail":{"code":"c","message":"m"}}"#).unwrap();
        assert_eq!(object.code.as_deref(), Some("c"));
        assert_eq!(Failure::from_body(b"<html>"), None);
        assert_eq!(Failure::from_body(b"{}"), None);
    }

    #[test]
    fn reads_both_error_events() {
        let flat = Failure::from_error_event(br#"{"type":"error","code":"c","message":"m","param":"input"}"#);
        assert_eq!(flat.code.as_deref(), Some("c"));
        assert_eq!((flat.r#type, flat.param.as_deref()), (None, Some("input")));
        let nested = Failure::from_error_event(br#"{"type":"error","error":{"type":"t","code":"c","message":"m"}}"#);
        assert_eq!(nested.r#type.as_deref(), Some("t"));
    }
}
