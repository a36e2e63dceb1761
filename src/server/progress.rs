//! The minimum transfer rate of a client while capacity is short.
//!
//! * A client that sends a byte now and then, or reads nothing of its answer, keeps its slot for an unlimited time.
//!   That is harmless while slots are free, and a slow connection is no fault: the rate applies only while capacity is
//!   [short](super::capacity::Capacity::is_short).
//! * The rate is far below any connection in use: 64 KiB a minute is 9 kbit/s, a modem of 1990.
//! * The rate applies to bytes that could move: those of an incomplete body, and those of an answer that wait to be
//!   read. A client whose answer is not ready is not slow.

use std::time::Duration;

use crate::platform::Instant;

/// The bytes moved in the current minute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    since: Instant,
    bytes: usize,
}

impl Progress {
    /// Begins a minute now.
    pub(super) fn begin() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    /// Adds `bytes` to the current minute.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Returns the end of the current minute.
    pub(super) fn end(&self) -> Instant {
        self.since + MINUTE
    }

    /// Returns whether a minute has passed with fewer than [`FLOOR`] bytes. The next one begins after it.
    pub(super) fn is_too_little(&mut self) -> bool {
        if Instant::now() < self.end() {
            return false;
        }
        std::mem::replace(self, Self::begin()).bytes < FLOOR
    }
}

/// The minimum, in bytes per minute.
pub(super) const FLOOR: usize = 64 << 10;

/// Long enough for a client that reads in large steps: a system with a full receive buffer waits until a sixteenth of
/// it is free (Linux' `__tcp_select_window`).
pub(super) const MINUTE: Duration = Duration::from_secs(60);
