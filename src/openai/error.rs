//! Every error a client can see: one table, one JSON shape.
//!
//! * [`ErrorKind::row`] is the table: kind → status, OpenAI `type`, default `code`, log level.
//! * [`ApiError`] is one occurrence of a kind: its message and, where known, the parameter at fault, the backend's own
//!   code, and when to come back.
//! * The body is always `{"error":{"message","type","param","code"}}`, whether it is an HTTP answer or one event of a
//!   stream that had begun.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

/// Whose fault an error is and how it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The client's request has the wrong shape or value.
    InvalidRequest,
    /// The client asked for something the backend has no counterpart for.
    UnsupportedParameter,
    /// The prompt does not fit the model's context window.
    ContextLengthExceeded,
    /// The backend refused the content (policy, broken image, …).
    Refused,
    /// The client sent no key or a wrong one.
    InvalidApiKey,
    /// There is no usable login in the store.
    NoCredentials,
    /// The backend no longer accepts the login.
    UpstreamAuth,
    /// The request comes from where it must not come from.
    Forbidden,
    /// The account's plan does not include Codex.
    UsageNotIncluded,
    /// No such route or object.
    NotFound,
    /// No such model.
    ModelNotFound,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// The client was too slow to send its request.
    RequestTimeout,
    /// What the request would write is not writable.
    Conflict,
    /// The body is larger than allowed.
    PayloadTooLarge,
    /// The request line and headers are larger than allowed.
    HeadTooLarge,
    /// The body is of a type a browser may send across sites.
    UnsupportedMediaType,
    /// WebSocket is not spoken here.
    UpgradeRequired,
    /// The plan's usage window is exhausted.
    UsageLimitReached,
    /// Too many requests in too short a time.
    RateLimited,
    /// The workspace has no credit left.
    InsufficientQuota,
    /// A defect of this program.
    Internal,
    /// The backend has no such feature.
    NotImplemented,
    /// The backend failed.
    UpstreamServerError,
    /// The backend could not be reached.
    UpstreamUnreachable,
    /// Something in front of the backend blocked the request.
    UpstreamBlocked,
    /// The backend's answer makes no sense.
    UpstreamInvalid,
    /// The backend's stream ended before its last event.
    UpstreamInterrupted,
    /// The backend has no capacity.
    Overloaded,
    /// This proxy serves as many requests as it is allowed to.
    Busy,
    /// This proxy is ending.
    ShuttingDown,
    /// The backend was silent for too long.
    UpstreamTimeout,
}

/// How an error is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The client's doing, or expected: of interest only when looked for.
    Info,
    /// The backend's doing: worth a look.
    Warn,
    /// Needs the operator.
    Error,
}

/// One line of the error table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The HTTP status when nothing has been sent yet.
    pub status: StatusCode,
    /// `error.type`.
    pub r#type: &'static str,
    /// `error.code` where the backend gave none of its own.
    pub code: Option<&'static str>,
    /// How it is logged.
    pub severity: Severity,
}

impl ErrorKind {
    /// Every kind, in the order of the table.
    pub const ALL: [Self; 32] = [
        Self::InvalidRequest,
        Self::UnsupportedParameter,
        Self::ContextLengthExceeded,
        Self::Refused,
        Self::InvalidApiKey,
        Self::NoCredentials,
        Self::UpstreamAuth,
        Self::Forbidden,
        Self::UsageNotIncluded,
        Self::NotFound,
        Self::ModelNotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Conflict,
        Self::PayloadTooLarge,
        Self::HeadTooLarge,
        Self::UnsupportedMediaType,
        Self::UpgradeRequired,
        Self::UsageLimitReached,
        Self::RateLimited,
        Self::InsufficientQuota,
        Self::Internal,
        Self::NotImplemented,
        Self::UpstreamServerError,
        Self::UpstreamUnreachable,
        Self::UpstreamBlocked,
        Self::UpstreamInvalid,
        Self::UpstreamInterrupted,
        Self::Overloaded,
        Self::Busy,
        Self::ShuttingDown,
        Self::UpstreamTimeout,
    ];

    /// Whether the contents of the request's body are at fault, by this program's judgement or by the backend's.
    pub const fn is_about_the_body(self) -> bool {
        matches!(self, Self::InvalidRequest | Self::UnsupportedParameter | Self::ContextLengthExceeded | Self::Refused)
    }

