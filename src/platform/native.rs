//! The laptop's side: reqwest over rustls, tokio's timers and tasks.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::BodyDataStream;
pub use tokio::time::Instant;
pub use tokio::time::sleep;

use super::inflate::inflate;
use super::{ByteStream, TransportError, TransportErrorKind};

/// One pooled client for the backend and the token issuer: HTTP/2 where TLS negotiates it, `HTTPS_PROXY` and
/// `NO_PROXY` honoured, redirects never followed (they would carry the login to another host).
#[derive(Debug, Clone)]
pub struct HttpClient {
    inner: reqwest::Client,
}

impl HttpClient {
    /// A client that gives up connecting after `connect_timeout` and has no other time limit of its own.
    pub fn new(connect_timeout: Duration) -> Result<Self, TransportError> {
        // An error only says that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let inner = reqwest::Client::builder()
            .connect_timeout(connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| transport_error(&error))?;
        Ok(Self { inner })
    }

    /// Sends one request and returns as soon as the answer's head is there.
    pub async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, TransportError> {
        let request = reqwest::Request::try_from(request).map_err(|error| transport_error(&error))?;
        let response = self.inner.execute(request).await.map_err(|error| transport_error(&error))?;
        let (mut head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let body = Box::pin(BodyDataStream::new(body).map_err(|error| transport_error(&error)));
        let body = inflate(&mut head.headers, body);
        Ok(http::Response::from_parts(head, body))
    }
}

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

fn transport_error(error: &reqwest::Error) -> TransportError {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    let message = causes.last().cloned().unwrap_or_else(|| error.to_string());
    TransportError { kind: transport_error_kind(error, &causes), message }
}

/// reqwest tells a connect error apart but not its stage; the resolver names itself in the chain, and rustls is in it.
fn transport_error_kind(error: &reqwest::Error, causes: &[String]) -> TransportErrorKind {
    let mentions =
        |words: &[&str]| causes.iter().any(|cause| words.iter().any(|word| cause.to_ascii_lowercase().contains(word)));
    if error.is_builder() {
        TransportErrorKind::Request
    } else if !error.is_connect() {
        TransportErrorKind::Interrupted
    } else if mentions(&["dns", "lookup address", "name or service"]) {
        TransportErrorKind::Dns
    } else if is_tls(error) || mentions(&["tls handshake"]) {
        TransportErrorKind::Tls
    } else {
        TransportErrorKind::Connect
    }
}

/// Whether rustls gave up the connection.
fn is_tls(error: &reqwest::Error) -> bool {
    std::iter::successors(error.source(), |&cause| cause.source()).any(is_from_rustls)
}

/// Errors travel inside I/O errors, often several, which do not show them as their source.
fn is_from_rustls(cause: &(dyn Error + 'static)) -> bool {
    let inside = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || inside.is_some_and(|inner| is_from_rustls(inner))
}

/// How much of one answer may be on its way to a client that takes nothing: also what it costs in memory.
const STREAM_WINDOW: u32 = 512 * 1024;
/// The same for all answers of a connection. The HTTP/2 library ends a connection, and with it every answer on it, once
/// the small pieces that nobody has taken yet exceed a budget of half this size; so it is more than enough for as many
/// clients that take nothing as there will ever be. It promises, and takes no memory by itself.
const CONNECTION_WINDOW: u32 = 128 * 1024 * 1024;
