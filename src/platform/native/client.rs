//! The HTTP client of the daemon.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::{Either, select};
use http::header::{ACCEPT, PROXY_AUTHORIZATION};
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use crate::platform::native::connector::Connector;
use crate::platform::native::failure::{body_error, call_error, causes};
use crate::platform::native::lanes::{Lanes, Place};
use crate::platform::native::outgoing::Outgoing;
use crate::platform::native::proxies::Proxies;
use crate::platform::native::settings::{Reach, TransportSettings};
use crate::platform::native::target::target;
use crate::platform::native::{ByteStream, Cores, OnSent, TransportError, inflate, sleep, trust};

/// A pooled client for the backend and the token issuer: HTTP/2 if TLS negotiates it, the environment's proxies
/// honoured, redirects never followed (they would carry the login to another host). Clones share the connections.
///
/// * HTTP/2 connections are watched with PINGs, whether or not calls are open on them: a silent one (sleep, VPN,
///   another network) is closed within [`TransportSettings::death_noticed_within`], and its calls fail.
/// * HTTP/1.1 has no PING. The kernel notices unacknowledged data (Linux) and unacknowledged TCP keepalives. A
///   middlebox that acknowledges and forwards nothing goes unnoticed.
/// * Each of the threads that serve ([`Cores`]) has connections of its own.
#[derive(Clone)]
pub struct HttpClient(Arc<Shared>);

/// The parts that clones share.
struct Shared {
    /// The lanes of each thread, made when it first calls.
    lanes: Box<[OnceLock<Lanes>]>,
    connector: Connector,
    /// Makes the connections of WebSockets, once there is one.
    sockets: OnceLock<Connector>,
    tls: Arc<ClientConfig>,
    pool: legacy::Builder,
    proxies: Option<Arc<Proxies>>,
    settings: TransportSettings,
}

impl HttpClient {
    /// Creates a client that gives up connecting after `connect_timeout` and does not limit the time of a call.
    pub fn new(connect_timeout: Duration) -> Result<Self, TransportError> {
        Self::with_settings(TransportSettings { connect_timeout, ..TransportSettings::default() })
    }

    /// Creates a client with `settings`. The error names the unusable environment variable.
    pub fn with_settings(settings: TransportSettings) -> Result<Self, TransportError> {
        let proxies = match settings.reach {
            Reach::Network => Some(Arc::new(Proxies::from_system()?)),
            Reach::Loopback => None,
        };
        let tls = Arc::new(trust::tls(&settings)?);
        Ok(Self(Arc::new(Shared {
            lanes: (0..Cores::MOST).map(|_| OnceLock::new()).collect(),
            connector: Connector::new(&settings, tls.clone(), proxies.clone()),
            sockets: OnceLock::new(),
            tls,
            pool: pool(&settings),
            proxies,
            settings,
        })))
    }

    /// Returns the lanes of the current thread.
    fn lanes(&self) -> &Lanes {
        let Shared { lanes, connector, pool, settings, .. } = &*self.0;
        let make = || Lanes::new(settings.calls_per_connection, connector.clone(), pool.clone());
        lanes[Cores::current()].get_or_init(make)
    }

    /// Returns the maker of connections that speak HTTP/1.1 alone.
    pub(super) fn socket_connector(&self) -> Connector {
        let Shared { sockets, tls, settings, proxies, .. } = &*self.0;
        let make = || {
            let mut tls = ClientConfig::clone(tls);
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            Connector::new(settings, Arc::new(tls), proxies.clone())
        };
        sockets.get_or_init(make).clone()
    }

