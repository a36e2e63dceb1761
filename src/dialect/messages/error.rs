//! Errors in the API's form, with the statuses and messages on which its clients act.
//!
//! * Claude Code retries after an unknown 400 up to six times, each time with a feature less; it recognises an
//!   overflow, a broken image and a refused content by type and message.
//! * The path of the field comes first, in the form `messages.3.content.0`.

use http::StatusCode;

use crate::fault::{Fault, FaultKind, Overflow, names_file};
use crate::json::ObjectWriter;

/// Returns the HTTP status for `fault`.
pub fn status(fault: &Fault) -> StatusCode {
    row(fault).0
}

/// Writes `{"type":"error","error":{"type","message"},"request_id"}`.
pub fn body(fault: &Fault, request_id: &str) -> String {
    let mut out = Vec::new();
    let mut object = ObjectWriter::begin(&mut out);
    object.string("type", "error");
    let mut error = ObjectWriter::begin(object.key("error"));
    error.string("type", row(fault).1).string("message", &message(fault));
    if let Some(code) = fault.code() {
        let mut details = ObjectWriter::begin(error.key("details"));
        details.string("error_code", code);
        details.end();
    }
    error.end();
    object.string("request_id", request_id);
    object.end();
    String::from_utf8(out).unwrap_or_default()
}

/// Returns the status and the error type.
fn row(fault: &Fault) -> (StatusCode, &'static str) {
    use FaultKind as K;
    use StatusCode as S;
    const INVALID: &str = "invalid_request_error";
    match fault.kind {
        // Claude Code sends any other 400 up to six times.
        _ if fault.details.as_ref().is_some_and(|details| details.refuses_model) => (S::NOT_FOUND, "not_found_error"),
        K::InvalidRequest | K::UnsupportedParameter | K::ContextLengthExceeded => (S::BAD_REQUEST, INVALID),
        K::Refused if is_policy(fault) => (S::BAD_REQUEST, "policy_blocked"),
        K::Refused => (S::BAD_REQUEST, INVALID),
        K::InvalidApiKey | K::NoCredentials | K::UpstreamAuth => (S::UNAUTHORIZED, "authentication_error"),
        K::Forbidden | K::NotPermitted => (S::FORBIDDEN, "permission_error"),
        K::UsageNotIncluded | K::InsufficientQuota => (S::PAYMENT_REQUIRED, "billing_error"),
        K::NotFound | K::ModelNotFound => (S::NOT_FOUND, "not_found_error"),
        K::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, INVALID),
        K::RequestTimeout => (S::REQUEST_TIMEOUT, "timeout_error"),
        K::Conflict => (S::CONFLICT, "conflict_error"),
        K::PayloadTooLarge => (S::PAYLOAD_TOO_LARGE, "request_too_large"),
        K::HeadTooLarge => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "request_too_large"),
        K::UnsupportedMediaType => (S::UNSUPPORTED_MEDIA_TYPE, INVALID),
        K::UpgradeRequired => (S::UPGRADE_REQUIRED, INVALID),
        K::UsageLimitReached | K::RateLimited | K::KeySpent => (S::TOO_MANY_REQUESTS, "rate_limit_error"),
        K::Internal => (S::INTERNAL_SERVER_ERROR, "api_error"),
        K::NotImplemented => (S::NOT_IMPLEMENTED, "not_supported"),
        K::UpstreamServerError
        | K::UpstreamUnreachable
        | K::UpstreamBlocked
        | K::ModelSubstituted
        | K::UpstreamInvalid
        | K::UpstreamInterrupted => (S::BAD_GATEWAY, "api_error"),
        K::Overloaded | K::Busy => (overloaded(), "overloaded_error"),
        K::ShuttingDown => (S::SERVICE_UNAVAILABLE, "api_error"),
        K::UpstreamTimeout => (S::GATEWAY_TIMEOUT, "timeout_error"),
    }
}

