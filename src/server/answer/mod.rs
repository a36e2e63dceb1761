//! From a call to an answer, as a stream or as one document.
//!
//! * Until the backend has produced something to show, a failure is an HTTP error with its own status.
//! * A stream is silent for no longer than the keepalive interval, counted from when the request was accepted: if the
//!   backend takes longer than that to begin, the head is sent with the first keepalive, and a failure after it is the
//!   stream's last event.
//! * The body asks the backend for more only when the client takes more, and dropping it ends the call.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use http_body::Frame;

use crate::backend::answer::Machine;
use crate::backend::event::answerer::Answerer;
use crate::backend::request::body::{Body as RequestBody, Origin, Provenance};
use crate::fault::{ApiError, ErrorKind};
use crate::models::Resolution;
use crate::platform::{Instant, Timer, sleep};
use crate::server::App;
use crate::server::cut_off::CutOff;
use crate::server::memory::{Asked, Scope};
use crate::server::observe::RequestLog;
use crate::server::observe::metrics::TokenCounts;
use crate::server::reserve;
use crate::upstream::exchange::{Progress, Rest};
use crate::upstream::{Call, Head, Opened, refusal};

/// One call and everything its answer is made with.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) app: Arc<App>,
    pub(super) log: RequestLog,
    /// Its model is a successor's once the backend has refused the one that was asked for.
    pub(super) call: Call,
    /// What the client asked for and does not get.
    pub(super) ignored: Vec<String>,
    /// Remembered reasoning of the conversation does not stand in the call.
    pub(super) reasoning_left_out: bool,
    /// Whose request it is, as far as memory goes.
    pub(super) scope: Scope,
    /// What the answer is remembered with, if it may be referred to.
    pub(super) asked: Option<Asked>,
}

type Opening<M> = Pin<Box<dyn Future<Output = Result<Opened<M>, ApiError>> + Send>>;

