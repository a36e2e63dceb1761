//! Any history a client can send leaves well-formed, and nothing of it is missing.

use codex_proxy::models::Models;
use codex_proxy::openai::chat::ChatRequest;
use codex_proxy::simulator::Simulator;
use codex_proxy::translate::backend::Context;
use codex_proxy::translate::chat::request::translate;
use proptest::prelude::*;
use serde_json::{Value, json};

const IMAGE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Texts that must arrive to the byte; each is different, so that each can be looked for.
fn text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec!["", " lead", "\r\n", "\u{2028}", "👩‍👩‍👧", "\\\"", "\u{0}", "<html>", "Cursor"]);
    (odd, any::<u64>()).prop_map(|(odd, number)| format!("{odd}#{number:x}#"))
}

fn content() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        3 => text().prop_map(|text| json!({ "type": "text", "text": text })),
        1 => Just(json!({ "type": "image_url", "image_url": { "url": IMAGE, "detail": "low" } })),
    ];
    prop_oneof![text().prop_map(Value::from), prop::collection::vec(part, 1..4).prop_map(Value::from),]
}

/// A few ids, so that they meet, among them an empty and a long one.
fn id() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a".to_owned(), "b".to_owned(), "call_1".to_owned(), String::new(), "long".repeat(30)])
}

fn call() -> impl Strategy<Value = Value> {
    (id(), text(), any::<bool>()).prop_map(|(id, text, custom)| {
        if custom {
            json!({ "id": id, "type": "custom", "custom": { "name": "free", "input": text } })
        } else {
            let arguments = json!({ "x": text }).to_string();
            json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": arguments } })
        }
    })
}

fn message() -> impl Strategy<Value = Value> {
    prop_oneof![
        content().prop_map(|content| json!({ "role": "user", "content": content })),
        text().prop_map(|text| json!({ "role": "system", "content": text })),
        text().prop_map(|text| json!({ "role": "developer", "content": [{ "type": "text", "text": text }] })),
        (prop::option::of(text()), prop::collection::vec(call(), 0..3))
            .prop_map(|(text, calls)| json!({ "role": "assistant", "content": text, "tool_calls": calls })),
        text().prop_map(|text| json!({ "role": "assistant", "refusal": text })),
        (text(), text()).prop_map(|(name, _)| {
            json!({ "role": "assistant", "content": null, "function_call": { "name": "f", "arguments": json!({ "x": name }).to_string() } })
        }),
        (id(), prop::option::of(content()))
            .prop_map(|(id, content)| json!({ "role": "tool", "tool_call_id": id, "content": content })),
        text().prop_map(|text| json!({ "role": "function", "name": "f", "content": text })),
    ]
}

/// Every string that the client said, in whatever place.
fn said(messages: &[Value]) -> Vec<String> {
    fn of_content(content: &Value, found: &mut Vec<String>) {
        match content {
            Value::String(text) => found.push(text.clone()),
            Value::Array(parts) => {
                for part in parts {
                    found.extend(part["text"].as_str().map(str::to_owned));
                    found.extend(part["image_url"]["url"].as_str().map(str::to_owned));
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for message in messages {
        of_content(&message["content"], &mut found);
        found.extend(message["refusal"].as_str().map(str::to_owned));
        found.extend(message["function_call"]["arguments"].as_str().map(str::to_owned));
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            found.extend(call["function"]["arguments"].as_str().map(str::to_owned));
            found.extend(call["custom"]["input"].as_str().map(str::to_owned));
        }
    }
    found
}

/// Every string in `value`.
fn strings<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

proptest! {
    #[test]
    fn any_history_leaves_well_formed_and_whole(messages in prop::collection::vec(message(), 1..12)) {
        let simulator = SIMULATOR.get_or_init(Simulator::new);
        let body = json!({ "model": "gpt-6.1-sol", "messages": messages, "tools": [
            { "type": "function", "function": { "name": "f", "parameters": { "type": "object", "properties": {} } } },
            { "type": "custom", "custom": { "name": "free" } },
        ] }).to_string();
        let request = ChatRequest::parse(body.as_bytes()).unwrap();
        let model = Models::default().resolve(request.model.as_deref(), None);
        let context = Context::new(&model);
        let translated = translate(&request, &context);
        prop_assert_eq!(simulator.refusal_of(&translated.body), None);
        let sent: Value = serde_json::from_slice(&translated.body).unwrap();
        let mut arrived = Vec::new();
        strings(&sent, &mut arrived);
        for text in said(&messages) {
            prop_assert!(arrived.iter().any(|arrived| arrived.contains(&text)), "{:?} is missing in {}", text, sent);
        }
    }
}

static SIMULATOR: std::sync::OnceLock<Simulator> = std::sync::OnceLock::new();
