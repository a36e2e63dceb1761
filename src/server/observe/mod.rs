//! One span, one log line and one set of counts per request, from its head to the end of its answer.
//!
//! * [`RequestLog`] travels in the request's extensions; handlers add facts to its typed [`record`] as they learn them, and
//!   log line, metrics and headers read it.
//! * The log holds no header, no prompt and no part of an answer. Of an error about the request's body it holds the
//!   code and the field's name: the message may quote the body.
//! * The line is written when the answer ends, or earlier when its client disconnects.
//! * Every answer, an error too, carries `x-request-id`, the client's own if it is well-formed, and as far as known the
//!   models requested, sent and answering.
//! * A panic in a handler is a 500 for its own client, and affects no other.

pub mod metrics;
pub(super) mod names;
pub(super) mod once;
mod record;
pub(super) mod transcript;

use std::any::Any;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tracing::{Instrument as _, Span, field};

use crate::backend::event::answerer::Answerer;
use crate::backend::request::call_id::hex;
use crate::excerpt::{Excerpt, MESSAGE, NAME, cut};
use crate::fault::{Fault, FaultKind, Severity};
use crate::keys::named::KeyName;
use crate::ledger::{MOST_TOKENS, TokenCounts};
use crate::models::Resolution;
use crate::phases::PhaseClock;
use crate::platform::{Instant, unix_now};
use crate::server::App;
use crate::server::capacity::Slot;
use crate::server::guard::holder::Holder;
use crate::server::memory::OverSocket;
use crate::server::observe::record::{Ended, FaultRecord, RequestRecord, Resolved};
use crate::server::shape::FaultShape;

/// The log record of one request. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct RequestLog(Arc<Observation>);

#[derive(Debug)]
struct Observation {
    app: Arc<App>,
    id: HeaderValue,
    route: Arc<str>,
    span: Span,
    started: Instant,
    clock: PhaseClock,
    record: Mutex<RequestRecord>,
    /// The request's slot, released with the last handle, the answer body's.
    slot: OnceLock<Slot>,
}

impl RequestLog {
    /// Returns the handle in the request's extensions. A request that did not pass the router gets one without effect.
    pub fn of(app: &Arc<App>, request: &Request) -> Self {
        request.extensions().get().cloned().unwrap_or_else(|| Self::begin(app, request))
    }

    /// Returns the request's id, sent to its client in `x-request-id`.
    pub fn id(&self) -> &HeaderValue {
        &self.0.id
    }

    /// Records that the request has passed the guards of the API.
    pub(super) fn entered_api(&self) {
        self.record().is_of_api = true;
    }

    /// Records who the request comes from.
    pub(super) fn entered_as(&self, holder: &Holder) {
        self.record().client = match holder {
            Holder::Local => None,
            Holder::Unnamed(_) => Some(Cow::Borrowed(KeyName::DEFAULT)),
            Holder::Named(key) => Some(Cow::Owned(key.name.to_string())),
        };
    }

    /// Returns the route's pattern without `/v1`, such as `/chat/completions`.
    pub(super) fn route(&self) -> &str {
        &self.0.route
    }

    /// Returns the clock of the request's phases.
    pub fn clock(&self) -> &PhaseClock {
        &self.0.clock
    }

    /// Stores the request's slot.
    pub(super) fn admitted(&self, slot: Slot) {
        // A request is admitted once.
        let _ = self.0.slot.set(slot);
    }

    /// Returns the request's slot, if it needs one.
    pub(super) fn slot(&self) -> Option<&Slot> {
        self.0.slot.get()
    }

    /// Returns the span of this request.
    pub fn span(&self) -> &Span {
        &self.0.span
    }

    /// Records the model and effort requested, and their resolution.
    pub fn model(&self, asked: Option<&str>, resolution: &Resolution) {
        let mut record = self.record();
        record.names.asked(asked);
        record.resolved = Some(Resolved::new(asked, resolution));
    }

    /// Records the service tier requested, and whether it is sent as `priority`.
    pub fn tier(&self, asked: Option<&str>, is_priority: bool) {
        self.record().names.asked_tier(asked, is_priority);
    }

    /// Records the model sent to the backend from now on.
    pub fn sent(&self, model: &str) {
        let mut record = self.record();
        if record.names.sent(model)
            && let Some(resolved) = &mut record.resolved
        {
            resolved.model = cut(model, NAME).into_owned();
        }
    }

