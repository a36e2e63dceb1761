//! The mapping from the backend's codes and statuses to the error that a client sees.
//!
//! * The code is more specific than the status, so it comes first; the type replaces a missing code.
//! * The backend's message, code and parameter are kept, with our tokens masked. HTML pages are not quoted but
//!   explained.

use std::time::Duration;

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, StatusCode};
use memchr::memmem;

use crate::backend::event::answerer::MODEL_SUBSTITUTED;
use crate::backend::event::failure::{EVENT_TOO_LARGE, Failure, INCONSISTENT};
use crate::credentials::TokenSupplier;
use crate::credentials::error::CredentialError;
use crate::fault::{Fault, FaultKind, names_file};
use crate::platform::{TransportError, TransportErrorKind};
use crate::upstream::gateway;
use crate::upstream::gateway::is_page;
use crate::upstream::head;
use crate::upstream::head::Head;
use crate::upstream::idle::StreamError;
use crate::upstream::retry::Retry;
use crate::upstream::when::{limits_reset_in, resets_in, retry_after, say_reset, try_again_in};
use crate::upstream::words;

/// A failed attempt: the client's error, and whether a retry makes sense.
#[derive(Debug)]
pub struct FailedAttempt {
    /// The error for the client if there is no other attempt.
    pub error: Fault,
    /// Whether to retry.
    pub retry: Retry,
}

impl From<Fault> for FailedAttempt {
    fn from(error: Fault) -> Self {
        Self { error, retry: Retry::Never }
    }
}

impl FailedAttempt {
    /// The store has no usable token.
    pub(super) fn no_login(error: CredentialError) -> Self {
        Fault::from(error).into()
    }

    /// A defect of this program.
    pub(super) fn internal(message: String) -> Self {
        Fault::new(FaultKind::Internal, message).into()
    }

    /// The backend cannot be reached.
    pub(super) fn unreachable(error: &TransportError, url: &str) -> Self {
        let (what, retry) = match error.kind {
            TransportErrorKind::Dns => ("its name cannot be resolved; is this machine online?", Retry::Soon),
            TransportErrorKind::Connect => ("no connection can be made", Retry::Soon),
            TransportErrorKind::Tls => ("the TLS handshake failed", Retry::Never),
            TransportErrorKind::Request => ("the request cannot be sent", Retry::Never),
            TransportErrorKind::Interrupted => ("the connection broke before an answer came", Retry::Soon),
        };
        let message = format!("the backend at {url} cannot be reached: {what} ({error})");
        Self { error: Fault::new(FaultKind::UpstreamUnreachable, message), retry }
    }

    /// The backend was silent for `limit`.
    pub(super) fn silent(limit: Duration) -> Self {
        let message = format!("the backend has been silent for {} seconds", limit.as_secs());
        Fault::new(FaultKind::UpstreamTimeout, message).into()
    }

    /// The stream broke before its first visible event.
    pub(super) fn broken(error: &StreamError) -> Self {
        match error {
            StreamError::Transport(error) => {
                let message = format!("the connection to the backend broke: {error}");
                Self { error: Fault::new(FaultKind::UpstreamInterrupted, message), retry: Retry::Soon }
            }
            StreamError::Silent(limit) => Self::silent(*limit),
        }
    }

    /// The stream ended before the answer did.
    pub(super) fn ended_early() -> Self {
        let message = "the backend's stream ended before the answer was complete";
        Self { error: Fault::new(FaultKind::UpstreamInterrupted, message), retry: Retry::Soon }
    }

    /// The backend reported a failure inside a stream.
    pub(super) fn in_stream(failure: &Failure) -> Self {
        let mut error = describe(kind_in_200(failure).unwrap_or(FaultKind::UpstreamServerError), failure);
        words::recognise(&mut error);
        Self { retry: retry_of(&error), error: paused(error) }
    }

    /// The backend answered with a status other than 200, or with a body other than events.
    pub(super) fn answered(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let failure = Failure::from_body(body).filter(|failure| !is_of_no_route(status, failure));
        let known = failure.as_ref().and_then(|failure| Some((kind_of(failure)?, failure)));
        let mut error = match (known, &failure) {
            (Some((kind, failure)), _) => describe(kind, failure),
            (None, Some(failure)) => {
                let said = if status.is_success() { kind_in_200(failure) } else { None };
                describe(said.unwrap_or_else(|| kind_of_status(status)), failure)
            }
            (None, None) => without_words(status, headers, body),
        };
        words::recognise(&mut error);
        if error.retry_after.is_none() {
            error.retry_after = match error.kind {
                FaultKind::RateLimited | FaultKind::Overloaded => retry_after(headers),
                _ => None,
            };
        }
        say_reset(&mut error, retry_after(headers));
        if RESERVE_NAMES.iter().any(|name| memmem::find(body, name.as_bytes()).is_some()) {
            error.details.get_or_insert_default().names_reserve = true;
        }
        let retry = match error.kind {
            FaultKind::UpstreamServerError if is_passing(status) => Retry::Soon,
            _ => retry_of(&error),
        };
        Self { error: paused(error), retry }.with_head(Head::read(headers))
    }

