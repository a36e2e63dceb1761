//! One proxy, one simulated backend, one client, all in this process and on loopback.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codex_proxy::credentials::TokenSupplier;
use codex_proxy::credentials::document::AuthDocument;
use codex_proxy::credentials::store::memory::MemoryStore;
use codex_proxy::models::Models;
use codex_proxy::oauth;
use codex_proxy::platform::HttpClient;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::server::{App, listen, router};
use codex_proxy::simulator::{Play, RunningSimulator, SimulatedCatalogue, SimulatedLogin, Simulator};
use codex_proxy::upstream;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::client::Answer;

pub(crate) struct Proxy {
    pub(crate) simulator: Simulator,
    pub(crate) app: Arc<App>,
    pub(crate) base: String,
    /// Where the proxy finds the backend.
    pub(crate) upstream_url: String,
    pub(crate) http: reqwest::Client,
    _running: RunningSimulator,
    /// Gone once the proxy is to end; it also ends with its owner.
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

/// What a test may want different.
pub(crate) struct Setup {
    pub(crate) settings: ServerSettings,
    pub(crate) models: Models,
    pub(crate) idle_timeout: Duration,
    pub(crate) routing: upstream::Routing,
    /// Another backend than the simulator.
    pub(crate) upstream_url: Option<String>,
    pub(crate) client_version: &'static str,
    /// Whether there is a login.
    pub(crate) login: bool,
    /// The login, where it is another than the simulator's.
    pub(crate) document: Option<AuthDocument>,
    /// Where the list of models is kept between two runs.
    pub(crate) cache_directory: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: ServerSettings::default(),
            models: Models::default(),
            idle_timeout: upstream::UpstreamSettings::IDLE_TIMEOUT,
            routing: upstream::Routing::default(),
            upstream_url: None,
            client_version: "0.160.0",
            login: true,
            document: None,
            cache_directory: None,
        }
    }
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let simulator = Simulator::new();
        let running = simulator.start().await.unwrap();
        let client = HttpClient::new(Duration::from_secs(10)).unwrap();
        let issue = || AuthDocument::parse(&simulator.issue_login(SimulatedLogin::default()).to_string()).unwrap();
        let store = MemoryStore::new(setup.document.or_else(|| setup.login.then(issue)));
        let issuer = oauth::Client::new(client.clone(), &running.auth_url(), "codex-proxy", "codex-proxy/test");
        let supplier = TokenSupplier::new(Arc::new(store), issuer);
        let upstream_url = setup.upstream_url.unwrap_or_else(|| running.upstream_url());
        let backend = upstream::UpstreamSettings {
            base_url: upstream_url.clone(),
            originator: "codex-proxy".to_owned(),
            client_version: setup.client_version.to_owned(),
            user_agent: upstream::UpstreamSettings::user_agent(),
            idle_timeout: setup.idle_timeout,
            routing: setup.routing,
        };
        let mut app = App::new(setup.settings, setup.models, supplier, backend, client).unwrap();
        if let Some(directory) = setup.cache_directory {
            app = app.with_catalogue_cache(Box::new(codex_proxy::catalogue::CatalogueFile::new(&directory)));
        }
        let app = Arc::new(app);
        let listeners = listen::bind("127.0.0.1", 0, false).await.unwrap();
        let base = format!("http://{}", listeners[0].local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let (cut_off, capacity) = (app.cut_off.clone(), app.capacity.clone());
        tokio::spawn(listen::run(listeners, router(app.clone()), shutdown, Duration::ZERO, cut_off, capacity));
        Self {
            simulator,
            app,
            base,
            upstream_url,
            http: reqwest::Client::new(),
            _running: running,
            stop: Mutex::new(Some(stop)),
        }
    }

    /// In front of a backend that has not retired any model yet.
    pub(crate) async fn before_retirements() -> Self {
        let proxy = Self::start().await;
        proxy.simulator.configure(|settings| settings.catalogue = SimulatedCatalogue::with_retired());
        proxy
    }

    /// Fetches the account's models as a starting daemon does, and waits for it.
    pub(crate) async fn begin(&self) {
        self.app.catalogue.start();
        self.app.catalogue.settle().await;
    }

    /// Asks the proxy to end; answers under way are cut off at once.
    pub(crate) fn stop(&self) {
        self.stop.lock().unwrap().take();
    }

    /// The simulator's next answer.
    pub(crate) fn next(&self, play: impl Into<Play>) -> &Self {
        self.simulator.queue(play);
        self
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.http.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        Answer::read(request.body(body.to_string()).send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::read(self.http.get(format!("{}{path}", self.base)).send().await.unwrap()).await
    }

    pub(crate) async fn chat(&self, body: &Value) -> Answer {
        self.post("/v1/chat/completions", body).await
    }

    /// Asks `body` buffered and streamed; the same play is queued for each.
    pub(crate) async fn both(&self, play: impl Into<Play>, body: &Value) -> [Answer; 2] {
        let play = play.into();
        let mut answers = Vec::new();
        for stream in [false, true] {
            let mut body = body.clone();
            body["stream"] = stream.into();
            body["stream_options"] = json!({ "include_usage": true });
            self.next(play.clone());
            answers.push(self.chat(&body).await);
            assert_eq!(self.simulator.queued(), 0, "the backend was asked");
        }
        answers.try_into().unwrap_or_else(|_| panic!("two answers"))
    }

    /// The same for the Responses API.
    pub(crate) async fn both_responses(&self, play: impl Into<Play>, body: &Value) -> [Answer; 2] {
        let play = play.into();
        let mut answers = Vec::new();
        for stream in [false, true] {
            let mut body = body.clone();
            body["stream"] = stream.into();
            self.next(play.clone());
            answers.push(self.post("/v1/responses", &body).await);
        }
        answers.try_into().unwrap_or_else(|_| panic!("two answers"))
    }

    /// The body that the backend got for `body`, which it must have accepted.
    pub(crate) async fn sent(&self, body: &Value) -> Value {
        self.simulator.forget_requests();
        let answer = self.chat(body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        self.last_sent()
    }

    pub(crate) fn last_sent(&self) -> Value {
        self.simulator.requests_to("/responses").last().unwrap().json()
    }

    pub(crate) fn calls(&self) -> usize {
        self.simulator.requests_to("/responses").len()
    }
}

pub(crate) fn user(text: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": text }] })
}

/// A function tool in chat's form.
pub(crate) fn tool(name: &str) -> Value {
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    json!({ "type": "function", "function": { "name": name, "description": "d", "parameters": parameters } })
}