impl Exchange {
    /// The answer as events, made by `machine`; `keepalive` is sent where it is silent for long.
    pub(super) async fn stream<M: Machine + 'static>(
        mut self,
        keepalive: &'static [u8],
        machine: impl Fn(&Resolution) -> M + Clone + Send + Sync + 'static,
    ) -> Result<Response, ApiError> {
        let accepted = Instant::now();
        let interval = self.app.settings.keepalive;
        let mut ignored = self.ignored.clone();
        let opening = self.clone().open(machine.clone());
        let (phase, head) = match select(opening, pin!(sleep(interval))).await {
            Either::Left((Ok(opened), _)) => {
                ignored.extend(dropped_names(&opened.dropped));
                self.opened(opened.model);
                (Phase::Beginning(opened.first, opened.rest), opened.head)
            }
            Either::Left((Err(error), _)) => return Err(error),
            Either::Right(((), opening)) => (Phase::Opening(opening, machine(&self.call.model)), Head::default()),
        };
        let timer = Timer::after(interval.saturating_sub(accepted.elapsed()));
        let body = Events { exchange: self, phase, keepalive, timer, last_sent: accepted, scratch: Vec::new() };
        Ok(respond(EVENT_STREAM, &head, &ignored, Body::new(body)))
    }

    /// The answer as one JSON document, made by `machine`.
    pub(super) async fn document<M: Machine + 'static>(
        mut self,
        machine: impl Fn(&Resolution) -> M + Send + Sync + 'static,
    ) -> Result<Response, ApiError> {
        let Opened { head, model, first: mut document, mut rest, dropped } = self.clone().open(machine).await?;
        self.opened(model);
        loop {
            match poll_fn(|context| rest.poll(context, &mut document)).await {
                Progress::Continue if rest.received() > LARGEST_COLLECTED => {
                    return Err(collected_too_much());
                }
                Progress::Continue => {}
                Progress::Complete => break,
                Progress::Failed { refusal, .. } => {
                    self.note_answered(rest.machine().answerer());
                    return Err(self.explain(refusal.with_head(head).error));
                }
            }
        }
        self.settle(&mut rest);
        let ignored: Vec<String> = self.ignored.iter().cloned().chain(dropped_names(&dropped)).collect();
        Ok(respond("application/json", &head, &ignored, Body::from(document)))
    }

    fn open<M: Machine + 'static>(self, machine: impl Fn(&Resolution) -> M + Send + Sync + 'static) -> Opening<M> {
        Box::pin(async move {
            self.log.sent(&self.call.model.model);
            let opened = self.app.upstream.open(&self.call, machine).await;
            let mut opened = opened.map_err(|error| self.explain(error))?;
            if self.reasoning_left_out || !opened.dropped.is_empty() {
                tracing::info!(items = opened.dropped.len(), "reasoning of earlier turns was not sent");
                opened.head.passed.push((REASONING_DROPPED, HeaderValue::from_static("true")));
            }
            self.log.first_token();
            self.log.sent(&opened.model.model);
            self.log.effort_sent(&self.call.model, &opened.model);
            self.note_head(&opened.head);
            self.note_answered(opened.rest.machine().answerer());
            Ok(opened)
        })
    }

    /// The backend answers as `model`, so the request will not be sent again.
    fn opened(&mut self, model: Resolution) {
        self.call.model = model;
        self.call.body = RequestBody::default();
        if let Some(place) = self.log.place() {
            place.now_holds(0);
        }
    }

    /// Adds to a refused model what the account could use instead, and to a spent plan what it may have left.
    fn explain(&self, mut error: ApiError) -> ApiError {
        self.note_etag(&error.headers);
        if let Some(substitute) = error.details.as_ref().and_then(|details| details.substitute.as_deref()) {
            let mut answered = Answerer::new(&self.call.model.model, false);
            answered.told(substitute);
            self.note_answered(&answered);
        }
        reserve::mention(&mut error, &self.app.models);
        if refusal::is_of_model(&error) {
            error.message = format!("{}{}", error.message, self.app.models.advice(&self.call.model.model));
            error.param = error.param.or_else(|| Some("model".to_owned()));
        }
        error
    }

    /// Any answer, a refusal too, says which list of models the backend has.
    fn note_etag(&self, headers: &[(HeaderName, HeaderValue)]) {
        let named = headers.iter().find(|(name, _)| *name == MODELS_ETAG);
        if let Some(etag) = named.and_then(|(_, value)| value.to_str().ok()) {
            self.app.catalogue.announced(etag);
        }
    }

    fn note_head(&self, head: &Head) {
        self.note_etag(&head.passed);
        if let Some(id) = &head.request_id {
            self.log.upstream_request_id(id);
        }
        for (name, value) in &head.passed {
            let window = name.as_str().strip_prefix("x-codex-").and_then(|name| name.strip_suffix("-used-percent"));
            let percent = value.to_str().ok().and_then(|value| value.parse().ok());
            if let (Some(window), Some(percent)) = (window, percent) {
                self.app.metrics.limit_used(window, percent);
            }
        }
    }

    /// Which model answers goes into the head and the log; that it is another than the one that was sent is counted for each
    /// answer, and said once for each conversation.
    fn note_answered(&self, answered: &Answerer) {
        if !answered.sent().is_empty() {
            self.log.sent(answered.sent());
        }
        let is_news = self.log.answered(answered);
        let Some(substitute) = answered.substitute().filter(|_| is_news) else { return };
        let sent = answered.sent();
        self.app.metrics.substituted(sent, substitute);
        if self.app.substitutions.is_new((&self.call.session_key, sent, substitute)) {
            self.log.span().in_scope(|| {
                tracing::warn!(
                    sent,
                    answered = substitute,
                    "the backend answers with another model than the one it was asked for"
                );
            });
        }
    }

    /// A whole answer goes into the books, and what later turns may need of it into memory.
    fn settle<M: Machine>(&self, rest: &mut Rest<M>) {
        let account = rest.account();
        self.note_answered(rest.machine().answerer());
        let machine = rest.machine_mut();
        if let Some(usage) = machine.usage() {
            let counts =
                TokenCounts { input: usage.input_tokens, cached: usage.cached_tokens(), output: usage.output_tokens };
            self.log.tokens(&self.call.model.model, counts);
        }
        if machine.left_out() > 0 {
            let calls = machine.left_out();
            self.log
                .span()
                .in_scope(|| tracing::warn!(calls, "a function_call has room for one call; others are left out"));
        }
        let provenance = || Arc::new(Provenance::new(account, self.call.model.model.clone()));
        let reasoning = if self.app.settings.reasoning_replay { machine.take_reasoning() } else { Vec::new() };
        if !reasoning.is_empty() {
            self.app.replay.keep(self.scope, &provenance(), reasoning);
        } else if let (Some(asked), Some(answer)) = (&self.asked, machine.take_answer()) {
            self.app.answers.answered(asked.clone(), &answer, provenance());
        }
    }
}

