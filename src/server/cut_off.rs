//! The end of the grace time: answers that are still under way say so instead of just breaking off.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use crate::fault::{ApiError, ErrorKind};

/// Whether answers under way have to end now. Clones are handles to the same.
///
/// Nobody is woken by it: whoever [reaches](CutOff::reach) it has connections look at their answers again.
#[derive(Debug, Clone, Default)]
pub struct CutOff(Arc<AtomicBool>);

impl CutOff {
    /// From now on, every answer that is looked at ends.
    pub fn reach(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has come to that.
    pub fn is_reached(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What an answer ends with.
    pub fn error() -> ApiError {
        ApiError::new(ErrorKind::ShuttingDown, "the proxy is shutting down and cannot wait any longer for this answer")
    }

    /// What `future` yields, or the error once it is no longer waited for.
    pub(super) async fn bound<T>(&self, future: impl Future<Output = T>) -> Result<T, ApiError> {
        let mut future = pin!(future);
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Pending if self.is_reached() => Poll::Ready(Err(Self::error())),
            polled => polled.map(Ok),
        })
        .await
    }
}
