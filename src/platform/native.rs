//! The laptop's side: hyper over rustls, tokio's timers and tasks.
//!
//! * [`client`]: sends one request.
//! * [`socket`]: opens a WebSocket.
//! * [`cores`]: the threads that serve.
//! * [`pool`]: the connections, and the choice of one for a call.
//! * [`connection`]: one connection above TLS. [`connector`], [`route`], [`socks`], [`transport`]: below, from the outside in.
//! * [`settings`]: the parameters of connections.
//! * [`trust`], [`proxies`]: the authorities and proxies of the environment and the system.
//! * [`target`]: the form of a request's URI.
//! * [`failure`]: the conversion of the HTTP library's errors.

mod client;
mod connection;
mod connector;
mod cores;
mod failure;
mod outgoing;
mod pool;
mod proxies;
mod route;
mod settings;
mod socket;
mod socks;
mod target;
mod transport;
mod trust;

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Semaphore;
pub use tokio::time::Instant;
pub use tokio::time::sleep;

pub use client::HttpClient;
pub use cores::Cores;
pub use settings::{Reach, TransportSettings};
pub use socket::{ClientSocket, Duplex, UpgradeError, Wire};

use crate::platform::inflate::inflate;
use crate::platform::{ByteStream, OnSent, TransportError, TransportErrorKind};

/// A deadline that can be moved without allocating a new timer.
#[derive(Debug)]
pub struct Timer {
    sleep: Pin<Box<tokio::time::Sleep>>,
    /// The task that the deadline wakes.
    task: Option<Waker>,
}

impl Timer {
    /// Creates a timer that fires once, `delay` from now.
    pub fn after(delay: Duration) -> Self {
        Self { sleep: Box::pin(sleep(delay)), task: None }
    }

    /// Moves the deadline to `deadline`.
    pub fn reset(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.task = None;
    }

    /// Ready once the deadline has passed.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // A task that waits for other events too asks at each of them; whom to wake is known after the first time.
        if !self.sleep.is_elapsed() && self.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            return Poll::Pending;
        }
        self.task = Some(context.waker().clone());
        self.sleep.as_mut().poll(context)
    }
}

/// Runs `future` in a task of its own until it completes.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    tokio::spawn(future);
}

/// Runs long `work` on a thread that serves no connection, and returns its result.
///
/// At most one such job runs per processor: the system then shares the processors fairly between these jobs and the
/// serving threads, and the jobs' memory is not needed for every request at once.
pub fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> + Send {
    apart_within(&PLACES_APART, work)
}

/// Runs `work` as [`apart`] does, once one of `places` is free.
async fn apart_within<T: Send + 'static>(places: &'static Semaphore, work: impl FnOnce() -> T + Send + 'static) -> T {
    // The semaphore is never closed, so there always is a permit. The job holds it, not its caller.
    let place = places.acquire().await.ok();
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
            // The runtime is shutting down, and the caller with it.
            Err(_) => std::future::pending().await,
        },
    }
}

static PLACES_APART: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_wakes_the_task_that_asked_last() {
        let second = Duration::from_secs(1);
        let mut timer = Timer::after(second);
        assert!(timer.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(timer.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        for _ in 0..2 {
            let fired = std::future::poll_fn(|context| timer.poll(context));
            tokio::time::timeout(10 * second, fired).await.expect("this task is woken");
            timer.reset(Instant::now() + second);
        }
    }

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
        static PLACES: Semaphore = Semaphore::const_new(1);
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let mut work = Box::pin(apart_within(&PLACES, move || ended.recv()));
        assert!(futures_util::FutureExt::now_or_never(&mut work).is_none());
        drop(work);
        assert_eq!(PLACES.available_permits(), 0);
        drop(end);
        assert!(PLACES.acquire().await.is_ok(), "it is given back");
    }
}
