//! The translation of the backend's events into an answer.
//!
//! * A [`Machine`] runs in a [`Transcoder`]: bytes in, bytes out, the same for streaming and buffered answers. A
//!   buffered machine writes its one JSON document when the answer is complete.
//! * [`machine`] is the one machine for every API but the backend's own; its chapters are [`texts`], [`calls`] and
//!   [`turns`]. It gives the pieces of the answer to a [`sink`], in the order of their items.
//! * [`items`], [`sent`], [`sequence`] and [`verdict`] compare the text sent with the finished forms; [`views`] are the
//!   backend's finished items.
//! * [`reasoning`] keeps the encrypted reasoning that led to calls; [`stop`] finds stop sequences; [`mod@renamed`]
//!   restores the client's own names of tools.

pub mod call_kind;
mod calls;
pub(crate) mod collected;
pub(crate) mod items;
pub mod machine;
pub(crate) mod ordered;
mod pieces;
pub mod reasoning;
mod renamed;
pub(crate) mod sent;
pub(crate) mod sequence;
pub mod sink;
pub mod stop;
mod texts;
mod turns;
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
use crate::fault::Fault;

/// Translates the backend's frames into one client's answer.
pub trait Machine: Send + Unpin {
    /// Takes, before the first frame, the requested model and the facts in the answer's head.
    fn begin(&mut self, answerer: Answerer);

    /// Returns the model and service tier that answer, as far as the frames have told them.
    fn answerer(&self) -> &Answerer;

    /// Takes one frame, and appends its translation to `out`.
    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step;

    /// Returns whether the backend has produced anything visible to a client. Until then a failure can be answered with
    /// a real status, or the call be retried.
    fn visible(&self) -> bool;

    /// Appends the error as the stream's last event.
    fn fail(&mut self, error: &Fault, out: &mut Vec<u8>);

    /// Returns the tokens used, once the backend has told them.
    fn usage(&self) -> Option<Usage>;

    /// Returns an estimate of the tokens used, for an answer that a stop sequence ended before the backend told them.
    fn estimated_usage(&self) -> Option<Usage> {
        None
    }

    /// Takes reasoning that the client cannot return but the model should have back; none for most APIs.
    fn take_reasoning(&mut self) -> Vec<KeptReasoning> {
        Vec::new()
    }

    /// Counts the answer's calls withheld from the client because its requested form has no room for them.
    fn left_out(&self) -> usize {
        0
    }

    /// Takes the answer, if the API lets its client refer to it later; none for most APIs.
    fn take_answer(&mut self) -> Option<Answer> {
        None
    }
}

/// Forwards each frame in one virtual call: all code above a machine exists once, for every API.
impl Machine for Box<dyn Machine> {
    fn begin(&mut self, answerer: Answerer) {
        (**self).begin(answerer);
    }

    fn answerer(&self) -> &Answerer {
        (**self).answerer()
    }

    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        (**self).frame(frame, out)
    }

    fn visible(&self) -> bool {
        (**self).visible()
    }

    fn fail(&mut self, error: &Fault, out: &mut Vec<u8>) {
        (**self).fail(error, out);
    }

    fn usage(&self) -> Option<Usage> {
        (**self).usage()
    }

    fn estimated_usage(&self) -> Option<Usage> {
        (**self).estimated_usage()
    }

    fn take_reasoning(&mut self) -> Vec<KeptReasoning> {
        (**self).take_reasoning()
    }

    fn left_out(&self) -> usize {
        (**self).left_out()
    }

    fn take_answer(&mut self) -> Option<Answer> {
        (**self).take_answer()
    }
}

/// A complete answer, to which a later request may refer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The answer's id, such as `resp_…`.
    pub id: Option<String>,
    /// The items, in order.
    pub items: Vec<AnswerItem>,
}

/// One item of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerItem {
    /// The item's id, such as `msg_…`.
    pub id: Option<String>,
    /// The item, as a JSON object.
    pub json: String,
}

/// The effect of a frame on the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The answer continues.
    Continue,
    /// The answer is complete; anything after this is ignored.
    Complete,
    /// The backend reported a failure.
    Failed {
        /// The backend's report.
        failure: Failure,
        /// Whether the client has seen the backend's own event, so that nothing more needs to be written.
        reported: bool,
    },
}

/// Feeds a machine from a byte stream with arbitrary boundaries.
///
/// ```
/// use codex_proxy::backend::answer::{Step, Transcoder};
/// use codex_proxy::dialect::responses::document::Collect;
///
/// let mut transcoder = Transcoder::new(Collect::default());
/// let mut out = Vec::new();
/// let stream = br#"data: {"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[]}}"#;
/// for piece in stream.chunks(7) {
///     assert_eq!(transcoder.feed(piece, &mut out), &Step::Continue);
/// }
/// assert_eq!(transcoder.feed(b"\n\n", &mut out), &Step::Complete);
/// assert!(String::from_utf8(out).unwrap().contains("resp_1"));
/// ```
#[derive(Debug)]
pub struct Transcoder<M> {
    framer: Framer,
    machine: M,
    /// The tools' names changed for the backend; none for most requests.
    names: Option<Arc<ToolNames>>,
    step: Step,
    /// Whether a frame with data has come, which makes this an event stream.
    framed: bool,
}

impl<M: Machine> Transcoder<M> {
    /// Creates a transcoder for a new stream.
    pub fn new(machine: M) -> Self {
        Self { framer: Framer::default(), machine, names: None, step: Step::Continue, framed: false }
    }

    /// Restores the client's own names of tools in the answer.
    #[must_use]
    pub fn with_names(self, names: Option<Arc<ToolNames>>) -> Self {
        Self { names, ..self }
    }

    /// Takes the next bytes, and appends their translation to `out`. Bytes after the answer's end are ignored.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> &Step {
        self.drive(out, |framer, each| framer.feed(bytes, each))
    }

    /// Takes the end of the stream. [`Step::Continue`] means that it came too early.
    pub fn end(&mut self, out: &mut Vec<u8>) -> &Step {
        self.drive(out, |framer, each| framer.end(each))
    }

    /// Returns the machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Returns the machine, for the report of a failure.
    pub fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    /// Returns whether any event has come.
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
