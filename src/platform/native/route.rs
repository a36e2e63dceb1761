//! The way to a server below its own TLS: a connection to it, or one through a proxy.
//!
//! * A proxy for HTTP opens a tunnel (CONNECT) for an `https` target, and is sent an `http` target's requests itself, in
//!   absolute form. An `https` proxy is spoken to over TLS in both cases.
//! * The login of a proxy goes to the proxy alone: with the tunnel's request, with the SOCKS greeting, or as the header
//!   that [`Proxies::login`](super::proxies::Proxies::login) returns for requests in absolute form.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Intercept;
use rustls::ClientConfig;
use tower::Service;

use crate::platform::native::proxies::{Proxies, is_socks};
use crate::platform::native::socks;
use crate::platform::native::transport::Transport;

/// The error of a connection that cannot be made.
pub(super) type ConnectError = Box<dyn std::error::Error + Send + Sync>;

/// A connection in the making.
pub(super) type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, ConnectError>> + Send>>;

/// Connects to a target, or to a proxy on its behalf.
#[derive(Debug, Clone)]
pub(super) struct Route {
    tcp: HttpConnector,
    proxies: Option<Arc<Proxies>>,
    /// For a proxy that is sent requests.
    tls: Arc<ClientConfig>,
    /// For a proxy that opens tunnels: the protocol inside is the target's affair, so none is negotiated.
    tunnel_tls: Arc<ClientConfig>,
}

impl Route {
    /// Creates routes over `tcp` connections and through `proxies`, if any.
    pub(super) fn new(tcp: HttpConnector, tls: Arc<ClientConfig>, proxies: Option<Arc<Proxies>>) -> Self {
        let mut tunnel_tls = ClientConfig::clone(&tls);
        tunnel_tls.alpn_protocols.clear();
        Self { tcp, proxies, tls, tunnel_tls: Arc::new(tunnel_tls) }
    }

    async fn direct(mut self, target: Uri) -> Result<Transport, ConnectError> {
        Ok(Transport::direct(self.tcp.call(target).await?))
    }

    async fn through(self, proxy: Intercept, target: Uri) -> Result<Transport, ConnectError> {
        if is_socks(proxy.uri()) {
            return Ok(Transport::direct(socks::connect(self.tcp, &proxy, &target).await?));
        }
        if target.scheme() != Some(&Scheme::HTTPS) {
            let mut to_proxy = HttpsConnector::from((self.tcp, self.tls));
            return Ok(Transport::to_proxy(to_proxy.call(proxy.uri().clone()).await?));
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), HttpsConnector::from((self.tcp, self.tunnel_tls)));
        if let Some(login) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(login.clone());
        }
        Ok(Transport::tunnel(tunnel.call(target).await?))
    }
}

impl Service<Uri> for Route {
    type Response = Transport;
    type Error = ConnectError;
    type Future = Connecting<Transport>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        // `HttpConnector` and its resolver always are.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let route = self.clone();
        match self.proxies.as_ref().and_then(|proxies| proxies.of(&target)) {
            Some(proxy) => Box::pin(route.through(proxy, target)),
            None => Box::pin(route.direct(target)),
        }
    }
}
