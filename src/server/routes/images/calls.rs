//! The backend's calls for one request, each read piece by piece.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};

use super::AT_ONCE;
use crate::backend::event::answerer::Answerer;
use crate::dialect::images::ImageTask;
use crate::dialect::images::reply::{ImageAnswer, ImageUsage, ReplyPiece, ReplyReader};
use crate::fault::{Fault, FaultKind};
use crate::ledger::TokenCounts;
use crate::models::Resolution;
use crate::server::App;
use crate::server::answer::{explain_endpoint, note_answered, note_head};
use crate::server::observe::RequestLog;
use crate::upstream::endpoint::EndpointAnswer;
use crate::upstream::{EndpointCall, Head};

/// The calls of one request: all have the same body.
#[derive(Debug)]
pub(super) struct ImageCalls {
    pub(super) app: Arc<App>,
    pub(super) log: RequestLog,
    pub(super) call: EndpointCall,
    pub(super) task: ImageTask,
    pub(super) model: Resolution,
}

/// One piece of a call.
#[derive(Debug)]
pub(super) enum CallPiece {
    /// The head of the backend's answer.
    Head(Box<Head>),
    /// An event with an unfinished image.
    Partial(bytes::Bytes),
    /// Finished images, at least one.
    Completed(ImageAnswer),
}

impl CallPiece {
    /// Returns the bytes of its images.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Head(_) => 0,
            Self::Partial(event) => event.len(),
            Self::Completed(answer) => answer.images.iter().map(|image| image.json.len()).sum(),
        }
    }
}

/// The progress of one call.
enum Progress {
    Beginning,
    Reading(Box<Reading>),
    Ended,
}

/// The index of a call, the head of its answer, and the answer.
type Collected = (usize, Head, ImageAnswer);

struct Reading {
    answer: EndpointAnswer,
    reader: ReplyReader,
    ready: VecDeque<ReplyPiece>,
}

impl ImageCalls {
    /// Makes `count` calls and collects their answers, in the order of the calls.
    pub(super) async fn collect(self: &Arc<Self>, count: usize) -> Result<(Head, Vec<ImageAnswer>), Fault> {
        let calls = (0..count).map(|index| Arc::clone(self).collect_one(index));
        // Not in order: a failure is to be known at once.
        let mut answers: Vec<Collected> = stream::iter(calls).buffer_unordered(AT_ONCE).try_collect().await?;
        answers.sort_unstable_by_key(|(index, ..)| *index);
        let head = answers.first().map(|(_, head, _)| head.clone()).unwrap_or_default();
        Ok((head, answers.into_iter().map(|(.., answer)| answer).collect()))
    }

    async fn collect_one(self: Arc<Self>, index: usize) -> Result<Collected, Fault> {
        let (mut head, mut completed) = (Head::default(), None);
        let mut pieces = std::pin::pin!(self.pieces());
        while let Some(piece) = pieces.try_next().await? {
            match piece {
                CallPiece::Head(told) => head = *told,
                CallPiece::Partial(_) => {}
                CallPiece::Completed(answer) => completed = Some(answer),
            }
        }
        completed.map(|answer| (index, head, answer)).ok_or_else(without_image)
    }

    /// Makes `count` calls; their pieces come as the backend sends them.
    pub(super) fn all(self: &Arc<Self>, count: usize) -> impl Stream<Item = Result<CallPiece, Fault>> + use<> {
        let calls = Arc::clone(self);
        stream::iter(0..count).map(move |_| Box::pin(Arc::clone(&calls).pieces())).flatten_unordered(AT_ONCE)
    }

    /// Makes one call. An error is its last piece.
    fn pieces(self: Arc<Self>) -> impl Stream<Item = Result<CallPiece, Fault>> {
        stream::unfold((self, Progress::Beginning), |(calls, progress)| async move {
            let (piece, progress) = match progress {
                Progress::Beginning => calls.begin().await,
                Progress::Reading(reading) => calls.read(reading).await?,
                Progress::Ended => return None,
            };
            let piece = piece.map_err(|error| explain_endpoint(&calls.app, error));
            let progress = if piece.is_err() { Progress::Ended } else { progress };
            Some((piece, (calls, progress)))
        })
    }

