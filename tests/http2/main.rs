//! HTTP/2 as the real backend speaks it: over TLS, many streams on one connection, streams that are reset, connections
//! that go away or fall silent.

#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a test runs on a laptop and may panic"
)]

mod backend;
mod client;
mod crowds;
mod daemon;
mod exchanges;
mod forwarder;
mod http1;
mod networks;
mod proxy;
mod silence;
mod ways;

use std::time::Duration;

/// Longer than anything takes, shorter than a test may.
const PATIENCE: Duration = Duration::from_secs(60);
