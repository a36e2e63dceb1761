//! Answers that wait for a slow client.
//!
//! * An answer waits for a client that reads nothing while capacity lasts. When capacity is short, the client has to
//!   read at the minimum rate of [`progress`](crate::server::progress), or the connection ends, and the call to the
//!   backend with it.
//! * Only a partial write starts the measurement, so that an event sent at once costs nothing.

use std::io;
use std::task::{Context, Poll};

use crate::platform::Timer;
use crate::server::capacity::Capacity;
use crate::server::progress::{MINUTE, Progress};

/// The rate at which one client reads its answers.
#[derive(Debug)]
pub(super) struct Unread {
    capacity: Capacity,
    /// `None` while the client reads everything.
    progress: Option<Progress>,
    /// Created by the first partial write.
    timer: Option<Timer>,
}

impl Unread {
    /// Creates the state of a client that reads everything.
    pub(super) const fn new(capacity: Capacity) -> Self {
        Self { capacity, progress: None, timer: None }
    }

    /// Returns the result of a write of `offered` bytes that returned `written`; an error if the client has read too
    /// little.
    pub(super) fn wrote(
        &mut self,
        offered: usize,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(taken)) if taken >= offered => self.progress = None,
            Poll::Ready(Ok(taken)) => {
                self.begin();
                if let Some(progress) = &mut self.progress {
                    progress.add(taken);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                self.begin();
                if self.is_given_up(context) {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        written
    }

    /// Starts a measurement, unless one is running.
    fn begin(&mut self) {
        if self.progress.is_some() {
            return;
        }
        let progress = Progress::begin();
        match &mut self.timer {
            Some(timer) => timer.reset(progress.end()),
            None => self.timer = Some(Timer::after(MINUTE)),
        }
        self.progress = Some(progress);
    }

    /// Returns whether the client has read too little for a minute, and capacity is short.
    fn is_given_up(&mut self, context: &mut Context<'_>) -> bool {
        let (Some(timer), Some(progress)) = (&mut self.timer, &mut self.progress) else { return false };
        while timer.poll(context).is_ready() {
            if progress.is_too_little() && self.capacity.is_short() {
                return true;
            }
            timer.reset(progress.end());
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::platform::{Instant, sleep};
    use crate::server::progress::FLOOR;

    /// Returns when a client that reads `taken` bytes every 20 s is cut off; `None` if not within an hour.
    async fn waited(taken: usize, is_short: bool) -> Option<Duration> {
        let capacity = Capacity::new(2, 1);
        let _places: Vec<_> = (0..if is_short { 2 } else { 1 }).map(|_| capacity.slot()).collect();
        let mut unread = Unread::new(capacity);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3600) {
            let pause = sleep(Duration::from_secs(20));
            let blocked = std::future::poll_fn(|context| unread.wrote(1 << 20, Poll::Pending, context));
            tokio::select! {
                biased;
                outcome = blocked => {
                    assert_eq!(outcome.expect_err("given up").kind(), io::ErrorKind::TimedOut);
                    return Some(begun.elapsed());
                }
                () = pause => {}
            }
            let mut context = Context::from_waker(std::task::Waker::noop());
            let _ = unread.wrote(1 << 20, Poll::Ready(Ok(taken)), &mut context);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn an_unread_answer_ends_within_two_minutes_once_room_is_short() {
        for taken in [0, 1, FLOOR / 4] {
            assert_eq!(waited(taken, false).await, None, "{taken} bytes, and room");
            let waited = waited(taken, true).await.expect("given up");
            assert!(waited >= MINUTE && waited <= 2 * MINUTE, "{taken} bytes: {waited:?}");
        }
        assert_eq!(waited(FLOOR / 2, true).await, None, "slow, but not that slow");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_everything_starts_no_timer() {
        let mut unread = Unread::new(Capacity::new(0, 0));
        let mut context = Context::from_waker(std::task::Waker::noop());
        for _ in 0..1000 {
            assert!(unread.wrote(100, Poll::Ready(Ok(100)), &mut context).is_ready());
        }
        assert!(unread.timer.is_none() && unread.progress.is_none());
    }
}
