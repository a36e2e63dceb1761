//! Any body is an error or becomes a body the backend can read: a JSON object with the fixed keys, in which every call has
//! exactly one output and every output its call.

#![no_main]

use std::collections::HashMap;

use codex_proxy::backend::request;
use codex_proxy::backend::request::context::Context;
use codex_proxy::dialect::chat::request::parse;
use codex_proxy::dialect::responses::forward::translate;
use codex_proxy::dialect::responses::request::ResponsesRequest;
use codex_proxy::models::Models;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

fuzz_target!(|body: &[u8]| {
    let models = Models::default();
    if let Ok(chat) = parse(body)
        && let Some(conversation) = chat.form.own()
    {
        let model = models.resolve(chat.model.as_deref(), chat.effort.as_deref());
        let context = Context::new(&model);
        let translated = request::translate(conversation, &context);
        let again = request::translate(conversation, &context);
        assert_eq!(translated, again, "the same request is the same body");
        check_history(&checked(&translated.body));
    }
    if let Ok(responses) = ResponsesRequest::parse(body) {
        let model = models.resolve(responses.model.as_deref(), responses.effort.as_deref());
        let context = Context::new(&model);
        if let Ok(translated) = translate(&responses, &context) {
            checked(&translated.body);
        }
    }
});

/// The body, read and looked over. Half a surrogate pair is passed on as the client wrote it, and no Rust string can hold
/// it: such a body is well-formed, and that is all that can be said.
fn checked(body: &[u8]) -> Value {
    serde_json::from_slice::<&RawValue>(body).expect("the body is JSON");
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Value::Null };
    assert_eq!((&body["store"], &body["stream"]), (&false.into(), &true.into()));
    assert!(body["instructions"].is_string() && body["model"].is_string() && body["prompt_cache_key"].is_string());
    assert!(body["input"].is_array());
    body
}

fn check_history(body: &Value) {
    let mut calls: HashMap<&str, (u32, u32)> = HashMap::new();
    for item in body["input"].as_array().into_iter().flatten() {
        let id = item["call_id"].as_str().unwrap_or_default();
        match item["type"].as_str().expect("every item has a type") {
            "function_call" | "custom_tool_call" => calls.entry(id).or_default().0 += 1,
            "function_call_output" | "custom_tool_call_output" => calls.entry(id).or_default().1 += 1,
            _ => continue,
        }
        assert!(id.chars().count() <= 64, "the backend takes no longer id");
    }
    for (id, (called, answered)) in calls {
        assert_eq!((called, answered), (1, 1), "the call {id:?}");
    }
}
