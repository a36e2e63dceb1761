//! The APIs of the clients, a module each: from bytes to a conversation, and from the pieces of an answer to bytes.
//!
//! * [`chat`]: OpenAI's Chat Completions.
//! * [`responses`]: OpenAI's Responses API, which is the backend's own language: it is relayed rather than rebuilt.
//! * [`messages`]: Anthropic's Messages.
//! * [`images`]: OpenAI's Images API, which asks for pictures and holds no conversation.
//!
//! Pure: no I/O, no clock, no runtime.

pub mod chat;
pub mod images;
pub mod messages;
pub mod responses;

use std::borrow::Cow;

use http::HeaderMap;

use crate::backend::answer::sink::Sink;
use crate::conversation::Conversation;
use crate::conversation::ignored::Ignored;
use crate::fault::Fault;
use crate::json::Path;
use crate::models::EffortOrder;
use crate::models::effort::Effort;
use chat::options::ReasoningFormat;

/// An API whose answers are built from the pieces of the backend's.
pub trait Dialect: 'static {
    /// The client's settings for its answer.
    type Shape: Clone + Send + Sync + 'static;
    /// Writes an answer as events.
    type Stream: Sink + 'static;
    /// Writes an answer as one document.
    type Document: Sink + 'static;

    /// The bytes that keep an idle stream alive.
    const KEEPALIVE: &'static [u8];

    /// The order of the request's effort and the one in the model's name.
    const EFFORT_ORDER: EffortOrder = EffortOrder::FieldFirst;

    /// Reads a request with its headers. The error names the field at fault.
    fn parse<'a>(body: &'a [u8], headers: &HeaderMap) -> Result<Ask<'a, Self::Shape>, Fault>;

    /// Returns whether the client asks for an empty answer, for which the backend is not called.
    fn wants_nothing(_shape: &Self::Shape) -> bool {
        false
    }

    /// Returns whether the answer may end at a stop sequence, before the backend has counted its tokens.
    fn may_stop(shape: &Self::Shape) -> bool;

    /// Returns whether the client sees any of the model's reasoning.
    fn shows_reasoning(shape: &Self::Shape, occasion: &Occasion) -> bool;

    /// Creates the sink of a stream.
    fn stream(shape: Self::Shape, occasion: Occasion) -> Self::Stream;

    /// Creates the sink of a document.
    fn document(shape: Self::Shape, occasion: Occasion) -> Self::Document;
}

/// An SSE comment, which every reader of events skips. No blank line follows it: some client libraries take a lone
/// comment for an event.
pub const COMMENT: &[u8] = b": keepalive\n";

/// A client's request: the conversation, the model and the settings.
#[derive(Debug)]
pub struct Ask<'a, S> {
    /// The model's name as the client wrote it.
    pub model: Option<Cow<'a, str>>,
    /// The client's name of the effort.
    pub effort: Option<Cow<'a, str>>,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// The settings of the answer.
    pub shape: S,
    /// The conversation.
    pub form: Form<'a>,
}

/// The form of a conversation.
#[derive(Debug)]
pub enum Form<'a> {
    /// The dialect's own form.
    Own(Box<Conversation<'a>>),
    /// The form of the Responses API, in which the whole body is then written. These fields of it have no effect.
    Responses(Ignored),
}

impl<'a> Form<'a> {
    /// Returns the conversation in the dialect's own form.
    pub fn own(&self) -> Option<&Conversation<'a>> {
        match self {
            Self::Own(conversation) => Some(conversation),
            Self::Responses(_) => None,
        }
    }
}

/// Facts about an answer that the model does not tell.
#[derive(Debug, Clone)]
pub struct Occasion {
    /// The time of the request, in Unix seconds.
    pub created: u64,
    /// The id of the request.
    pub request_id: String,
    /// The requested backend model; the sink is told the answering one.
    pub model: String,
    /// The operator's choice of showing reasoning, for an API without a field for it.
    pub reasoning: ReasoningFormat,
    /// Whether encrypted reasoning is sent to clients that can return it.
    pub seals: bool,
}

/// Refuses a stop sequence that is too long to be looked for; every byte of it costs several of memory.
fn check_stop(sequence: &str, path: &Path<'_>) -> Result<(), Fault> {
    if sequence.len() <= LONGEST_STOP {
        return Ok(());
    }
    let message = format!("'{path}' has {} bytes; a stop sequence has at most {LONGEST_STOP}", sequence.len());
    Err(Fault::invalid(path.to_string(), message))
}

/// Lists the effort at `path` if `word` names none: such a word has no effect.
fn note_effort(word: &str, path: &Path<'_>, ignored: &mut Ignored) {
    if !word.is_empty() && Effort::parse(word).is_none() {
        ignored.add(path);
    }
}

const LONGEST_STOP: usize = 16 << 10;
