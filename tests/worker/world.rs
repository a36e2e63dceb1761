//! One Worker, one simulated backend and issuer, one client.

use std::time::Duration;

use codex_proxy::platform::unix_now;
use codex_proxy::simulator::{Play, RunningSimulator, SimulatedLogin, Simulator};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::edge::Edge;
use crate::common::answer::Answer;

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) edge: Edge,
    pub(crate) http: reqwest::Client,
    _running: RunningSimulator,
}

/// Longer than anything takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Opens `/v1`.
pub(crate) const KEY: &str = "key-of-the-api";
/// Opens `/admin`.
pub(crate) const ADMIN_KEY: &str = "key-of-the-admin";
/// Where a request goes that says nothing else.
pub(crate) const HERE: &str = "here";

impl World {
    /// A Worker with a login that has long to live. `None` where it cannot run.
    pub(crate) async fn start() -> Option<Self> {
        let world = Self::with(&[HERE], json!({})).await?;
        world.sign_in(SimulatedLogin::default()).await;
        Some(world)
    }

    /// A Worker without a login, in these places, with `bindings` beside the usual ones; a null takes one away.
    pub(crate) async fn with(places: &[&str], bindings: Value) -> Option<Self> {
        let simulator = Simulator::new();
        let running = simulator.start().await.unwrap();
        let mut all = json!({
            "CODEX_UPSTREAM_URL": running.upstream_url(),
            "CODEX_AUTH_URL": running.auth_url(),
            "API_KEY": format!("{KEY}, another"),
            "ADMIN_API_KEY": ADMIN_KEY,
        });
        for (name, value) in bindings.as_object().unwrap() {
            all[name] = value.clone();
        }
        all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let edge = Edge::start(places, &all)?;
        // workerd hangs up after refusing a request whose body it has not read.
        let http = reqwest::Client::builder().timeout(PATIENCE).pool_max_idle_per_host(0).build().unwrap();
        Some(Self { simulator, edge, http, _running: running })
    }

    /// Signs somebody in at the issuer and hands the login to the Worker, as an operator does.
    pub(crate) async fn sign_in(&self, login: SimulatedLogin) -> Value {
        self.sign_in_at(HERE, login).await
    }

    pub(crate) async fn sign_in_at(&self, place: &str, login: SimulatedLogin) -> Value {
        let lifetime = login.first_access_lifetime.unwrap_or(login.access_lifetime);
        let document = self.simulator.issue_login(login);
        let body = json!({
            "accessToken": document["tokens"]["access_token"],
            "refreshToken": document["tokens"]["refresh_token"],
            "expiresAt": (i64::try_from(unix_now().as_secs()).unwrap() + lifetime) * 1000,
        });
        let answer = self.request("POST", place, "/admin/credentials", ADMIN_KEY).body(body.to_string());
        let answer = Answer::read(answer.send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["status"], "success");
        document
    }

    /// What the admin API says of the login.
    pub(crate) async fn status(&self, place: &str) -> Value {
        let answer = self.request("GET", place, "/admin/credentials/status", ADMIN_KEY).send().await.unwrap();
        let answer = Answer::read(answer).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// A request to an isolate, with a key.
    pub(crate) fn request(&self, method: &str, place: &str, path: &str, key: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        self.http
            .request(method, format!("{}{path}", self.edge.url))
            .header("host", format!("{place}.test"))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {key}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::read(self.request("GET", HERE, path, KEY).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_at(HERE, path, body).await
    }

    pub(crate) async fn post_at(&self, place: &str, path: &str, body: &Value) -> Answer {
        Answer::read(self.begin(place, path, body).await).await
    }

    /// Sends a request and returns when the head of the answer is there.
    pub(crate) async fn begin(&self, place: &str, path: &str, body: &Value) -> reqwest::Response {
        self.request("POST", place, path, KEY).body(body.to_string()).send().await.unwrap()
    }

    /// Sends a request without waiting for its answer.
    pub(crate) async fn hasty(&self, path: &str, body: &Value) -> Hasty {
        let mut socket = TcpStream::connect(self.edge.url.trim_start_matches("http://")).await.unwrap();
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {HERE}.test\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all((head + &body).as_bytes()).await.unwrap();
        Hasty(socket)
    }

    /// A short chat.
    pub(crate) async fn chat(&self) -> Answer {
        self.chat_at(HERE).await
    }

    pub(crate) async fn chat_at(&self, place: &str) -> Answer {
        self.post_at(place, CHAT, &user("hi")).await
    }

    /// The simulator's next answer.
    pub(crate) fn next(&self, play: impl Into<Play>) -> &Self {
        self.simulator.queue(play);
        self
    }
}

/// A client that will not stay.
pub(crate) struct Hasty(TcpStream);

impl Hasty {
    /// Leaves. A connection that is only closed may still be written to, and until it is, nobody knows that nobody reads.
    pub(crate) fn vanish(self) {
        self.0.set_zero_linger().unwrap();
    }
}

pub(crate) const CHAT: &str = "/v1/chat/completions";

pub(crate) fn user(text: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": text }] })
}

pub(crate) fn streaming(text: &str) -> Value {
    let mut body = user(text);
    body["stream"] = true.into();
    body
}

/// A function tool in chat's form.
pub(crate) fn tool(name: &str) -> Value {
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    json!({ "type": "function", "function": { "name": name, "description": "d", "parameters": parameters } })
}