/// Returns 529, which only this API uses.
fn overloaded() -> StatusCode {
    StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

/// Returns whether the backend refused the content itself. With any other type Claude Code would retry six times.
fn is_policy(fault: &Fault) -> bool {
    let code = fault.code().unwrap_or_default();
    // Only policies, images and files are refused, and a policy may be about an image.
    code.contains("policy") || !(is_of_image(fault) || names_file(code))
}

fn message(fault: &Fault) -> String {
    let code = fault.code().unwrap_or_default();
    match fault.kind {
        FaultKind::ContextLengthExceeded => {
            let overflow = fault.details.as_ref().and_then(|details| details.overflow.as_deref().copied());
            let Overflow { tokens, window } = overflow.unwrap_or(UNKNOWN_OVERFLOW);
            return format!("prompt is too long: {tokens} tokens > {window} maximum");
        }
        FaultKind::Refused if is_policy(fault) => {}
        FaultKind::Refused if is_of_image(fault) => return "Could not process image".to_owned(),
        FaultKind::Refused if names_file(code) => return "Could not process PDF".to_owned(),
        FaultKind::Refused | FaultKind::InvalidRequest if is_of_part(fault, "image_url") => {
            return "Could not process image".to_owned();
        }
        FaultKind::Refused | FaultKind::InvalidRequest if is_of_part(fault, "file_data") => {
            return "Could not process PDF".to_owned();
        }
        FaultKind::InvalidRequest if matches!(code, "invalid_image" | "invalid_file") => return fault.message.clone(),
        _ => {}
    }
    match &fault.param {
        Some(param) => format!("{}: {}", dotted(param), fault.message),
        None => fault.message.clone(),
    }
}

/// Returns whether the backend cannot read an image.
fn is_of_image(fault: &Fault) -> bool {
    fault.code().is_some_and(|code| code.contains("image"))
        || fault.details.as_ref().is_some_and(|details| details.refuses_image)
}

/// Returns whether the backend refuses the value at this key of a part. No field of the API has such a key.
fn is_of_part(fault: &Fault, key: &str) -> bool {
    fault.param.as_deref().is_some_and(|param| param.ends_with(key))
}

/// Converts `messages[3].content[0]` to the API's form, `messages.3.content.0`.
fn dotted(path: &str) -> String {
    path.replace('[', ".").replace(']', "")
}

/// The numbers reported for an overflow of unknown size: more than the smallest window of today's models.
const UNKNOWN_OVERFLOW: Overflow = Overflow { tokens: 272_001, window: 272_000 };

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn written(fault: &Fault) -> Value {
        serde_json::from_str(&body(fault, "req_1")).unwrap()
    }

    #[test]
    fn a_field_is_named_in_the_apis_form() {
        let fault = Fault::invalid("messages[3].content[0].type", "'x' is wrong");
        let error = written(&fault);
        assert_eq!(error["type"], "error");
        assert_eq!(error["request_id"], "req_1");
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert_eq!(error["error"]["message"], "messages.3.content.0.type: 'x' is wrong");
    }

    #[test]
    fn clients_find_the_words_they_act_on() {
        let overflow = Fault::new(FaultKind::ContextLengthExceeded, "too long");
        assert_eq!(written(&overflow)["error"]["message"], "prompt is too long: 272001 tokens > 272000 maximum");
        let image = Fault::new(FaultKind::Refused, "bad image").with_code("invalid_image");
        assert_eq!(written(&image)["error"]["message"], "Could not process image");
        let policy = Fault::new(FaultKind::Refused, "upstream's words").with_code("cyber_policy");
        assert_eq!(written(&policy)["error"]["type"], "policy_blocked");
        assert_eq!(written(&policy)["error"]["message"], "upstream's words");
        assert_eq!(status(&Fault::new(FaultKind::Overloaded, "m")).as_u16(), 529);
        assert_eq!(status(&Fault::new(FaultKind::UsageNotIncluded, "m")).as_u16(), 402);
    }

    #[test]
    fn every_kind_has_a_type() {
        for &kind in FaultKind::ALL {
            let fault = Fault::new(kind, "m");
            assert!(status(&fault).is_client_error() || status(&fault).is_server_error(), "{kind:?}");
            assert!(written(&fault)["error"]["type"].as_str().is_some_and(|name| !name.is_empty()), "{kind:?}");
        }
    }
}
