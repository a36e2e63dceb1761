//! The language of the ChatGPT Codex backend, in both directions, independent of the clients' APIs.
//!
//! * [`request`] writes a [`Conversation`](crate::conversation::Conversation) as the body that the backend accepts.
//! * [`event`] reads the backend's events.
//! * [`answer`] is the state machine that builds an answer from them and gives its pieces to a
//!   [`Sink`](answer::sink::Sink) of one API.
//! * [`frame`] writes a body as a frame of the backend's WebSocket, and knows when a part of it suffices.
//! * [`estimate`] estimates tokens where the backend does not tell them.
//!
//! Pure: no I/O, no clock, no runtime. Anything that depends on those is passed in.

pub mod answer;
pub mod estimate;
pub mod event;
pub mod frame;
pub mod request;
