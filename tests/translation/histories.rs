//! Any history a client can send leaves well-formed, and nothing of it is missing.

use codex_proxy::backend::request::context::Context;
use codex_proxy::backend::request::translate;
use codex_proxy::dialect::chat::request::parse;
use codex_proxy::dialect::responses::forward::translate as translate_responses;
use codex_proxy::dialect::responses::request::ResponsesRequest;
use codex_proxy::models::Models;
use codex_proxy::platform::Instant;
use codex_proxy::simulator::Simulator;
use proptest::prelude::*;
use serde_json::{Value, json};

pub(crate) const IMAGE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Texts that must arrive to the byte; each is different, so that each can be looked for.
pub(crate) fn text() -> impl Strategy<Value = String> {
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
pub(crate) fn id() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a".to_owned(), "b".to_owned(), "call_1".to_owned(), String::new(), "long".repeat(30)])
}

fn call() -> impl Strategy<Value = Value> {
    (id(), name(), text(), any::<bool>()).prop_map(|(id, name, text, custom)| {
        if custom {
            json!({ "id": id, "type": "custom", "custom": { "name": name, "input": text } })
        } else {
            let arguments = json!({ "x": text }).to_string();
            json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } })
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

/// Names that the backend takes, and others.
pub(crate) fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["f".to_owned(), "a.b".to_owned(), "погода".to_owned(), String::new(), "long".repeat(30)])
}

fn output_content() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        3 => text().prop_map(|text| json!({ "type": "input_text", "text": text })),
        1 => Just(json!({ "type": "input_image", "image_url": IMAGE, "detail": "low" })),
    ];
    prop_oneof![text().prop_map(Value::from), prop::collection::vec(part, 1..4).prop_map(Value::from)]
}

/// An item of a Responses conversation, valid in itself.
fn item() -> impl Strategy<Value = Value> {
    let said = |role: &'static str, kind: &'static str| {
        text().prop_map(move |text| json!({ "role": role, "content": [{ "type": kind, "text": text }], "id": "msg_1" }))
    };
    prop_oneof![
        said("user", "input_text"),
        said("system", "input_text"),
        said("assistant", "output_text"),
        text().prop_map(|text| json!({ "type": "message", "role": "user", "content": text })),
        Just(json!({ "type": "web_search_call", "status": "completed", "id": "ws_1" })),
        (id(), name(), text()).prop_map(|(id, name, text)| {
            json!({ "type": "function_call", "call_id": id, "name": name, "arguments": text, "id": "long".repeat(90) })
        }),
        (id(), name(), text()).prop_map(|(id, name, text)| {
            json!({ "type": "custom_tool_call", "call_id": id, "name": name, "input": text })
        }),
        id().prop_map(|id| json!({ "type": "local_shell_call", "call_id": id, "status": "completed", "action": {} })),
        id().prop_map(
            |id| json!({ "type": "tool_search_call", "call_id": id, "execution": "client", "arguments": {} })
        ),
        (id(), output_content())
            .prop_map(|(id, output)| json!({ "type": "function_call_output", "call_id": id, "output": output })),
        (id(), output_content())
            .prop_map(|(id, output)| json!({ "type": "custom_tool_call_output", "call_id": id, "output": output })),
        (id(), text())
            .prop_map(|(id, output)| json!({ "type": "local_shell_call_output", "id": id, "output": output })),
        (id(), text()).prop_map(|(name, text)| json!({ "role": "user", "name": name, "content": text })),
        text().prop_map(|text| json!({ "role": "assistant", "content": null, "refusal": text })),
        id().prop_map(|id| json!({ "type": "tool_search_output", "call_id": id, "execution": "client", "tools": [] })),
        Just(json!({ "type": "reasoning", "summary": [], "encrypted_content": "sealed" })),
    ]
}

/// Every text that items say.
fn said_in(items: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for item in items.iter().filter(|item| item["type"] != "reasoning") {
        for key in ["content", "output", "arguments", "input", "refusal"] {
            match &item[key] {
                Value::String(text) => found.push(text.clone()),
                Value::Array(parts) => {
                    found.extend(parts.iter().filter_map(|part| part["text"].as_str().map(str::to_owned)));
                    found.extend(parts.iter().filter_map(|part| part["image_url"].as_str().map(str::to_owned)));
                }
                _ => {}
            }
        }
    }
    found
}