    /// Records the effort sent, if it differs from the planned one.
    pub fn effort_sent(&self, planned: &Resolution, sent: &Resolution) {
        if planned.effort != sent.effort
            && let Some(resolved) = &mut self.record().resolved
        {
            resolved.effort = sent.effort;
        }
    }

    /// Records the answering model. Returns whether it is another than the one sent, for the first time.
    pub fn answered(&self, answered: &Answerer) -> bool {
        self.record().names.answered(answered)
    }

    /// Records whether the client wants a stream.
    pub fn stream(&self, wanted: bool) {
        self.record().stream = Some(wanted);
    }

    /// Records the names of ignored request fields.
    pub fn ignored(&self, names: &str) {
        self.record().ignored = Some(cut(names, MESSAGE).into_owned());
    }

    /// Records the backend's id of the call.
    pub fn upstream_request_id(&self, id: &str) {
        self.record().upstream_request_id = Some(cut(id, NAME).into_owned());
    }

    /// Records the first token. Only the first call counts, so it may be called for each token.
    pub fn first_token(&self) {
        let mut record = self.record();
        if record.first_token.is_none() {
            let delay = self.0.started.elapsed();
            record.first_token = Some(delay);
            record.phases = self.0.clock.stop();
            self.0.app.metrics.first_token(&self.0.route, delay, &record.phases);
        }
    }

    /// Records where the conversation's beginning differs from its last turn's.
    pub fn prefix_break(&self, index: i64) {
        self.record().prefix_break = Some(index);
    }

    /// Records the tokens of a call to the backend, as it counted them, up to [`MOST_TOKENS`]. Those of several calls, such as
    /// repeated ones, add up.
    pub fn tokens(&self, model: &str, counts: TokenCounts) {
        let counts = counts.bounded();
        let mut record = self.record();
        record.tokens = Some(record.tokens.map_or(counts, |earlier| earlier.and(counts)));
        self.0.app.metrics.tokens(model, record.client.as_deref(), counts);
        self.spend(&record, counts.input.saturating_add(counts.output));
    }

    /// Counts an estimate of the answer's tokens for the limit of its key alone: the backend has not counted them.
    pub fn estimated_tokens(&self, tokens: u64) {
        self.spend(&self.record(), tokens.min(MOST_TOKENS));
    }

    fn spend(&self, record: &RequestRecord, tokens: u64) {
        let Observation { app, started, .. } = &*self.0;
        let began = unix_now().saturating_sub(started.elapsed());
        app.quotas.spend(record.client.as_deref().unwrap_or_default(), tokens, began);
    }

    /// Records the answer's failure: `error` as its status, or after its status was sent.
    pub fn failed(&self, error: &Fault) {
        self.record().fault = Some(FaultRecord::new(error));
    }

    /// Records the status of `response`, and adds the request's id and names to its head.
    fn answered_with(&self, response: &mut Response) {
        self.0.app.metrics.answered(&self.0.route, response.status());
        let mut record = self.record();
        record.status = Some(response.status());
        record.names.write(response.headers_mut());
        response.headers_mut().insert(REQUEST_ID, self.id().clone());
    }

    fn record(&self) -> MutexGuard<'_, RequestRecord> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(app: &Arc<App>, request: &Request) -> Self {
        let id = request_id(request.headers());
        let path = request.extensions().get::<MatchedPath>().map_or(UNKNOWN_PATH, MatchedPath::as_str);
        let route = route(path, request);
        let span = tracing::info_span!(
            "request",
            request_id = id.to_str().unwrap_or_default(),
            method = %Excerpt::of(request.method().as_str()),
            path,
            route = &*route,
            client = field::Empty,
            model_asked = field::Empty,
            model = field::Empty,
            model_answered = field::Empty,
            effort_asked = field::Empty,
            effort = field::Empty,
            tier_asked = field::Empty,
            tier_answered = field::Empty,
            stream = field::Empty,
            ignored = field::Empty,
            status = field::Empty,
            upstream_request_id = field::Empty,
            ttft_ms = field::Empty,
            duration_ms = field::Empty,
            tokens_in = field::Empty,
            tokens_cached = field::Empty,
            tokens_out = field::Empty,
            phases = field::Empty,
            prefix_break = field::Empty,
            error = field::Empty,
            error_param = field::Empty,
            error_code = field::Empty,
        );
        Self(Arc::new(Observation {
            app: app.clone(),
            id,
            route,
            span,
            started: Instant::now(),
            clock: PhaseClock::start(),
            record: Mutex::default(),
            slot: OnceLock::new(),
        }))
    }

    fn end(&self, outcome: &'static str) {
        let Observation { app, route, span, started, clock, .. } = &*self.0;
        let duration = started.elapsed();
        app.metrics.end(route, duration);
        let mut record = std::mem::take(&mut *self.record());
        if record.first_token.is_none() {
            record.phases = clock.stop();
        }
        record.write_to(span, duration);
        span.in_scope(|| match record.severity() {
            Severity::Info if is_watching(route) => tracing::debug!("{outcome}"),
            Severity::Info => tracing::info!("{outcome}"),
            Severity::Warn => tracing::warn!("{outcome}"),
            Severity::Error => tracing::error!("{outcome}"),
        });
        if let Some(ledger) = app.ledger.as_ref().filter(|_| record.is_of_api) {
            let is_whole = outcome == ANSWERED;
            ledger.enter(record.into_entry(Ended { route: route.clone(), at: unix_now(), duration, is_whole }));
        }
    }
}

