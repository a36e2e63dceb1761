//! Every error a client can see: one table, one JSON shape.
//!
//! * [`FaultKind::row`] is the table: kind → status, OpenAI `type`, default `code`, log level, whether a retry helps.
//! * [`Fault`] is one occurrence of a kind: its message and, if known, the parameter at fault, the backend's own
//!   code, and the time to wait.
//! * The body is always `{"error":{"message","type","param","code"}}`, as an HTTP answer or as one event of a stream
//!   that had begun; an exhausted usage window adds the backend's values about it.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Number;

/// Declares the kinds and the list of them all from one list, so that the list cannot lack a kind.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)*) => {
        /// The party at fault for an error, and how it is reported.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FaultKind {
            $($(#[$doc])* $kind,)*
        }

        impl FaultKind {
            /// Every kind, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$kind),*];
        }
    };
}

kinds! {
    /// The client's request has the wrong shape or value.
    InvalidRequest,
    /// The request asks for a feature without a counterpart at the backend.
    UnsupportedParameter,
    /// The prompt does not fit the model's context window.
    ContextLengthExceeded,
    /// The backend refused the content (policy, broken image, …).
    Refused,
    /// The client sent no key or a wrong one.
    InvalidApiKey,
    /// The store holds no usable login.
    NoCredentials,
    /// The backend no longer accepts the login.
    UpstreamAuth,
    /// The request comes from a forbidden source.
    Forbidden,
    /// The client's key does not allow the request.
    NotPermitted,
    /// The account's plan does not include Codex.
    UsageNotIncluded,
    /// The route or object does not exist.
    NotFound,
    /// The model does not exist.
    ModelNotFound,
    /// The route exists, but not for this method.
    MethodNotAllowed,
    /// The client was too slow to send its request.
    RequestTimeout,
    /// The request would write something that is not writable.
    Conflict,
    /// The body is larger than allowed.
    PayloadTooLarge,
    /// The request line and headers are larger than allowed.
    HeadTooLarge,
    /// The body has a type that a browser may send across sites.
    UnsupportedMediaType,
    /// The client asks for a WebSocket that it cannot have here.
    UpgradeRequired,
    /// The plan's usage window is exhausted.
    UsageLimitReached,
    /// Too many requests in too short a time.
    RateLimited,
    /// The workspace has no credit left.
    InsufficientQuota,
    /// The client's key has used up a limit of its own.
    KeySpent,
    /// A defect of this program.
    Internal,
    /// The backend has no such feature.
    NotImplemented,
    /// The backend failed.
    UpstreamServerError,
    /// The backend could not be reached.
    UpstreamUnreachable,
    /// A gateway in front of the backend blocked the request.
    UpstreamBlocked,
    /// Another model than the requested one answered, and the operator does not allow that.
    ModelSubstituted,
    /// The backend's answer is invalid.
    UpstreamInvalid,
    /// The backend's stream ended before its last event.
    UpstreamInterrupted,
    /// The backend has no capacity.
    Overloaded,
    /// This proxy already serves as many requests as it may.
    Busy,
    /// This proxy is shutting down.
    ShuttingDown,
    /// The backend was silent for too long.
    UpstreamTimeout,
}

/// The log level of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The client caused it, or it is expected: of interest only to a search.
    Info,
    /// The backend caused it: worth a look.
    Warn,
    /// The operator has to act.
    Error,
}

/// Whether a retry of the same request can end differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// A retry ends the same: the official SDKs, which would retry twice, are told not to.
    Useless,
    /// A retry may be answered.
    Sensible,
}

/// One row of the error table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The HTTP status, for an error before anything is sent.
    pub status: StatusCode,
    /// `error.type`.
    pub r#type: &'static str,
    /// `error.code`, if the backend gave none.
    pub code: Option<&'static str>,
    /// The log level.
    pub severity: Severity,
    /// Whether a retry helps.
    pub again: Again,
}

