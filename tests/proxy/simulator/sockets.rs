//! The WebSocket of the simulated backend.

use std::time::Duration;

use codex_proxy::simulator::{Scenario, SocketAct, SocketFault};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::support::{Backend, body, function, user};

const BETA: (&str, &str) = ("openai-beta", "responses_websockets=2026-02-06");

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// The status of the refusal, where there is one.
    async fn open(
        backend: &Backend,
        token: Option<&str>,
        beta: Option<(&'static str, &'static str)>,
    ) -> Result<Self, u16> {
        let address = backend.running.base_url().replace("http://", "");
        let mut request = format!("ws://{address}/backend-api/codex/responses").into_client_request().unwrap();
        let tokens = &backend.login["tokens"];
        let token = token.unwrap_or(tokens["access_token"].as_str().unwrap());
        let headers = request.headers_mut();
        headers.insert("authorization", HeaderValue::try_from(format!("Bearer {token}")).unwrap());
        headers.insert("chatgpt-account-id", HeaderValue::try_from(tokens["account_id"].as_str().unwrap()).unwrap());
        if let Some((name, value)) = beta {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let answered = client_async(request, TcpStream::connect(address).await.unwrap()).await;
        if let Err(Error::Http(response)) = &answered {
            return Err(response.status().as_u16());
        }
        let (socket, response) = answered.unwrap();
        assert!(response.headers().contains_key("x-codex-primary-used-percent"));
        assert_eq!(response.headers()["x-codex-turn-state"], "simulated");
        Ok(Self(socket))
    }

    async fn create(&mut self, body: &Value) {
        let mut frame = body.clone();
        frame["type"] = "response.create".into();
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The events up to the last one, or the code of a close.
    async fn events(&mut self) -> Result<Vec<Value>, Option<u16>> {
        let mut events = Vec::new();
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => {
                    let event: Value = serde_json::from_str(&text).unwrap();
                    events.push(event.clone());
                    if ["response.completed", "response.failed", "error"].contains(&event["type"].as_str().unwrap()) {
                        return Ok(events);
                    }
                }
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    async fn turn(&mut self, body: &Value) -> Vec<Value> {
        self.create(body).await;
        self.events().await.unwrap()
    }
}

#[tokio::test]
async fn an_upgrade_needs_token_and_beta_header() {
    let backend = Backend::start().await;
    assert_eq!(Socket::open(&backend, None, Some(BETA)).await.err(), Some(426));
    backend.simulator.offer_sockets();
    assert_eq!(Socket::open(&backend, Some("none"), Some(BETA)).await.err(), Some(401));
    assert_eq!(Socket::open(&backend, None, None).await.err(), Some(400));
    assert_eq!(Socket::open(&backend, None, Some(("openai-beta", "other"))).await.err(), Some(400));
    assert!(Socket::open(&backend, None, Some(BETA)).await.is_ok());
}

#[tokio::test]
async fn the_answer_before_is_the_latest_of_the_same_connection() {
    let backend = Backend::start().await;
    backend.simulator.offer_sockets();
    let mut socket = Socket::open(&backend, None, Some(BETA)).await.unwrap_or_else(|status| panic!("{status}"));
    let mut first = body("use f");
    first["tools"] = json!([function("f", "city")]);
    let events = socket.turn(&first).await;
    let id = events.last().unwrap()["response"]["id"].clone();
    let call =
        events.iter().find(|event| event["type"] == "response.output_item.done").unwrap()["item"]["call_id"].clone();
    let mut next = first.clone();
    next["previous_response_id"] = id.clone();
    next["input"] = json!([{ "type": "function_call_output", "call_id": call, "output": "1" }]);
    let events = socket.turn(&next).await;
    assert!(events.last().unwrap()["type"] == "response.completed", "{events:?}");
    // It is no longer the latest, and no other connection knows it.
    let mut other = Socket::open(&backend, None, Some(BETA)).await.unwrap_or_else(|status| panic!("{status}"));
    for socket in [&mut socket, &mut other] {
        let refused = socket.turn(&next).await;
        assert_eq!(refused[0]["error"]["code"], "previous_response_not_found", "{refused:?}");
        assert_eq!(refused[0]["status"], 400);
    }
    // A lone output is refused as over HTTP.
    let mut lone = first.clone();
    lone["input"] = next["input"].clone();
    assert_eq!(other.turn(&lone).await[0]["status"], 400);
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_one_is_in_flight() {
    let backend = Backend::start().await;
    backend.simulator.offer_sockets();
    let mut socket = Socket::open(&backend, None, Some(BETA)).await.unwrap_or_else(|status| panic!("{status}"));
    for (frame, message) in [
        ("{}", "Unknown type of a request."),
        ("no JSON", "JSON decode error"),
        (r#"{"type":"response.create","model":"gpt-6.1-sol"}"#, ""),
    ] {
        socket.0.send(Message::text(frame)).await.unwrap();
        let refused = socket.events().await.unwrap();
        assert_eq!(refused[0]["status"], 400, "{frame}");
        assert!(refused[0]["error"]["message"].as_str().unwrap_or_default().starts_with(message), "{refused:?}");
    }
    backend.simulator.queue(Scenario::Paced(1000, Duration::from_millis(5)));
    socket.create(&body("hi")).await;
    socket.create(&body("hi")).await;
    assert_eq!(socket.events().await.err(), Some(Some(1008)));
    assert_eq!(backend.simulator.counters().overlaps, 1);
}

#[tokio::test]
async fn faults_and_the_age_of_a_connection() {
    let backend = Backend::start().await;
    backend.simulator.offer_sockets();
    let open = || async { Socket::open(&backend, None, Some(BETA)).await.unwrap_or_else(|status| panic!("{status}")) };
    let mut socket = open().await;
    backend.simulator.queue(Scenario::Http(codex_proxy::simulator::HttpFault::UsageLimit(60)));
    let spent = socket.turn(&body("hi")).await.remove(0);
    assert_eq!((&spent["status"], &spent["error"]["type"]), (&json!(429), &json!("usage_limit_reached")));
    assert_eq!(spent["headers"]["x-codex-primary-used-percent"], "100");
    for (fault, code) in [
        (SocketFault::Instead(SocketAct::Close(1011)), Some(1011)),
        (SocketFault::Within(SocketAct::Close(1011)), Some(1011)),
        (SocketFault::Instead(SocketAct::Cut), None),
        (SocketFault::Within(SocketAct::Cut), None),
    ] {
        let mut socket = open().await;
        backend.simulator.queue_socket_fault(fault.clone());
        socket.create(&body("hi")).await;
        assert_eq!(socket.events().await.err(), Some(code), "{fault:?}");
    }
    backend.simulator.configure(|settings| settings.sockets.lifetime = Duration::ZERO);
    let old = open().await.turn(&json!({ "input": [user("hi")] })).await.remove(0);
    assert_eq!(old["error"]["code"], "websocket_connection_limit_reached");
}
