//! A connection to a server, from its name to the end of TLS, within one limit of time.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use tower::Service;

use crate::platform::native::proxies::Proxies;
use crate::platform::native::route::{ConnectError, Connecting, Route};
use crate::platform::native::settings::TransportSettings;
use crate::platform::native::transport::Transport;

/// Makes connections. Clones are cheap.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    https: Arc<HttpsConnector<Route>>,
    timeout: Duration,
}

impl Connector {
    /// Creates a connector whose connections speak what `tls` offers.
    pub(super) fn new(settings: &TransportSettings, tls: Arc<ClientConfig>, proxies: Option<Arc<Proxies>>) -> Self {
        let route = Route::new(tcp(settings), tls.clone(), proxies);
        let https = Arc::new(HttpsConnector::from((route, tls)));
        Self { https, timeout: settings.connect_timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Transport>;
    type Error = ConnectError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        // A `Route` always is.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connect = HttpsConnector::clone(&self.https).call(target);
        let timeout = self.timeout;
        Box::pin(async move {
            let connected = tokio::time::timeout(timeout, connect).await;
            connected.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "operation timed out").into()))
        })
    }
}

/// The configuration of the connections to a server or a proxy.
fn tcp(settings: &TransportSettings) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(settings.connect_timeout));
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(settings.ping_interval));
    tcp.set_keepalive_interval(Some(settings.ping_timeout / KEEPALIVE_RETRIES));
    tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    #[cfg(any(target_os = "android", target_os = "linux"))]
    tcp.set_tcp_user_timeout(Some(settings.death_noticed_within()));
    tcp
}

/// Unanswered keepalives that end a connection.
const KEEPALIVE_RETRIES: u32 = 2;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::platform::native::settings::Reach;
    use crate::platform::native::trust;

    #[tokio::test]
    async fn a_handshake_that_does_not_end_is_given_up_like_any_other_stage() {
        let settings = TransportSettings {
            connect_timeout: Duration::from_millis(50),
            reach: Reach::Loopback,
            ..TransportSettings::default()
        };
        let mut connector = Connector::new(&settings, Arc::new(trust::tls(&settings).expect("TLS")), None);
        // The system accepts connections to it, and nobody answers on them.
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let target = format!("https://{}", silent.local_addr().expect("bound")).parse().expect("a URI");
        let error = connector.call(target).await.map(drop).expect_err("no connection");
        assert_eq!(error.to_string(), "operation timed out");
    }
}
