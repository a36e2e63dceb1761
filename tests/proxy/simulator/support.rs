//! A small client for the simulator's own tests.

use bytes::Bytes;
use codex_proxy::simulator::{Play, RunningSimulator, SimulatedLogin, Simulator};
use http::Request;
use serde_json::{Value, json};

pub(crate) use crate::common::answer::Answer;
use crate::common::client::Client;

/// Sends a request and returns its head and the stream of its body.
pub(crate) async fn open(request: Request<Bytes>) -> Result<reqwest::Response, reqwest::Error> {
    client().execute(request.try_into().unwrap()).await
}

/// Sends a request and reads the answer to its end.
pub(crate) async fn send(request: Request<Bytes>) -> Answer {
    Answer::read_any(open(request).await.unwrap()).await
}

pub(crate) async fn get(url: &str) -> Answer {
    send(Request::get(url).body(Bytes::new()).unwrap()).await
}

pub(crate) async fn post_json(url: &str, body: &Value) -> Answer {
    let request = Request::post(url).header("content-type", "application/json");
    send(request.body(body.to_string().into()).unwrap()).await
}

pub(crate) async fn post_form(url: &str, fields: &[(&str, &str)]) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = Request::post(url).header("content-type", "application/x-www-form-urlencoded");
    send(request.body(body.into()).unwrap()).await
}

fn client() -> reqwest::Client {
    Client::new(String::new()).http
}

/// A running simulator, somebody's login to it, and a body it accepts.
pub(crate) struct Backend {
    pub(crate) simulator: Simulator,
    pub(crate) running: RunningSimulator,
    pub(crate) login: Value,
    client: reqwest::Client,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        let simulator = Simulator::new();
        let running = simulator.start().await.unwrap();
        let login = simulator.issue_login(SimulatedLogin::default());
        Self { simulator, running, login, client: client() }
    }

    /// The head of a request with the login's headers.
    pub(crate) fn head(&self, method: &str, path: &str) -> http::request::Builder {
        let url = format!("{}{path}", self.running.base_url());
        let token = self.login["tokens"]["access_token"].as_str().unwrap();
        let account = self.login["tokens"]["account_id"].as_str().unwrap();
        let head = Request::builder().method(method).uri(url).header("authorization", format!("Bearer {token}"));
        head.header("chatgpt-account-id", account)
    }

    /// A request for an answer.
    pub(crate) fn request(&self, body: &Value) -> Request<Bytes> {
        let head = self.head("POST", "/backend-api/codex/responses").header("content-type", "application/json");
        head.body(body.to_string().into()).unwrap()
    }

    /// Asks for an answer and reads it.
    pub(crate) async fn ask(&self, body: &Value) -> Answer {
        self.read(self.request(body)).await
    }

    /// Queues a play, asks, and reads the answer.
    pub(crate) async fn play(&self, play: impl Into<Play>) -> Answer {
        self.simulator.queue(play);
        self.ask(&body("Hello")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.read(self.head("GET", path).body(Bytes::new()).unwrap()).await
    }

    async fn read(&self, request: Request<Bytes>) -> Answer {
        Answer::read_any(self.client.execute(request.try_into().unwrap()).await.unwrap()).await
    }
}

/// A user's message.
pub(crate) fn user(text: &str) -> Value {
    json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }] })
}

/// A body the backend accepts, in which the user says `text`.
pub(crate) fn body(text: &str) -> Value {
    json!({
        "model": "gpt-6.1-sol",
        "instructions": "",
        "input": [user(text)],
        "store": false,
        "stream": true,
        "include": ["reasoning.encrypted_content"],
    })
}

/// A flat function tool with one required text.
pub(crate) fn function(name: &str, property: &str) -> Value {
    let parameters =
        json!({ "type": "object", "properties": { property: { "type": "string" } }, "required": [property] });
    json!({ "type": "function", "name": name, "description": "", "strict": false, "parameters": parameters })
}
