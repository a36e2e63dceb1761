//! The proxy in this process, whose connections have times of the test's own.

use std::ops::Deref;
use std::time::Duration;

use codex_proxy::credentials::AuthDocument;
use codex_proxy::platform::TransportSettings;
use codex_proxy::upstream::Upstream;

use super::backend::Backend;
use crate::common::app::{Served, Setup};
use crate::common::client::Client;

/// A running proxy and a client of it.
pub(crate) struct Proxy {
    /// Its client of the backend.
    pub(crate) upstream: Upstream,
    client: Client,
    _served: Served,
}

impl Deref for Proxy {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Times that a loaded machine can keep, trusting `backend`.
pub(crate) fn quick(backend: &Backend) -> TransportSettings {
    TransportSettings {
        ping_interval: Duration::from_millis(500),
        ping_timeout: Duration::from_millis(1500),
        authorities: vec![backend.authority.clone()],
        ..TransportSettings::default()
    }
}

/// The product's own times, trusting `backend`: hundreds of calls in one process answer no PING at once.
pub(crate) fn patient(backend: &Backend) -> TransportSettings {
    TransportSettings { authorities: vec![backend.authority.clone()], ..TransportSettings::default() }
}

impl Proxy {
    /// A proxy before the backend at `url`.
    pub(crate) async fn start(url: &str, transport: TransportSettings) -> Self {
        Self::with(url, transport, Some(AuthDocument::from_access_token("token", Some("account")))).await
    }

    /// A proxy before the backend at `url` that has no login.
    pub(crate) async fn without_login(url: &str, transport: TransportSettings) -> Self {
        Self::with(url, transport, None).await
    }

    async fn with(url: &str, transport: TransportSettings, document: Option<AuthDocument>) -> Self {
        let app = Setup { upstream_url: Some(url.to_owned()), document, transport, ..Setup::default() }.app();
        let upstream = app.upstream.clone();
        let served = Served::start(app).await;
        Self { upstream, client: Client::new(served.base()), _served: served }
    }
}
