//! Accepts connections, serves them, and shuts down gracefully.
//!
//! * [`bind()`] binds the sockets, [`run`] serves them until `shutdown` is ready; both get their inputs from outside,
//!   so that tests drive them in process.
//! * Connections are shared out among the threads that serve, and stay there ([`Cores`]).
//! * Nagle's algorithm is off: it would delay the first token by up to 40 ms.
//! * Shutdown: no new connections are accepted, idle ones are closed, answers under way get the grace time, and then
//!   the time to send an error event. Dropping [`run`]'s future ends everything at once.
//! * An unreadable head is refused in the shape of every other error, although it never reaches the router.
//! * Heads share limited memory ([`heads`]), and when capacity is short, answers have to be read at a minimum rate
//!   ([`unread`]).
//! * A client that closed its sending side after a request is answered; a disconnected one is not waited for
//!   ([`presence`]).
//! * A connection that has become a WebSocket stays in the care of the same task, which stops it with the others
//!   ([`socket`](crate::server::socket)).
//! * Running out of file descriptors pauses accepting, and ends nothing.

mod bad_head;
mod bind;
mod connection;
mod gate;
mod heads;
mod limits;
mod paced;
mod presence;
mod unread;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use connection::Serving;
use heads::Heads;
use limits::Limits;

use crate::platform::{Cores, sleep};
use crate::server::capacity::Capacity;
use crate::server::cut_off::CutOff;
pub use crate::server::listen::bind::{BindError, adopt, bind};

/// Serves `router` on all of `listeners`, with the threads of `cores`, until `shutdown` is ready and the answers under way have ended. Answers still
/// under way after `grace` are cut off.
pub async fn run(
    listeners: Vec<TcpListener>,
    router: Router,
    cores: &Cores,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
    cut_off: CutOff,
    capacity: Capacity,
) {
    let (stop, stopped) = watch::channel(Stage::Serving);
    let serving = Serving { router, stopped, capacity, heads: Heads::default(), limits: Limits::default() };
    let accepting = join_all(listeners.into_iter().map(|listener| accept_all(listener, serving.clone(), cores)));
    let stopping = async {
        shutdown.await;
        tracing::debug!("stopping: no new connections, answers under way may end");
        cut_off.begin();
        // There is no receiver only if nothing was served.
        let _ = stop.send(Stage::Stopping);
        sleep(grace).await;
        tracing::warn!("stopping: the grace time has passed, answers under way are cut off");
        cut_off.reach();
        let _ = stop.send(Stage::CuttingOff);
        sleep(LAST_WORDS).await;
    };
    tokio::select! {
        _ = accepting => {}
        () = stopping => {}
    }
}

/// Accepts connections until the server stops, then waits for the open ones.
async fn accept_all(listener: TcpListener, serving: Serving, cores: &Cores) {
    let mut connections = JoinSet::new();
    let mut stopping = pin!(asked_to_stop(serving.stopped.clone()));
    let mut is_struggling = false;
    loop {
        tokio::select! {
            () = &mut stopping => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    is_struggling = false;
                    hand_out(socket, serving.clone(), cores, &mut connections);
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut is_struggling, true) {
                        tracing::error!(%error, "cannot accept connections at the moment");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves `socket` on one of the threads.
fn hand_out(socket: TcpStream, serving: Serving, cores: &Cores, connections: &mut JoinSet<()>) {
    let mut place = cores.take();
    let Some(runtime) = place.runtime.take() else {
        connections.spawn(async move {
            connection::serve(socket, serving).await;
            drop(place);
        });
        return;
    };
    let lost = |error: io::Error| tracing::error!(%error, "a connection cannot be handed to another thread");
    let socket = match socket.into_std() {
        Ok(socket) => socket,
        Err(error) => return lost(error),
    };
    let served = async move {
        // A socket belongs to the runtime in which it was made.
        match TcpStream::from_std(socket) {
            Ok(socket) => connection::serve(socket, serving).await,
            Err(error) => lost(error),
        }
        drop(place);
    };
    connections.spawn_on(served, &runtime);
}

/// A stage of the server's shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// No shutdown.
    Serving,
    /// Answers under way may end.
    Stopping,
    /// Answers under way must end.
    CuttingOff,
}

/// Waits until the server is stopping.
async fn asked_to_stop(stopped: watch::Receiver<Stage>) {
    reached(stopped, Stage::Stopping).await;
}

/// Waits until the server has reached `stage`.
async fn reached(mut stopped: watch::Receiver<Stage>, stage: Stage) {
    // An error means that the server is gone, which is as good.
    let _ = stopped.wait_for(|&reached| reached >= stage).await;
}

/// Returns whether a connection ended before it was accepted, which is harmless. Any other failure (no descriptors, no
/// memory) needs a pause.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The time for the last event of cut-off answers to reach their clients.
const LAST_WORDS: Duration = Duration::from_millis(500);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