impl FaultKind {
    /// Returns whether the contents of the request's body are at fault, as judged by this program or by the backend.
    pub const fn is_about_the_body(self) -> bool {
        matches!(self, Self::InvalidRequest | Self::UnsupportedParameter | Self::ContextLengthExceeded | Self::Refused)
    }

    /// Returns the kind's row of the table.
    pub const fn row(self) -> Row {
        use Again::{Sensible, Useless};
        use Severity::{Error, Info, Warn};
        use StatusCode as S;
        const REQUEST: &str = "invalid_request_error";
        const AUTH: &str = "authentication_error";
        const SERVER: &str = "server_error";
        match self {
            Self::InvalidRequest => row(S::BAD_REQUEST, REQUEST, None, Info, Useless),
            Self::UnsupportedParameter => row(S::BAD_REQUEST, REQUEST, Some("unsupported_parameter"), Info, Useless),
            Self::ContextLengthExceeded => row(S::BAD_REQUEST, REQUEST, Some("context_length_exceeded"), Info, Useless),
            Self::Refused => row(S::BAD_REQUEST, REQUEST, None, Info, Useless),
            Self::InvalidApiKey => row(S::UNAUTHORIZED, REQUEST, Some("invalid_api_key"), Info, Useless),
            Self::NoCredentials => row(S::UNAUTHORIZED, AUTH, Some("no_credentials"), Error, Useless),
            Self::UpstreamAuth => row(S::UNAUTHORIZED, AUTH, Some("upstream_auth"), Error, Useless),
            Self::Forbidden => row(S::FORBIDDEN, REQUEST, Some("forbidden"), Warn, Useless),
            Self::NotPermitted => row(S::FORBIDDEN, REQUEST, Some("not_permitted"), Info, Useless),
            Self::UsageNotIncluded => {
                row(S::FORBIDDEN, "usage_not_included", Some("usage_not_included"), Warn, Useless)
            }
            Self::NotFound => row(S::NOT_FOUND, REQUEST, Some("not_found"), Info, Useless),
            Self::ModelNotFound => row(S::NOT_FOUND, REQUEST, Some("model_not_found"), Info, Useless),
            Self::MethodNotAllowed => row(S::METHOD_NOT_ALLOWED, REQUEST, Some("method_not_allowed"), Info, Useless),
            Self::RequestTimeout => row(S::REQUEST_TIMEOUT, REQUEST, Some("request_timeout"), Info, Sensible),
            Self::Conflict => row(S::CONFLICT, REQUEST, Some("read_only_store"), Info, Useless),
            Self::PayloadTooLarge => row(S::PAYLOAD_TOO_LARGE, REQUEST, Some("request_too_large"), Info, Useless),
            Self::HeadTooLarge => {
                row(S::REQUEST_HEADER_FIELDS_TOO_LARGE, REQUEST, Some("request_head_too_large"), Info, Useless)
            }
            Self::UnsupportedMediaType => {
                row(S::UNSUPPORTED_MEDIA_TYPE, REQUEST, Some("unsupported_media_type"), Info, Useless)
            }
            Self::UpgradeRequired => row(S::UPGRADE_REQUIRED, REQUEST, Some("upgrade_required"), Info, Useless),
            Self::UsageLimitReached => {
                row(S::TOO_MANY_REQUESTS, "usage_limit_reached", Some("usage_limit_reached"), Warn, Useless)
            }
            Self::RateLimited => {
                row(S::TOO_MANY_REQUESTS, "rate_limit_error", Some("rate_limit_exceeded"), Warn, Sensible)
            }
            Self::InsufficientQuota => {
                row(S::TOO_MANY_REQUESTS, "insufficient_quota", Some("insufficient_quota"), Warn, Useless)
            }
            Self::KeySpent => {
                row(S::TOO_MANY_REQUESTS, "insufficient_quota", Some("insufficient_quota"), Info, Useless)
            }
            Self::Internal => row(S::INTERNAL_SERVER_ERROR, SERVER, Some("internal_error"), Error, Sensible),
            Self::NotImplemented => row(S::NOT_IMPLEMENTED, REQUEST, Some("not_implemented"), Info, Useless),
            Self::UpstreamServerError => row(S::BAD_GATEWAY, SERVER, Some("server_error"), Warn, Sensible),
            Self::UpstreamUnreachable => row(S::BAD_GATEWAY, SERVER, Some("upstream_unreachable"), Warn, Sensible),
            Self::UpstreamBlocked => row(S::BAD_GATEWAY, SERVER, Some("upstream_blocked"), Warn, Useless),
            Self::ModelSubstituted => row(S::BAD_GATEWAY, SERVER, Some("model_substituted"), Warn, Useless),
            Self::UpstreamInvalid => row(S::BAD_GATEWAY, SERVER, Some("upstream_invalid_response"), Warn, Sensible),
            Self::UpstreamInterrupted => {
                row(S::BAD_GATEWAY, SERVER, Some("upstream_stream_interrupted"), Warn, Sensible)
            }
            Self::Overloaded => row(S::SERVICE_UNAVAILABLE, SERVER, Some("server_is_overloaded"), Warn, Sensible),
            Self::Busy => row(S::SERVICE_UNAVAILABLE, SERVER, Some("too_many_concurrent_requests"), Warn, Sensible),
            Self::ShuttingDown => row(S::SERVICE_UNAVAILABLE, SERVER, Some("shutting_down"), Warn, Sensible),
            Self::UpstreamTimeout => row(S::GATEWAY_TIMEOUT, SERVER, Some("upstream_timeout"), Warn, Sensible),
        }
    }
}

