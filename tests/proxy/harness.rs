//! One proxy, one simulated backend, one client, all in this process and on loopback.

use std::ops::Deref;
use std::sync::Arc;

use codex_proxy::credentials::document::AuthDocument;
use codex_proxy::server::App;
use codex_proxy::simulator::{Play, RunningSimulator, SimulatedCatalogue, SimulatedLogin, Simulator};
use codex_proxy::upstream::UpstreamTransport;
use http::StatusCode;
use serde_json::{Value, json};

use crate::common::answer::Answer;
use crate::common::app::Served;
pub(crate) use crate::common::app::Setup;
use crate::common::client::Client;

pub(crate) struct Proxy {
    pub(crate) simulator: Simulator,
    pub(crate) app: Arc<App>,
    /// Where the proxy finds the backend.
    pub(crate) upstream_url: String,
    client: Client,
    served: Served,
    _running: RunningSimulator,
}

impl Deref for Proxy {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// One whose backend and login are the simulator's, where `setup` names no others.
    pub(crate) async fn with(setup: Setup) -> Self {
        let simulator = Simulator::new();
        if setup.way == UpstreamTransport::WebSocket {
            simulator.offer_sockets();
        }
        let running = simulator.start().await.unwrap();
        let issue = || AuthDocument::parse(&simulator.issue_login(SimulatedLogin::default()).to_string()).unwrap();
        let document = setup.document.or_else(|| setup.login.then(issue));
        let upstream_url = setup.upstream_url.unwrap_or_else(|| running.upstream_url());
        let auth_url = setup.auth_url.unwrap_or_else(|| running.auth_url());
        let setup = Setup { document, upstream_url: Some(upstream_url.clone()), auth_url: Some(auth_url), ..setup };
        let grace = setup.grace;
        let served = Served::with_grace(setup.app(), grace).await;
        let (app, client) = (served.app.clone(), Client::new(served.base()));
        Self { simulator, app, upstream_url, client, served, _running: running }
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

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.served.address
    }

    /// Asks the proxy to end; answers under way are cut off after the grace time, which is none unless the setup has one.
    pub(crate) fn stop(&self) {
        self.served.stop();
    }

    /// The simulator's next answer.
    pub(crate) fn next(&self, play: impl Into<Play>) -> &Self {
        self.simulator.queue(play);
        self
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

/// An image of one pixel.
pub(crate) const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
