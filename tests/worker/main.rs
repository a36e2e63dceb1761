//! The Cloudflare Worker as it will run: the built program in workerd, between a client and the simulator.
//!
//! `just test-worker` builds what is needed and fails where something is missing; `just test` skips these tests then.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod edge;
mod keys;
mod login;
mod messages;
mod models;
mod world;