    /// The table.
    pub const fn row(self) -> Row {
        use Severity::{Error, Info, Warn};
        use StatusCode as S;
        const REQUEST: &str = "invalid_request_error";
        const AUTH: &str = "authentication_error";
        const SERVER: &str = "server_error";
        match self {
            Self::InvalidRequest => row(S::BAD_REQUEST, REQUEST, None, Info),
            Self::UnsupportedParameter => row(S::BAD_REQUEST, REQUEST, Some("unsupported_parameter"), Info),
            Self::ContextLengthExceeded => row(S::BAD_REQUEST, REQUEST, Some("context_length_exceeded"), Info),
            Self::Refused => row(S::BAD_REQUEST, REQUEST, None, Info),
            Self::InvalidApiKey => row(S::UNAUTHORIZED, REQUEST, Some("invalid_api_key"), Info),
            Self::NoCredentials => row(S::UNAUTHORIZED, AUTH, Some("no_credentials"), Error),
            Self::UpstreamAuth => row(S::UNAUTHORIZED, AUTH, Some("upstream_auth"), Error),
            Self::Forbidden => row(S::FORBIDDEN, REQUEST, Some("forbidden"), Warn),
            Self::UsageNotIncluded => row(S::FORBIDDEN, "usage_not_included", Some("usage_not_included"), Warn),
            Self::NotFound => row(S::NOT_FOUND, REQUEST, Some("not_found"), Info),
            Self::ModelNotFound => row(S::NOT_FOUND, REQUEST, Some("model_not_found"), Info),
            Self::MethodNotAllowed => row(S::METHOD_NOT_ALLOWED, REQUEST, Some("method_not_allowed"), Info),
            Self::RequestTimeout => row(S::REQUEST_TIMEOUT, REQUEST, Some("request_timeout"), Info),
            Self::Conflict => row(S::CONFLICT, REQUEST, Some("read_only_store"), Info),
            Self::PayloadTooLarge => row(S::PAYLOAD_TOO_LARGE, REQUEST, Some("request_too_large"), Info),
            Self::HeadTooLarge => {
                row(S::REQUEST_HEADER_FIELDS_TOO_LARGE, REQUEST, Some("request_head_too_large"), Info)
            }
            Self::UnsupportedMediaType => row(S::UNSUPPORTED_MEDIA_TYPE, REQUEST, Some("unsupported_media_type"), Info),
            Self::UpgradeRequired => row(S::UPGRADE_REQUIRED, REQUEST, Some("upgrade_required"), Info),
            Self::UsageLimitReached => {
                row(S::TOO_MANY_REQUESTS, "usage_limit_reached", Some("usage_limit_reached"), Warn)
            }
            Self::RateLimited => row(S::TOO_MANY_REQUESTS, "rate_limit_error", Some("rate_limit_exceeded"), Warn),
            Self::InsufficientQuota => {
                row(S::TOO_MANY_REQUESTS, "insufficient_quota", Some("insufficient_quota"), Warn)
            }
            Self::Internal => row(S::INTERNAL_SERVER_ERROR, SERVER, Some("internal_error"), Error),
            Self::NotImplemented => row(S::NOT_IMPLEMENTED, REQUEST, Some("not_implemented"), Info),
            Self::UpstreamServerError => row(S::BAD_GATEWAY, SERVER, Some("server_error"), Warn),
            Self::UpstreamUnreachable => row(S::BAD_GATEWAY, SERVER, Some("upstream_unreachable"), Warn),
            Self::UpstreamBlocked => row(S::BAD_GATEWAY, SERVER, Some("upstream_blocked"), Warn),
            Self::UpstreamInvalid => row(S::BAD_GATEWAY, SERVER, Some("upstream_invalid_response"), Warn),
            Self::UpstreamInterrupted => row(S::BAD_GATEWAY, SERVER, Some("upstream_stream_interrupted"), Warn),
            Self::Overloaded => row(S::SERVICE_UNAVAILABLE, SERVER, Some("server_is_overloaded"), Warn),
            Self::Busy => row(S::SERVICE_UNAVAILABLE, SERVER, Some("too_many_concurrent_requests"), Warn),
            Self::ShuttingDown => row(S::SERVICE_UNAVAILABLE, SERVER, Some("shutting_down"), Warn),
            Self::UpstreamTimeout => row(S::GATEWAY_TIMEOUT, SERVER, Some("upstream_timeout"), Warn),
        }
    }
}

const fn row(status: StatusCode, r#type: &'static str, code: Option<&'static str>, severity: Severity) -> Row {
    Row { status, r#type, code, severity }
}

/// One error as a client sees it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Which row of the table.
    pub kind: ErrorKind,
    /// A sentence for a person: what is wrong and what to do.
    pub message: String,
    /// The request field at fault, as a path like `messages[2].content`.
    pub param: Option<String>,
    /// The backend's own code; the table's where absent.
    pub code: Option<Cow<'static, str>>,
    /// How long to wait before another try.
    pub retry_after: Option<Duration>,
    /// Headers of the backend's refusal that help the client (limits, request id).
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None, code: None, retry_after: None, headers: Vec::new() }
    }

    /// A request field with the wrong shape or value.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message).with_param(param)
    }

    /// A request field the backend has no counterpart for.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::UnsupportedParameter, message).with_param(param)
    }

    /// Names the request field at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Sets a code other than the table's.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Says when another try makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The HTTP status of this error.
    pub fn status(&self) -> StatusCode {
        self.kind.row().status
    }

    /// `error.code`: the backend's own, else the table's.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref().or(self.kind.row().code)
    }

    /// The message, where it may stand in a log: one about the request's body may quote the body.
    pub fn loggable(&self) -> Option<&str> {
        (!self.kind.is_about_the_body()).then_some(self.message.as_str())
    }

    /// The JSON body `{"error":{…}}`, on one line.
    pub fn to_json(&self) -> String {
        let fields = Fields {
            message: &self.message,
            r#type: self.kind.row().r#type,
            param: self.param.as_deref(),
            code: self.code(),
        };
        serde_json::to_string(&Body { error: fields }).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: Fields<'a>,
}

#[derive(Serialize)]
struct Fields<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_once_in_the_list_and_is_an_error_status() {
        for (index, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert!(kind.row().status.as_u16() >= 400, "{kind:?}");
        }
    }

    #[test]
    fn body_has_exactly_the_four_fields() {
        let error = ApiError::invalid("messages[2].role", "unknown role").with_code("x");
        assert_eq!(
            error.to_json(),
            r#"{"error":{"message":"unknown role","type":"invalid_request_error","param":"messages[2].role","code":"x"}}"#
        );
    }

    #[test]
    fn absent_fields_are_null() {
        let error = ApiError::new(ErrorKind::InvalidRequest, "no");
        assert_eq!(
            error.to_json(),
            r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}"#
        );
    }
}
