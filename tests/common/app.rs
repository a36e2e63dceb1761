//! A proxy in this process, on a port of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codex_proxy::catalogue::CatalogueFile;
use codex_proxy::credentials::store::memory::MemoryStore;
use codex_proxy::credentials::{AuthDocument, TokenSupplier};
use codex_proxy::ledger::{Ledger, LedgerPlace};
use codex_proxy::models::Models;
use codex_proxy::oauth;
use codex_proxy::platform::{Cores, HttpClient, TransportSettings};
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::server::{App, listen, router};
use codex_proxy::upstream;
use tokio::sync::oneshot;

/// Where nobody answers.
const NOWHERE: &str = "http://127.0.0.1:9";

/// What a test may want different.
pub(crate) struct Setup {
    pub(crate) settings: ServerSettings,
    pub(crate) models: Models,
    pub(crate) idle_timeout: Duration,
    pub(crate) routing: upstream::Routing,
    /// The way of calls to the backend.
    pub(crate) way: upstream::UpstreamTransport,
    /// The backend; one that nobody can reach where a test names none and has no simulator.
    pub(crate) upstream_url: Option<String>,
    /// The issuer, likewise.
    pub(crate) auth_url: Option<String>,
    pub(crate) client_version: &'static str,
    /// The login.
    pub(crate) document: Option<AuthDocument>,
    /// Whether a simulator's login is used where there is no other.
    pub(crate) login: bool,
    /// Where the list of models is kept between two runs.
    pub(crate) cache_directory: Option<PathBuf>,
    /// Where requests are recorded.
    pub(crate) ledger: Option<LedgerPlace>,
    pub(crate) transport: TransportSettings,
    /// The time that answers under way have after a stop.
    pub(crate) grace: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: ServerSettings::default(),
            models: Models::default(),
            idle_timeout: upstream::UpstreamSettings::IDLE_TIMEOUT,
            routing: upstream::Routing::default(),
            way: upstream::UpstreamTransport::Http,
            upstream_url: None,
            auth_url: None,
            client_version: "0.160.0",
            document: None,
            login: true,
            cache_directory: None,
            ledger: None,
            transport: TransportSettings::default(),
            grace: Duration::ZERO,
        }
    }
}

impl Setup {
    pub(crate) fn app(self) -> App {
        let client = HttpClient::with_settings(self.transport).expect("a client");
        let nowhere = || NOWHERE.to_owned();
        let auth_url = self.auth_url.unwrap_or_else(nowhere);
        let issuer = oauth::Client::new(client.clone(), &auth_url, "codex-proxy", "codex-proxy/test");
        let supplier = TokenSupplier::new(Arc::new(MemoryStore::new(self.document)), issuer);
        let upstream = upstream::UpstreamSettings {
            base_url: self.upstream_url.unwrap_or_else(nowhere),
            originator: "codex-proxy".to_owned(),
            client_version: self.client_version.to_owned(),
            user_agent: upstream::UpstreamSettings::user_agent(),
            idle_timeout: self.idle_timeout,
            routing: self.routing,
            transport: self.way,
        };
        let app = App::new(self.settings, self.models, supplier, upstream, client).expect("an app");
        let app = match self.ledger {
            Some(place) => {
                let ledger = Ledger::start(place, 90, app.limits().clone()).expect("a thread");
                app.with_ledger(ledger)
            }
            None => app,
        };
        match self.cache_directory {
            Some(directory) => app.with_catalogue_cache(Box::new(CatalogueFile::new(&directory))),
            None => app,
        }
    }
}

/// An app that is served; ends with its owner, and cuts off the answers under way.
pub(crate) struct Served {
    pub(crate) app: Arc<App>,
    pub(crate) address: SocketAddr,
    /// Gone once the proxy is to end.
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl Served {
    pub(crate) async fn start(app: App) -> Self {
        Self::with_grace(app, Duration::ZERO).await
    }

    /// One whose answers under way have `grace` to end after a stop.
    pub(crate) async fn with_grace(app: App, grace: Duration) -> Self {
        let app = Arc::new(app);
        let listeners = listen::bind("127.0.0.1", 0, false).await.expect("a listener");
        let address = listeners[0].local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let (cut_off, capacity) = (app.cut_off.clone(), app.capacity.clone());
        let router = router(app.clone());
        tokio::spawn(async move {
            // The one thread on which a test may pause the time.
            let cores = Cores::single();
            listen::run(listeners, router, &cores, shutdown, grace, cut_off, capacity).await;
        });
        Self { app, address, stop: Mutex::new(Some(stop)) }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks the proxy to end; answers under way are cut off at once.
    pub(crate) fn stop(&self) {
        self.stop.lock().unwrap().take();
    }
}
