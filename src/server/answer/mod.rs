//! Executes a call and sends its answer, as a stream or as one document.
//!
//! * Until the backend has produced something to show, a failure is an HTTP error with its own status.
//! * A stream is silent for no longer than the keepalive interval, counted from the request's acceptance: if the
//!   backend takes longer to begin, the head is sent with the first keepalive, and a later failure is the stream's last
//!   event.
//! * The body polls the backend only when the client reads, and dropping it ends the call.

mod keepalive;

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
use crate::backend::event::Usage;
use crate::backend::event::answerer::Answerer;
use crate::backend::request::body::{Body as RequestBody, Origin, Provenance};
use crate::fault::{Fault, FaultKind, Overflow};
use crate::ledger::TokenCounts;
use crate::models::Resolution;
use crate::platform::{Instant, sleep};
use crate::server::App;
use crate::server::cut_off::CutOff;
use crate::server::memory::{Asked, Scope};
use crate::server::observe::RequestLog;
use crate::server::reserve;
use crate::upstream::exchange::{self, Progress};
use crate::upstream::{BackendCall, Head, Opened, words};

pub(super) use self::keepalive::Keepalive;

/// A call and the context of its answer.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) app: Arc<App>,
    pub(super) log: RequestLog,
    /// The call. Its model changes to a successor once the backend has refused the requested one.
    pub(super) call: BackendCall,
    /// The requested parameters without effect.
    pub(super) ignored: Vec<String>,
    /// Whether the call lacks remembered reasoning of the conversation.
    pub(super) reasoning_left_out: bool,
    /// The scope of the request's memory.
    pub(super) scope: Scope,
    /// The context for remembering the answer, if it may be referred to.
    pub(super) asked: Option<Asked>,
}

/// Makes the machine of an answer by a model.
pub(super) type MakeMachine = Arc<dyn Fn(&Resolution) -> Box<dyn Machine> + Send + Sync>;

type Rest = exchange::Rest<Box<dyn Machine>>;
type Opening = Pin<Box<dyn Future<Output = Result<Opened<Box<dyn Machine>>, Fault>> + Send>>;

impl Exchange {
    /// Streams the answer as events of `machine`, with `keepalive` in long silences.
    pub(super) async fn stream(self, keepalive: &'static [u8], machine: MakeMachine) -> Result<Response, Fault> {
        let accepted = Instant::now();
        let interval = self.app.settings.keepalive;
        let mut ignored = self.ignored.clone();
        let mut exchange = Arc::new(self);
        let opening = Self::open(Arc::clone(&exchange), Arc::clone(&machine));
        let (phase, head) = match select(opening, pin!(sleep(interval))).await {
            Either::Left((Ok(opened), _)) => {
                ignored.extend(dropped_names(&opened.dropped));
                exchange.opened(opened.model);
                (Phase::Beginning(opened.first, opened.rest), opened.head)
            }
            Either::Left((Err(error), _)) => return Err(error),
            Either::Right(((), opening)) => (Phase::Opening(opening, machine(&exchange.call.model)), Head::default()),
        };
        let keepalive = Keepalive::new(keepalive, interval, accepted);
        let body = Events { exchange, phase, keepalive, scratch: Vec::new() };
        Ok(respond(EVENT_STREAM, &head, &ignored, Body::new(body)))
    }

    /// Returns the answer as one JSON document of `machine`.
    pub(super) async fn document(self, machine: MakeMachine) -> Result<Response, Fault> {
        let mut exchange = Arc::new(self);
        let opened = Self::open(Arc::clone(&exchange), machine).await?;
        let Opened { head, model, first: mut document, mut rest, dropped } = opened;
        exchange.opened(model);
        loop {
            match poll_fn(|context| rest.poll(context, &mut document)).await {
                Progress::Continue if rest.received() > LARGEST_COLLECTED => {
                    return Err(collected_too_much());
                }
                Progress::Continue => {}
                Progress::Complete => break,
                Progress::Failed { failed, .. } => {
                    exchange.note_failed(&rest);
                    return Err(exchange.explain(failed.with_head(head).error));
                }
            }
        }
        exchange.settle(&mut rest);
        let ignored: Vec<String> = exchange.ignored.iter().cloned().chain(dropped_names(&dropped)).collect();
        Ok(respond("application/json", &head, &ignored, Body::from(document)))
    }