/// The body of a streamed answer.
struct Events<M> {
    exchange: Exchange,
    phase: Phase<M>,
    /// What is sent where the answer is silent for long.
    keepalive: &'static [u8],
    /// Looked at only when it fires, so that an event costs no timer.
    timer: Timer,
    last_sent: Instant,
    /// Empty between two polls: where small pieces are put together, so that each costs one allocation of its exact size.
    scratch: Vec<u8>,
}

enum Phase<M> {
    /// The backend has shown nothing yet. The machine is there to report a failure.
    Opening(Opening<M>, M),
    /// The first bytes have not been handed out.
    Beginning(Vec<u8>, Rest<M>),
    /// Under way.
    Reading(Rest<M>),
    /// Over.
    Ended,
}

impl<M: Machine> Events<M> {
    /// The next bytes for the client, `None` at the end.
    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.exchange.app.cut_off.is_reached() {
            return Poll::Ready(self.cut_off());
        }
        loop {
            let mut out = std::mem::take(&mut self.scratch);
            match std::mem::replace(&mut self.phase, Phase::Ended) {
                Phase::Opening(mut opening, mut machine) => match opening.as_mut().poll(context) {
                    Poll::Ready(Ok(opened)) => {
                        self.exchange.opened(opened.model);
                        self.phase = Phase::Beginning(opened.first, opened.rest);
                    }
                    Poll::Ready(Err(error)) => {
                        self.exchange.log.failed(&error);
                        machine.fail(&error, &mut out);
                    }
                    Poll::Pending => {
                        self.phase = Phase::Opening(opening, machine);
                        return self.poll_keepalive(context).map(Some);
                    }
                },
                Phase::Beginning(first, rest) => {
                    out = first;
                    self.phase = Phase::Reading(rest);
                }
                Phase::Reading(mut rest) => match rest.poll(context, &mut out) {
                    Poll::Ready(progress) => self.advance(rest, progress, &mut out),
                    Poll::Pending => {
                        self.phase = Phase::Reading(rest);
                        self.scratch = out;
                        return self.poll_keepalive(context).map(Some);
                    }
                },
                Phase::Ended => return Poll::Ready(None),
            }
            if !out.is_empty() {
                self.last_sent = Instant::now();
                return Poll::Ready(Some(self.hand_out(out)));
            }
            self.scratch = out;
        }
    }

    /// What a stream that can no longer be waited for ends with; `None` if it has ended.
    fn cut_off(&mut self) -> Option<Bytes> {
        let error = CutOff::error();
        let mut out = Vec::new();
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Opening(_, mut machine) => machine.fail(&error, &mut out),
            Phase::Beginning(first, mut rest) => {
                out = first;
                rest.fail(&error, &mut out);
            }
            Phase::Reading(mut rest) => rest.fail(&error, &mut out),
            Phase::Ended => return None,
        }
        self.exchange.log.failed(&error);
        Some(out.into())
    }

    fn hand_out(&mut self, mut out: Vec<u8>) -> Bytes {
        if out.capacity() > LARGEST_SCRATCH {
            return out.into();
        }
        let bytes = Bytes::copy_from_slice(&out);
        out.clear();
        self.scratch = out;
        bytes
    }

    fn advance(&mut self, mut rest: Rest<M>, progress: Progress, out: &mut Vec<u8>) {
        match progress {
            Progress::Continue => self.phase = Phase::Reading(rest),
            Progress::Complete => self.exchange.settle(&mut rest),
            Progress::Failed { refusal, reported } => {
                self.exchange.note_answered(rest.machine().answerer());
                let error = self.exchange.explain(refusal.error);
                self.exchange.log.failed(&error);
                if !reported {
                    rest.fail(&error, out);
                }
            }
        }
    }

    fn poll_keepalive(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        let interval = self.exchange.app.settings.keepalive;
        loop {
            std::task::ready!(self.timer.poll(context));
            let due = self.last_sent + interval;
            let now = Instant::now();
            if now >= due {
                self.last_sent = now;
                self.timer.reset(now + interval);
                return Poll::Ready(Bytes::from_static(self.keepalive));
            }
            self.timer.reset(due);
        }
    }
}