const fn row(
    status: StatusCode,
    r#type: &'static str,
    code: Option<&'static str>,
    severity: Severity,
    again: Again,
) -> Row {
    Row { status, r#type, code, severity, again }
}

/// Further facts about the few errors that have any. The backend's values are copied into the body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Details {
    /// The account's plan, if a usage window of it is exhausted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_type: Option<String>,
    /// The window's reset, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Number>,
    /// The seconds until the window's reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_in_seconds: Option<Number>,
    /// Whether the backend names the Luna Reserve, an allowance beside the exhausted one.
    #[serde(skip)]
    pub names_reserve: bool,
    /// Whether the backend refuses the account the requested model.
    #[serde(skip)]
    pub refuses_model: bool,
    /// Whether the backend cannot read an image of the request.
    #[serde(skip)]
    pub refuses_image: bool,
    /// The model that answered in place of the requested one.
    #[serde(skip)]
    pub substitute: Option<Box<str>>,
    /// The size of a prompt that is too long.
    #[serde(skip)]
    pub overflow: Option<Box<Overflow>>,
}

/// A prompt that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow {
    /// The prompt's tokens, as an estimate.
    pub tokens: u64,
    /// The model's context window, in tokens.
    pub window: u64,
}

impl Details {
    /// Returns whether there are no further facts.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One error as a client sees it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// The row of the table.
    pub kind: FaultKind,
    /// A sentence for a person: the cause and the remedy.
    pub message: String,
    /// The request field at fault, as a path like `messages[2].content`.
    pub param: Option<String>,
    /// The backend's own code; if absent, the table's counts.
    pub code: Option<Cow<'static, str>>,
    /// The time to wait before a retry.
    pub retry_after: Option<Duration>,
    /// Further facts; absent for most errors.
    pub details: Option<Box<Details>>,
    /// Headers of the backend's refusal that help the client (limits, request id).
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Fault {
    /// Creates an error of `kind` with `message`.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message, param: None, code: None, retry_after: None, details: None, headers: Vec::new() }
    }

