//! The pieces of an answer and their receiver: one sink for each form of an API's answers.

use serde_json::value::RawValue;

pub use crate::backend::answer::call_kind::CallKind;
use crate::backend::answer::ordered::PieceOrder;
use crate::backend::event::Usage;
use crate::backend::event::delta::DeltaKind;
use crate::fault::Fault;
use crate::json::Text;

/// A text of the answer: a part of one of its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// The part's number among all parts of the answer.
    pub part: usize,
    /// The number of its item.
    pub item: usize,
    /// The kind of text.
    pub kind: DeltaKind,
    /// The item's place in the answer, if the backend has told it.
    pub place: Option<u64>,
    /// The part's place among those of its kind in the item.
    pub index: u64,
    /// The place of its kind among the item's.
    pub rank: u8,
}

impl Spot {
    /// Returns the place among the pieces of the item.
    pub(crate) const fn order(&self) -> PieceOrder {
        PieceOrder::of_part(self.rank, self.index, self.part)
    }
}

/// The beginning of a call.
#[derive(Debug, Clone, Copy)]
pub struct CallHead<'a> {
    /// The number of its item.
    pub item: usize,
    /// The call's place among the answer's calls, counted from 0.
    pub index: usize,
    /// The call's kind.
    pub kind: CallKind,
    /// The id the tool's output must name.
    pub id: Text<'a>,
    /// The tool's name.
    pub name: Text<'a>,
}

/// A web search done by the backend.
#[derive(Debug, Clone, Copy)]
pub struct SearchCall<'a> {
    /// The item's id, if it has one.
    pub id: Option<Text<'a>>,
    /// The action, a JSON object: `type` with `query` and `sources`, with `url`, or with `url` and `pattern`.
    pub action: Option<&'a RawValue>,
}

/// A generated image. It may be long, so it is copied only into its destination.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// The format's name, such as `png`.
    pub format: Text<'a>,
    /// The image in base64.
    pub base64: Text<'a>,
}

impl Image<'_> {
    /// Appends the data URL of the image, escaped for the inside of a JSON string.
    pub fn write_url(&self, out: &mut Vec<u8>) {
        for piece in ["data:image/", self.format.escaped(), ";base64,", self.base64.escaped()] {
            out.extend_from_slice(piece.as_bytes());
        }
    }
}

/// The reason an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model finished its answer.
    Stop,
    /// The answer is complete, and the model wants to go on in another one.
    Paused,
    /// The client has to run the calls.
    ToolCalls,
    /// The client has to run the call, in the legacy form.
    FunctionCall,
    /// The answer was cut at a token limit.
    Length,
    /// The answer was cut by a content filter.
    ContentFilter,
}

impl FinishReason {
    /// Maps the backend's reason for an incomplete answer.
    pub fn of_incomplete(reason: Option<&str>) -> Self {
        if reason == Some("content_filter") { Self::ContentFilter } else { Self::Length }
    }

    /// Returns the API's name of the reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop | Self::Paused => "stop",
            Self::ToolCalls => "tool_calls",
            Self::FunctionCall => "function_call",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Receives the pieces of an answer in order. Texts come escaped and are written unchanged.
pub trait Sink: Send + Unpin {
    /// Takes the backend's id for the answer; if it comes, it comes before everything else.
    fn identify(&mut self, id: &str);
    /// Takes the best name known so far of the answering model. One answer has one name: later names are ignored once a
    /// client has seen one.
    fn model(&mut self, name: &str);
    /// Takes the answering account, before everything else.
    fn account(&mut self, _account: &str) {}
    /// Takes the number and the place of the item to which the pieces that follow belong.
    fn turn(&mut self, _item: usize, _place: Option<u64>) {}
    /// Takes the end of a reasoning item: the encrypted reasoning, which only the backend can read, if there is any.
    fn sealed(&mut self, _item: usize, _encrypted: Option<Text<'_>>, _out: &mut Vec<u8>) {}
    /// Takes a finished search.
    fn searched(&mut self, _search: SearchCall<'_>, _out: &mut Vec<u8>) {}
    /// Takes the end of the item with this number: no more pieces of it follow.
    fn item_done(&mut self, _item: usize, _out: &mut Vec<u8>) {}
    /// Takes more of a text.
    fn text(&mut self, spot: Spot, text: Text<'_>, out: &mut Vec<u8>);
    /// Takes a citation in the text at `spot`, as the backend writes it.
    fn citation(&mut self, spot: Spot, annotation: &RawValue, out: &mut Vec<u8>);
    /// Takes the beginning of a call.
    fn call(&mut self, head: CallHead<'_>, out: &mut Vec<u8>);
    /// Takes more of the arguments of the call at `index`.
    fn arguments(&mut self, index: usize, kind: CallKind, text: Text<'_>, out: &mut Vec<u8>);
    /// Takes a generated image.
    fn image(&mut self, image: Image<'_>, out: &mut Vec<u8>);
    /// Replaces an earlier piece; `false` if the client has received it already.
    fn correct(&mut self, correction: Correction<'_>) -> bool;
    /// Returns whether pieces may come in another order than that of their places.
    fn sorts(&self) -> bool;
    /// Returns whether all pieces share one order; otherwise texts, refusals, reasoning, calls and images have one each.
    fn has_one_order(&self) -> bool;
    /// Returns whether a stop sequence has ended the answer.
    fn is_stopped(&self) -> bool;
    /// Ends a complete answer.
    fn finish(&mut self, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>);
    /// Ends the answer with an error after a part of it was sent.
    fn fail(&mut self, error: &Fault, out: &mut Vec<u8>);
    /// Counts the calls withheld from the client because its requested form has no room for them.
    fn left_out(&self) -> usize;
}

/// The replacement of an earlier piece.
#[derive(Debug, Clone, Copy)]
pub enum Correction<'a> {
    /// The whole text of a part.
    Text(Spot, Text<'a>),
    /// All citations of a part.
    Citations(Spot, &'a [&'a RawValue]),
    /// The id and name of a call.
    Head(CallHead<'a>),
    /// All arguments of the call at an index.
    Arguments(usize, Text<'a>),
}
