//! What streaming changes: nothing on the way to the backend, and nothing but the framing on the way back.

use std::time::Duration;

use codex_proxy::simulator::{Delivery, Scenario, Stage};
use futures_util::StreamExt as _;
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, tool, user};

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgo=";

/// A request of every kind: instructions in many places, parts, histories, tools, formats.
fn requests() -> Vec<Value> {
    let call = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{}" } });
    let output = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": "1" });
    let asked = json!({ "role": "user", "content": "q" });
    let histories = [
        json!([{ "role": "system", "content": "a" }, { "role": "developer", "content": "b" }, asked,
            { "role": "system", "content": "c" }, asked]),
        json!([{ "role": "user", "content": [{ "type": "text", "text": " x\r\n" }, { "type": "image_url",
            "image_url": { "url": PIXEL, "detail": "low" } }, { "type": "text", "text": "\u{2028}" }] }]),
        json!([asked, output("a"), { "role": "assistant", "content": null, "tool_calls": [call("a"), call("b")] },
            asked, output("c"), output("a")]),
        json!([asked, { "role": "assistant", "refusal": "no" }, asked]),
    ];
    let mut bodies: Vec<Value> = histories.into_iter().map(|messages| json!({ "messages": messages })).collect();
    for choice in [json!("auto"), json!("none"), json!({ "type": "function", "function": { "name": "f" } })] {
        let mut body = user("hi");
        body["tools"] = json!([tool("f"), { "type": "custom", "custom": { "name": "c" } }]);
        body["tool_choice"] = choice;
        body["parallel_tool_calls"] = false.into();
        bodies.push(body);
    }
    let mut legacy = user("hi");
    legacy["functions"] = json!([tool("f")["function"]]);
    legacy["function_call"] = "auto".into();
    let schema = json!({ "type": "object", "properties": {}, "required": [], "additionalProperties": false });
    let mut format = user("hi");
    format["response_format"] =
        json!({ "type": "json_schema", "json_schema": { "name": "n", "strict": true, "schema": schema } });
    format["reasoning_effort"] = "xhigh".into();
    format["temperature"] = json!(0.5);
    bodies.extend([legacy, format]);
    bodies
}

#[tokio::test]
async fn the_backend_is_sent_the_same_in_both_modes() {
    let proxy = Proxy::start().await;
    for mut body in requests() {
        let mut sent = Vec::new();
        for stream in [false, true] {
            body["stream"] = stream.into();
            let answer = proxy.chat(&body).await;
            assert_eq!(answer.status, StatusCode::OK, "{body}: {}", answer.text);
            let ignored = answer.header("x-codex-proxy-ignored").to_owned();
            let bytes = proxy.simulator.requests_to("/responses").last().unwrap().bytes.clone();
            sent.push((ignored, String::from_utf8(bytes.to_vec()).unwrap()));
        }
        assert_eq!(sent[0], sent[1]);
    }
}

#[tokio::test]
async fn a_request_is_refused_alike_in_both_modes() {
    let proxy = Proxy::start().await;
    for (name, value) in [("n", json!(2)), ("logprobs", json!(true)), ("messages", json!([])), ("tools", json!([5]))] {
        let mut refused = Vec::new();
        for stream in [false, true] {
            let mut body = user("hi");
            body[name] = value.clone();
            body["stream"] = stream.into();
            let answer = proxy.chat(&body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
            refused.push(answer.error());
        }
        assert_eq!(refused[0], refused[1]);
    }
    assert_eq!(proxy.calls(), 0);
}

#[tokio::test]
async fn an_image_alone_is_a_message() {
    let proxy = Proxy::start().await;
    let content = json!([{ "type": "image_url", "image_url": { "url": PIXEL } }]);
    let sent = proxy.sent(&json!({ "messages": [{ "role": "user", "content": content }] })).await;
    assert_eq!(sent["input"][0]["content"], json!([{ "type": "input_image", "image_url": PIXEL }]));
}

#[tokio::test]
async fn no_byte_of_an_answer_changes_however_it_is_cut() {
    let proxy = Proxy::start().await;
    let text = "  lead\r\n\tCursor, Microsoft\u{2028}\u{7f}\\\" 👩‍👩‍👧‍👦 é ";
    for delivery in [Delivery::default(), Delivery::split(1), Delivery::split(3)] {
        for answer in proxy.both(Scenario::Default.delivered(delivery), &user(text)).await {
            let content = answer.message().content;
            assert!(content.contains(text), "{content:?}");
        }
    }
}

#[tokio::test]
async fn calls_alone_have_null_content_their_finish_and_usage() {
    let proxy = Proxy::start().await;
    let mut body = user("use f");
    body["tools"] = json!([tool("f")]);
    let [buffered, streamed] = proxy.both(Scenario::ArgumentsOnlyInDone, &body).await;
    let document = buffered.json();
    let choice = &document["choices"][0];
    assert_eq!(choice["message"]["content"], Value::Null);
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["name"], "f");
    assert!(document["usage"]["total_tokens"].is_u64());
    for answer in [&buffered, &streamed] {
        let message = answer.message();
        assert_eq!((message.finish.as_str(), message.content.as_str()), ("tool_calls", ""));
    }
}

