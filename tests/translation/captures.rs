//! What real clients send, held against the backend's rules.
//!
//! The captured requests are not part of the project: the folders are named by `CODEX_PROXY_CAPTURES` and, for Anthropic's
//! API, `CODEX_PROXY_CAPTURES_MESSAGES`, and otherwise looked for beside the checkout. Without them these tests say so and pass.

use std::path::PathBuf;

use codex_proxy::backend::estimate;
use codex_proxy::backend::request;
use codex_proxy::backend::request::context::{BackendRequest, Context};
use codex_proxy::dialect::Dialect as _;
use codex_proxy::dialect::chat::request::parse;
use codex_proxy::dialect::messages::Messages;
use codex_proxy::dialect::responses::forward::translate;
use codex_proxy::dialect::responses::request::ResponsesRequest;
use codex_proxy::models::Models;
use codex_proxy::simulator::Simulator;
use http::{HeaderMap, HeaderName};
use serde_json::{Value, json};

#[derive(Clone)]
struct Capture {
    client: String,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// The headers of a capture, a line each.
fn headers_of(capture: &Value) -> HeaderMap {
    let lines = capture["headers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let pairs = lines.filter_map(|line| line.split_once(": "));
    pairs.filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, value.parse().ok()?))).collect()
}

/// Every POST of every client but the official one, which talks to the backend itself.
fn captures() -> Vec<Capture> {
    captures_in("CODEX_PROXY_CAPTURES", "captures")
}

/// Every POST of the clients of Anthropic's API.
fn captured_messages() -> Vec<Capture> {
    captures_in("CODEX_PROXY_CAPTURES_MESSAGES", "captures-messages")
}

/// Every POST in the folder that `variable` names, or that has the name `usual`.
fn captures_in(variable: &str, usual: &str) -> Vec<Capture> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(usual);
    let folder = std::env::var_os(variable).map_or(beside, PathBuf::from);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("no captured requests in {}", folder.display());
        return Vec::new();
    };
    let mut found = Vec::new();
    let is_capture = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jsonl");
    for path in entries.map(|entry| entry.unwrap().path()).filter(is_capture) {
        let client = path.file_stem().unwrap().to_string_lossy().into_owned();
        if client.ends_with("-chatgpt") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let mut capture: Value = serde_json::from_str(line).unwrap();
            if capture["method"] == "POST" && capture["body"].is_object() {
                let path = capture["path"].as_str().unwrap().to_owned();
                // Some were sent to models that have been retired since; it is the shape that counts here.
                capture["body"]["model"] = "gpt-6.1-sol".into();
                let (client, headers) = (client.clone(), headers_of(&capture));
                found.push(Capture { client, path, headers, body: capture["body"].to_string().into_bytes() });
            }
        }
    }
    found
}

fn translated(capture: &Capture) -> Option<BackendRequest> {
    let models = Models::default();
    let context = Context::new;
    if capture.path.ends_with("/chat/completions") {
        let ask = parse(&capture.body).unwrap_or_else(|error| panic!("{}: {error}", capture.client));
        let model = models.resolve(ask.model.as_deref(), ask.effort.as_deref());
        return ask.form.own().map(|conversation| request::translate(conversation, &context(&model)));
    }
    if capture.path.ends_with("/responses") {
        let request =
            ResponsesRequest::parse(&capture.body).unwrap_or_else(|error| panic!("{}: {error}", capture.client));
        let model = models.resolve(request.model.as_deref(), request.effort.as_deref());
        return Some(translate(&request, &context(&model)).unwrap());
    }
    if capture.path.split('?').next().is_some_and(|path| path.ends_with("/messages")) {
        let ask = Messages::parse(&capture.body, &capture.headers);
        let ask = ask.unwrap_or_else(|error| panic!("{}: {error}", capture.client));
        let model = models.resolve(ask.model.as_deref(), ask.effort.as_deref());
        return ask.form.own().map(|conversation| request::translate(conversation, &context(&model)));
    }
    None
}

