//! Taking connections, serving them, and ending in good order.
//!
//! * [`bind()`] gets the sockets, [`run`] serves them until `shutdown` is ready; both are given their inputs from outside,
//!   so that tests drive them in process.
//! * Nagle's algorithm is off: it would hold back the first token by up to 40 ms.
//! * Shutdown: no new connection, idle ones are closed, answers under way get the grace time, and after it the time to say
//!   that they are cut off. Dropping [`run`]'s future ends everything at once.
//! * A head that cannot be read is refused in the shape of every other error, although it never reaches the router.
//! * Heads share a limited room ([`heads`]), and once room for requests is short, answers have to be taken ([`unread`]).
//! * A client that has sent its request and closed its sending side is answered; one that has left is not waited for
//!   ([`presence`]).
//! * Running out of file descriptors pauses accepting, and ends nothing.

mod bad_head;
mod bind;
mod connection;
mod gate;
mod heads;
mod limits;
mod presence;
mod unread;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use connection::Serving;
use heads::Heads;
use limits::Limits;

use crate::platform::sleep;
use crate::server::capacity::Capacity;
use crate::server::cut_off::CutOff;
pub use crate::server::listen::bind::{BindError, bind};

/// Serves `router` on all of `listeners` until `shutdown` is ready and the answers under way have ended. Those that have
/// not after `grace` are cut off.
pub async fn run(
    listeners: Vec<TcpListener>,
    router: Router,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
    cut_off: CutOff,
    capacity: Capacity,
) {
    let (stop, stopped) = watch::channel(Stage::Serving);
    let serving = Serving { router, stopped, capacity, heads: Heads::default(), limits: Limits::default() };
    let accepting = join_all(listeners.into_iter().map(|listener| accept_all(listener, serving.clone())));
    let stopping = async {
        shutdown.await;
        tracing::info!("stopping: no new connections, answers under way may end");
        // Nobody listens only where nothing was served.
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

/// Takes connections until the server stops, then waits for those there are.
async fn accept_all(listener: TcpListener, serving: Serving) {
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
                    connections.spawn(connection::serve(socket, serving.clone()));
                }
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut is_struggling, true) {
                        tracing::error!(%error, "cannot take connections at the moment");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// How far a server's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It has not begun.
    Serving,
    /// Answers under way may end.
    Stopping,
    /// They have to.
    CuttingOff,
}

/// Ready once the server is stopping.
async fn asked_to_stop(stopped: watch::Receiver<Stage>) {
    reached(stopped, Stage::Stopping).await;
}

/// Ready once the server has come as far as `stage`.
async fn reached(mut stopped: watch::Receiver<Stage>, stage: Stage) {
    // An error says that the server is gone, which is as good.
    let _ = stopped.wait_for(|&reached| reached >= stage).await;
}

/// Whether a connection ended before it was taken, which is nothing. Any other failure (no descriptors, no memory)
/// needs time.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// For the last event of answers that are cut off to reach their clients.
const LAST_WORDS: Duration = Duration::from_millis(500);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