/// Observes a request, which `run` answers.
pub(super) async fn observe<F: Future<Output = Response>>(
    app: &Arc<App>,
    mut request: Request,
    run: impl FnOnce(Request) -> F,
) -> Response {
    let log = RequestLog::begin(app, &request);
    let shape = FaultShape::of(&request);
    app.metrics.begin();
    let mut ending = Ending { log: log.clone(), outcome: CLIENT_LEFT };
    let is_head = request.method() == Method::HEAD;
    request.extensions_mut().insert(log.clone());
    let running = pin!(run(request).instrument(log.span().clone()));
    let mut response = match AssertUnwindSafe(app.cut_off.bound(running)).catch_unwind().await {
        Ok(answer) => answer.unwrap_or_else(Fault::into_response),
        Err(panic) => panicked(&log, &*panic),
    };
    if let Some(error) = response.extensions().get() {
        log.failed(error);
    }
    response = shape.apply(response, log.id());
    log.answered_with(&mut response);
    if is_head {
        // The router drops the body, which would look like a client that leaves.
        ending.outcome = ANSWERED;
    }
    response.map(|inner| Body::new(Observed { inner, ending }))
}

fn panicked(log: &RequestLog, panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    log.span().in_scope(|| tracing::error!(panic = text.unwrap_or("unknown"), "a request handler panicked"));
    Fault::new(FaultKind::Internal, "the proxy failed on this request; see its log").into_response()
}

/// Writes the request's log line when dropped.
#[derive(Debug)]
struct Ending {
    log: RequestLog,
    outcome: &'static str,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.log.end(self.outcome);
    }
}

/// The answer's body, passed through unchanged.
struct Observed {
    inner: Body,
    ending: Ending,
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) {
            self.ending.outcome = ANSWERED;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if self.inner.is_end_stream() {
            self.ending.outcome = ANSWERED;
        }
    }
}

/// Returns the client's own id if it is safe to log, else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_sane = |id: &&HeaderValue| {
        let id = id.as_bytes();
        (1..=128).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
    };
    headers.get(REQUEST_ID).filter(is_sane).cloned().unwrap_or_else(|| {
        let count = SERIAL.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(unix_now().as_nanos()).unwrap_or_default();
        let id = ["req_", &hex(&nanoseconds.to_be_bytes()), &hex(&count.to_be_bytes())].concat();
        HeaderValue::from_maybe_shared(Bytes::from(id)).unwrap_or_else(|_| HeaderValue::from_static("req_unknown"))
    })
}

/// Returns the route of the pattern `path` without `/v1`, so that both spellings count as one, and whether it is a turn of a
/// WebSocket.
fn route(path: &str, request: &Request) -> Arc<str> {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let is_turn = request.extensions().get::<OverSocket>().is_some();
    if is_turn { format!("{path} (websocket)").into() } else { path.into() }
}

/// Returns whether `route` is one of those who watch the proxy rather than use it: they would drown the others in log and
/// durations.
fn is_watching(route: &str) -> bool {
    matches!(route, "/" | "/health" | "/metrics" | "/page/events" | "/page/key")
}

/// The message of a request's last log line whose answer was sent whole.
pub const ANSWERED: &str = "answered";
/// The message of a request's last log line whose client left before the end of its answer.
pub const CLIENT_LEFT: &str = "client left";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Stands for the paths that are no route.
const UNKNOWN_PATH: &str = "other";

static SERIAL: AtomicU32 = AtomicU32::new(0);
