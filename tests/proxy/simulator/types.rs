//! The simulated backend takes no value of a wrong type, length or place for a right one, wherever in a request it stands.

use super::support::{Backend, body, function, user};
use serde_json::{Value, json};

/// A request that is accepted and has something of everything in it.
fn whole() -> Value {
    let mut body = body("Hello");
    let image = json!({ "type": "input_image", "image_url": "https://example.com/a.png", "detail": "low" });
    let file = json!({ "type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,YQ==" });
    body["input"] = json!([
        user("Hello"),
        { "type": "message", "role": "user", "content": [image, file] },
        { "type": "message", "role": "assistant", "content": "Yes?", "phase": "final_answer" },
        { "type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": "{}", "namespace": "n" },
        { "type": "function_call_output", "call_id": "a", "output": [{ "type": "input_text", "text": "done" }] },
        { "type": "custom_tool_call", "call_id": "b", "name": "p", "input": "" },
        { "type": "custom_tool_call_output", "call_id": "b", "output": "done" },
        { "type": "additional_tools", "role": "developer", "tools": [function("late", "x")] },
    ]);
    let grammar = json!({ "type": "grammar", "syntax": "regex", "definition": "a" });
    body["tools"] = json!([
        function("f", "x"),
        { "type": "custom", "name": "p", "description": "d", "format": grammar },
        { "type": "namespace", "name": "n", "tools": [function("inner", "x")] },
        { "type": "web_search" },
        { "type": "local_shell" },
    ]);
    let allowed = json!([{ "type": "function", "name": "late" }, { "type": "web_search" }]);
    body["tool_choice"] = json!({ "type": "allowed_tools", "mode": "auto", "tools": allowed });
    body["parallel_tool_calls"] = true.into();
    body["reasoning"] = json!({ "effort": "low", "summary": "auto" });
    let schema = json!({ "type": "object", "properties": {
        "list": { "type": "array", "items": { "anyOf": [
            { "type": "object", "properties": { "x": { "type": "string" } }, "required": ["x"], "additionalProperties": false }
        ] } }
    }, "required": ["list"], "additionalProperties": false });
    body["text"] = json!({ "format": { "type": "json_schema", "name": "s", "strict": true, "schema": schema } });
    body["service_tier"] = "priority".into();
    body["prompt_cache_key"] = "k".into();
    body["client_metadata"] = json!({ "a": "b" });
    body
}

/// Where something is set, to what, and the code and parameter of the refusal.
fn faults() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let (kind, missing, value) = ("invalid_type", "missing_required_parameter", "invalid_value");
    let unknown = "unknown_parameter";
    vec![
        ("/instructions", json!(1), kind, "instructions"),
        ("/parallel_tool_calls", json!("yes"), kind, "parallel_tool_calls"),
        ("/include", json!("all"), kind, "include"),
        ("/client_metadata", json!([]), kind, "client_metadata"),
        ("/reasoning", json!("hard"), kind, "reasoning"),
        ("/reasoning/effort", json!(1.5), kind, "reasoning.effort"),
        ("/text", json!(true), kind, "text"),
        ("/text/format", json!("json"), kind, "text.format"),
        ("/text/format/type", json!("xml"), value, "text.format.type"),
        ("/text/format/name", json!("a b"), value, "text.format.name"),
        ("/text/format/schema", json!("x"), kind, "text.format.schema"),
        ("/service_tier", json!(1), kind, "service_tier"),
        ("/prompt_cache_key", json!(1), kind, "prompt_cache_key"),
        ("/tools", json!({}), kind, "tools"),
        ("/tools/0", json!("f"), kind, "tools[0]"),
        ("/tools/0/strict", json!("yes"), kind, "tools[0].strict"),
        ("/tools/0/parameters", json!("x"), kind, "tools[0].parameters"),
        ("/tools/0/description", json!(1), kind, "tools[0].description"),
        ("/tools/0/name", json!("x".repeat(129)), "string_above_max_length", "tools[0].name"),
        ("/tools/1/format", json!("lark"), kind, "tools[1].format"),
        ("/tools/1/format/type", json!("ebnf"), value, "tools[1].format.type"),
        ("/tools/1/format/syntax", json!("ebnf"), value, "tools[1].format.syntax"),
        ("/tools/2/tools", Value::Null, missing, "tools[2].tools"),
        ("/tools/2/tools/0/type", json!("web_search"), value, "tools[2].tools"),
        ("/tools/4/extra", json!(1), unknown, "tools[4].extra"),
        ("/input/7/tools/0/name", Value::Null, missing, "input[7].tools[0].name"),
        ("/tool_choice", json!(1), kind, "tool_choice"),
        ("/tool_choice/mode", json!("none"), value, "tool_choice.mode"),
        ("/tool_choice/tools", json!("all"), missing, "tool_choice.tools"),
        ("/tool_choice/tools/0", json!("f"), kind, "tool_choice.tools[0]"),
        ("/input/0", json!("Hello"), kind, "input[0]"),
        ("/input/0/content", Value::Null, missing, "input[0].content"),
        ("/input/0/content", json!(1), kind, "input[0].content"),
        ("/input/0/content/0", json!("Hello"), kind, "input[0].content[0]"),
        ("/input/0/phase", json!("commentary"), unknown, "input[0].phase"),
        ("/input/1/content/0/image_url", Value::Null, missing, "input[1].content[0].image_url"),
        ("/input/1/content/0/detail", json!("best"), value, "input[1].content[0].detail"),
        ("/input/1/content/1/file_data", json!("YQ=="), value, "input[1].content[1].file_data"),
        ("/input/1/content/1/filename", Value::Null, missing, "input[1].content[1].filename"),
        ("/input/1/content/1/file_url", json!(1), kind, "input[1].content[1].file_url"),
        ("/input/2/phase", json!("middle"), value, "input[2].phase"),
        ("/input/3/id", json!(1), kind, "input[3].id"),
        ("/input/3/call_id", json!(""), "empty_string", "input[3].call_id"),
        ("/input/3/name", json!("a b"), value, "input[3].name"),
        ("/input/3/namespace", json!("other"), value, "input[3].namespace"),
        ("/input/4/output", Value::Null, missing, "input[4].output"),
        ("/input/4/output", json!(1), kind, "input[4].output"),
        ("/input/5/type", Value::Null, missing, "input[5].type"),
    ]
}

