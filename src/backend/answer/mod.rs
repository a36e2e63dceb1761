//! From the backend's events to an answer.
//!
//! * A [`Machine`] is fed through a [`Transcoder`]: bytes in, bytes out, the same for streaming and buffered answers. A
//!   buffered machine writes its one JSON document when the answer is complete.
//! * [`machine`] is the one machine for every API that is not the backend's own; its chapters are [`texts`] and [`calls`].
//!   It gives the pieces of the answer to a [`sink`].
//! * [`items`], [`sent`], [`sequence`] and [`verdict`] hold what has been sent against what is finished; [`views`] are finished
//!   items as the backend tells them.
//! * [`reasoning`] keeps the encrypted reasoning that led to calls; [`stop`] looks for stop sequences; [`mod@renamed`] gives the
//!   client its own names of tools back.

pub mod call_kind;
mod calls;
pub(crate) mod collected;
pub(crate) mod items;
pub mod machine;
pub mod reasoning;
mod renamed;
pub(crate) mod sent;
pub(crate) mod sequence;
pub mod sink;
pub mod stop;
mod texts;
pub mod verdict;
pub(crate) mod views;

use std::sync::Arc;

use reasoning::KeptReasoning;
use renamed::renamed;

use crate::backend::event::Usage;
use crate::backend::event::answerer::Answerer;
use crate::backend::event::failure::Failure;
use crate::backend::event::sse::{Frame, Framer};
use crate::backend::request::names::ToolNames;
use crate::fault::ApiError;

/// Turns the backend's frames into what one client is to get.
pub trait Machine: Send + Unpin {
    /// Says, before the first frame, which model was asked for and what the answer's head tells of it.
    fn begin(&mut self, answerer: Answerer);

    /// Which model and service tier answer, as far as the frames have said.
    fn answerer(&self) -> &Answerer;

    /// Takes one frame; appends to `out` what the client gets for it.
    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step;

    /// Whether the backend has produced something that a client sees. Until then a failure can be answered with a real
    /// status, or the call be tried again.
    fn visible(&self) -> bool;

    /// Appends the error as the stream's last event.
    fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>);

    /// The tokens used, once the backend has said so.
    fn usage(&self) -> Option<Usage>;

    /// Reasoning that the client cannot return and the model should have back; none unless the API is one of those.
    fn take_reasoning(&mut self) -> Vec<KeptReasoning> {
        Vec::new()
    }

    /// How many calls of the answer the client has not been given, because the form it asked for has no room for them.
    fn left_out(&self) -> usize {
        0
    }

    /// The answer, which its client may refer to later; none unless the API is one of those.
    fn take_answer(&mut self) -> Option<Answer> {
        None
    }
}

/// A whole answer, as a later request may refer to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its id, such as `resp_…`.
    pub id: Option<String>,
    /// Its items in their order.
    pub items: Vec<AnswerItem>,
}

/// One item of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerItem {
    /// Its id, such as `msg_…`.
    pub id: Option<String>,
    /// The item, a JSON object.
    pub json: String,
}

/// What a frame did to the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// There is more to come.
    Continue,
    /// The answer is whole; nothing after this matters.
    Complete,
    /// The backend reported a failure. `reported` says that the client has been shown it in its own event.
    Failed {
        /// What the backend said.
        failure: Failure,
        /// Nothing more needs to be written for the client to know.
        reported: bool,
    },
}

/// Feeds a machine from a byte stream cut anywhere.
#[derive(Debug)]
pub struct Transcoder<M> {
    framer: Framer,
    machine: M,
    /// Names of tools that the client knows by others; none for most requests.
    names: Option<Arc<ToolNames>>,
    step: Step,
    /// At least one frame with data has come, so this is an event stream.
    framed: bool,
}

impl<M: Machine> Transcoder<M> {
    /// A transcoder at the beginning of a stream.
    pub fn new(machine: M) -> Self {
        Self { framer: Framer::default(), machine, names: None, step: Step::Continue, framed: false }
    }

    /// The same, giving the client its own names of tools back.
    #[must_use]
    pub fn with_names(self, names: Option<Arc<ToolNames>>) -> Self {
        Self { names, ..self }
    }

    /// Takes the next bytes; appends to `out` what the client gets for them. After the answer has ended, bytes are ignored.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> &Step {
        self.drive(out, |framer, each| framer.feed(bytes, each))
    }

    /// The stream has ended. [`Step::Continue`] means that it ended too early.
    pub fn end(&mut self, out: &mut Vec<u8>) -> &Step {
        self.drive(out, |framer, each| framer.end(each))
    }

    /// The machine that is fed.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The machine that is fed, to be told of a failure.
    pub fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    /// Whether any event has come at all.
    pub fn is_event_stream(&self) -> bool {
        self.framed
    }

    fn drive(&mut self, out: &mut Vec<u8>, run: impl FnOnce(&mut Framer, &mut dyn FnMut(Frame<'_>) -> bool)) -> &Step {
        if self.step != Step::Continue {
            return &self.step;
        }
        let Self { framer, machine, names, step, framed } = self;
        run(framer, &mut |frame| {
            *framed = true;
            *step = match names {
                None => machine.frame(&frame, out),
                Some(names) => renamed(&frame, names, |frame| machine.frame(frame, out)),
            };
            *step == Step::Continue
        });
        if framer.is_overfull() && *step == Step::Continue {
            *framed = true;
            *step = Step::Failed { failure: Failure::of_an_event_too_large(), reported: false };
        }
        &self.step
    }
}