    /// Adds the answer's head: its limits, and their reset if the failure itself does not tell.
    #[must_use]
    pub fn with_head(mut self, head: Head) -> Self {
        say_reset(&mut self.error, limits_reset_in(&head.passed));
        self.error.headers = head.passed;
        self
    }
}

impl FailedAttempt {
    /// Masks the tokens of `supplier`'s login, which the backend may have quoted.
    #[must_use]
    pub(super) fn masked(mut self, supplier: &TokenSupplier) -> Self {
        let mask = |text: &str| supplier.mask(text).into_owned();
        let error = &mut self.error;
        error.message = mask(&error.message);
        error.param = error.param.as_deref().map(mask);
        error.code = error.code.as_deref().map(mask).map(Into::into);
        head::mask(&mut error.headers, supplier);
        if let Some(details) = &mut error.details {
            details.plan_type = details.plan_type.as_deref().map(mask);
        }
        self
    }
}

/// Adds a retry time to a rate limit without one, since clients retry at once otherwise.
fn paused(mut error: Fault) -> Fault {
    if error.kind == FaultKind::RateLimited {
        error.retry_after = error.retry_after.or(Some(PAUSE));
    }
    error
}

/// Maps a failure's code, or its type if it has none.
fn kind_of(failure: &Failure) -> Option<FaultKind> {
    let by_name = |name: &str| match name {
        "context_length_exceeded" => Some(FaultKind::ContextLengthExceeded),
        "insufficient_quota" | "budget_reached" | "session_budget_exceeded" => Some(FaultKind::InsufficientQuota),
        name if name.starts_with("organization_") && name.ends_with("_limit_exceeded") => {
            Some(FaultKind::InsufficientQuota)
        }
        "usage_limit_reached" => Some(FaultKind::UsageLimitReached),
        "usage_not_included" => Some(FaultKind::UsageNotIncluded),
        "rate_limit_exceeded" => Some(FaultKind::RateLimited),
        "server_is_overloaded" | "slow_down" | "policy_capacity_unavailable" => Some(FaultKind::Overloaded),
        // `cyber_policy`, `bio_policy`, `misalignment_policy_violation`, `content_policy_violation` and those to come.
        name if name.ends_with("_policy") || name.ends_with("_policy_violation") => Some(FaultKind::Refused),
        "invalid_prompt" | "moderation_blocked" | "inference_hook_denied" | "access_program_not_enabled" => {
            Some(FaultKind::Refused)
        }
        "invalid_encrypted_content" | "unsupported_value" | "invalid_request_error" | "tool_collision" => {
            Some(FaultKind::InvalidRequest)
        }
        "audio_too_large" | "missing_audio_sample_rate" => Some(FaultKind::InvalidRequest),
        name if name.starts_with("invalid_audio") => Some(FaultKind::InvalidRequest),
        "workspace_access_denied" => Some(FaultKind::Forbidden),
        "model_not_found" => Some(FaultKind::ModelNotFound),
        "server_error" => Some(FaultKind::UpstreamServerError),
        MODEL_SUBSTITUTED => Some(FaultKind::ModelSubstituted),
        INCONSISTENT | EVENT_TOO_LARGE => Some(FaultKind::UpstreamInvalid),
        name if name.contains("image") && name != "image_generation_error" => Some(FaultKind::Refused),
        name if names_file(name) => Some(FaultKind::Refused),
        _ => None,
    };
    let of_code = failure.code.as_deref().and_then(by_name);
    // Nearly every failure has the type `invalid_request_error`: only a real code or a status says more.
    of_code.or_else(|| failure.r#type.as_deref().filter(|name| *name != "invalid_request_error").and_then(by_name))
}

/// Maps a failure without a status of its own: by its code, else by the status in it, else by its type.
fn kind_in_200(failure: &Failure) -> Option<FaultKind> {
    let by_status = || Some(kind_of_status(StatusCode::from_u16(failure.status?).ok()?));
    let by_type = || match failure.r#type.as_deref()? {
        "invalid_request_error" => Some(FaultKind::InvalidRequest),
        "authentication_error" => Some(FaultKind::UpstreamAuth),
        "permission_error" => Some(FaultKind::Forbidden),
        "not_found_error" => Some(FaultKind::NotFound),
        "rate_limit_error" | "requests" | "tokens" => Some(FaultKind::RateLimited),
        _ => None,
    };
    kind_of(failure).or_else(by_status).or_else(by_type)
}

fn kind_of_status(status: StatusCode) -> FaultKind {
    match status.as_u16() {
        401 => FaultKind::UpstreamAuth,
        402 => FaultKind::InsufficientQuota,
        403 => FaultKind::Forbidden,
        404 => FaultKind::ModelNotFound,
        413 => FaultKind::PayloadTooLarge,
        429 => FaultKind::RateLimited,
        408 | 500.. => FaultKind::UpstreamServerError,
        400..500 => FaultKind::InvalidRequest,
        _ => FaultKind::UpstreamInvalid,
    }
}

