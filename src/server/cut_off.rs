//! The server's shutdown, as answers learn of it: what nobody needs ends when it begins; at the end of the grace time the other
//! answers under way end with an error event instead of breaking off.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use crate::fault::{Fault, FaultKind};

/// Whether the shutdown has begun, and whether its deadline has passed. Clones are handles to the same flags.
///
/// The flags wake no task: the caller of [`begin`](CutOff::begin) and [`reach`](CutOff::reach) wakes the connections, which
/// poll their answers again.
#[derive(Debug, Clone, Default)]
pub struct CutOff(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    is_stopping: AtomicBool,
    is_reached: AtomicBool,
}

impl CutOff {
    /// Marks the shutdown as begun: answers that nobody needs end from now on.
    pub fn begin(&self) {
        self.0.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Returns whether the shutdown has begun.
    pub fn is_stopping(&self) -> bool {
        self.0.is_stopping.load(Ordering::Relaxed)
    }

    /// Marks the deadline as passed: every answer polled from now on ends.
    pub fn reach(&self) {
        self.0.is_reached.store(true, Ordering::Relaxed);
    }

    /// Returns whether the shutdown deadline has passed.
    pub fn is_reached(&self) -> bool {
        self.0.is_reached.load(Ordering::Relaxed)
    }

    /// Returns the error that a cut-off answer ends with.
    pub fn error() -> Fault {
        Fault::new(FaultKind::ShuttingDown, "the proxy is shutting down and cannot wait any longer for this answer")
    }

    /// Awaits `future`, or returns the error once the deadline has passed.
    pub(super) fn bound<T>(
        &self,
        mut future: Pin<&mut impl Future<Output = T>>,
    ) -> impl Future<Output = Result<T, Fault>> {
        std::future::poll_fn(move |context| match future.as_mut().poll(context) {
            Poll::Pending if self.is_reached() => Poll::Ready(Err(Self::error())),
            polled => polled.map(Ok),
        })
    }
}
