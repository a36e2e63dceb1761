//! The least that a client has to send or take in a minute, once room is short.
//!
//! * A client that sends a byte now and then, or takes none of its answer, keeps its place for as long as it likes. That
//!   harms nobody while there are others, and a slow line is no fault: so nobody is hurried before room is
//!   [short](super::capacity::Capacity::is_short).
//! * The floor is far below any line in use: 64 KiB a minute is 9 kbit/s, a modem of 1990.
//! * It holds for bytes that could move: those of a body that is not whole, and those of an answer that wait to be taken. A
//!   client whose answer is still being thought about is not slow.

use std::time::Duration;

use crate::platform::Instant;

/// How many bytes have moved in the present minute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    since: Instant,
    bytes: usize,
}

impl Progress {
    /// A minute that begins now.
    pub(super) fn begin() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    /// `bytes` more have moved.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// When the minute is over.
    pub(super) fn end(&self) -> Instant {
        self.since + MINUTE
    }

    /// Whether a minute has passed in which too little moved. The next one begins where one has passed.
    pub(super) fn is_too_little(&mut self) -> bool {
        if Instant::now() < self.end() {
            return false;
        }
        std::mem::replace(self, Self::begin()).bytes < FLOOR
    }
}

/// Bytes a minute.
pub(super) const FLOOR: usize = 64 << 10;

/// Long enough that a client which reads in gulps has taken one: a system whose buffer is full says so and waits until a
/// sixteenth of it is free (Linux' `__tcp_select_window`).
pub(super) const MINUTE: Duration = Duration::from_secs(60);
