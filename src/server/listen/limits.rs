//! How long a connection may take over what.

use std::time::Duration;

/// What a client may take before it is cut off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For the whole head of a request, and between two requests of a connection.
    pub(super) head: Duration,
    /// Bytes of a request's head.
    pub(super) head_size: usize,
    /// For a client to read an answer that was given before its request was over.
    pub(super) linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: Duration::from_secs(30), head_size: 64 << 10, linger: Duration::from_secs(5) }
    }
}
