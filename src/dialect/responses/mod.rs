//! OpenAI's Responses API.
//!
//! * Request: [`request`] reads the fields that decide the call; [`forward`] makes the body acceptable to the backend
//!   with as few changes as possible. [`input`], [`history`], [`message`], [`tools`] and [`text`] are its chapters,
//!   [`mod@reference`] replaces references by their items, [`neighbour`] reads messages in another API's form, and
//!   [`foreign`] single keys of other APIs.
//! * Answer: [`relay`] forwards the backend's events unchanged, [`document`] waits for the complete answer. Both fill
//!   the final object's `output`, which the backend leaves empty, from the finished items ([`output`]), and from the
//!   contents of unfinished items ([`kept`]). Text that came in only one place is added to the others ([`missing`]).
//! * [`compaction`] writes the one document of a conversation to be shortened.
//! * [`frame`] reads a request that came over a WebSocket, and [`notice`] writes what only a WebSocket has to tell.

pub mod compaction;
pub mod document;
mod foreign;
pub mod forward;
pub mod frame;
mod history;
mod input;
mod kept;
mod message;
mod missing;
mod neighbour;
pub mod notice;
mod output;
mod reference;
pub mod relay;
pub mod request;
mod text;
mod tools;

use crate::backend::event::ResponseEnding;

/// Returns the status of items that were unfinished at the end of the answer.
const fn status_at(ending: ResponseEnding) -> &'static str {
    if matches!(ending, ResponseEnding::Completed) { "completed" } else { "incomplete" }
}

/// Returns whether an event only announces the start of work: after such events a failure can still be answered with a
/// status.
fn is_preamble(kind: &str) -> bool {
    matches!(kind, "response.created" | "response.in_progress" | "response.queued")
}
