//! One connection from its first byte to its last.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::future::select;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::asked_to_stop;

/// What a client may take before it is cut off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For the whole head of a request, and between two requests of a connection.
    head: Duration,
    /// Bytes of a request's head.
    head_size: usize,
    /// For a client to read an answer that was given before its request was over.
    linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: Duration::from_secs(30), head_size: 64 << 10, linger: Duration::from_secs(5) }
    }
}

/// Serves `socket` until either side is done, or `stopped` and no answer is under way.
pub(super) async fn serve(socket: TcpStream, router: Router, stopped: watch::Receiver<bool>, limits: Limits) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot turn off Nagle's algorithm");
    }
    let service = service_fn(move |request: http::Request<Incoming>| router.clone().oneshot(request.map(Body::new)));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_header_size(limits.head_size)
        .max_buf_size(READ_BUFFER)
        .serve_connection(TokioIo::new(socket), service);
    let mut stopping = pin!(asked_to_stop(stopped.clone()));
    let mut is_stopping = false;
    let outcome = poll_fn(|context| {
        if !is_stopping && stopping.as_mut().poll(context).is_ready() {
            is_stopping = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(context)
    })
    .await;
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection broke");
        return;
    }
    let lingering = linger(connection.into_parts().io.into_inner(), limits.linger);
    // A server that stops does not wait for clients that have their answer.
    select(pin!(lingering), pin!(asked_to_stop(stopped))).await;
}

/// Closes in both directions, but reads what the client still sends first: closing with bytes unread would reset the
/// connection, and the client would lose an answer such as 413 that it has not read yet.
async fn linger(mut socket: TcpStream, patience: Duration) {
    let drain = async {
        socket.shutdown().await?;
        let mut scrap = vec![0; 16 << 10];
        while socket.read(&mut scrap).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Whatever happens now, the connection is closed.
    let _ = timeout(patience, drain).await;
}

/// Bytes read at once at most, and written before a client must have taken some.
const READ_BUFFER: usize = 128 << 10;
