//! Anthropic's Messages, as they come through the Worker.

use codex_proxy::simulator::{HttpFault, Scenario};
use serde_json::{Value, json};

use super::world::World;

const MESSAGES: &str = "/v1/messages";

fn asked(content: &Value) -> Value {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    json!({ "model": "claude-opus-5-5", "max_tokens": 100, "thinking": { "type": "adaptive" },
        "tools": [{ "name": "get_weather", "description": "d", "input_schema": schema }],
        "messages": [{ "role": "user", "content": content }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn thinking_and_a_call_come_back_with_the_next_turn() {
    let Some(world) = World::start().await else { return };
    let mut body = asked(&json!("Wetter in Köln 🦀: call it"));
    let message = world.post(MESSAGES, &body).await.json();
    let kinds: Vec<&Value> = message["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["thinking", "tool_use"], "{message}");
    assert_eq!(message["stop_reason"], "tool_use");
    let result = json!({ "type": "tool_result", "tool_use_id": message["content"][1]["id"], "content": "22" });
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": message["content"] }),
        json!({ "role": "user", "content": [result] }),
    ]);
    body["stream"] = true.into();
    let streamed = world.post(MESSAGES, &body).await;
    assert_eq!(streamed.header("x-codex-proxy-reasoning-dropped"), "", "{}", streamed.text);
    assert!(streamed.text.starts_with("event: message_start\n"), "{}", streamed.text);
    assert!(streamed.text.contains("event: message_stop\n"), "{}", streamed.text);
    let sent = world.simulator.requests_to("/responses").last().unwrap().json();
    let kinds: Vec<&Value> = sent["input"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    // The simulator refuses reasoning that it did not give, byte for byte.
    assert_eq!(kinds, ["message", "reasoning", "function_call", "function_call_output"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_counts_have_the_form_of_the_api() {
    let Some(world) = World::start().await else { return };
    world.next(Scenario::Http(HttpFault::UsageNotIncluded));
    let answer = world.post(MESSAGES, &asked(&json!("hi"))).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["type"]), (402, &json!("billing_error")));
    assert!(answer.header("request-id").starts_with("req_"), "{}", answer.text);
    let answer = world.post(MESSAGES, &asked(&json!([{ "type": "text" }]))).await;
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("messages.0.content.0.text: "), "{message}");
    let counted = world.post("/v1/messages/count_tokens", &asked(&json!("hi"))).await.json();
    assert!(counted["input_tokens"].as_u64().unwrap() > 0, "{counted}");
}
