//! The HTTP client of the daemon.

use std::error::Error;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::{Either, select};
use http::request::Parts;
use http_body_util::BodyDataStream;
use reqwest::Url;

use crate::platform::native::failure::transport_error;
use crate::platform::native::lanes::{Lanes, Place};
use crate::platform::native::outgoing::Outgoing;
use crate::platform::native::settings::{Reach, TransportSettings};
use crate::platform::native::{ByteStream, Cores, OnSent, TransportError, inflate, proxies, sleep, trust};

/// A pooled client for the backend and the token issuer: HTTP/2 if TLS negotiates it, the environment's proxies
/// honoured, redirects never followed (they would carry the login to another host). Clones share the connections.
///
/// * HTTP/2 connections are watched with PINGs, whether or not calls are open on them: a silent one (sleep, VPN,
///   another network) is closed within [`TransportSettings::death_noticed_within`], and its calls fail.
/// * HTTP/1.1 has no PING. The kernel notices unacknowledged data (Linux) and unacknowledged TCP keepalives. A
///   middlebox that acknowledges and forwards nothing goes unnoticed.
/// * Each of the threads that serve ([`Cores`]) has connections of its own.
#[derive(Clone)]
pub struct HttpClient {
    /// The lanes of each thread, made when it first calls.
    lanes: Arc<[OnceLock<Lanes>]>,
    make: Arc<MakeLanes>,
    turn_timeout: Duration,
}

type MakeLanes = dyn Fn() -> Result<Lanes, TransportError> + Send + Sync;

impl HttpClient {
    /// Creates a client that gives up connecting after `connect_timeout` and does not limit the time of a call.
    pub fn new(connect_timeout: Duration) -> Result<Self, TransportError> {
        Self::with_settings(TransportSettings { connect_timeout, ..TransportSettings::default() })
    }

    /// Creates a client with `settings`. The error names the unusable environment variable.
    pub fn with_settings(settings: TransportSettings) -> Result<Self, TransportError> {
        // The error means that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if settings.reach == Reach::Network {
            proxies::check(|name| std::env::var_os(name))?;
        }
        let tls = trust::tls(&settings)?;
        let turn_timeout = settings.turn_timeout;
        let make = move || {
            let (settings, tls) = (settings.clone(), tls.clone());
            Lanes::new(settings.calls_per_connection, move |builder| {
                let builder = configured(builder, &settings).tls_backend_preconfigured(tls.clone());
                builder.build().map_err(|error| transport_error(&error))
            })
        };
        let client =
            Self { lanes: (0..Cores::MOST).map(|_| OnceLock::new()).collect(), make: Arc::new(make), turn_timeout };
        client.lanes()?;
        Ok(client)
    }

    /// Returns the lanes of the current thread.
    fn lanes(&self) -> Result<&Lanes, TransportError> {
        let lanes = &self.lanes[Cores::current()];
        if let Some(lanes) = lanes.get() {
            return Ok(lanes);
        }
        let made = (self.make)()?;
        Ok(lanes.get_or_init(|| made))
    }

    /// Sends one request and returns the response as soon as its head has arrived.
    ///
    /// A request that the server did not begin (RFC 9113 8.7) is sent again, as is a request that waits on a full
    /// connection.
    pub async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, TransportError> {
        let (mut head, body) = request.into_parts();
        let on_sent = head.extensions.remove::<OnSent>();
        let lanes = self.lanes()?;
        let url = lanes.url(&head.uri)?;
        let mut resends_left = MOST_RESENDS;
        loop {
            let place = lanes.take()?;
            match self.send_on(&place, &url, &head, &body, on_sent.as_ref()).await {
                None => lanes.learn(&place),
                Some(Ok(response)) => return Ok(answer(response, place)),
                Some(Err(error)) if resends_left > 0 && is_not_begun(&error) => resends_left -= 1,
                Some(Err(error)) => return Err(transport_error(&error)),
            }
        }
    }

    /// Sends a request over the connection of `place`; `None` if the connection is full.
    async fn send_on(
        &self,
        place: &Place,
        url: &Url,
        head: &Parts,
        body: &Bytes,
        on_sent: Option<&OnSent>,
    ) -> Option<Result<reqwest::Response, reqwest::Error>> {
        let mut request = reqwest::Request::new(head.method.clone(), url.clone());
        request.headers_mut().clone_from(&head.headers);
        let body = Outgoing::new(body.clone(), place.opening().clone(), on_sent.cloned());
        *request.body_mut() = Some(reqwest::Body::wrap(body));
        let mut call = pin!(place.client().execute(request));
        while place.may_have_to_move() {
            match select(&mut call, pin!(sleep(self.turn_timeout))).await {
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
        let lanes: Vec<_> = self.lanes.iter().filter_map(OnceLock::get).collect();
        formatter.debug_struct("HttpClient").field("lanes", &lanes).finish_non_exhaustive()
    }
}

/// The configuration shared by all lanes.
fn configured(builder: reqwest::ClientBuilder, settings: &TransportSettings) -> reqwest::ClientBuilder {
    let builder = builder
        .connect_timeout(settings.connect_timeout)
        .pool_max_idle_per_host(MOST_IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(settings.ping_interval)
        .http2_keep_alive_timeout(settings.ping_timeout)
        .http2_keep_alive_while_idle(true)
        .tcp_keepalive(settings.ping_interval)
        .tcp_keepalive_interval(settings.ping_timeout / TCP_KEEPALIVE_RETRIES)
        .tcp_keepalive_retries(TCP_KEEPALIVE_RETRIES)
        .tcp_nodelay(true);
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let builder = builder.tcp_user_timeout(settings.death_noticed_within());
    match settings.reach {
        Reach::Network => builder,
        Reach::Loopback => builder.no_proxy(),
    }
}

/// Creates a response that holds `place` until its body is dropped.
fn answer(response: reqwest::Response, place: Place) -> http::Response<ByteStream> {
    let (mut head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
    let body = BodyDataStream::new(body).map_err(move |error| {
        let _held = &place;
        transport_error(&error)
    });
    let body = inflate(&mut head.headers, Box::pin(body));
    http::Response::from_parts(head, body)
}

/// Returns whether the server declared that it has not begun the request: it refused the stream, or sent GOAWAY.
fn is_not_begun(error: &reqwest::Error) -> bool {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.filter_map(|cause| cause.downcast_ref::<h2::Error>()).any(|error| {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let going_away = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        error.is_remote() && (refused || going_away)
    })
}

/// Idle HTTP/1.1 connections kept by each lane; one costs some 30 kB.
const MOST_IDLE: usize = 16;
/// Attempts to resend a request that was not begun.
const MOST_RESENDS: u32 = 2;
/// Unanswered keepalives that end a connection.
const TCP_KEEPALIVE_RETRIES: u32 = 2;
/// The flow-control window of one response: also its cost in memory if the client reads nothing.
const STREAM_WINDOW: u32 = 512 * 1024;
/// The flow-control window of a connection. The HTTP/2 library ends a connection, and with it every response on it,
/// once the small unread pieces exceed a budget of half this size; so it suffices for any number of clients that read
/// nothing. The window is a promise, and takes no memory by itself.
const CONNECTION_WINDOW: u32 = 128 * 1024 * 1024;
