//! One connection above TLS: the handshake of its protocol, and the requests that it carries.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::future::{Either, poll_fn, select};
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::Service as _;

use crate::platform::native::connector::Connector;
use crate::platform::native::failure::{call_error, connect_error};
use crate::platform::native::outgoing::Outgoing;
use crate::platform::native::settings::TransportSettings;
use crate::platform::native::transport::Transport;
use crate::platform::native::{TransportError, spawn};

/// The body of a request. It lies behind a pointer: hyper keeps room for 32 requests for each connection.
pub(super) type Payload = Box<Outgoing>;

/// A request that was not answered: the error, and the request itself if the connection did not take it.
pub(super) type Unanswered = TrySendError<Request<Payload>>;

/// A new connection to a server.
#[derive(Debug)]
pub(super) enum Connection {
    Http1(Http1),
    Http2(Http2),
}

impl Connection {
    /// Connects to the server of `uri`. A task drives the connection until it ends.
    pub(super) async fn open(
        mut connector: Connector,
        uri: &Uri,
        settings: &TransportSettings,
    ) -> Result<Self, TransportError> {
        let host = uri.host().unwrap_or_default();
        let stream = connector.call(uri.clone()).await.map_err(|error| connect_error(&*error, host))?;
        let connected = stream.connected();
        let opened = if connected.is_negotiated_h2() {
            Http2::open(stream, settings).await.map(Self::Http2)
        } else {
            Http1::open(stream, connected.is_proxied()).await.map(Self::Http1)
        };
        opened.map_err(|error| call_error(&error, host))
    }
}

/// A connection of HTTP/1.1, which carries one request at a time.
#[derive(Debug)]
pub(super) struct Http1 {
    sender: http1::SendRequest<Payload>,
    /// Whether the other end is a proxy that takes requests in absolute form.
    is_to_proxy: bool,
}

impl Http1 {
    async fn open(stream: MaybeHttpsStream<Transport>, is_to_proxy: bool) -> Result<Self, hyper::Error> {
        let (mut sender, driver) = http1::handshake(stream).await?;
        let mut driver = Box::pin(driver);
        let ready = match select(&mut driver, Box::pin(sender.ready())).await {
            // It says more than what waited for it.
            Either::Left((Err(error), _)) => return Err(error),
            Either::Left((Ok(()), ready)) => ready.await,
            Either::Right((ready, _)) => ready,
        };
        ready?;
        // What an error ends are calls, which have it too.
        spawn(async move { drop(driver.await) });
        Ok(Self { sender, is_to_proxy })
    }

    /// Returns whether a request can be sent now.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until a request can be sent; returns `false` if there can be none any more.
    pub(super) async fn is_reusable(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends `request` to the server of `host`, its `Host` header.
    pub(super) fn send(
        &mut self,
        mut request: Request<Payload>,
        host: &HeaderValue,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> + use<> {
        if !self.is_to_proxy {
            let origin_form = request.uri().path_and_query().cloned();
            *request.uri_mut() = origin_form.map(Uri::from).unwrap_or_default();
        }
        request.headers_mut().entry(HOST).or_insert_with(|| host.clone());
        self.sender.try_send_request(request)
    }
}

/// A connection of HTTP/2, which carries as many requests at a time as its server allows.
pub(super) struct Http2 {
    sender: http2::SendRequest<Payload>,
    /// Also asked for the server's limit, which nobody is told of. `None` once the connection has ended.
    driver: Arc<Mutex<Option<Driver>>>,
}

type Driver = http2::Connection<MaybeHttpsStream<Transport>, Payload, TokioExecutor>;

impl Http2 {
    /// The number of requests that a connection carries until its server has said how many it allows.
    pub(super) const UNTOLD: usize = 1;

    async fn open(stream: MaybeHttpsStream<Transport>, settings: &TransportSettings) -> Result<Self, hyper::Error> {
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_max_send_streams(Self::UNTOLD)
            .keep_alive_interval(settings.ping_interval)
            .keep_alive_timeout(settings.ping_timeout)
            .keep_alive_while_idle(true)
            .handshake(stream)
            .await?;
        let driver = Arc::new(Mutex::new(Some(driver)));
        let driven = Driven(Arc::clone(&driver));
        spawn(poll_fn(move |context| {
            // What an error ends are calls, which have it too.
            lock(&driven.0).as_mut().map_or(Poll::Ready(()), |driver| Pin::new(driver).poll(context).map(drop))
        }));
        Ok(Self { sender, driver })
    }

    /// Returns how many requests the server allows at a time, [`UNTOLD`](Self::UNTOLD) before its SETTINGS have come.
    pub(super) fn most_requests(&self) -> usize {
        lock(&self.driver).as_ref().map_or(0, Driver::current_max_send_streams)
    }

    /// Returns whether the connection takes no more requests.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends `request`; those that the server does not allow yet wait.
    pub(super) fn send(
        &self,
        request: Request<Payload>,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> + use<> {
        self.sender.clone().try_send_request(request)
    }
}

impl std::fmt::Debug for Http2 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Http2").field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// The driver in the hands of its task. It goes with the task: for as long as it exists, it seems to take requests.
struct Driven(Arc<Mutex<Option<Driver>>>);

impl Drop for Driven {
    fn drop(&mut self) {
        *lock(&self.0) = None;
    }
}

fn lock(driver: &Mutex<Option<Driver>>) -> MutexGuard<'_, Option<Driver>> {
    driver.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The flow-control window of one response: also its cost in memory if the client reads nothing.
const STREAM_WINDOW: u32 = 512 * 1024;
/// The flow-control window of a connection. The HTTP/2 library ends a connection, and with it every response on it,
/// once the small unread pieces exceed a budget of half this size; so it suffices for any number of clients that read
/// nothing. The window is a promise, and takes no memory by itself.
const CONNECTION_WINDOW: u32 = 128 * 1024 * 1024;