    async fn begin(&self) -> (Result<CallPiece, Fault>, Progress) {
        self.log.sent(&self.model.model);
        let answer = match self.app.upstream.call(&self.call, self.log.clock()).await {
            Ok(answer) => answer,
            Err(error) => return (Err(error), Progress::Ended),
        };
        note_head(&self.app, &self.log, &answer.head);
        let head = answer.head.clone();
        let told = self.note_model(head.model.as_deref(), &answer);
        let reading = Reading { answer, reader: ReplyReader::default(), ready: VecDeque::new() };
        (told.map(|()| CallPiece::Head(Box::new(head))), Progress::Reading(Box::new(reading)))
    }

    /// Reads up to the next piece; `None` at the end.
    async fn read(&self, mut reading: Box<Reading>) -> Option<(Result<CallPiece, Fault>, Progress)> {
        loop {
            let Reading { answer, reader, ready } = &mut *reading;
            if let Some(piece) = ready.pop_front() {
                match self.piece(piece, answer).transpose() {
                    Some(piece) => return Some((piece, Progress::Reading(reading))),
                    None => continue,
                }
            }
            if reader.is_ended() {
                return None;
            }
            let mut take = |piece| ready.push_back(piece);
            match answer.next().await {
                Some(Ok(bytes)) => match self.hold(bytes.len()) {
                    Ok(()) => reader.feed(&bytes, &mut take),
                    Err(error) => return Some((Err(error), Progress::Ended)),
                },
                Some(Err(error)) => return Some((Err(error), Progress::Ended)),
                None if reader.end(&mut take) => {}
                None => return Some((Err(answer.ended_early()), Progress::Ended)),
            }
        }
    }

    /// Takes room for `bytes` of an answer.
    fn hold(&self, bytes: usize) -> Result<(), Fault> {
        self.log.slot().map_or(Ok(()), |slot| slot.hold_answer(bytes * COPIES))
    }

    /// Gives back the room for `bytes` of an answer that the client has taken.
    pub(super) fn release(&self, bytes: usize) {
        if let Some(slot) = self.log.slot() {
            slot.release(bytes * COPIES);
        }
    }

    /// Returns the piece for the client, if it is one.
    fn piece(&self, piece: ReplyPiece, answer: &EndpointAnswer) -> Result<Option<CallPiece>, Fault> {
        match piece {
            ReplyPiece::Partial(event) => {
                self.log.first_token();
                Ok(Some(CallPiece::Partial(event)))
            }
            ReplyPiece::Spent(usage) => {
                self.note_usage(&usage);
                Ok(None)
            }
            ReplyPiece::Completed(completed) => {
                if let Some(usage) = &completed.usage {
                    self.note_usage(usage);
                }
                self.note_model(completed.model.as_deref(), answer)?;
                self.log.first_token();
                if completed.images.is_empty() {
                    Err(without_image())
                } else {
                    Ok(Some(CallPiece::Completed(completed)))
                }
            }
            ReplyPiece::Failed(failure) => Err(answer.reported(&failure)),
            ReplyPiece::Unreadable(beginning) => Err(answer.no_answer(&beginning)),
        }
    }

    /// Records the answering model, if it is told; fails if another model is not allowed.
    fn note_model(&self, model: Option<&str>, answer: &EndpointAnswer) -> Result<(), Fault> {
        let Some(model) = model else { return Ok(()) };
        let mut answered = Answerer::new(&self.model.model, self.app.settings.strict_model);
        answered.told(model);
        note_answered(&self.app, &self.log, "", &answered);
        answered.refused().map_or(Ok(()), |failure| Err(answer.reported(&failure)))
    }

    /// Records the tokens of one call.
    fn note_usage(&self, usage: &ImageUsage) {
        let counts = TokenCounts { input: usage.input, cached: 0, reasoning: 0, output: usage.output };
        self.log.tokens(&self.model.model, counts);
    }
}

/// An image is in memory as it came, and as the client gets it.
const COPIES: usize = 2;

fn without_image() -> Fault {
    Fault::new(FaultKind::UpstreamInvalid, "the backend's answer holds no image")
}