    /// The answer to a request that the backend need not see.
    pub(super) fn at_once(self, stream: bool, answer: Vec<u8>) -> Response {
        let content_type = if stream { EVENT_STREAM } else { "application/json" };
        respond(content_type, &Head::default(), &self.ignored, Body::from(answer))
    }

    fn open(self: Arc<Self>, machine: MakeMachine) -> Opening {
        Box::pin(async move {
            self.log.sent(&self.call.model.model);
            let spent = |model: &Resolution, usage| note_usage(&self.log, model, usage);
            let opened = self.app.upstream.open(&self.call, self.log.clock(), |model| machine(model), &spent).await;
            let mut opened = opened.map_err(|error| self.explain(error))?;
            if self.reasoning_left_out || !opened.dropped.is_empty() {
                tracing::info!(items = opened.dropped.len(), "reasoning of earlier turns was not sent");
                opened.head.passed.push((REASONING_DROPPED, HeaderValue::from_static("true")));
            }
            self.log.first_token();
            self.log.sent(&opened.model.model);
            self.log.effort_sent(&self.call.model, &opened.model);
            note_head(&self.app, &self.log, &opened.head);
            self.note_answered(opened.rest.machine().answerer());
            Ok(opened)
        })
    }

    /// Records that the backend answers as `model`; the request will not be sent again.
    fn opened(self: &mut Arc<Self>, model: Resolution) {
        // The only handle: the other one was that of the call, which is over.
        let call = &mut Arc::make_mut(self).call;
        call.model = model;
        call.body = RequestBody::default();
        if let Some(slot) = self.log.slot() {
            slot.now_holds(0);
        }
    }

    /// Adds to the error of a refused model the models available, and to that of a spent plan the reserve.
    fn explain(&self, mut error: Fault) -> Fault {
        note_etag(&self.app, &error.headers);
        if let Some(substitute) = error.details.as_ref().and_then(|details| details.substitute.as_deref()) {
            let mut answered = Answerer::new(&self.call.model.model, false);
            answered.told(substitute);
            self.note_answered(&answered);
        }
        if error.kind == FaultKind::ContextLengthExceeded {
            let overflow = self.overflow();
            error.details.get_or_insert_default().overflow = Some(Box::new(overflow));
        }
        reserve::mention(&mut error, &self.app.models);
        if words::is_of_model(&error) {
            error.message = format!("{}{}", error.message, self.app.models.advice(&self.call.model.model));
            error.param = error.param.or_else(|| Some("model".to_owned()));
            error.details.get_or_insert_default().refuses_model = true;
        }
        error
    }

    /// About how many tokens the prompt has, which is more than its model takes, and how many that is.
    fn overflow(&self) -> Overflow {
        let window = self.app.models.find(&self.call.model.model).map_or(WINDOW, |model| model.context_window);
        let estimate = self.call.body.len() as u64 / BYTES_PER_TOKEN;
        Overflow { tokens: estimate.max(window + 1), window }
    }

    fn note_answered(&self, answered: &Answerer) {
        note_answered(&self.app, &self.log, &self.call.session_key, answered);
    }

    /// Records the facts and the tokens of an answer that failed after its beginning.
    fn note_failed(&self, rest: &Rest) {
        let answerer = rest.machine().answerer();
        self.note_answered(answerer);
        if let Some(usage) = answerer.usage() {
            note_usage(&self.log, &self.call.model, usage);
        }
    }