#[tokio::test]
async fn an_answer_says_one_id_one_time_one_model_and_its_role_once() {
    let proxy = Proxy::before_retirements().await;
    let mut body = user("use f");
    body["tools"] = json!([tool("f")]);
    body["model"] = "GPT-5.1-codex-preview-high".into();
    for scenario in [Scenario::SeveralReasoningItems, Scenario::InterleavedCalls, Scenario::SeveralMessages] {
        let [buffered, streamed] = proxy.both(scenario, &body).await;
        assert_eq!(buffered.json()["model"], "gpt-5.1-codex");
        let chunks = streamed.events();
        assert!(chunks.len() > 2);
        for name in ["id", "created", "model"] {
            assert!(chunks.iter().all(|chunk| chunk[name] == chunks[0][name]), "{name}");
        }
        assert_eq!(chunks[0]["model"], "gpt-5.1-codex");
        let roles = chunks.iter().filter(|chunk| chunk["choices"][0]["delta"].get("role").is_some()).count();
        assert_eq!(roles, 1);
    }
}

#[tokio::test]
async fn an_event_nobody_knows_passes_to_the_byte() {
    let proxy = Proxy::start().await;
    let odd = "event: response.novelty\ndata: {\"type\" :\"response.novelty\", \"n\": 12345678901234567890, \"s\":\"\\u00e9\\/\"}\n\n";
    let created = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n";
    let last = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\",\"output\":[{\"type\":\"novelty\",\"n\": 1.50}]}}\n\n";
    let stream = format!("{created}{odd}{last}");
    proxy.next(Scenario::Raw(stream.clone().into()));
    let answer = proxy.post("/v1/responses", &json!({ "input": "hi", "stream": true })).await;
    assert_eq!(answer.text, stream);
    proxy.next(Scenario::Raw(stream.into()));
    let answer = proxy.post("/v1/responses", &json!({ "input": "hi" })).await;
    assert!(answer.text.contains("[{\"type\":\"novelty\",\"n\": 1.50}]"), "{}", answer.text);
}

/// The clock stands still between two timers once the answer has begun, so that two minutes take no time.
#[tokio::test]
async fn two_minutes_of_silence_are_no_timeout() {
    let proxy = Proxy::start().await;
    let silence = Scenario::Stall(Duration::from_secs(120), Stage::Middle);
    for (path, body) in [("/v1/chat/completions", user("hi")), ("/v1/responses", json!({ "input": "hi" }))] {
        let mut body = body;
        body["stream"] = true.into();
        proxy.next(silence.clone());
        let request = proxy.http.post(format!("{}{path}", proxy.base)).header("content-type", "application/json");
        let mut pieces = request.body(body.to_string()).send().await.unwrap().bytes_stream();
        let mut text = pieces.next().await.unwrap().unwrap().to_vec();
        tokio::time::pause();
        while let Some(piece) = pieces.next().await {
            text.extend_from_slice(&piece.unwrap());
        }
        tokio::time::resume();
        let text = String::from_utf8(text).unwrap();
        let keepalives = text.lines().filter(|line| *line == ": keepalive").count();
        assert!((7..=20).contains(&keepalives), "{path}: {keepalives}");
        assert!(text.contains("[DONE]") || text.contains("response.completed"), "{path}: {text}");
    }
    for path in ["/v1/chat/completions", "/v1/responses"] {
        proxy.simulator.forget_requests();
        proxy.next(silence.clone());
        let body = if path.ends_with("responses") { json!({ "input": "hi" }) } else { user("hi") };
        let request = proxy.http.post(format!("{}{path}", proxy.base)).header("content-type", "application/json");
        let asking = tokio::spawn(request.body(body.to_string()).send());
        let asked = |simulator: &codex_proxy::simulator::Simulator| !simulator.requests_to("/responses").is_empty();
        assert!(proxy.simulator.wait_until(Duration::from_secs(20), asked).await);
        tokio::time::pause();
        let answer = asking.await.unwrap().unwrap();
        tokio::time::resume();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
}
