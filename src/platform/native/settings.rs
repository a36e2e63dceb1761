//! The parameters of connections.

use std::time::Duration;

use rustls::pki_types::CertificateDer;

/// The HTTP client's connection parameters. The defaults are the product's; tests shorten the times.
#[derive(Debug, Clone)]
pub struct TransportSettings {
    /// The limit for a new connection: name, TCP, proxy and TLS together.
    pub connect_timeout: Duration,
    /// The silence before an HTTP/2 connection is sent a PING, whether or not calls are open on it.
    pub ping_interval: Duration,
    /// The limit for the answer to a PING. A connection without an answer is closed, with every call on it.
    pub ping_timeout: Duration,
    /// The most calls on one HTTP/2 connection, unless the server allows fewer.
    pub calls_per_connection: usize,
    /// The time for the SETTINGS of a new HTTP/2 connection, before which it carries a single call.
    pub settings_timeout: Duration,
    /// Certificate authorities trusted beside the system's.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The hosts that requests may reach.
    pub reach: Reach,
}

/// The hosts that requests may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Any host, through the proxies of the environment or the system.
    Network,
    /// This machine alone: no proxy, no TLS.
    Loopback,
}

impl Default for TransportSettings {
    /// A dead connection is noticed after at most 16 s: a PING after 6 s of silence, 10 s for its answer.
    ///
    /// The answer may wait behind a large upload on a slow connection, so it gets the longer part. Servers usually
    /// allow 100 or 128 streams per connection (RFC 9113 6.5.2 recommends at least 100).
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(6),
            ping_timeout: Duration::from_secs(10),
            calls_per_connection: 64,
            settings_timeout: Duration::from_millis(250),
            authorities: Vec::new(),
            reach: Reach::Network,
        }
    }
}

impl TransportSettings {
    /// Returns the longest time that a dead connection goes unnoticed.
    pub fn death_noticed_within(&self) -> Duration {
        self.ping_interval + self.ping_timeout
    }
}
