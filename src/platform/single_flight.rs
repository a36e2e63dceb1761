//! One execution of a piece of work for all concurrent callers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use super::spawn;

/// Work under way. Clones wait for the same result.
pub type Flight<T> = Shared<BoxFuture<'static, T>>;

/// Runs one piece of work at a time, shared by its callers.
///
/// The work runs in a task of its own: a cancelled caller does not cancel it. On the edge nothing is shared, because a
/// request must not await another request's I/O
/// (<https://developers.cloudflare.com/workers/runtime-apis/bindings/#making-changes-to-bindings>).
#[derive(Debug)]
pub struct SingleFlight<T>(Mutex<Option<Flight<T>>>);

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// Joins the work under way, or starts `work`.
    pub fn join_or_start<F>(&self, work: impl FnOnce() -> F) -> Flight<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut slot = self.slot();
        if let Some(flight) = slot.as_ref().filter(|flight| flight.peek().is_none()) {
            return flight.clone();
        }
        let flight = work().boxed().shared();
        if IS_SHARED {
            *slot = Some(flight.clone());
        }
        spawn(flight.clone().map(drop));
        flight
    }

    /// Returns the work under way.
    pub fn running(&self) -> Option<Flight<T>> {
        self.slot().clone().filter(|flight| flight.peek().is_none())
    }

    fn slot(&self) -> MutexGuard<'_, Option<Flight<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

const IS_SHARED: bool = cfg!(not(target_arch = "wasm32"));

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::platform::sleep;

    #[tokio::test(start_paused = true)]
    async fn work_is_shared_while_it_runs_and_done_anew_afterwards() {
        let runs = Arc::new(AtomicU32::new(0));
        let flights = SingleFlight::default();
        let start = || {
            let runs = Arc::clone(&runs);
            flights.join_or_start(|| async move {
                sleep(Duration::from_secs(1)).await;
                runs.fetch_add(1, Ordering::Relaxed) + 1
            })
        };
        let (one, other) = (start(), start());
        assert!(flights.running().is_some());
        assert_eq!((one.await, other.await), (1, 1));
        assert!(flights.running().is_none());
        assert_eq!(start().await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_nobody_waits_for_goes_on() {
        let done = Arc::new(AtomicU32::new(0));
        let flights = SingleFlight::default();
        let finished = Arc::clone(&done);
        drop(flights.join_or_start(|| async move { finished.fetch_add(1, Ordering::Relaxed) }));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }
}
