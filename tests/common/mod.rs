//! What the test programs share: an app, a client, a reader of answers, and the program as a process.

#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "each test program uses a part; a test may panic, print and spawn"
)]

pub(crate) mod answer;
pub(crate) mod app;
pub(crate) mod chat;
pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod exact;
pub(crate) mod log;
pub(crate) mod socket;

use std::time::Duration;

/// Longer than anything takes, shorter than a test may.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
