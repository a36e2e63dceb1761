//! Time limits on silence.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::{Either, select};

use crate::platform::{ByteStream, Instant, Timer, TransportError, sleep};

/// Returns the result of `future`, or `None` if it takes longer than `limit`.
pub async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    match select(pin!(future), pin!(sleep(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// A byte stream with a limit on silence.
///
/// The timer is armed once and checked only when it fires: a stream of many events needs no more timers than one of
/// few.
pub struct Watched {
    inner: ByteStream,
    limit: Duration,
    timer: Timer,
    last: Instant,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Watched").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// The error of a watched stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamError {
    /// The connection broke.
    Transport(TransportError),
    /// No bytes came for this long.
    Silent(Duration),
}

impl Watched {
    /// Limits the silences of `inner` to `limit`.
    pub fn new(inner: ByteStream, limit: Duration) -> Self {
        Self { inner, limit, timer: Timer::after(limit), last: now() }
    }
}

impl Stream for Watched {
    type Item = Result<Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(item) = self.inner.as_mut().poll_next(context) {
            self.last = now();
            return Poll::Ready(item.map(|item| item.map_err(StreamError::Transport)));
        }
        loop {
            ready!(self.timer.poll(context));
            let due = self.last + self.limit;
            if now() >= due {
                return Poll::Ready(Some(Err(StreamError::Silent(self.limit))));
            }
            self.timer.reset(due);
        }
    }
}

fn now() -> Instant {
    Instant::now()
}