    /// Records a complete answer in log and metrics, and in memory for later turns.
    fn settle(&self, rest: &mut Rest) {
        let account = rest.account();
        self.note_answered(rest.machine().answerer());
        let machine = rest.machine_mut();
        if let Some(usage) = machine.usage() {
            note_usage(&self.log, &self.call.model, usage);
        } else if let Some(estimate) = machine.estimated_usage() {
            let (input, output) = (estimate.input_tokens, estimate.output_tokens);
            self.log.estimated_tokens(input.saturating_add(output));
            self.log.span().in_scope(|| {
                tracing::info!(input, output, "a stop sequence ended the answer; its token counts are estimates");
            });
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
            asked.clone().answered(&answer, provenance());
        }
    }
}

/// The body of a streamed answer.
struct Events {
    exchange: Arc<Exchange>,
    phase: Phase,
    keepalive: Keepalive,
    /// The next bytes, empty between polls; small pieces are assembled here, so that each costs one allocation of its exact size.
    scratch: Vec<u8>,
}

enum Phase {
    /// The backend has produced nothing yet. The machine reports a failure.
    Opening(Opening, Box<dyn Machine>),
    /// The first bytes are ready.
    Beginning(Vec<u8>, Rest),
    /// The stream is running.
    Reading(Rest),
    /// The stream has ended.
    Ended,
}

