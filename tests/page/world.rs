//! One proxy in front of a simulated backend, and one browser.

use std::sync::Arc;

use codex_proxy::credentials::AuthDocument;
use codex_proxy::ledger::LedgerPlace;
use codex_proxy::ledger::summary::LedgerReader;
use codex_proxy::page::view::{GuideText, Guides, ToolGuide};
use codex_proxy::server::guard::Guard;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::server::{App, GuideMaker};
use codex_proxy::simulator::{RunningSimulator, SimulatedLogin, Simulator};
use tempfile::TempDir;

use crate::browser::{Browser, Tab};
use crate::common::PATIENCE;
use crate::common::app::{Served, Setup};
use crate::common::client::Client;

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) client: Client,
    pub(crate) browser: Browser,
    served: Served,
    _running: RunningSimulator,
    _directory: TempDir,
}

/// The key of a proxy that has one.
pub(crate) const KEY: &str = "key-canary";

impl World {
    /// A proxy that anybody may use. `None` where there is no browser.
    pub(crate) async fn open() -> Option<Self> {
        Self::with(Guard::default()).await
    }

    /// A proxy with a key.
    pub(crate) async fn keyed() -> Option<Self> {
        Self::with(Guard { api_keys: Keys::new([KEY]), ..Guard::default() }).await
    }

    async fn with(guard: Guard) -> Option<Self> {
        let browser = Browser::start().await?;
        let simulator = Simulator::new();
        let running = simulator.start().await.expect("a simulator");
        let login = AuthDocument::parse(&simulator.issue_login(SimulatedLogin::default()).to_string());
        let directory = tempfile::tempdir().expect("a directory");
        let setup = Setup {
            settings: ServerSettings { guard, ..ServerSettings::default() },
            upstream_url: Some(running.upstream_url()),
            auth_url: Some(running.auth_url()),
            document: Some(login.expect("a login")),
            ledger: Some(LedgerPlace::File(directory.path().join("ledger.sqlite3"))),
            ..Setup::default()
        };
        let served = Served::start(setup.app().with_guides(GuideMaker::new(|_| guides()))).await;
        let client = Client::new(served.base());
        Some(Self { simulator, client, browser, served, _running: running, _directory: directory })
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.served.app
    }

    /// Stops the proxy.
    pub(crate) fn stop(&self) {
        self.served.stop();
    }

    /// The address of the page, by the name that people type.
    pub(crate) fn url(&self) -> String {
        format!("http://localhost:{}/", self.served.address.port())
    }

    /// A tab that shows the page.
    pub(crate) async fn page(&self) -> Tab {
        let tab = self.browser.tab().await;
        tab.open(&self.url()).await;
        tab
    }

    /// The ledger, with every request that was answered so far.
    pub(crate) fn ledger(&self) -> LedgerReader {
        let ledger = self.app().ledger.as_ref().expect("a ledger");
        ledger.flush(PATIENCE);
        LedgerReader::open(ledger.place()).expect("readable").expect("a ledger")
    }
}

/// One tool, whose settings have letters that HTML knows.
fn guides() -> Guides {
    let text = |text: &str| GuideText { place: "In a shell".to_owned(), text: text.to_owned() };
    Guides {
        base_url: "http://localhost:9879/v1".to_owned(),
        root: "http://localhost:9879".to_owned(),
        any_key: Some("any"),
        tools: vec![ToolGuide {
            name: "tool",
            title: "A tool",
            commands: vec![text("codex-proxy run tool")],
            settings: vec![text(SETTINGS)],
            then: "Start it.".to_owned(),
        }],
    }
}

/// What stands in the settings of the tool.
pub(crate) const SETTINGS: &str = "export A=\"<b>&amp;</b>\"\nexport B='x'";
