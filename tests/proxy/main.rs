//! The proxy in front of the simulated backend, as a client sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "tests")]

mod answers;
mod chat_requests;
mod client;
mod failures;
mod harness;
mod history;
mod responses;
mod streams;
