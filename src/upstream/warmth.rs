//! A connection to the backend that is ready before a call needs it: its handshakes take three or four round trips.
//!
//! * Calls are likely from the start on, and after each request to the API, for [`LIKELY`]. Meanwhile there is a
//!   connection, unless there is no login; the connection alone spends nothing of the plan.
//! * Whether it is alive is known from its PINGs, so that no call has to ask first. One that has ended is made again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::credentials::CredentialHealth;
use crate::platform::{Instant, sleep, spawn};
use crate::upstream::{ANSWERS, Upstream, address};

/// When calls were last likely.
#[derive(Debug)]
pub(super) struct Warmth {
    began: Instant,
    /// In seconds since `began`.
    expected: AtomicU64,
}

impl Warmth {
    /// Creates the state of a client whose first calls are likely now.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), expected: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// Notes that calls are likely now, and returns whether they were not for some time.
    fn expect(&self) -> bool {
        let now = self.now();
        let before = self.expected.swap(now, Ordering::Relaxed);
        now.saturating_sub(before) >= LOOK.as_secs()
    }

    fn is_likely(&self) -> bool {
        self.now().saturating_sub(self.expected.load(Ordering::Relaxed)) < LIKELY.as_secs()
    }
}

impl Upstream {
    /// Keeps a connection ready for as long as calls are likely and this is polled.
    pub async fn keep_warm(self) {
        loop {
            if self.warmth.is_likely() {
                self.warm().await;
            }
            sleep(LOOK).await;
        }
    }

    /// Has a connection made if there is none, since calls are likely now. Never waits.
    pub fn expect_calls(&self) {
        if self.warmth.expect() {
            let upstream = self.clone();
            spawn(async move { upstream.warm().await });
        }
    }

    async fn warm(&self) {
        // A call over a WebSocket connects by itself. A login that needs more than a look is left to those who call.
        if self.sockets.is_some() || self.supplier.health() != CredentialHealth::Ok {
            return;
        }
        let Ok(access) = self.supplier.access().await else { return };
        // An unusable address is told by each call.
        if let Ok(uri) = address(self.settings.url_for(&access), ANSWERS) {
            // A look is late on a busy machine.
            self.client.warm(&uri, LOOK * 2);
        }
    }
}

/// The time for which calls are likely after one: a pause to read and think.
const LIKELY: Duration = Duration::from_secs(600);
/// The interval at which a connection is looked for: well below the time after which an unused one is closed.
const LOOK: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_are_likely_for_a_while_after_the_start_and_each_request() {
        let warmth = Warmth::new();
        assert!(warmth.is_likely() && !warmth.expect());
        tokio::time::advance(LIKELY).await;
        assert!(!warmth.is_likely());
        assert!(warmth.expect() && warmth.is_likely());
        tokio::time::advance(LOOK / 2).await;
        assert!(!warmth.expect());
    }
}
