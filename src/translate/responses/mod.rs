//! The Responses API.
//!
//! * Request: [`request`] makes a client's body acceptable to the backend without touching what it does not have to.
//! * Answer: [`relay`] passes the backend's events on as they are, [`collect`] waits for the whole answer. Both fill the
//!   final object's `output`, which the backend leaves empty, from the finished items ([`output`]).

pub mod collect;
mod output;
pub mod relay;
pub mod request;

pub use collect::Collect;
pub use relay::Relay;

use super::event::Name;

/// Events of the backend's own that no client library knows; some crash on them.
fn is_internal(event: &Name<'_>) -> bool {
    let kind = event.kind.as_ref();
    matches!(kind, "keepalive" | "response.metadata") || kind.starts_with("codex.") || kind.starts_with("responsesapi.")
}

/// Events that say only that work has begun: after them a failure can still be answered with a status.
fn is_preamble(event: &Name<'_>) -> bool {
    matches!(event.kind.as_ref(), "response.created" | "response.in_progress" | "response.queued")
}
