//! The translation, without a server: recorded streams, cut anywhere, in both modes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    clippy::print_stdout,
    reason = "a test may panic and say what it skipped"
)]

mod apis;
mod captures;
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod faults;
mod fold;
mod histories;
mod images;
mod messages;
mod modes;
mod oracle;
mod reading;
mod recordings;
mod requests;
mod snapshots;
mod splits;
mod weave;
