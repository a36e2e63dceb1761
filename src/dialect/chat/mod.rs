//! OpenAI's Chat Completions.
//!
//! * Request: [`request`] reads the body, [`message`], [`content`], [`call`], [`tool`], [`choice`] and
//!   [`search`] its parts.
//! * Answer: [`chunks`] for streaming clients and [`document`] for the others; [`flow`] orders the texts, and
//!   [`options`] are the client's settings for them. [`usage`] writes the tokens used.

mod call;
pub(in crate::dialect) mod choice;
pub mod chunks;
mod citation;
pub(in crate::dialect) mod content;
pub mod document;
mod flow;
mod images;
pub(in crate::dialect) mod message;
pub mod options;
pub mod request;
mod search;
mod stop;
pub(in crate::dialect) mod tool;
mod usage;

use http::HeaderMap;

use request::ChatShape;

use crate::backend::answer::stop::StopSequences;
use crate::dialect::{Ask, COMMENT, Dialect, Occasion};
use crate::fault::Fault;
use chunks::Chunks;
use document::Completion;
use options::{AnswerMeta, ReasoningFormat};

/// Chat Completions.
#[derive(Debug)]
pub struct Chat;

impl Dialect for Chat {
    type Shape = ChatShape;
    type Stream = Chunks;
    type Document = Completion;

    const KEEPALIVE: &'static [u8] = COMMENT;

    fn parse<'a>(body: &'a [u8], _headers: &HeaderMap) -> Result<Ask<'a, ChatShape>, Fault> {
        request::parse(body)
    }

    fn may_stop(shape: &ChatShape) -> bool {
        !shape.stop.is_empty()
    }

    fn shows_reasoning(_shape: &ChatShape, occasion: &Occasion) -> bool {
        occasion.reasoning != ReasoningFormat::None
    }

    fn stream(shape: ChatShape, occasion: Occasion) -> Chunks {
        Chunks::new(meta(shape, occasion))
    }

    fn document(shape: ChatShape, occasion: Occasion) -> Completion {
        Completion::new(meta(shape, occasion))
    }
}

fn meta(shape: ChatShape, occasion: Occasion) -> AnswerMeta {
    AnswerMeta {
        created: occasion.created,
        model: occasion.model,
        fallback_id: ["chatcmpl-", &occasion.request_id].concat(),
        include_usage: shape.include_usage,
        legacy_functions: shape.legacy_functions,
        reasoning: occasion.reasoning,
        stop: StopSequences::new(shape.stop),
    }
}
