//! How connections are made, kept and watched.

use std::time::Duration;

use rustls::pki_types::CertificateDer;

/// What the HTTP client does with its connections. The defaults are the product's; tests shorten the times.
#[derive(Debug, Clone)]
pub struct TransportSettings {
    /// For a new connection: name, TCP, proxy and TLS together.
    pub connect_timeout: Duration,
    /// Silence after which an HTTP/2 connection is sent a PING, whether or not calls are open on it.
    pub ping_interval: Duration,
    /// How long the answer to a PING may take. A connection that gives none is closed, with every call on it.
    pub ping_timeout: Duration,
    /// Calls that share one connection at most, until a server allows fewer.
    pub calls_per_connection: usize,
    /// How long a call may wait for its turn on a full connection before it takes another one.
    pub turn_timeout: Duration,
    /// Authorities trusted beside the system's.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Where requests go.
    pub reach: Reach,
}

/// Where requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Anywhere, through the proxies that the environment or the system names.
    Network,
    /// To this machine alone: no proxy, no TLS.
    Loopback,
}

impl Default for TransportSettings {
    /// A connection that died is noticed after at most 16 s: a PING after 6 s of silence, 10 s for its answer.
    ///
    /// The answer may have to wait behind a large upload on a slow line, so it gets the longer part. Servers usually
    /// allow 100 or 128 streams a connection (RFC 9113 6.5.2 asks for no fewer than 100).
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(6),
            ping_timeout: Duration::from_secs(10),
            calls_per_connection: 64,
            turn_timeout: Duration::from_millis(250),
            authorities: Vec::new(),
            reach: Reach::Network,
        }
    }
}

impl TransportSettings {
    /// How long a connection that died may go unnoticed.
    pub fn death_noticed_within(&self) -> Duration {
        self.ping_interval + self.ping_timeout
    }
}