#[test]
fn every_captured_request_becomes_one_the_backend_accepts() {
    let simulator = Simulator::new();
    let mut checked = 0;
    for capture in captures() {
        let Some(request) = translated(&capture) else { continue };
        let refusal = simulator.rejection_of(&request.body);
        // A client may ask for JSON mode without the word; then it is refused here as it is by the public API.
        let text = String::from_utf8_lossy(&capture.body).to_lowercase();
        if text.contains("\"json_object\"") && text.matches("json").count() == 1 {
            assert!(refusal.unwrap().to_string().contains("must contain the word 'json'"), "{}", capture.client);
            continue;
        }
        assert_eq!(refusal, None, "{} {}", capture.client, String::from_utf8_lossy(&request.body));
        checked += 1;
    }
    println!("{checked} captured requests are accepted");
}

/// A block or tool without its mark for the cache, which clients move along.
fn without_mark(mut part: Value) -> Value {
    if let Some(part) = part.as_object_mut() {
        part.remove("cache_control");
    }
    part
}

/// A message without what Claude Code changes of it between two turns: where its cache ends, and whether one text is a
/// string or a block.
fn without_marks(mut message: Value) -> Value {
    if let Some(text) = message["content"].as_str() {
        message["content"] = json!([{ "type": "text", "text": text }]);
    }
    for block in message["content"].as_array_mut().into_iter().flatten() {
        block.as_object_mut().map(|block| block.remove("cache_control"));
    }
    message
}

/// Requests of one client whose messages continue one another, under the same instructions, are turns of one conversation.
#[test]
fn turns_of_a_captured_conversation_keep_its_cache_key() {
    let captures = [captures(), captured_messages()].concat();
    let history = |capture: &Capture| {
        let body: Value = serde_json::from_slice(&capture.body).unwrap();
        let items = body.get("messages").or_else(|| body.get("input")).and_then(Value::as_array).cloned();
        items.unwrap_or_default().into_iter().map(without_marks).collect::<Vec<Value>>()
    };
    let instructions = |capture: &Capture| {
        let body: Value = serde_json::from_slice(&capture.body).unwrap();
        let is_bill =
            |block: &Value| block["text"].as_str().is_some_and(|text| text.starts_with("x-anthropic-billing"));
        let parts = |key: &str| match &body[key] {
            Value::Array(parts) => parts.iter().filter(|part| !is_bill(part)).cloned().map(without_mark).collect(),
            one => vec![one.clone()],
        };
        ["system", "instructions", "tools"].map(parts)
    };
    let mut turns = 0;
    for pair in captures.windows(2) {
        let (earlier, later) = (history(&pair[0]), history(&pair[1]));
        let continues = pair[0].client == pair[1].client
            && pair[0].path == pair[1].path
            && !earlier.is_empty()
            && instructions(&pair[0]) == instructions(&pair[1])
            && later.len() > earlier.len()
            && later[..earlier.len()] == earlier[..];
        if !continues {
            continue;
        }
        let (Some(first), Some(second)) = (translated(&pair[0]), translated(&pair[1])) else { continue };
        assert_eq!(first.session_key, second.session_key, "{}", pair[0].client);
        turns += 1;
    }
    println!("{turns} turns keep their key");
}

/// Everything that clients of Anthropic's API were seen to send: it is understood, and what becomes of it is accepted.
#[test]
fn every_captured_message_becomes_one_the_backend_accepts() {
    let (simulator, models) = (Simulator::new(), Models::default());
    let mut checked = 0;
    for capture in captured_messages() {
        if !capture.path.split('?').next().is_some_and(|path| path.contains("/messages")) {
            continue;
        }
        let text = String::from_utf8_lossy(&capture.body);
        let ask = Messages::parse(&capture.body, &HeaderMap::new());
        let ask = ask.unwrap_or_else(|error| panic!("{} {}: {error}: {text}", capture.client, capture.path));
        let model = models.resolve(ask.model.as_deref(), ask.effort.as_deref());
        let conversation = ask.form.own().unwrap();
        let request = request::translate(conversation, &Context::new(&model));
        let sent = String::from_utf8_lossy(&request.body);
        assert_eq!(simulator.rejection_of(&request.body), None, "{} {sent}", capture.client);
        for gone in
            ["cache_control", "defer_loading", "x-anthropic-billing-header: cc_version", "eager_input_streaming"]
        {
            assert!(!sent.contains(&format!("\"{gone}")), "{gone} of {}: {sent}", capture.client);
        }
        assert!(estimate::tokens(&request.body) > 0, "{}", capture.client);
        checked += 1;
    }
    println!("{checked} captured messages are accepted");
}
