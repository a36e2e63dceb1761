//! The pieces of an answer, and where they go: one sink for each form of an API's answers.

use serde_json::value::RawValue;

pub use crate::backend::answer::call_kind::CallKind;
use crate::backend::event::Usage;
use crate::backend::event::delta::DeltaKind;
use crate::fault::ApiError;
use crate::json::Text;

/// A text of the answer: a part of one of its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// Its number among all parts of the answer.
    pub part: usize,
    /// The number of its item.
    pub item: usize,
    /// The kind of text.
    pub kind: DeltaKind,
    /// The item's place in the answer, where the backend has told it.
    pub place: Option<u64>,
    /// The part's place among those of its kind in the item.
    pub index: u64,
}

/// The beginning of a call.
#[derive(Debug, Clone, Copy)]
pub struct CallHead<'a> {
    /// The number of its item.
    pub item: usize,
    /// Its place among the answer's calls, counted from 0.
    pub index: usize,
    /// Function or custom.
    pub kind: CallKind,
    /// The id the tool's output must name.
    pub id: Text<'a>,
    /// The tool.
    pub name: Text<'a>,
}

/// A search of the web that the backend has done.
#[derive(Debug, Clone, Copy)]
pub struct SearchCall<'a> {
    /// The item's id, where it has one.
    pub id: Option<Text<'a>>,
    /// What was done, a JSON object: `type` with `query` and `sources`, with `url`, or with `url` and `pattern`.
    pub action: Option<&'a RawValue>,
}

/// A generated image. It may be long, so it is copied only to where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// The format's name, such as `png`.
    pub format: Text<'a>,
    /// The image in base64.
    pub base64: Text<'a>,
}

impl Image<'_> {
    /// Appends the data URL of the image, escaped as a JSON string's inside.
    pub fn write_url(&self, out: &mut Vec<u8>) {
        for piece in ["data:image/", self.format.escaped(), ";base64,", self.base64.escaped()] {
            out.extend_from_slice(piece.as_bytes());
        }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model had said all it had to say.
    Stop,
    /// The client is to run the calls.
    ToolCalls,
    /// The same, in the legacy form.
    FunctionCall,
    /// The answer was cut at a token limit.
    Length,
    /// The answer was cut by a content filter.
    ContentFilter,
}

impl FinishReason {
    /// That of an incomplete answer, by the backend's reason.
    pub fn of_incomplete(reason: Option<&str>) -> Self {
        if reason == Some("content_filter") { Self::ContentFilter } else { Self::Length }
    }

    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::ToolCalls => "tool_calls",
            Self::FunctionCall => "function_call",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Receives the pieces of an answer in order. Texts come escaped and are passed on as they are.
pub trait Sink: Send + Unpin {
    /// Takes the backend's id for the answer; it comes before anything else, if it comes.
    fn identify(&mut self, id: &str);
    /// Takes the best name known so far of the model that answers. One answer has one name: what comes after a client was
    /// told it does not count.
    fn model(&mut self, name: &str);
    /// Takes the account that is answered, before anything else.
    fn account(&mut self, _account: &str) {}
    /// Takes the end of a reasoning item: the reasoning as only the backend can read it, where it was given.
    fn sealed(&mut self, _item: usize, _encrypted: Option<Text<'_>>, _out: &mut Vec<u8>) {}
    /// Takes a search that is over.
    fn searched(&mut self, _search: SearchCall<'_>, _out: &mut Vec<u8>) {}
    /// The item with this number has ended: nothing more comes of it.
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
    /// Puts something else in the place of what was taken before; `false` if the client has that already.
    fn correct(&mut self, correction: Correction<'_>) -> bool;
    /// Whether texts may come in another order than that of their places.
    fn sorts(&self) -> bool;
    /// Whether a stop sequence has ended the answer.
    fn is_stopped(&self) -> bool;
    /// Ends the answer, which is whole.
    fn finish(&mut self, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>);
    /// Ends the answer with an error after some of it was sent.
    fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>);
    /// How many calls the client cannot be given, because the form it asked for has no room for them.
    fn left_out(&self) -> usize;
}

/// What is put in the place of something that was taken before.
#[derive(Debug, Clone, Copy)]
pub enum Correction<'a> {
    /// The whole text of a part.
    Text(Spot, Text<'a>),
    /// All citations of a part.
    Citations(Spot, &'a [&'a RawValue]),
    /// Id and name of a call.
    Head(CallHead<'a>),
    /// All arguments of the call at an index.
    Arguments(usize, Text<'a>),
}
