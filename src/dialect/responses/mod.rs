//! OpenAI's Responses API.
//!
//! * Request: [`request`] reads what decides the call; [`forward`] makes the body acceptable to the backend without touching
//!   what it does not have to. [`input`], [`history`], [`message`] and [`tools`] are its chapters, and [`mod@reference`] puts
//!   items in the place of references to them.
//! * Answer: [`relay`] passes the backend's events on as they are, [`document`] waits for the whole answer. Both fill the
//!   final object's `output`, which the backend leaves empty, from the finished items ([`output`]), and from what there is of
//!   items that never ended ([`kept`]). What came in one place only is told in the others too ([`missing`]).
//! * [`compaction`] makes the one document of a conversation that is to be shorter.

pub mod compaction;
pub mod document;
pub mod forward;
mod history;
mod input;
mod kept;
mod message;
mod missing;
mod output;
mod reference;
pub mod relay;
pub mod request;
mod tools;

/// Events of the backend's own that only Codex clients know; some libraries crash on them.
fn is_internal(kind: &str) -> bool {
    matches!(kind, "keepalive" | "response.metadata") || kind.starts_with("codex.") || kind.starts_with("responsesapi.")
}

/// The status of items that had not ended when the answer did.
fn status_at(last: &str) -> &'static str {
    if last == "response.completed" { "completed" } else { "incomplete" }
}

/// Events that say only that work has begun: after them a failure can still be answered with a status.
fn is_preamble(kind: &str) -> bool {
    matches!(kind, "response.created" | "response.in_progress" | "response.queued")
}
