//! The differences between a laptop and the edge: sending, sleeping, spawning, the time.
//!
//! * Every other room uses this one; none names `tokio::spawn`, `std::time::Instant` or an HTTP client.
//! * Futures are `Send` on both sides, so one set of trait bounds serves the daemon and the Worker.
//! * A byte stream yields one item per read, neither buffered nor re-framed. A compressed response is decompressed, as
//!   the edge does by itself.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

#[cfg(not(target_arch = "wasm32"))]
mod inflate;
#[cfg(not(target_arch = "wasm32"))]
mod native;
pub mod single_flight;
#[cfg(target_arch = "wasm32")]
mod worker;

#[cfg(not(target_arch = "wasm32"))]
pub use native::{
    ClientSocket, Cores, Duplex, HttpClient, Instant, Reach, Timer, TransportSettings, UpgradeError, Wire, apart,
    sleep, spawn,
};
#[cfg(target_arch = "wasm32")]
pub use worker::{HttpClient, Instant, Timer, apart, sleep, spawn};

/// Returns how much room to ask for where `size` bytes are needed for a short time.
///
/// glibc's allocator maps a block of more than 32 MiB by itself and gives it back at once. A smaller one, after the first, comes out
/// of a heap, where whatever lies behind it keeps it from being given back (mallopt(3), `M_MMAP_THRESHOLD`). Of the room asked for,
/// what is not used takes no memory; other systems may count it, so that they are asked for no more than needed.
pub(crate) const fn roomy(size: usize) -> usize {
    let is_worth_it = cfg!(all(target_os = "linux", target_env = "gnu")) && size > LARGE;
    if is_worth_it && size < MAPPED { MAPPED } else { size }
}

/// From this size a block is worth a mapping of its own.
const LARGE: usize = 256 << 10;
/// The size from which glibc maps every block, with room for its own head.
const MAPPED: usize = 33 << 20;

/// The bytes of a response, one item per read.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// An extension of a request to a client: called once a connection takes the request's body. On the edge, whose host
/// connects by itself, it is called at once; for a request without a body, never.
#[derive(Clone)]
pub struct OnSent(Arc<dyn Fn() + Send + Sync>);

impl OnSent {
    /// Creates the extension that calls `call`, perhaps more than once: a request is sent again if its server did not
    /// begin it.
    pub fn new(call: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(call))
    }

    pub(crate) fn call(&self) {
        (self.0)();
    }
}

impl fmt::Debug for OnSent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a call")
    }
}

/// A failed transfer. Never carries a header or a body, so it is safe to log and to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// The stage of the failure.
    pub kind: TransportErrorKind,
    /// The causes as text, innermost last.
    pub message: String,
}

/// The stage at which a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportErrorKind {
    /// The host name could not be resolved.
    Dns,
    /// No connection: refused, unreachable, or the connect timeout passed.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The request could not be built or is not supported on this platform.
    Request,
    /// The connection broke while the answer was awaited or read.
    Interrupted,
}

/// Returns the wall-clock time since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
pub fn unix_now() -> std::time::Duration {
    web_time::SystemTime::now().duration_since(web_time::SystemTime::UNIX_EPOCH).unwrap_or_default()
}