proptest! {
    #[test]
    fn any_responses_history_leaves_well_formed_and_whole(items in prop::collection::vec(item(), 1..14)) {
        let simulator = SIMULATOR.get_or_init(Simulator::new);
        let body = json!({ "model": "gpt-6.1-sol", "input": items }).to_string();
        let request = ResponsesRequest::parse(body.as_bytes()).unwrap();
        let model = Models::default().resolve(request.model.as_deref(), None);
        let translated = translate_responses(&request, &Context::new(&model)).unwrap();
        let mut sent: Value = serde_json::from_slice(&translated.body).unwrap();
        // Nobody but the backend can seal reasoning, so its place is looked at and its content is not.
        let thoughts = sent["input"].as_array_mut().unwrap();
        for index in (0..thoughts.len()).rev() {
            if thoughts[index]["type"] == "reasoning" {
                let next = thoughts.get(index + 1).cloned().unwrap_or_default();
                let kind = next["type"].as_str().unwrap_or_default();
                prop_assert!(kind.ends_with("_call") || next["role"] == "assistant", "{} behind reasoning", next);
                thoughts.remove(index);
            }
        }
        prop_assert_eq!(simulator.rejection_of(sent.to_string().as_bytes()), None);
        let mut arrived = Vec::new();
        strings(&sent, &mut arrived);
        for text in said_in(&items) {
            prop_assert!(arrived.iter().any(|arrived| arrived.contains(&text)), "{:?} is missing in {}", text, sent);
        }
        // Once sound, a history stays as it is.
        let again = json!({ "model": "gpt-6.1-sol", "input": sent["input"] }).to_string();
        let request = ResponsesRequest::parse(again.as_bytes()).unwrap();
        let translated = translate_responses(&request, &Context::new(&model)).unwrap();
        let again: Value = serde_json::from_slice(&translated.body).unwrap();
        prop_assert_eq!(&again["input"], &sent["input"]);
    }

    #[test]
    fn any_history_leaves_well_formed_and_whole(messages in prop::collection::vec(message(), 1..12)) {
        let simulator = SIMULATOR.get_or_init(Simulator::new);
        let body = json!({ "model": "gpt-6.1-sol", "messages": messages, "tools": [
            { "type": "function", "function": { "name": "f", "parameters": { "type": "object", "properties": {} } } },
            { "type": "custom", "custom": { "name": "free" } },
        ] }).to_string();
        let request = parse(body.as_bytes()).unwrap();
        let model = Models::default().resolve(request.model.as_deref(), None);
        let context = Context::new(&model);
        let translated = translate(request.form.own().unwrap(), &context);
        prop_assert_eq!(simulator.rejection_of(&translated.body), None);
        let sent: Value = serde_json::from_slice(&translated.body).unwrap();
        let mut arrived = Vec::new();
        strings(&sent, &mut arrived);
        for text in said(&messages) {
            prop_assert!(arrived.iter().any(|arrived| arrived.contains(&text)), "{:?} is missing in {}", text, sent);
        }
    }
}

/// A history of half a megabyte whose calls are all of one id, or of many long ones, or nobody's, is put in order at once.
#[test]
fn a_history_of_calls_takes_time_by_its_length() {
    let model = Models::default().resolve(Some("gpt-6.1-sol"), None);
    let ids: [(&str, IdOf); 4] = [
        ("equal", |_| "a".to_owned()),
        ("escaped", |_| r"\u0061\u0061".to_owned()),
        ("long", |number| format!("{}{number}", "x".repeat(80))),
        ("numbered", |number| format!("a_{}", number / 2)),
    ];
    for (what, id) in ids {
        for (calls, outputs) in [(5_000, 5_000), (10_000, 0), (0, 10_000)] {
            let calls: Vec<String> = (0..calls).map(&id).collect();
            let outputs: Vec<String> = (0..outputs).map(&id).collect();
            let begun = Instant::now();
            let chat = chat_history(&calls, &outputs);
            let request = parse(chat.as_bytes()).unwrap();
            let sent = translate(request.form.own().unwrap(), &Context::new(&model));
            assert!(sent.body.len() > calls.len() * 40);
            let responses = responses_history(&calls, &outputs);
            let request = ResponsesRequest::parse(responses.as_bytes()).unwrap();
            let sent = translate_responses(&request, &Context::new(&model)).unwrap();
            assert!(sent.body.len() > calls.len() * 40);
            let taken = begun.elapsed();
            assert!(taken.as_secs() < 20, "{what} ids: {taken:?}");
        }
    }
}

/// The id of the call or output with a number.
type IdOf = fn(usize) -> String;

fn chat_history(calls: &[String], outputs: &[String]) -> String {
    let call = |id: &String| format!(r#"{{"id":"{id}","function":{{"name":"f"}}}}"#);
    let output = |id: &String| format!(r#",{{"role":"tool","tool_call_id":"{id}","content":""}}"#);
    let calls: Vec<String> = calls.iter().map(call).collect();
    let outputs: String = outputs.iter().map(output).collect();
    format!(r#"{{"messages":[{{"role":"assistant","tool_calls":[{}]}}{outputs}]}}"#, calls.join(","))
}

fn responses_history(calls: &[String], outputs: &[String]) -> String {
    let call = |id: &String| format!(r#"{{"type":"function_call","call_id":"{id}","name":"f","arguments":""}},"#);
    let output = |id: &String| format!(r#"{{"type":"function_call_output","call_id":"{id}","output":""}},"#);
    let (calls, outputs): (String, String) = (calls.iter().map(call).collect(), outputs.iter().map(output).collect());
    format!(r#"{{"input":[{calls}{outputs}{{"role":"user","content":"hi"}}]}}"#)
}

static SIMULATOR: std::sync::OnceLock<Simulator> = std::sync::OnceLock::new();
