//! The simulator is as strict as what it stands for, and answers in its words.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test may panic")]

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod images;
mod issuer;
mod sockets;
mod strictness;
mod support;
mod types;
