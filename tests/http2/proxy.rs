//! The proxy in this process, whose connections have times of the test's own.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use codex_proxy::credentials::store::memory::MemoryStore;
use codex_proxy::credentials::{AuthDocument, TokenSupplier};
use codex_proxy::models::Models;
use codex_proxy::oauth;
use codex_proxy::platform::{HttpClient, TransportSettings};
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::server::{App, listen, router};
use codex_proxy::upstream;
use tokio::task::JoinHandle;

use crate::backend::Backend;
use crate::client::Client;

/// A running proxy; ends with its owner.
pub(crate) struct Proxy {
    client: Client,
    run: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.run.abort();
    }
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
        let client = HttpClient::with_settings(transport).expect("a client");
        let oauth = oauth::Client::new(client.clone(), "http://127.0.0.1:9", "codex-proxy", "codex-proxy/test");
        let login = AuthDocument::from_access_token("token", Some("account"));
        let supplier = TokenSupplier::new(Arc::new(MemoryStore::new(Some(login))), oauth);
        let upstream = upstream::UpstreamSettings {
            base_url: url.to_owned(),
            originator: "codex-proxy".to_owned(),
            client_version: "0.169.0".to_owned(),
            user_agent: upstream::UpstreamSettings::user_agent(),
            idle_timeout: upstream::UpstreamSettings::IDLE_TIMEOUT,
            routing: upstream::Routing::default(),
        };
        let app = App::new(ServerSettings::default(), Models::default(), supplier, upstream, client).expect("an app");
        let app = Arc::new(app);
        let listeners = listen::bind("127.0.0.1", 0, false).await.expect("a listener");
        let base = format!("http://{}", listeners[0].local_addr().expect("bound"));
        let (cut_off, capacity) = (app.cut_off.clone(), app.capacity.clone());
        let run = listen::run(listeners, router(app), std::future::pending(), Duration::ZERO, cut_off, capacity);
        Self { client: Client::new(base), run: tokio::spawn(run) }
    }
}
