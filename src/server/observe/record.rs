//! The typed record of one request.
//!
//! * Handlers add facts through [`RequestLog`](super::RequestLog) as they learn them; each fact has one place and one type.
//! * The record has three readers: the log line at the end of the answer ([`RequestRecord::write_to`]), the metrics, and the
//!   answer's headers ([`Names::write`]). None of them formats anything before its time.

use std::time::Duration;

use http::StatusCode;
use tracing::Span;

use crate::excerpt::{MESSAGE, NAME, cut};
use crate::fault::{ApiError, Severity};
use crate::models::Resolution;
use crate::models::effort::Effort;
use crate::server::observe::metrics::TokenCounts;
use crate::server::observe::names::Names;

/// The facts known of one request.
#[derive(Debug, Default)]
pub(in crate::server) struct RequestRecord {
    /// The models and service tiers.
    pub(in crate::server) names: Names,
    /// The resolved model and efforts; none for a request of another kind.
    pub(in crate::server) resolved: Option<Resolved>,
    /// Whether the client wants a stream.
    pub(in crate::server) stream: Option<bool>,
    /// The names of ignored request fields, separated by commas.
    pub(in crate::server) ignored: Option<String>,
    /// The answer's status.
    pub(in crate::server) status: Option<StatusCode>,
    /// The backend's id of the call.
    pub(in crate::server) upstream_request_id: Option<String>,
    /// The time to the first token.
    pub(in crate::server) first_token: Option<Duration>,
    /// The answer's tokens, as the backend counted them.
    pub(in crate::server) tokens: Option<TokenCounts>,
    /// The failure of the answer.
    pub(in crate::server) fault: Option<FaultRecord>,
}

/// A request's model and efforts.
#[derive(Debug)]
pub(in crate::server) struct Resolved {
    model_asked: Option<String>,
    /// The model sent, or to be sent.
    pub(in crate::server) model: String,
    effort_asked: Option<Effort>,
    /// The effort sent, or to be sent.
    pub(in crate::server) effort: Option<Effort>,
}

/// The failure of an answer, without anything that quotes the request's body.
#[derive(Debug)]
pub(in crate::server) struct FaultRecord {
    message: Option<String>,
    param: Option<String>,
    code: String,
    severity: Severity,
}

impl Resolved {
    /// Keeps the client's model name and its resolution.
    pub(in crate::server) fn new(asked: Option<&str>, resolution: &Resolution) -> Self {
        Self {
            model_asked: asked.map(|asked| cut(asked, NAME).into_owned()),
            model: cut(&resolution.model, NAME).into_owned(),
            effort_asked: resolution.asked_effort,
            effort: resolution.effort,
        }
    }
}

impl FaultRecord {
    /// Keeps the loggable part of `fault`.
    pub(in crate::server) fn new(fault: &ApiError) -> Self {
        let row = fault.kind.row();
        Self {
            message: fault.loggable().map(|message| cut(message, MESSAGE).into_owned()),
            param: fault.param.as_deref().map(|param| cut(param, NAME).into_owned()),
            code: cut(fault.code().unwrap_or(row.r#type), NAME).into_owned(),
            severity: row.severity,
        }
    }
}

impl RequestRecord {
    /// Returns the severity of the log line.
    pub(in crate::server) fn severity(&self) -> Severity {
        self.fault.as_ref().map_or(Severity::Info, |fault| fault.severity)
    }

    /// Writes every fact to the request's span, for the log line. The time from head to end is `duration`.
    pub(in crate::server) fn write_to(&self, span: &Span, duration: Duration) {
        if let Some(resolved) = &self.resolved {
            let word = |effort: Option<Effort>| effort.map_or("-", Effort::as_str);
            span.record("model_asked", resolved.model_asked.as_deref().unwrap_or("-"));
            span.record("model", resolved.model.as_str());
            span.record("effort_asked", word(resolved.effort_asked));
            span.record("effort", word(resolved.effort));
        }
        self.names.record(span);
        if let Some(stream) = self.stream {
            span.record("stream", stream);
        }
        for (field, text) in [("ignored", &self.ignored), ("upstream_request_id", &self.upstream_request_id)] {
            if let Some(text) = text {
                span.record(field, text.as_str());
            }
        }
        if let Some(status) = self.status {
            span.record("status", status.as_u16());
        }
        if let Some(delay) = self.first_token {
            span.record("ttft_ms", millis(delay));
        }
        span.record("duration_ms", millis(duration));
        if let Some(counts) = self.tokens {
            span.record("tokens_in", counts.input);
            span.record("tokens_cached", counts.cached);
            span.record("tokens_out", counts.output);
        }
        if let Some(fault) = &self.fault {
            fault.write_to(span);
        }
    }
}

impl FaultRecord {
    fn write_to(&self, span: &Span) {
        for (field, text) in [("error", &self.message), ("error_param", &self.param)] {
            if let Some(text) = text {
                span.record(field, text.as_str());
            }
        }
        span.record("error_code", self.code.as_str());
    }
}

/// Milliseconds, to a tenth.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