fn describe(kind: FaultKind, failure: &Failure) -> Fault {
    let words = failure.message.clone().unwrap_or_else(|| match &failure.code {
        Some(code) => format!("the backend failed with the code {code} and no message"),
        None => "the backend failed without a reason".to_owned(),
    });
    let message = match kind {
        FaultKind::UpstreamAuth => {
            format!("the backend does not accept the ChatGPT login; run `codex-proxy login`. It said: {words}")
        }
        _ => words,
    };
    let mut error = Fault::new(kind, message);
    error.param.clone_from(&failure.param);
    // A failed login is this program's: its code distinguishes it from the client's own key.
    if kind != FaultKind::UpstreamAuth {
        error.code = failure.code.clone().map(Into::into);
    }
    match kind {
        FaultKind::UsageLimitReached | FaultKind::InsufficientQuota => {
            error.details = (!failure.details.is_empty()).then(|| failure.details.clone().into());
            say_reset(&mut error, resets_in(failure));
        }
        FaultKind::ModelSubstituted => error.details = Some(failure.details.clone().into()),
        FaultKind::RateLimited => {
            error.retry_after = try_again_in(&error.message).or_else(|| resets_in(failure));
        }
        _ => {}
    }
    error
}

/// Maps an answer without a known error object: a page, an empty body, something else.
fn without_words(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(body.get(..SNIFFED).unwrap_or(body));
    if let Some(blocked) = gateway::block(status, headers, &text) {
        return blocked;
    }
    let mut answered = format!("the backend answered {}", status.as_u16());
    if let Some(encoding) = headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()) {
        answered.push_str(&format!(" in the encoding {encoding}, which it was not asked for"));
        return Fault::new(kind_of_status(status), answered);
    }
    match (kind_of_status(status), body.is_empty()) {
        (FaultKind::ModelNotFound, _) => Fault::new(
            FaultKind::UpstreamBlocked,
            format!(
                "{answered} without a reason: there is nothing at this path, or something in front of it blocks it; if \
                 you have set --upstream-url, check it"
            ),
        ),
        (FaultKind::RateLimited, _) => Fault::new(FaultKind::RateLimited, format!("{answered}: too many requests")),
        (FaultKind::UpstreamAuth, _) => Fault::new(
            FaultKind::UpstreamAuth,
            "the backend does not accept the ChatGPT login; run `codex-proxy login`",
        ),
        (FaultKind::UpstreamInvalid, _) if status.is_redirection() => Fault::new(
            FaultKind::UpstreamInvalid,
            format!("{answered}, a redirect, which is not followed because it would send the login to another host"),
        ),
        (kind, true) => Fault::new(kind, format!("{answered} with an empty body")),
        (kind, false) if is_page(&text) => Fault::new(kind, format!("{answered} with a page instead of data")),
        (kind, false) if body.len() >= LARGEST_ERROR_BODY => Fault::new(
            kind,
            format!("{answered} with more than {} KiB, of which only the beginning was read", LARGEST_ERROR_BODY >> 10),
        ),
        (kind, false) if is_readable(&text) => Fault::new(kind, format!("{answered}: {}", text.trim())),
        (kind, false) => Fault::new(kind, format!("{answered} with a body that is neither text nor data")),
    }
}

/// Returns whether a web framework reports an unknown path, rather than the backend an unknown model.
fn is_of_no_route(status: StatusCode, failure: &Failure) -> bool {
    let words = failure.message.as_deref().unwrap_or_default();
    status == StatusCode::NOT_FOUND
        && failure.code.is_none()
        && failure.r#type.is_none()
        && words.trim_end_matches('.').eq_ignore_ascii_case("not found")
}

/// Returns whether a body is a short text fit for a person.
fn is_readable(text: &str) -> bool {
    text.len() <= LONGEST_QUOTE
        && !text.contains(|character: char| character.is_control() && !character.is_whitespace())
        && !text.contains(char::REPLACEMENT_CHARACTER)
}

/// Returns whether a status says that the backend may answer soon. Cloudflare reports an unreachable backend by the
/// statuses from 520 (<https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/>).
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 500 | 502..=504 | 520..=527 | 530)
}

/// Retries only rate limits with a retry time.
fn retry_of(error: &Fault) -> Retry {
    match (error.kind, try_again_in(&error.message)) {
        (FaultKind::RateLimited, Some(delay)) => Retry::After(delay),
        _ => Retry::Never,
    }
}

/// The bytes read of an error's body.
pub(super) const LARGEST_ERROR_BODY: usize = 1024 * 1024;

/// The bytes inspected of a body.
const SNIFFED: usize = 4096;

/// The longest body to quote.
const LONGEST_QUOTE: usize = 500;

/// The retry time of a rate limit without one.
const PAUSE: Duration = Duration::from_secs(5);

/// The names of the Luna Reserve: the model, the banner and the limit (openai/codex#45132).
const RESERVE_NAMES: [&str; 3] = ["gpt-reserve", "luna_reserve", "base_model_inference"];
