//! The translation, without a server: recorded streams, cut anywhere, in both modes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test may panic")]

mod fold;
mod recordings;
mod splits;
