//! The settings of an answer.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn an_instruction_for_one_turn_is_left_out_of_later_ones() {
    let proxy = Proxy::start().await;
    let told = json!({ "role": "system", "content": "hurry", "clear_at": "next_user_message" });
    let mut body = asked("hi");
    body["messages"].as_array_mut().unwrap().push(told);
    for (more, is_there) in [
        (json!([]), true),
        (json!([{ "role": "assistant", "content": "ok" }]), true),
        (json!([{ "role": "user", "content": "and?" }]), false),
    ] {
        body["messages"].as_array_mut().unwrap().extend(more.as_array().unwrap().clone());
        let answer = ask(&proxy, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(proxy.last_sent()["input"].to_string().contains("hurry"), is_there, "{more}");
    }
}

#[tokio::test]
async fn a_fast_answer_is_asked_for_where_the_model_has_one_and_named_where_it_has_not() {
    let proxy = Proxy::start().await;
    for (model, speed, tier, ignored) in [
        ("gpt-6.1-sol", "fast", json!("priority"), "max_tokens"),
        ("gpt-6.1-sol", "standard", Value::Null, "max_tokens"),
        ("gpt-5-codex", "fast", Value::Null, "max_tokens, speed"),
    ] {
        let mut body = asked("hi");
        body["model"] = model.into();
        body["speed"] = speed.into();
        let answer = ask(&proxy, &body).await;
        assert_eq!(answer.header("x-codex-proxy-ignored"), ignored, "{model} {speed}: {}", answer.text);
        assert_eq!(proxy.last_sent()["service_tier"], tier, "{model} {speed}");
    }
}

#[tokio::test]
async fn structured_output_is_strict_only_where_every_part_of_the_schema_is() {
    let proxy = Proxy::start().await;
    let closed = |properties: Value| {
        let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    };
    let text = json!({ "type": "string" });
    let inner = closed(json!({ "a": text }));
    for (schema, strict) in [
        (closed(json!({ "a": text, "type": text, "properties": text })), true),
        (closed(json!({ "a": { "type": ["string", "null"] }, "b": { "type": "array", "items": inner } })), true),
        (closed(json!({ "a": { "anyOf": [inner, { "type": "null" }] }, "b": { "$ref": "#" } })), true),
        (json!({ "type": "object", "properties": { "a": text } }), false),
        (closed(json!({ "a": { "type": ["object", "null"] } })), false),
        (closed(json!({ "a": {} })), false),
        (closed(json!({ "a": true })), false),
        (closed(json!({ "a": { "description": "anything" } })), false),
        (closed(json!({ "a": { "type": "array", "items": {} } })), false),
        (closed(json!({ "a": { "type": "array" } })), false),
        (closed(json!({ "a": { "anyOf": [{ "type": "object" }] } })), false),
        (closed(json!({ "a": { "allOf": [inner] } })), false),
        (closed(json!({ "a": { "oneOf": [inner] } })), false),
        (json!({}), false),
        (json!({ "type": "array", "items": inner }), false),
        (json!({ "anyOf": [inner] }), false),
    ] {
        let mut body = asked("hi");
        body["output_config"] = json!({ "format": { "type": "json_schema", "schema": schema } });
        let answer = ask(&proxy, &body).await;
        let sent = proxy.simulator.requests_to("/responses").last().unwrap().json()["text"]["format"].clone();
        assert_eq!((&sent["schema"], &sent["strict"]), (&schema, &json!(strict)), "{}", answer.text);
    }
}
