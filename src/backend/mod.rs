//! The language of the ChatGPT Codex backend, in both directions. It knows no API that clients speak.
//!
//! * [`request`] writes a [`Conversation`](crate::conversation::Conversation) as the body that the backend accepts.
//! * [`event`] reads the backend's events.
//! * [`answer`] is the state machine that makes an answer of them and gives its pieces to a
//!   [`Sink`](answer::sink::Sink) of one API.
//!
//! Pure: no I/O, no clock, no runtime. Whatever depends on those is handed in.

pub mod answer;
pub mod event;
pub mod request;
