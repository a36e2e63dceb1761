//! The public API's shapes: what clients send and what they must get back.
//!
//! * [`chat`]: the Chat Completions request.
//! * [`error`]: the one error body every route answers with, and the table behind it.
//! * [`responses`]: the Responses request.
//! * [`json`]: reading a JSON object key by key without decoding what is only passed on.
//!
//! Pure: no I/O, no clock, no runtime.

pub mod chat;
pub mod error;
pub mod ignored;
pub mod json;
pub mod responses;
