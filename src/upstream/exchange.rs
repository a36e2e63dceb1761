//! Sends a call until the first event that a client would see, in as many attempts as it takes.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use http::{Response, StatusCode};

use crate::backend::answer::{Machine, Step, Transcoder};
use crate::backend::event::Usage;
use crate::backend::event::answerer::Answerer;
use crate::backend::request::body::Origin;
use crate::credentials::TokenSupplier;
use crate::fault::Fault;
use crate::models::Resolution;
use crate::phases::{Phase, PhaseClock};
use crate::platform::{ByteStream, sleep, unix_now};
use crate::upstream::failed_attempt::{FailedAttempt, LARGEST_ERROR_BODY};
use crate::upstream::head::Head;
use crate::upstream::idle::{StreamError, Watched};
use crate::upstream::remedy::Treated;
use crate::upstream::retry::Retries;
use crate::upstream::{Answered, BackendCall, Cut, Incident, Upstream};

/// An answer up to its first visible event.
#[derive(Debug)]
pub struct Opened<M> {
    /// The answer's head.
    pub head: Head,
    /// The model and effort sent: a successor's if the requested model is retired.
    pub model: Resolution,
    /// The first bytes for the client.
    pub first: Vec<u8>,
    /// The unread rest.
    pub rest: Rest<M>,
    /// The request's reasoning that was not sent.
    pub dropped: Vec<Origin>,
}

/// Takes the model and the tokens of a failed attempt.
pub type OnSpent<'a> = &'a (dyn Fn(&Resolution, Usage) + Send + Sync);

/// The progress of an answer.
#[derive(Debug)]
pub enum Progress {
    /// The answer continues.
    Continue,
    /// The answer is complete.
    Complete,
    /// The answer failed.
    Failed {
        /// The failure.
        failed: FailedAttempt,
        /// Whether the backend's own event has told the client; nothing more needs to be written.
        reported: bool,
    },
}

/// The unread part of an answer.
#[derive(Debug)]
pub struct Rest<M> {
    stream: Watched,
    transcoder: Transcoder<M>,
    /// The end, if it came together with the beginning.
    outcome: Option<Progress>,
    /// Bytes received.
    received: usize,
    /// Knows the tokens to mask.
    supplier: TokenSupplier,
    account: Arc<str>,
}

impl<M: Machine> Rest<M> {
    fn new(stream: Watched, transcoder: Transcoder<M>, supplier: TokenSupplier, account: Arc<str>) -> Self {
        Self { stream, transcoder, outcome: None, received: 0, supplier, account }
    }

    /// Returns the bytes received.
    pub fn received(&self) -> usize {
        self.received
    }

    /// Returns the account of the call.
    pub fn account(&self) -> Arc<str> {
        Arc::clone(&self.account)
    }

    /// Reads on, and appends the next bytes for the client to `out`. Must not be called after the end.
    pub fn poll(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Progress> {
        if let Some(outcome) = self.outcome.take() {
            return Poll::Ready(outcome);
        }
        let item = ready!(self.stream.poll_next_unpin(context));
        Poll::Ready(self.take(item, out))
    }

    /// Returns the translating machine.
    pub fn machine_mut(&mut self) -> &mut M {
        self.transcoder.machine_mut()
    }

    /// Returns the translating machine.
    pub fn machine(&self) -> &M {
        self.transcoder.machine()
    }

    /// Appends `error` as the stream's last event.
    pub fn fail(&mut self, error: &Fault, out: &mut Vec<u8>) {
        let mut event = Vec::new();
        self.transcoder.machine_mut().fail(error, &mut event);
        out.extend_from_slice(self.supplier.mask(&String::from_utf8_lossy(&event)).as_bytes());
    }

    fn take(&mut self, item: Option<Result<Bytes, StreamError>>, out: &mut Vec<u8>) -> Progress {
        let step = match item {
            Some(Ok(bytes)) => {
                self.received = self.received.saturating_add(bytes.len());
                self.transcoder.feed(&bytes, out)
            }
            Some(Err(error)) => return Progress::Failed { failed: FailedAttempt::broken(&error), reported: false },
            None => match self.transcoder.end(out) {
                Step::Continue => return Progress::Failed { failed: FailedAttempt::ended_early(), reported: false },
                step => step,
            },
        };
        match step {
            Step::Continue => Progress::Continue,
            Step::Complete => {
                // The end of the body has often arrived already; a connection read to its end is reused.
                let _ = self.stream.next().now_or_never();
                Progress::Complete
            }
            Step::Failed { failure, reported } => {
                if *reported && let Cow::Owned(masked) = self.supplier.mask(&String::from_utf8_lossy(out)) {
                    *out = masked.into_bytes();
                }
                let failed = FailedAttempt::in_stream(failure).masked(&self.supplier);
                Progress::Failed { failed, reported: *reported }
            }
        }
    }
}

impl Upstream {
    /// Sends `call` and reads up to the first visible event. `machine` creates the translator of an attempt for the
    /// model sent, which differs from the call's if that one turns out to be retired.
    ///
    /// `clock` is entered for each phase of each attempt, and `spent` is called with the model and the tokens of each attempt
    /// whose failure the backend charges for.
    pub async fn open<M: Machine>(
        &self,
        call: &BackendCall,
        clock: &PhaseClock,
        machine: impl Fn(&Resolution) -> M,
        spent: OnSpent<'_>,
    ) -> Result<Opened<M>, Fault> {
        let mut retries = Retries::default();
        let mut treated = Treated::new(call);
        loop {
            let machine = machine(&treated.call().model);
            let failed = match self.attempt(treated.call(), treated.cut(), clock, machine, spent).await {
                Ok(opened) => return Ok(opened),
                Err(failed) => failed,
            };
            if !treated.treat(&failed, &self.models) {
                clock.enter(Phase::Retry);
                // Behind a pointer, as all that few calls need, so that no call has to hold room for it.
                match Box::pin(self.pause(failed, &mut retries)).await {
                    Ok(()) => {}
                    Err(error) => return Err(treated.verdict(error)),
                }
            }
        }
    }