    /// Creates the error of a request field with the wrong shape or value.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FaultKind::InvalidRequest, message).with_param(param)
    }

    /// Creates the error of a request field without a counterpart at the backend.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(FaultKind::UnsupportedParameter, message).with_param(param)
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

    /// Sets the time to wait before a retry.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.kind.row().status
    }

    /// Returns `error.code`: the backend's own, else the table's.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref().or(self.kind.row().code)
    }

    /// Returns whether a retry at once or within a minute helps. The official SDKs do not keep a longer wait: they
    /// retry after seconds instead (openai-python 2.54, openai-node 6.49).
    pub fn again(&self) -> Again {
        match self.kind.row().again {
            Again::Sensible if self.retry_after.is_some_and(|delay| delay > LONGEST_KEPT_WAIT) => Again::Useless,
            again => again,
        }
    }

    /// Returns the message if it may be logged: a message about the request's body may quote the body.
    pub fn loggable(&self) -> Option<&str> {
        (!self.kind.is_about_the_body()).then_some(self.message.as_str())
    }

    /// Writes the JSON body `{"error":{…}}`, on one line.
    pub fn to_json(&self) -> String {
        format!(r#"{{"error":{}}}"#, self.to_json_object())
    }

    /// Writes the object inside [`Self::to_json`].
    pub fn to_json_object(&self) -> String {
        let fields = Fields {
            message: &self.message,
            r#type: self.kind.row().r#type,
            param: self.param.as_deref(),
            code: self.code(),
            details: self.details.as_deref(),
        };
        serde_json::to_string(&fields).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Fields<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'a str>,
    #[serde(flatten)]
    details: Option<&'a Details>,
}

/// Returns whether a code of the backend's is about a file: `invalid_file`, `file_too_large`, …
pub fn names_file(code: &str) -> bool {
    code.split('_').any(|word| matches!(word, "file" | "files" | "pdf"))
}

/// The longest wait that the official SDKs keep; a longer one is ignored.
const LONGEST_KEPT_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_once_in_the_list_and_is_an_error_status() {
        for (index, kind) in FaultKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index);
            assert!(kind.row().status.as_u16() >= 400, "{kind:?}");
        }
    }

    #[test]
    fn body_has_exactly_the_four_fields() {
        let error = Fault::invalid("messages[2].role", "unknown role").with_code("x");
        assert_eq!(
            error.to_json(),
            r#"{"error":{"message":"unknown role","type":"invalid_request_error","param":"messages[2].role","code":"x"}}"#
        );
    }

    #[test]
    fn absent_fields_are_null() {
        let error = Fault::new(FaultKind::InvalidRequest, "no");
        assert_eq!(
            error.to_json(),
            r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}"#
        );
    }

    #[test]
    fn a_spent_window_is_told_in_the_backends_own_values() {
        let mut error = Fault::new(FaultKind::UsageLimitReached, "m");
        error.details = Some(Box::new(Details {
            plan_type: Some("plus".to_owned()),
            resets_at: Some(1_795_666_259.into()),
            resets_in_seconds: Number::from_f64(0.5),
            ..Details::default()
        }));
        assert_eq!(
            error.to_json(),
            r#"{"error":{"message":"m","type":"usage_limit_reached","param":null,"code":"usage_limit_reached","plan_type":"plus","resets_at":1795666259,"resets_in_seconds":0.5}}"#
        );
    }

    /// A status caused by the client or the account is final; a failure of the backend or of this proxy may pass.
    #[test]
    fn what_may_be_asked_again_is_exactly_this() {
        use FaultKind as Kind;
        let sensible = FaultKind::ALL.iter().copied().filter(|kind| kind.row().again == Again::Sensible);
        let expected = [
            Kind::RequestTimeout,
            Kind::RateLimited,
            Kind::Internal,
            Kind::UpstreamServerError,
            Kind::UpstreamUnreachable,
            Kind::UpstreamInvalid,
            Kind::UpstreamInterrupted,
            Kind::Overloaded,
            Kind::Busy,
            Kind::ShuttingDown,
            Kind::UpstreamTimeout,
        ];
        assert_eq!(sensible.collect::<Vec<_>>(), expected);
        let limited =
            |seconds| Fault::new(Kind::RateLimited, "m").with_retry_after(Duration::from_secs(seconds)).again();
        assert_eq!((limited(60), limited(61)), (Again::Sensible, Again::Useless));
    }
}