impl<M: Machine + Unpin> http_body::Body for Events<M> {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.poll_bytes(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn collected_too_much() -> ApiError {
    let most = LARGEST_COLLECTED >> 20;
    let message = format!(
        "the backend has sent more than {most} MiB for one answer, which is more than is collected; ask for a stream"
    );
    ApiError::new(ErrorKind::UpstreamInvalid, message)
}

fn respond(content_type: &'static str, head: &Head, ignored: &[String], body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.extend(head.passed.iter().cloned());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if content_type == EVENT_STREAM {
        headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    if let Some(ignored) = ignored_header(ignored) {
        headers.insert(IGNORED, ignored);
    }
    response
}

/// The names of reasoning that the client sent and the backend did not get. What was remembered has no name.
fn dropped_names(dropped: &[Origin]) -> impl Iterator<Item = String> {
    dropped.iter().filter_map(|origin| match origin {
        Origin::Client(Some(index)) => Some(format!("input[{index}]")),
        Origin::Client(None) | Origin::Memory(_) | Origin::Sealed(_) => None,
    })
}

/// The names of parameters that change nothing, as far as a header can hold them.
fn ignored_header(names: &[String]) -> Option<HeaderValue> {
    if names.is_empty() {
        return None;
    }
    let printable = |character: char| if character.is_ascii_graphic() && character != ',' { character } else { '?' };
    let names: Vec<String> = names.iter().map(|name| name.chars().take(64).map(printable).collect()).collect();
    let mut list = names.join(", ");
    list.truncate(LONGEST_HEADER);
    HeaderValue::try_from(list).ok()
}

const MODELS_ETAG: HeaderName = HeaderName::from_static("x-models-etag");

/// The content type of a stream of events.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// Keeps nginx, and what has learnt it from nginx, from holding a stream back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const IGNORED: HeaderName = HeaderName::from_static("x-codex-proxy-ignored");

/// Says that the backend was asked without reasoning of earlier turns, which it would not or could not read.
const REASONING_DROPPED: HeaderName = HeaderName::from_static("x-codex-proxy-reasoning-dropped");

/// The keepalive of most streams.
#[cfg(not(target_arch = "wasm32"))]
pub(super) use crate::dialect::COMMENT as KEEPALIVE;
/// An open stream keeps no more than this for its next piece.
const LARGEST_SCRATCH: usize = 1024;

/// Bytes that the backend may send for an answer that is given as one document: some ten times what the longest holds.
const LARGEST_COLLECTED: usize = 256 << 20;

const LONGEST_HEADER: usize = 2048;