    /// Waits before the next attempt, or returns the error if there is none.
    pub(super) async fn pause(&self, failed: FailedAttempt, retries: &mut Retries) -> Result<(), Fault> {
        let failed = failed.masked(&self.supplier);
        self.failed(&failed);
        let Some(delay) = retries.delay(failed.retry, jitter()) else { return Err(failed.error) };
        (self.observe)(Incident::Retried);
        tracing::info!(delay_ms = delay.as_millis(), "retrying: {}", failed.error);
        sleep(delay).await;
        Ok(())
    }

    async fn attempt<M: Machine>(
        &self,
        call: &BackendCall,
        cut: Cut,
        clock: &PhaseClock,
        mut machine: M,
        spent: OnSpent<'_>,
    ) -> Result<Opened<M>, FailedAttempt> {
        let Answered { response, account } = self.send(&|access| self.request(access, call, cut), clock).await?;
        if response.status() != StatusCode::OK {
            return Err(Box::pin(self.refused(response)).await);
        }
        let (parts, body) = response.into_parts();
        let head = Head::read(&parts.headers).masked(&self.supplier);
        machine.begin(answered_by(call, &head)?.for_account(Arc::clone(&account)));
        let dropped = call.body.cut(cut.without(&account)).map(|reasoning| reasoning.origin.clone()).collect();
        let stream = Watched::new(body, self.settings.idle_timeout);
        let transcoder = Transcoder::new(machine).with_names(call.names.clone());
        let mut rest = Rest::new(stream, transcoder, self.supplier.clone(), account);
        let mut first = Vec::with_capacity(USUAL_BEGINNING);
        // The beginning of the body, in case it is no event stream: its content type is not reliable.
        let mut sample = Vec::new();
        clock.enter(if head.is_held { Phase::Hold } else { Phase::Event });
        loop {
            let item = rest.stream.next().await;
            let received = item.as_ref().and_then(|item| item.as_ref().ok()).cloned();
            let progress = rest.take(item, &mut first);
            if let Some(bytes) = received
                && !rest.transcoder.is_event_stream()
            {
                sample
                    .extend_from_slice(bytes.get(..LARGEST_ERROR_BODY.saturating_sub(sample.len())).unwrap_or(&bytes));
            }
            if rest.machine().answerer().is_held() {
                clock.enter(Phase::Hold);
            }
            match progress {
                Progress::Continue if !rest.transcoder.machine().visible() => {}
                Progress::Failed { .. } if !rest.transcoder.is_event_stream() && !sample.is_empty() => {
                    return Err(FailedAttempt::answered(parts.status, &parts.headers, &sample));
                }
                Progress::Failed { failed, .. } if !rest.transcoder.machine().visible() => {
                    if let Some(usage) = rest.machine().answerer().usage() {
                        spent(&call.model, usage);
                    }
                    return Err(failed.with_head(head));
                }
                Progress::Continue => break,
                outcome => {
                    rest.outcome = Some(outcome);
                    break;
                }
            }
        }
        Ok(Opened { head, model: call.model.clone(), first, rest, dropped })
    }

    /// Interprets an error answer.
    pub(super) async fn refused(&self, response: Response<ByteStream>) -> FailedAttempt {
        let (head, body) = response.into_parts();
        let body = collect(body, self.settings.idle_timeout, LARGEST_ERROR_BODY).await.unwrap_or_default();
        FailedAttempt::answered(head.status, &head.headers, &body)
    }
}

/// Returns the answering model; fails if another model is not allowed.
fn answered_by(call: &BackendCall, head: &Head) -> Result<Answerer, FailedAttempt> {
    let mut answered = Answerer::new(&call.model.model, call.strict_model);
    if let Some(model) = &head.model {
        answered.told(model);
    }
    if head.is_held {
        answered.held();
    }
    match answered.refused() {
        Some(failure) => Err(FailedAttempt::in_stream(&failure).with_head(head.clone())),
        None => Ok(answered),
    }
}

/// Reads up to `limit` bytes of a body that is not an event stream.
pub(crate) async fn collect(body: ByteStream, silence: Duration, limit: usize) -> Result<Bytes, StreamError> {
    let mut stream = Watched::new(body, silence);
    let mut collected = Vec::new();
    while let Some(bytes) = stream.next().await {
        collected.extend_from_slice(&bytes?);
        if collected.len() >= limit {
            collected.truncate(limit);
            break;
        }
    }
    Ok(collected.into())
}

/// More than the bytes that a client gets at first of a usual stream.
const USUAL_BEGINNING: usize = 640;

/// Returns a number from 0 to 1, random enough to spread the retries of clients that failed together.
fn jitter() -> f64 {
    f64::from(unix_now().subsec_micros()) / 1e6
}
