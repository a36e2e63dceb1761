//! The edge's side. Only what the other rooms need in order to compile for wasm32: a call answers that it is not
//! supported here.

use std::future::Future;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
pub use web_time::Instant;

use super::{ByteStream, TransportError, TransportErrorKind};

/// The HTTP client of this platform.
#[derive(Debug, Clone)]
pub struct HttpClient {}

impl HttpClient {
    /// A client; the edge has its own connect timeout.
    pub fn new(_connect_timeout: Duration) -> Result<Self, TransportError> {
        Ok(Self {})
    }

    /// Answers [`TransportErrorKind::Request`].
    pub async fn send(&self, _request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, TransportError> {
        Err(TransportError {
            kind: TransportErrorKind::Request,
            message: "sending requests is not supported on this platform".to_owned(),
        })
    }
}

/// A deadline that can be moved.
#[derive(Debug)]
pub struct Timer(Instant);

impl Timer {
    /// Due `delay` from now.
    pub fn after(delay: Duration) -> Self {
        Self(Instant::now() + delay)
    }

    /// Moves the deadline to `deadline`.
    pub fn reset(&mut self, deadline: Instant) {
        self.0 = deadline;
    }

    /// Ready once the deadline has passed; looked at whenever the stream beside it is polled.
    pub fn poll(&mut self, _context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Yields at once: without a host timer there is nothing to wait on.
pub async fn sleep(_delay: Duration) {}

/// Drops the future: background work belongs to the host's event.
pub fn spawn(_future: impl Future<Output = ()> + Send + 'static) {}
