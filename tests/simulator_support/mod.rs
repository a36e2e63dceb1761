//! A small client for the simulator's own tests.

#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses a part of it; a test may panic")]

use std::time::Duration;

use bytes::Bytes;
use codex_proxy::platform::{ByteStream, HttpClient, TransportError};
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;

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
    let response = open(request).await.unwrap();
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
