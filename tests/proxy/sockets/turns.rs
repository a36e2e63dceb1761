//! Several turns on one socket, each of them a request.

use std::time::Duration;

use codex_proxy::simulator::{Scenario, Stage};
use serde_json::{Value, json};

use crate::common::PATIENCE;
use crate::common::socket::{CODEX, id, said, types};
use crate::harness::Proxy;

const FOR_EVER: Duration = Duration::from_secs(600);

fn tools() -> Value {
    let parameters = json!({ "type": "object", "properties": { "cmd": { "type": "string" } }, "required": ["cmd"] });
    json!([{ "type": "function", "name": "exec_command", "strict": false, "parameters": parameters }])
}

#[tokio::test]
async fn a_tool_round_sends_only_what_is_new() {
    let proxy = Proxy::start().await;
    for mut socket in [proxy.codex().await, proxy.library().await] {
        let first = socket.turn(&json!({ "input": [said("Use exec_command.")], "tools": tools() })).await;
        let call = first.iter().find(|event| event["type"] == "response.output_item.done").unwrap()["item"].clone();
        assert_eq!(call["type"], "function_call", "{first:?}");
        let output = json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "done" });
        let body = json!({ "previous_response_id": id(&first), "input": [output], "tools": tools() });
        let second = socket.turn(&body).await;
        id(&second);
        let sent = proxy.last_sent();
        let kinds: Vec<_> =
            sent["input"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["message", "function_call", "function_call_output"], "{sent}");
        assert!(sent.get("previous_response_id").is_none() && sent.get("type").is_none(), "{sent}");
    }
}

#[tokio::test]
async fn the_events_are_those_of_a_post() {
    let proxy = Proxy::start().await;
    let recorded = include_bytes!("../../fixtures/streams/parallel-calls.sse");
    let body = json!({ "model": "gpt-6.1-sol", "input": [said("hi")], "stream": true });
    for headers in [CODEX, &[]] {
        proxy.next(Scenario::Raw(recorded.as_slice().into())).next(Scenario::Raw(recorded.as_slice().into()));
        let mut request = proxy.http.post(format!("{}/v1/responses", proxy.base)).json(&body);
        for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with("sec-")) {
            request = request.header(*name, *value);
        }
        let posted = request.send().await.unwrap().text().await.unwrap();
        let posted: Vec<_> = posted.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let mut socket = crate::common::socket::Socket::open(proxy.address(), headers).await;
        socket.create(&json!({ "input": [said("hi")] })).await;
        let mut frames = Vec::new();
        while frames.last().is_none_or(|text: &String| !text.contains("\"response.completed\"")) {
            frames.push(socket.text().await.unwrap());
        }
        // What only a socket tells comes first: the headers, and the windows in them.
        let events = frames.split_off(if headers.is_empty() { 0 } else { 2 });
        assert_eq!(events, posted, "{frames:?}");
    }
}

#[tokio::test]
async fn a_codex_client_gets_the_headers_of_each_turn() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    assert!(!socket.headers.contains_key("sec-websocket-extensions") && socket.headers.contains_key("x-request-id"));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let events = socket.turn(&json!({ "input": [said("hi")] })).await;
        assert_eq!(types(&events)[..2], ["codex.response.metadata", "codex.rate_limits"], "{events:?}");
        let headers = &events[0]["headers"];
        assert_eq!(headers["x-codex-proxy-model-sent"], "gpt-6.1-sol");
        ids.push(headers["x-request-id"].as_str().unwrap().to_owned());
        assert!(events[1]["rate_limits"]["primary"]["used_percent"].is_number(), "{}", events[1]);
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_turn_has_headers_of_its_own() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    let metadata =
        json!({ "x-codex-turn-metadata": "{\"turn_id\":\"t\"}", "x-codex-turn-state": "s", "session_id": "x" });
    socket.turn(&json!({ "input": [said("hi")], "client_metadata": metadata })).await;
    socket.turn(&json!({ "input": [said("hi")] })).await;
    let requests = proxy.simulator.requests_to("/responses");
    let header = |index: usize, name| requests[index].header(name).to_owned();
    assert_eq!(header(0, "x-codex-turn-metadata"), "{\"turn_id\":\"t\"}");
    assert_eq!((header(0, "x-codex-turn-state"), header(1, "x-codex-turn-state")), ("s".to_owned(), String::new()));
    assert_eq!(header(1, "session-id"), CODEX[4].1);
}

#[tokio::test]
async fn an_announced_conversation_is_continued() {
    let proxy = Proxy::start().await;
    for mut socket in [proxy.codex().await, proxy.library().await] {
        proxy.simulator.forget_requests();
        let begun = json!({ "input": [said("first")], "generate": false });
        let announced = socket.turn(&begun).await;
        assert_eq!(types(&announced)[announced.len() - 2..], ["response.created", "response.completed"]);
        assert_eq!(proxy.calls(), 0, "the backend is not asked");
        let body = json!({ "input": [said("second")], "previous_response_id": id(&announced) });
        id(&socket.turn(&body).await);
        let sent = proxy.last_sent();
        let texts: Vec<_> = sent["input"].as_array().unwrap().iter().map(|item| &item["content"][0]["text"]).collect();
        assert_eq!(texts, ["first", "second"]);
    }
}

#[tokio::test]
async fn turns_follow_one_another() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    proxy.next(Scenario::Stall(Duration::from_millis(200), Stage::Middle));
    for text in ["one", "two", "three"] {
        socket.create(&json!({ "input": [said(text)] })).await;
    }
    while socket.event().await["type"] != "response.output_text.delta" {}
    assert_eq!(proxy.calls(), 1, "the others wait");
    for text in ["one", "two", "three"] {
        let events = socket.rest().await;
        assert!(events.last().unwrap().to_string().contains(text), "{events:?}");
    }
    assert_eq!(proxy.calls(), 3);
}

#[tokio::test]
async fn a_cancelled_turn_ends_the_call_and_the_socket_goes_on() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    proxy.next(Scenario::Stall(FOR_EVER, Stage::Middle));
    socket.create(&json!({ "input": [said("hi")] })).await;
    while socket.event().await["type"] != "response.output_text.delta" {}
    socket.send(r#"{"type":"response.cancel"}"#).await;
    let last = socket.rest().await.pop().unwrap();
    assert_eq!(last["error"]["code"], "response_cancelled", "{last}");
    assert!(proxy.simulator.wait_until(PATIENCE, |simulator| simulator.counters().disconnects == 1).await);
    id(&socket.turn(&json!({ "input": [said("again")] })).await);
    socket.send(r#"{"type":"response.cancel"}"#).await;
    let nothing = socket.rest().await.pop().unwrap();
    assert_eq!((&nothing["status"], &nothing["error"]["param"]), (&json!(400), &json!("type")));
}

#[tokio::test]
async fn every_turn_is_counted_as_a_request() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    for _ in 0..2 {
        id(&socket.turn(&json!({ "input": [said("hi")] })).await);
    }
    socket.refused(&json!({ "input": 7 })).await;
    for (name, count) in [
        (r#"codex_proxy_requests_total{route="/responses",status="101"}"#, "1"),
        (r#"codex_proxy_requests_total{route="/responses (websocket)",status="200"}"#, "2"),
        (r#"codex_proxy_requests_total{route="/responses (websocket)",status="400"}"#, "1"),
        ("codex_proxy_websockets_open", "1"),
        // The question itself.
        ("codex_proxy_requests_in_flight", "1"),
    ] {
        assert_eq!(proxy.metric(name).await, count, "{name}");
    }
    drop(socket);
    while proxy.metric("codex_proxy_websockets_open").await != "0" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
