//! The laptop's side: reqwest over rustls, tokio's timers and tasks.
//!
//! * [`client`]: sending one request.
//! * [`lanes`]: how many connections there are, and which one a call takes.
//! * [`settings`]: how connections are made, kept and watched.
//! * [`trust`], [`proxies`]: checks of the environment that TLS and proxies are configured by.
//! * [`failure`]: reqwest's errors as this program's.

mod client;
mod failure;
mod lanes;
mod outgoing;
mod proxies;
mod settings;
mod trust;

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Semaphore;
pub use tokio::time::Instant;
pub use tokio::time::sleep;

pub use client::HttpClient;
pub use settings::{Reach, TransportSettings};

use crate::platform::inflate::inflate;
use crate::platform::{ByteStream, TransportError, TransportErrorKind};

/// A deadline that can be moved without allocating a new timer.
#[derive(Debug)]
pub struct Timer(Pin<Box<tokio::time::Sleep>>);

impl Timer {
    /// Fires once, `delay` from now.
    pub fn after(delay: Duration) -> Self {
        Self(Box::pin(sleep(delay)))
    }

    /// Moves the deadline to `deadline`.
    pub fn reset(&mut self, deadline: Instant) {
        self.0.as_mut().reset(deadline);
    }

    /// Ready once the deadline has passed.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

/// Runs `future` beside the caller until it ends by itself.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    tokio::spawn(future);
}

/// Does long `work` on a thread that serves no connection, and waits for its result.
///
/// No more of it is done at once than there are processors: the system then shares them fairly between this work and the
/// threads that serve, and what the work needs in memory is not needed for every request at once.
pub async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // The semaphore is never closed, so there always is a permit; it is held until the work ends, not until its caller leaves.
    let place = PLACES_APART.acquire().await.ok();
    let span = tracing::Span::current();
    let done = tokio::task::spawn_blocking(move || {
        let result = span.in_scope(work);
        drop(place);
        result
    });
    match done.await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down, and the caller with it.
            Err(_) => std::future::pending().await,
        },
    }
}

static PLACES_APART: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_apart_is_done_on_another_thread() {
        let here = std::thread::current().id();
        assert_ne!(apart(|| std::thread::current().id()).await, here);
    }

    #[tokio::test]
    async fn a_panic_apart_is_its_callers() {
        let work = apart(|| std::panic::resume_unwind(Box::new("gone")));
        let caught = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(work)).await;
        let panic: Result<(), _> = caught;
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"gone"));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_place_until_it_ends() {
        let places = PLACES_APART.available_permits();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let mut work = Box::pin(apart(move || ended.recv()));
        assert!(futures_util::poll!(&mut work).is_pending());
        drop(work);
        assert!(PLACES_APART.available_permits() < places);
        drop(end);
    }
}
