//! The APIs that clients speak, a room each: from bytes to a conversation, and from the pieces of an answer to bytes.
//!
//! * [`chat`]: OpenAI's Chat Completions.
//! * [`responses`]: OpenAI's Responses API, which is the backend's own language: it is relayed rather than made anew.
//! * [`messages`]: Anthropic's Messages.
//!
//! Pure: no I/O, no clock, no runtime.

pub mod chat;
pub mod messages;
pub mod responses;

use std::borrow::Cow;

use http::HeaderMap;

use crate::backend::answer::sink::Sink;
use crate::conversation::Conversation;
use crate::conversation::ignored::Ignored;
use crate::fault::ApiError;
use chat::options::ReasoningFormat;

/// An API whose answers are made from the pieces of the backend's.
pub trait Dialect: 'static {
    /// How the client wants its answer.
    type Shape: Clone + Send + Sync + 'static;
    /// Writes an answer as events.
    type Stream: Sink + 'static;
    /// Writes an answer as one document.
    type Document: Sink + 'static;

    /// What a stream says to be known to be alive.
    const KEEPALIVE: &'static [u8];

    /// Reads a request with its headers. The error names the field at fault.
    fn parse<'a>(body: &'a [u8], headers: &HeaderMap) -> Result<Ask<'a, Self::Shape>, ApiError>;

    /// The whole answer to a request that the backend need not see.
    fn at_once(_shape: &Self::Shape, _occasion: &Occasion) -> Option<Vec<u8>> {
        None
    }

    /// Whether the client sees anything of the model's reasoning.
    fn shows_reasoning(shape: &Self::Shape, occasion: &Occasion) -> bool;

    /// The sink of a stream.
    fn stream(shape: Self::Shape, occasion: Occasion) -> Self::Stream;

    /// The sink of a document.
    fn document(shape: Self::Shape, occasion: Occasion) -> Self::Document;
}

/// A comment, which every reader of events skips. No blank line after it: some client libraries take a lone comment for an
/// event.
pub const COMMENT: &[u8] = b": keepalive\n";

/// What a client asks of which model.
#[derive(Debug)]
pub struct Ask<'a, S> {
    /// The model's name as the client wrote it.
    pub model: Option<Cow<'a, str>>,
    /// The client's word for the effort.
    pub effort: Option<Cow<'a, str>>,
    /// The client wants the answer in pieces.
    pub stream: bool,
    /// How it wants the answer.
    pub shape: S,
    /// What is asked.
    pub form: Form<'a>,
}

/// The form in which a conversation comes.
#[derive(Debug)]
pub enum Form<'a> {
    /// The dialect's own.
    Own(Box<Conversation<'a>>),
    /// That of the Responses API, which the whole body is then. These fields of it change nothing.
    Responses(Ignored),
}

impl<'a> Form<'a> {
    /// The conversation in the dialect's own form.
    pub fn own(&self) -> Option<&Conversation<'a>> {
        match self {
            Self::Own(conversation) => Some(conversation),
            Self::Responses(_) => None,
        }
    }
}

/// What an answer tells of itself beside what the model says.
#[derive(Debug, Clone)]
pub struct Occasion {
    /// When the request came, in Unix seconds.
    pub created: u64,
    /// The id of the request.
    pub request_id: String,
    /// The backend model that was asked for; the sink is told which one answers.
    pub model: String,
    /// How the operator wants reasoning shown where an API has no field for it.
    pub reasoning: ReasoningFormat,
    /// Encrypted reasoning goes out to clients that can give it back.
    pub seals: bool,
}
