//! The limits of a connection.

use std::time::Duration;

/// The time and size limits of a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The time for the whole head of a request, and between two requests of a connection.
    pub(super) head: Duration,
    /// The most bytes of a request's head.
    pub(super) head_size: usize,
    /// The time for a client to read an answer sent before its request was complete.
    pub(super) linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: Duration::from_secs(30), head_size: 64 << 10, linger: Duration::from_secs(5) }
    }
}