impl Events {
    /// Polls the next bytes for the client; `None` at the end.
    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.exchange.app.cut_off.is_reached() {
            return Poll::Ready(self.cut_off());
        }
        loop {
            match &mut self.phase {
                Phase::Opening(opening, machine) => match opening.as_mut().poll(context) {
                    Poll::Ready(Ok(opened)) => {
                        self.exchange.opened(opened.model);
                        self.phase = Phase::Beginning(opened.first, opened.rest);
                    }
                    Poll::Ready(Err(error)) => {
                        self.exchange.log.failed(&error);
                        machine.fail(&error, &mut self.scratch);
                        self.phase = Phase::Ended;
                    }
                    Poll::Pending => return self.keepalive.poll(context).map(Some),
                },
                Phase::Beginning(..) => {
                    let first = self.begin();
                    if !first.is_empty() {
                        self.keepalive.sent();
                        return Poll::Ready(Some(first.into()));
                    }
                }
                Phase::Reading(rest) => match rest.poll(context, &mut self.scratch) {
                    Poll::Ready(progress) => self.advance(progress),
                    Poll::Pending => return self.keepalive.poll(context).map(Some),
                },
                Phase::Ended => return Poll::Ready(None),
            }
            if !self.scratch.is_empty() {
                self.keepalive.sent();
                return Poll::Ready(Some(self.hand_out()));
            }
        }
    }

    /// Takes the first bytes, more than what comes after them.
    fn begin(&mut self) -> Vec<u8> {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Beginning(first, rest) => {
                self.phase = Phase::Reading(rest);
                first
            }
            other => {
                self.phase = other;
                Vec::new()
            }
        }
    }

    /// Returns the last event of a stream cut off by the shutdown; `None` if it has ended.
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

    fn hand_out(&mut self) -> Bytes {
        if self.scratch.capacity() > LARGEST_SCRATCH {
            return std::mem::take(&mut self.scratch).into();
        }
        let bytes = Bytes::copy_from_slice(&self.scratch);
        self.scratch.clear();
        bytes
    }

    /// Takes the result of a read. The state of a stream that goes on stays where it is: it is large.
    fn advance(&mut self, progress: Progress) {
        if matches!(progress, Progress::Continue) {
            return;
        }
        let Phase::Reading(mut rest) = std::mem::replace(&mut self.phase, Phase::Ended) else { return };
        match progress {
            Progress::Continue => {}
            Progress::Complete => self.exchange.settle(&mut rest),
            Progress::Failed { failed, reported } => {
                self.exchange.note_failed(&rest);
                let error = self.exchange.explain(failed.error);
                self.exchange.log.failed(&error);
                if !reported {
                    rest.fail(&error, &mut self.scratch);
                }
            }
        }
    }
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.poll_bytes(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Records the tokens of one attempt.
fn note_usage(log: &RequestLog, model: &Resolution, usage: Usage) {
    let counts = TokenCounts {
        input: usage.input_tokens,
        cached: usage.cached_tokens(),
        output: usage.output_tokens,
        reasoning: usage.reasoning_tokens(),
    };
    log.tokens(&model.model, counts);
}

/// Records the models list's entity tag, which every answer announces, an error's too.
pub(super) fn note_etag(app: &App, headers: &[(HeaderName, HeaderValue)]) {
    let named = headers.iter().find(|(name, _)| *name == MODELS_ETAG);
    if let Some(etag) = named.and_then(|(_, value)| value.to_str().ok()) {
        app.catalogue.announced(etag);
    }
}

/// Adds to the error of a spent plan the reserve, for a call without a model of the account's list.
pub(super) fn explain_endpoint(app: &App, mut error: Fault) -> Fault {
    note_etag(app, &error.headers);
    reserve::mention(&mut error, &app.models);
    error
}

/// Records the facts in the head of the backend's answer.
pub(super) fn note_head(app: &App, log: &RequestLog, head: &Head) {
    note_etag(app, &head.passed);
    if let Some(id) = &head.request_id {
        log.upstream_request_id(id);
    }
}

/// Records the answering model in the head and the log. A substituted model is counted for each answer, and logged once
/// per `conversation`.
pub(super) fn note_answered(app: &App, log: &RequestLog, conversation: &str, answered: &Answerer) {
    if !answered.sent().is_empty() {
        log.sent(answered.sent());
    }
    let is_news = log.answered(answered);
    let Some(substitute) = answered.substitute().filter(|_| is_news) else { return };
    let sent = answered.sent();
    app.metrics.substituted(sent, substitute);
    if app.substitutions.is_new((conversation, sent, substitute)) {
        log.span().in_scope(|| {
            tracing::warn!(sent, answered = substitute, "the backend answers with a model other than the one sent");
        });
    }
}

fn collected_too_much() -> Fault {
    let most = LARGEST_COLLECTED >> 20;
    let message =
        format!("the backend sent more than {most} MiB for one answer, the limit of a buffered one; ask for a stream");
    Fault::new(FaultKind::UpstreamInvalid, message)
}

/// Creates an answer of `content_type` with the backend's `head` and the names of the `ignored` parameters.
pub(super) fn respond(content_type: &'static str, head: &Head, ignored: &[String], body: Body) -> Response {
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

/// Names the reasoning that the client sent and the backend did not get. Remembered reasoning has no name.
fn dropped_names(dropped: &[Origin]) -> impl Iterator<Item = String> {
    dropped.iter().filter_map(|origin| match origin {
        Origin::Client(Some(index)) => Some(format!("input[{index}]")),
        Origin::Client(None) | Origin::Memory(_) | Origin::Sealed(_) => None,
    })
}

/// Lists the ignored parameters in a header value, as far as it can hold them.
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

/// In bodies of agents, which are mostly English and code.
const BYTES_PER_TOKEN: u64 = 4;
/// The window of a model that nobody knows.
const WINDOW: u64 = 272_000;
const MODELS_ETAG: HeaderName = HeaderName::from_static("x-models-etag");

pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// Keeps nginx, and proxies that follow its convention, from buffering a stream.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const IGNORED: HeaderName = HeaderName::from_static("x-codex-proxy-ignored");

/// Names the reasoning of earlier turns left out because the backend could not or would not read it.
const REASONING_DROPPED: HeaderName = HeaderName::from_static("x-codex-proxy-reasoning-dropped");
/// The largest scratch buffer that an open stream keeps.
const LARGEST_SCRATCH: usize = 1024;

/// The most bytes the backend may send for a buffered answer: about ten times the longest one.
const LARGEST_COLLECTED: usize = 256 << 20;

const LONGEST_HEADER: usize = 2048;
