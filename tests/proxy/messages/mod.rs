//! Anthropic's Messages, from a request to the answer.

mod answers;
mod effort;
mod errors;
mod files;
mod history;
mod models;
mod neighbours;
mod reasoning;
mod requests;
mod search;
mod session;
mod settings;

use codex_proxy::simulator::Play;
use serde_json::{Value, json};

use super::harness::Proxy;
use crate::common::answer::Answer;

fn asked(content: &str) -> Value {
    json!({ "model": "claude-opus-5-5", "max_tokens": 100, "messages": [{ "role": "user", "content": content }] })
}

fn tool(name: &str) -> Value {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    json!({ "name": name, "description": "d", "input_schema": schema })
}

async fn ask(proxy: &Proxy, body: &Value) -> Answer {
    proxy.post("/v1/messages", body).await
}

/// The message of a streamed answer, put together as the SDKs do it; fails on any event out of order.
fn folded(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let mut message = Value::Null;
    let mut open: Option<usize> = None;
    let mut input = String::new();
    let mut is_over = false;
    for frame in answer.text.split_terminator("\n\n") {
        let (name, data) = frame.split_once("\ndata: ").unwrap_or_else(|| panic!("{frame}"));
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name.strip_prefix("event: "), event["type"].as_str());
        assert!(!is_over, "{frame} after the end");
        match event["type"].as_str().unwrap() {
            "ping" => {}
            "message_start" => {
                assert_eq!(message, Value::Null, "one start");
                message = event["message"].clone();
                assert_eq!(message["content"], json!([]));
            }
            "content_block_start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!((open, event["index"].as_u64()), (None, Some(content.len() as u64)));
                open = Some(content.len());
                content.push(event["content_block"].clone());
                input.clear();
            }
            "content_block_delta" => {
                let block = &mut message["content"][open.expect("an open block")];
                let delta = &event["delta"];
                let kind = block["type"].as_str().unwrap().to_owned();
                let mut add = |key: &str| {
                    let text = block[key].as_str().unwrap().to_owned() + delta[key].as_str().unwrap();
                    block[key] = text.into();
                };
                match (delta["type"].as_str().unwrap(), kind.as_str()) {
                    ("text_delta", "text") => add("text"),
                    ("thinking_delta", "thinking") => add("thinking"),
                    ("signature_delta", "thinking") => block["signature"] = delta["signature"].clone(),
                    ("input_json_delta", "tool_use" | "server_tool_use") => {
                        input += delta["partial_json"].as_str().unwrap();
                    }
                    ("citations_delta", "text") => {
                        if block["citations"].is_null() {
                            block["citations"] = json!([]);
                        }
                        block["citations"].as_array_mut().unwrap().push(delta["citation"].clone());
                    }
                    other => panic!("{other:?}"),
                }
            }
            "content_block_stop" => {
                let block = &mut message["content"][open.take().expect("an open block")];
                if !input.is_empty() {
                    block["input"] = serde_json::from_str(&input).unwrap();
                }
            }
            "message_delta" => {
                assert_eq!(open, None);
                for (key, value) in event["delta"].as_object().unwrap() {
                    message[key] = value.clone();
                }
                message["usage"] = event["usage"].clone();
            }
            "message_stop" => is_over = true,
            other => panic!("no client knows {other}"),
        }
    }
    assert!(is_over, "{}", answer.text);
    message
}

/// Asks for a document and for events; they hold the same.
async fn both(proxy: &Proxy, play: impl Into<Play>, body: &Value) -> Value {
    let play = play.into();
    let mut body = body.clone();
    proxy.next(play.clone());
    let mut whole = ask(proxy, &body).await.json();
    body["stream"] = true.into();
    proxy.next(play);
    let mut streamed = folded(&ask(proxy, &body).await);
    for message in [&mut whole, &mut streamed] {
        assert!(message["id"].as_str().unwrap().starts_with("msg_"));
        message["id"] = Value::Null;
        // How much of the prompt was cached is another thing each time.
        let usage = message["usage"].as_object_mut().unwrap();
        let whole: u64 = PROMPT.iter().filter_map(|key| usage.remove(*key)?.as_u64()).sum();
        usage.insert("prompt".to_owned(), whole.into());
        for block in message["content"].as_array_mut().unwrap() {
            // Ids and encrypted reasoning are made anew for each answer.
            for key in ["signature", "data", "id", "tool_use_id"] {
                if let Some(value) = block.get_mut(key).filter(|value| *value != "") {
                    *value = "set".into();
                }
            }
        }
    }
    assert_eq!(whole, streamed);
    whole
}

/// The counts that make up the prompt's.
const PROMPT: [&str; 3] = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];

fn kinds(message: &Value) -> Vec<&str> {
    message["content"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect()
}
