//! A small client for the simulator's own tests.

#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses a part of it; a test may panic")]

use std::time::Duration;

use bytes::Bytes;
use codex_proxy::platform::{ByteStream, HttpClient, TransportError};
use codex_proxy::simulator::{Play, RunningSimulator, SimulatedLogin, Simulator};
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};

/// An answer read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Whether the body ended as it should.
    pub(crate) whole: bool,
    /// The sizes of the pieces it came in.
    pub(crate) pieces: Vec<usize>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// `error.code` of the body.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The events of an SSE body, in order; joins multi-line data.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = self.text.replace("\r\n", "\n");
        let frames = text.split("\n\n").map(|frame| {
            let lines = frame.lines().filter_map(|line| line.strip_prefix("data:"));
            lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
        });
        frames.filter_map(|data| serde_json::from_str(&data).ok()).collect()
    }

    /// The types of the events.
    pub(crate) fn types(&self) -> Vec<String> {
        self.events().iter().map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The items of `response.output_item.done`.
    pub(crate) fn items(&self) -> Vec<Value> {
        let events = self.events().into_iter();
        events.filter(|event| event["type"] == "response.output_item.done").map(|event| event["item"].clone()).collect()
    }
}

pub(crate) fn client() -> HttpClient {
    HttpClient::new(Duration::from_secs(5)).unwrap()
}

/// Sends a request and returns its head and the stream of its body.
pub(crate) async fn open(request: Request<Bytes>) -> Result<http::Response<ByteStream>, TransportError> {
    client().send(request).await
}

/// Sends a request and reads the answer to its end.
pub(crate) async fn send(request: Request<Bytes>) -> Answer {
    send_by(&client(), request).await
}

/// Sends a request by `client` and reads the answer to its end.
pub(crate) async fn send_by(client: &HttpClient, request: Request<Bytes>) -> Answer {
    let response = client.send(request).await.unwrap();
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut pieces, mut whole) = (Vec::new(), Vec::new(), true);
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => {
                pieces.push(piece.len());
                bytes.extend_from_slice(&piece);
            }
            Err(_) => whole = false,
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status: head.status, headers: head.headers, text, whole, pieces }
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

/// A running simulator, somebody's login to it, and a body it accepts.
pub(crate) struct Backend {
    pub(crate) simulator: Simulator,
    pub(crate) running: RunningSimulator,
    pub(crate) login: Value,
    client: HttpClient,
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
        send_by(&self.client, self.request(body)).await
    }

    /// Queues a play, asks, and reads the answer.
    pub(crate) async fn play(&self, play: impl Into<Play>) -> Answer {
        self.simulator.queue(play);
        self.ask(&body("Hello")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send_by(&self.client, self.head("GET", path).body(Bytes::new()).unwrap()).await
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
