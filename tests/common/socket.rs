//! A client of the Responses API over a WebSocket.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::PATIENCE;

/// What a Codex CLI sends with the upgrade, as far as it matters.
pub(crate) const CODEX: &[(&str, &str)] = &[
    ("originator", "codex_exec"),
    ("user-agent", "codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm (codex_exec; 0.169.0)"),
    ("openai-beta", "responses_websockets=2026-02-06"),
    ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
    ("session-id", "01a208e3-41b7-7cf3-ae7d-9d0aa88d9bdb"),
];

/// An open socket.
pub(crate) struct Socket {
    pub(crate) frames: WebSocketStream<TcpStream>,
    /// The headers of the answer to the upgrade.
    pub(crate) headers: HeaderMap,
    /// Pings that came.
    pub(crate) pings: usize,
}

/// A refusal of the upgrade: its status, and the code of its error.
#[derive(Debug, PartialEq)]
pub(crate) struct Refused(pub(crate) u16, pub(crate) String);

impl Socket {
    pub(crate) async fn open(address: SocketAddr, headers: &[(&'static str, &'static str)]) -> Self {
        Self::try_open(address, headers).await.expect("an upgrade")
    }

    pub(crate) async fn try_open(
        address: SocketAddr,
        headers: &[(&'static str, &'static str)],
    ) -> Result<Self, Refused> {
        let mut request =
            format!("ws://localhost:{}/v1/responses", address.port()).into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let connection = TcpStream::connect(address).await.expect("connected");
        match timeout(PATIENCE, client_async(request, connection)).await.expect("in time") {
            Ok((frames, response)) => {
                assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
                Ok(Self { frames, headers: response.headers().clone(), pings: 0 })
            }
            Err(Error::Http(response)) => {
                let body: Value =
                    serde_json::from_slice(response.body().as_deref().unwrap_or_default()).unwrap_or_default();
                let code = body["error"]["code"].as_str().unwrap_or_default().to_owned();
                Err(Refused(response.status().as_u16(), code))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, message: impl Into<Message>) {
        timeout(PATIENCE, self.frames.send(message.into())).await.expect("in time").expect("sent");
    }

    /// Asks for an answer.
    pub(crate) async fn create(&mut self, body: &Value) {
        let mut frame = json!({ "type": "response.create", "model": "gpt-6.1-sol", "store": false });
        frame.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
        self.send(frame.to_string()).await;
    }

    /// The next text; the code of the closing frame where that comes instead, or none where the connection ends.
    pub(crate) async fn text(&mut self) -> Result<String, Option<u16>> {
        loop {
            match timeout(PATIENCE, self.frames.next()).await.expect("in time") {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Ping(_))) => self.pings += 1,
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Value {
        let text = self.text().await.expect("an event");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The events up to the last one of a turn.
    pub(crate) async fn rest(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.event().await;
            let kind = event["type"].as_str().expect("a type");
            let is_last = matches!(kind, "response.completed" | "response.incomplete" | "response.failed")
                || (kind == "error" && event.get("status").is_some());
            events.push(event);
            if is_last {
                return events;
            }
        }
    }

    /// Asks and reads the whole turn.
    pub(crate) async fn turn(&mut self, body: &Value) -> Vec<Value> {
        self.create(body).await;
        self.rest().await
    }

    /// Asks, and returns the one frame that refuses.
    pub(crate) async fn refused(&mut self, body: &Value) -> Value {
        let mut events = self.turn(body).await;
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// The code that the proxy closes with.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        match self.text().await {
            Ok(text) => panic!("not closed: {text}"),
            Err(code) => code,
        }
    }
}

/// The types of events.
pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().expect("a type")).collect()
}

/// The id of the answer in the last of the events.
pub(crate) fn id(events: &[Value]) -> String {
    let last = events.last().expect("events");
    assert_eq!(last["type"], "response.completed", "{last}");
    last["response"]["id"].as_str().expect("an id").to_owned()
}

/// A user's message.
pub(crate) fn said(text: &str) -> Value {
    json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }] })
}
