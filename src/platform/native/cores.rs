//! Threads with a single-threaded runtime each, among which connections are shared out.
//!
//! * A request stays on its thread, from its socket to the backend's: no other thread is woken for it, and no lock of a
//!   scheduler is taken. A runtime of several threads costs a few futex calls and context switches a request.
//! * The thread with the fewest connections gets the next one, and of equals the first: the connections of a single
//!   client stay together, and so do those to the backend.
//! * Work that takes long must leave these threads: see [`apart`](crate::platform::apart).
//! * State that is shared between requests is shared between the threads, too. Connections to the backend are not: each
//!   thread has its own, see [`HttpClient`](crate::platform::HttpClient).

use std::cell::Cell;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The threads that serve connections. The first is the caller's own; dropping this ends the others, with all of their
/// tasks.
#[derive(Debug)]
pub struct Cores {
    own: Load,
    others: Vec<Core>,
}

/// The connections on a thread: one reference each, beside the thread's own.
type Load = Arc<()>;

/// One of the other threads.
#[derive(Debug)]
struct Core {
    handle: Handle,
    load: Load,
    /// Ends the thread when dropped.
    running: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// A connection's place on a thread, until it is dropped.
#[derive(Debug)]
pub struct CorePlace {
    /// The thread's runtime; `None` for the caller's own.
    pub runtime: Option<Handle>,
    _load: Load,
}

impl Cores {
    /// The most threads, and so the most connections to one HTTP/2 backend that is not full.
    pub const MOST: usize = 64;

    /// Uses the caller's runtime alone.
    pub fn single() -> Self {
        Self { own: Load::default(), others: Vec::new() }
    }

    /// Uses the caller's runtime, and starts `count - 1` others. Errors are the system's: no threads or descriptors.
    pub fn start(count: usize) -> io::Result<Self> {
        let others = (1..count.min(Self::MOST)).map(Core::start).collect::<io::Result<_>>()?;
        Ok(Self { others, ..Self::single() })
    }

    /// Returns the number of threads that serve unless the operator says otherwise.
    pub fn default_count() -> usize {
        thread::available_parallelism().map_or(1, usize::from).min(USUAL_MOST)
    }

    /// Takes a place on the thread with the fewest connections.
    pub fn take(&self) -> CorePlace {
        let least = self.others.iter().min_by_key(|core| Arc::strong_count(&core.load));
        match least.filter(|core| Arc::strong_count(&core.load) < Arc::strong_count(&self.own)) {
            Some(core) => CorePlace { runtime: Some(core.handle.clone()), _load: core.load.clone() },
            None => CorePlace { runtime: None, _load: self.own.clone() },
        }
    }

    /// Returns the number of the current thread: 0 for any that does not belong to [`Cores`].
    pub(super) fn current() -> usize {
        CURRENT.get()
    }
}

impl Core {
    fn start(number: usize) -> io::Result<Self> {
        let (running, ended) = oneshot::channel::<()>();
        let (begun, handle) = mpsc::channel();
        // The runtime is the thread's from the beginning: none may be dropped inside another, as the caller's is.
        let thread = thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
            CURRENT.set(number);
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(begun.send(Err(error))),
            };
            let _ = begun.send(Ok(runtime.handle().clone()));
            // An error means that the sender is gone, which is the sign to end.
            let _ = runtime.block_on(ended);
            runtime.shutdown_timeout(PATIENCE);
        })?;
        let handle = handle.recv().map_err(io::Error::other)??;
        Ok(Self { handle, load: Load::default(), running: Some(running), thread: Some(thread) })
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.running.take();
        if let Some(thread) = self.thread.take() {
            // A panic has ended the thread, and was reported by it.
            let _ = thread.join();
        }
    }
}

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// The most threads that serve unless the operator asks for more: four of them move more events than models produce.
const USUAL_MOST: usize = 4;
/// The time for blocking work of a thread to end.
const PATIENCE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of the thread on which a task at `place` runs.
    async fn number_at(place: &CorePlace) -> usize {
        let number = async { Cores::current() };
        match &place.runtime {
            None => number.await,
            Some(core) => core.spawn(number).await.expect("a task"),
        }
    }

    #[tokio::test]
    async fn the_thread_with_the_fewest_connections_is_next() {
        let cores = Cores::start(3).expect("threads");
        let mut places: Vec<_> = (0..6).map(|_| cores.take()).collect();
        let mut seen = Vec::new();
        for place in &places {
            seen.push(number_at(place).await);
        }
        assert_eq!(seen, [0, 1, 2, 0, 1, 2]);
        places.remove(4);
        assert_eq!(number_at(&cores.take()).await, 1);
        drop(places);
        for _ in 0..3 {
            assert_eq!(number_at(&cores.take()).await, 0, "a single client stays on one thread");
        }
        assert!(Cores::single().take().runtime.is_none());
    }

    #[tokio::test]
    async fn dropping_the_threads_ends_their_tasks() {
        let cores = Cores::start(2).expect("threads");
        let core = cores.others[0].handle.clone();
        let (alive, ended) = oneshot::channel::<()>();
        core.spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        drop(cores);
        assert!(ended.await.is_err());
    }
}
