//! One connection from its first byte to its last.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::future::{TryFutureExt as _, select};
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::server::address::mend;
use crate::server::capacity::Capacity;
use crate::server::listen::gate::{Activity, AnswerBody, Gate, Received};
use crate::server::listen::heads::Heads;
use crate::server::listen::limits::Limits;
use crate::server::listen::paced::Paced;
use crate::server::listen::{Stage, asked_to_stop, bad_head, reached};
use crate::server::socket::{Ends, Session};

/// The state shared by all connections.
#[derive(Debug, Clone)]
pub(super) struct Serving {
    /// Answers the requests.
    pub(super) router: Router,
    /// The stage of the server's shutdown.
    pub(super) stopped: watch::Receiver<Stage>,
    /// The capacity, which may be short.
    pub(super) capacity: Capacity,
    /// The memory of all incomplete heads.
    pub(super) heads: Heads,
    /// The time and size limits of a client.
    pub(super) limits: Limits,
}

/// Serves `socket` until either side closes, or the server stops and no answer is under way.
pub(super) async fn serve(socket: TcpStream, serving: Serving) {
    let Serving { router, stopped, capacity, heads, limits } = serving;
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot turn off Nagle's algorithm");
    }
    let activity = Activity::default();
    let answering = activity.clone();
    let switched = Arc::new(OnceLock::new());
    let switching = switched.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let under_way = answering.begin(&request);
        let request = request.map(|body| Body::new(Received::new(body, &under_way)));
        let switching = switching.clone();
        router.clone().oneshot(mend(request)).map_ok(move |mut response| {
            if let Some(session) = response.extensions_mut().remove::<Session>() {
                // A connection becomes a WebSocket once.
                let _ = switching.set(session);
            }
            AnswerBody::of(response, under_way)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_header_size(limits.head_size)
        .max_buf_size(READ_BUFFER)
        .half_close(true)
        .serve_connection(TokioIo::new(Gate::new(Paced::new(socket, capacity), activity.clone(), heads)), service);
    let mut stopping = pin!(asked_to_stop(stopped.clone()));
    let mut cutting_off = pin!(reached(stopped.clone(), Stage::CuttingOff));
    let (mut is_stopping, mut is_cut_off) = (false, false);
    // The task that the server's stop wakes: after the first time, it need not be told again with each event.
    let mut woken: Option<Waker> = None;
    let outcome = poll_fn(|context| {
        let is_known = woken.as_ref().is_some_and(|task| task.will_wake(context.waker()));
        let is_due = !is_known || !matches!(stopped.has_changed(), Ok(false));
        if !is_stopping && is_due {
            woken = Some(context.waker().clone());
            is_stopping = stopping.as_mut().poll(context).is_ready();
            if is_stopping {
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
        if is_stopping && !is_cut_off {
            // The wake-up suffices: the answer is polled below, and checks the flag itself.
            is_cut_off = cutting_off.as_mut().poll(context).is_ready();
        }
        let polled = connection.poll_without_shutdown(context);
        // An incomplete head may be dropped; waiting for the rest could take the whole grace time.
        if is_stopping && !activity.is_open() { Poll::Ready(Ok(())) } else { polled }
    })
    .await;
    let Parts { io, read_buf, .. } = connection.into_parts();
    let refused = outcome.as_ref().err().and_then(|error| bad_head::of(error, &read_buf, &activity, limits));
    let mut socket = io.into_inner().into_socket();
    if let (Ok(()), Some(session)) = (&outcome, switched.get()) {
        let ends =
            Ends { stopping: asked_to_stop(stopped.clone()), cutting_off: reached(stopped.clone(), Stage::CuttingOff) };
        // A connection that never becomes a WebSocket does not make room for one in its task.
        Box::pin(session.run(&mut socket, read_buf, ends)).await;
    } else {
        // Up to a whole head, which would otherwise be kept while the rest is waited for.
        drop(read_buf);
    }
    let mut socket = socket.into_inner();
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection broke");
        let Some(refused) = refused else { return };
        // Behind a pointer, as all after the last answer: the connections that wait for one hold no room for it.
        let Ok(Ok(())) = Box::pin(timeout(limits.linger, bad_head::write(&refused, &mut socket))).await else { return };
    }
    // At shutdown, clients that have their answer are not waited for.
    select(Box::pin(linger(socket, limits.linger)), Box::pin(asked_to_stop(stopped))).await;
}

/// Closes both directions after reading the client's remaining bytes: closing with bytes unread would reset the
/// connection, and the client would lose an unread answer such as 413.
async fn linger(mut socket: TcpStream, patience: Duration) {
    let drain = async {
        socket.shutdown().await?;
        let mut scrap = vec![0; 4 << 10];
        while socket.read(&mut scrap).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Closes the connection whatever the result.
    let _ = timeout(patience, drain).await;
}

/// The read buffer, and the bytes written before a client must have taken some.
const READ_BUFFER: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    /// Sends `text` and returns the answer.
    async fn answer_to(text: &str) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
        let (socket, _) = listener.accept().await.expect("accepted");
        client.write_all(text.as_bytes()).await.expect("written");
        let (_running, stopped) = watch::channel(Stage::Serving);
        // The client stays for as long as it may.
        let (head, linger) = (Duration::from_millis(100), Duration::from_millis(500));
        let limits = Limits { head, linger, ..Limits::default() };
        let (router, capacity, heads) = (Router::new(), Capacity::new(1, 1), Heads::default());
        let serving = Serving { router, stopped, capacity, heads, limits };
        let mut answer = String::new();
        let (read, ()) = tokio::join!(client.read_to_string(&mut answer), serve(socket, serving));
        read.expect("an orderly end");
        answer
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_is_refused_and_an_idle_client_just_let_go() {
        let answer = answer_to("GET / HTTP/1.1\r\nhost: loc").await;
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
        assert!(answer.contains(r#""code":"request_timeout""#), "{answer}");
        assert_eq!(answer_to("").await, "");
        let answer = answer_to("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 404 ") && answer.matches("HTTP/1.1 ").count() == 1, "{answer}");
    }

    #[tokio::test]
    async fn a_client_that_speaks_tls_is_told_so() {
        let answer = answer_to("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{7c}\u{3}\u{3}").await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("clients use http://"), "{answer}");
        let answer = answer_to("\u{16}\u{2}\u{1}\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("is not HTTP/1.1"), "{answer}");
    }
}
