//! The bytes that keep a silent stream alive.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use crate::platform::{Instant, Timer};

/// Tells when a stream has been silent for too long.
pub(in crate::server) struct Keepalive {
    bytes: &'static [u8],
    interval: Duration,
    /// Checked only when it fires, so that an event costs no timer.
    timer: Timer,
    last_sent: Instant,
}

impl Keepalive {
    /// Sends `bytes` after each silence of `interval`, the first of which began when the request was accepted.
    pub(in crate::server) fn new(bytes: &'static [u8], interval: Duration, accepted: Instant) -> Self {
        let timer = Timer::after(interval.saturating_sub(accepted.elapsed()));
        Self { bytes, interval, timer, last_sent: accepted }
    }

    /// Records that something was sent.
    pub(in crate::server) fn sent(&mut self) {
        self.last_sent = Instant::now();
    }

    /// Ready with the bytes once the silence is too long.
    pub(in crate::server) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            ready!(self.timer.poll(context));
            let due = self.last_sent + self.interval;
            let now = Instant::now();
            if now >= due {
                self.last_sent = now;
                self.timer.reset(now + self.interval);
                return Poll::Ready(Bytes::from_static(self.bytes));
            }
            self.timer.reset(due);
        }
    }
}
