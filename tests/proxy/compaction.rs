//! Conversations made shorter: the unary endpoint, which the backend has no more, and the stream that does it.

use codex_proxy::simulator::{FailureShape, HttpFault, Moment, Scenario, StreamFailure};
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::Proxy;

fn user(text: &str) -> Value {
    json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }] })
}

fn said(text: &str) -> Value {
    json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }] })
}

#[tokio::test]
async fn the_unary_endpoint_is_served_through_a_stream() {
    let proxy = Proxy::start().await;
    let input = [user("first"), said("answer"), user("second")];
    let body = json!({ "instructions": "x", "input": input, "parallel_tool_calls": true });
    for path in ["/v1/responses/compact", "/responses/compact"] {
        let answer = proxy.post(path, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/json");
        let document = answer.json();
        assert_eq!(document["object"], "response.compaction");
        assert!(document["id"].is_string() && document["created_at"].is_u64());
        assert!(document["usage"]["total_tokens"].is_u64());
        let output = document["output"].as_array().unwrap();
        assert_eq!(output[..2], [user("first"), user("second")], "messages of the user are kept");
        assert_eq!((output.len(), &output[2]["type"]), (3, &json!("compaction")));

        let sent = proxy.last_sent();
        assert_eq!(
            (&sent["store"], &sent["stream"], &sent["instructions"]),
            (&json!(false), &json!(true), &json!("x"))
        );
        let expected = [input.as_slice(), &[json!({ "type": "compaction_trigger" })]].concat();
        assert_eq!(sent["input"], json!(expected));

        let mut next = output.clone();
        next.push(user("go on"));
        let answer = proxy.post("/v1/responses", &json!({ "input": next })).await;
        assert_eq!(answer.status, StatusCode::OK, "the compaction is good for the next turn: {}", answer.text);
    }
    assert!(proxy.simulator.requests_to("/compact").is_empty());
}

#[tokio::test]
async fn a_text_is_kept_and_a_trigger_of_the_clients_own_is_enough() {
    let proxy = Proxy::start().await;
    let answer = proxy.post("/v1/responses/compact", &json!({ "input": "hi" })).await;
    assert_eq!(answer.json()["output"][0], json!({ "type": "message", "role": "user", "content": "hi" }));
    let input = json!([user("hi"), { "type": "compaction_trigger" }]);
    let answer = proxy.post("/v1/responses/compact", &json!({ "input": input })).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(proxy.last_sent()["input"], input);
}

#[tokio::test]
async fn a_clients_own_trigger_streams_as_it_is() {
    let proxy = Proxy::start().await;
    let input = json!([user("hi"), { "type": "compaction_trigger" }]);
    let [buffered, streamed] = proxy.both_responses(Scenario::Default, &json!({ "input": input })).await;
    assert_eq!(buffered.json()["output"][0]["type"], "compaction");
    let events = streamed.events();
    let done = events.iter().find(|event| event["type"] == "response.output_item.done").unwrap();
    assert_eq!(done["item"]["type"], "compaction");
    assert_eq!(proxy.last_sent()["input"], input);

    let misplaced = json!([{ "type": "compaction_trigger" }, user("hi")]);
    for answer in proxy.both_responses(Scenario::Default, &json!({ "input": misplaced })).await {
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.error()["message"], "The 'compaction_trigger' item must be the final input item.");
    }
}

#[tokio::test]
async fn a_compaction_fails_as_any_other_call_does() {
    let proxy = Proxy::start().await;
    let failed = |code: &str| Scenario::Fail(StreamFailure::of(code), FailureShape::Failed, Moment::BeforeOutput);
    for (scenario, status, code) in [
        (Scenario::Http(HttpFault::UsageLimit(60)), StatusCode::TOO_MANY_REQUESTS, "usage_limit_reached"),
        (Scenario::Http(HttpFault::ContextLength), StatusCode::BAD_REQUEST, "context_length_exceeded"),
        (failed("server_is_overloaded"), StatusCode::SERVICE_UNAVAILABLE, "server_is_overloaded"),
        // A text and no compaction.
        (Scenario::SingleDelta, StatusCode::BAD_GATEWAY, "upstream_invalid_response"),
    ] {
        proxy.next(scenario);
        let answer = proxy.post("/v1/responses/compact", &json!({ "input": "hi" })).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.error()["code"], code);
    }
    assert_eq!(proxy.calls(), 4);
    for _ in 0..2 {
        proxy.next(Scenario::HangUp);
    }
    let answer = proxy.post("/v1/responses/compact", &json!({ "input": "hi" })).await;
    assert_eq!(answer.status, StatusCode::OK, "tried again: {}", answer.text);
    let answer = proxy.post("/v1/responses/compact", &json!({ "instructions": "x" })).await;
    assert_eq!((answer.status, &answer.error()["param"]), (StatusCode::BAD_REQUEST, &json!("input")));
}
