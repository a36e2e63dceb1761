//! The typed record of one request.
//!
//! * Handlers add facts through [`RequestLog`](super::RequestLog) as they learn them; each fact has one place and one type.
//! * The record has four readers: the log line at the end of the answer ([`RequestRecord::write_to`]), the metrics, the
//!   answer's headers ([`Names::write`]), and the ledger ([`RequestRecord::into_entry`]). None of them formats anything
//!   before its time.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tracing::Span;

use crate::excerpt::{MESSAGE, NAME, cut};
use crate::fault::{Fault, Severity};
use crate::ledger::{LedgerEntry, TokenCounts};
use crate::models::Resolution;
use crate::models::effort::Effort;
use crate::phases::PhaseTimes;
use crate::server::observe::names::Names;

/// The facts known of one request.
#[derive(Debug, Default)]
pub(in crate::server) struct RequestRecord {
    /// Whether the request has passed the guards of the API, so that it belongs into the ledger.
    pub(in crate::server) is_of_api: bool,
    /// The name of the client's key; none where no key is needed.
    pub(in crate::server) client: Option<Cow<'static, str>>,
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
    /// Where the time to the first token went, or to the end if there was none.
    pub(in crate::server) phases: PhaseTimes,
    /// Where the conversation's beginning differs from its last turn's: see [`LedgerEntry::prefix_break`].
    pub(in crate::server) prefix_break: Option<i64>,
    /// The tokens of all calls to the backend, as it counted them.
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
    pub(in crate::server) fn new(fault: &Fault) -> Self {
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
    ///
    /// All in one record: each record of its own looks up the span and its subscriber again.
    pub(in crate::server) fn write_to(&self, span: &Span, duration: Duration) {
        let Self { resolved, names, tokens, fault, .. } = self;
        let resolved = resolved.as_ref();
        let word = |effort: Option<Effort>| effort.map_or("-", Effort::as_str);
        tracing::record_all!(
            span,
            client = self.client.as_deref(),
            model_asked = resolved.map(|resolved| resolved.model_asked.as_deref().unwrap_or("-")),
            model = resolved.map(|resolved| resolved.model.as_str()),
            model_answered = names.model_answered(),
            effort_asked = resolved.map(|resolved| word(resolved.effort_asked)),
            effort = resolved.map(|resolved| word(resolved.effort)),
            tier_asked = names.tier_asked(),
            tier_answered = names.told_tier(),
            stream = self.stream,
            ignored = self.ignored.as_deref(),
            status = self.status.map(|status| status.as_u16()),
            upstream_request_id = self.upstream_request_id.as_deref(),
            ttft_ms = self.first_token.map(millis),
            duration_ms = millis(duration),
            tokens_in = tokens.map(|counts| counts.input),
            tokens_cached = tokens.map(|counts| counts.cached),
            tokens_out = tokens.map(|counts| counts.output),
            phases = phases_in_words(&self.phases),
            prefix_break = self.prefix_break,
            error = fault.as_ref().and_then(|fault| fault.message.as_deref()),
            error_param = fault.as_ref().and_then(|fault| fault.param.as_deref()),
            error_code = fault.as_ref().map(|fault| fault.code.as_str()),
        );
    }
}

/// The facts of a request that are not in its record.
#[derive(Debug)]
pub(in crate::server) struct Ended {
    pub(in crate::server) route: Arc<str>,
    /// The time of the end since the Unix epoch.
    pub(in crate::server) at: Duration,
    pub(in crate::server) duration: Duration,
    /// Whether the answer was handed over to its end.
    pub(in crate::server) is_whole: bool,
}

impl RequestRecord {
    /// Turns the record of a request that has ended into a row of the ledger.
    pub(in crate::server) fn into_entry(self, ended: Ended) -> LedgerEntry {
        let Ended { route, at, duration, is_whole } = ended;
        let whole_millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (model_asked, model_sent, model_answered, tier) = self.names.into_parts();
        LedgerEntry {
            started_at: whole_millis(at.saturating_sub(duration)),
            route,
            client: self.client,
            model_asked,
            model_sent,
            model_answered,
            effort: self.resolved.and_then(|resolved| resolved.effort).map(|effort| effort.as_str().to_owned()),
            tier,
            is_stream: self.stream.unwrap_or_default(),
            is_whole,
            status: self.status.map(|status| status.as_u16()),
            error_code: self.fault.map(|fault| fault.code),
            tokens: self.tokens,
            first_token_ms: self.first_token.map(whole_millis),
            duration_ms: whole_millis(duration),
            upstream_request_id: self.upstream_request_id,
            phases: self.phases,
            prefix_break: self.prefix_break,
        }
    }
}

/// Lists the phases of a millisecond and more: `request=2 connect=85 upstream_head=430`. `None` if there is none.
fn phases_in_words(phases: &PhaseTimes) -> Option<String> {
    let mut words = String::new();
    for (phase, time) in phases.iter() {
        let millis = time.as_millis();
        if millis > 0 {
            let separator = if words.is_empty() { "" } else { " " };
            // Writing to a string cannot fail.
            let _ = write!(words, "{separator}{}={millis}", phase.as_str());
        }
    }
    (!words.is_empty()).then_some(words)
}

/// Milliseconds, to a tenth.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
