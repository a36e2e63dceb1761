//! The backend's events, and what they say of an answer's model and of failures.
//!
//! * The events themselves are read by the crate `codex-proxy-wire`, which is compiled for speed.
//! * [`failure`] reads failures; [`answerer`] collects the answering model from all of the backend's fields.

pub mod answerer;
pub mod failure;

pub(crate) use codex_proxy_wire::event::scanner;
pub use codex_proxy_wire::event::{
    Around, Event, EventReader, IncompleteDetails, InputDetails, Name, OutputDetails, ResponseEnding, ResponseView,
    Usage, delta, is_internal, sse,
};