    /// Sends one request and returns the response as soon as its head has arrived.
    ///
    /// A request that the server did not begin (RFC 9113 8.7) is sent again, as is a request that waits on a full
    /// connection.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<ByteStream>, TransportError> {
        let (mut head, body) = request.into_parts();
        let on_sent = head.extensions.remove::<OnSent>();
        self.complete(&mut head)?;
        let lanes = self.lanes();
        let mut resends_left = MOST_RESENDS;
        loop {
            let place = lanes.take();
            match self.send_on(&place, &head, &body, on_sent.as_ref()).await {
                None => lanes.learn(&place),
                Some(Ok(response)) => return Ok(answer(response, place)),
                Some(Err(error)) if resends_left > 0 && is_not_begun(&error) => resends_left -= 1,
                Some(Err(error)) => return Err(call_error(&error, head.uri.host().unwrap_or_default())),
            }
        }
    }

    /// Gives `head` its URI's final form and the headers that every request has.
    fn complete(&self, head: &mut Parts) -> Result<(), TransportError> {
        head.uri = target(std::mem::take(&mut head.uri))?;
        head.headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if let Some(login) = self.0.proxies.as_ref().and_then(|proxies| proxies.login(&head.uri)) {
            head.headers.entry(PROXY_AUTHORIZATION).or_insert(login);
        }
        Ok(())
    }

    /// Sends a request over the connection of `place`; `None` if the connection is full.
    async fn send_on(
        &self,
        place: &Place,
        head: &Parts,
        body: &Bytes,
        on_sent: Option<&OnSent>,
    ) -> Option<Result<Response<Incoming>, legacy::Error>> {
        let mut request =
            Request::new(Box::new(Outgoing::new(body.clone(), place.opening().clone(), on_sent.cloned())));
        request.method_mut().clone_from(&head.method);
        request.uri_mut().clone_from(&head.uri);
        request.headers_mut().clone_from(&head.headers);
        let mut call = pin!(place.client().request(request));
        while place.may_have_to_move() {
            match select(&mut call, pin!(sleep(self.0.settings.turn_timeout))).await {
                Either::Left((answered, _)) => return Some(answered),
                Either::Right(_) if place.opening().is_open() => break,
                Either::Right(_) if place.is_connecting() => {}
                Either::Right(_) if place.opening().withdraw() => return None,
                Either::Right(_) => break,
            }
        }
        Some(call.await)
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lanes: Vec<_> = self.0.lanes.iter().filter_map(OnceLock::get).collect();
        formatter.debug_struct("HttpClient").field("lanes", &lanes).finish_non_exhaustive()
    }
}

/// The configuration of every lane's connections above TLS.
fn pool(settings: &TransportSettings) -> legacy::Builder {
    let mut pool = legacy::Client::builder(TokioExecutor::new());
    pool.timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MOST_IDLE)
        // Not a second sending: the library still has the whole request, since its connection closed before taking it.
        .retry_canceled_requests(true)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(settings.ping_interval)
        .http2_keep_alive_timeout(settings.ping_timeout)
        .http2_keep_alive_while_idle(true);
    pool
}

/// Creates a response that holds `place` until its body is dropped.
fn answer(response: Response<Incoming>, place: Place) -> Response<ByteStream> {
    let (mut head, body) = response.into_parts();
    let body = BodyDataStream::new(body).map_err(move |error| {
        let _held = &place;
        body_error(&error)
    });
    let body = inflate(&mut head.headers, Box::pin(body));
    Response::from_parts(head, body)
}

/// Returns whether the server declared that it has not begun the request: it refused the stream, or sent GOAWAY.
fn is_not_begun(error: &legacy::Error) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>()).any(|error| {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let going_away = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        error.is_remote() && (refused || going_away)
    })
}

/// The time after which an unused connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Idle HTTP/1.1 connections kept by the first lane; one costs some 30 kB.
const MOST_IDLE: usize = 16;
/// Attempts to resend a request that was not begun.
const MOST_RESENDS: u32 = 2;
/// The flow-control window of one response: also its cost in memory if the client reads nothing.
const STREAM_WINDOW: u32 = 512 * 1024;
/// The flow-control window of a connection. The HTTP/2 library ends a connection, and with it every response on it,
/// once the small unread pieces exceed a budget of half this size; so it suffices for any number of clients that read
/// nothing. The window is a promise, and takes no memory by itself.
const CONNECTION_WINDOW: u32 = 128 * 1024 * 1024;