fn set(body: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).unwrap() {
        Value::Array(entries) => entries[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
}

#[tokio::test]
async fn every_fault_is_named_by_its_place() {
    let backend = Backend::start().await;
    let answer = backend.ask(&whole()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for (pointer, value, code, param) in faults() {
        let mut body = whole();
        set(&mut body, pointer, value.clone());
        let answer = backend.ask(&body).await;
        assert_eq!(answer.status, 400, "{pointer} = {value}: {}", answer.text);
        let error = &answer.json()["error"];
        assert_eq!((error["code"].as_str(), error["param"].as_str()), (Some(code), Some(param)), "{pointer} = {value}");
    }
}

#[tokio::test]
async fn a_tool_that_was_never_declared_cannot_be_chosen() {
    let backend = Backend::start().await;
    for kind in ["function", "custom"] {
        let mut body = whole();
        body["tool_choice"]["tools"] = json!([{ "type": kind, "name": "nobody" }]);
        let answer = backend.ask(&body).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.text.contains("Tool choice 'nobody' not found"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_strict_schema_is_closed_at_every_depth() {
    let backend = Backend::start().await;
    let mut body = whole();
    let inner = "/text/format/schema/properties/list/items/anyOf/0";
    set(&mut body, &format!("{inner}/additionalProperties"), json!(true));
    let answer = backend.ask(&body).await;
    let expected = "In context=('properties', 'list', 'items', 'anyOf', '0'), 'additionalProperties' is required";
    assert!(answer.text.contains(expected), "{}", answer.text);
    let mut body = whole();
    set(&mut body, &format!("{inner}/required"), json!([]));
    assert!(backend.ask(&body).await.text.contains("Missing 'x'"));
}

#[tokio::test]
async fn reasoning_must_lead_to_what_the_model_made() {
    let backend = Backend::start().await;
    let mut first = body("Hello");
    first["reasoning"] = json!({ "summary": "auto" });
    let items = backend.ask(&first).await.items();
    let reasoning = items.iter().find(|item| item["type"] == "reasoning").unwrap();
    let said = json!({ "type": "message", "role": "assistant", "content": "Hi" });
    let call = json!({ "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}" });
    let output = json!({ "type": "function_call_output", "call_id": "c", "output": "x" });
    for (rest, status) in [
        (vec![said.clone()], 200),
        (vec![call.clone(), output.clone()], 200),
        (vec![reasoning.clone(), said], 200),
        (vec![], 400),
        (vec![user("and?")], 400),
        (vec![json!({ "content": "x" })], 400),
    ] {
        let mut body = body("Hello");
        let items: Vec<Value> = [vec![user("Hello"), reasoning.clone()], rest].concat();
        body["input"] = items.into();
        let answer = backend.ask(&body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
    }
}
