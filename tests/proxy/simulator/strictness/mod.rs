//! The simulated backend refuses what the real one refuses, with its words, and accepts what the official client sends.
//!
//! * [`front`]: what is checked before a model is asked: the login, the model and the names of parameters.
//! * [`items`] and [`parameters`]: what the model layer refuses.
//! * [`accepted`]: what must pass.

mod accepted;
mod front;
mod items;
mod parameters;

use serde_json::{Value, json};

use crate::simulator::support::{Backend, body};

/// `body("Hello")` with `key` set.
fn with(key: &str, value: Value) -> Value {
    let mut body = body("Hello");
    body[key] = value;
    body
}

fn without(key: &str) -> Value {
    let mut body = body("Hello");
    body.as_object_mut().unwrap().remove(key);
    body
}

/// A request to `model` that asks for `effort`.
fn effort(model: &str, effort: &str) -> Value {
    let mut body = with("model", json!(model));
    body["reasoning"] = json!({ "effort": effort });
    body
}

fn input(items: &[Value]) -> Value {
    with("input", items.into())
}

fn tools(tools: &[Value], choice: Value) -> Value {
    let mut body = with("tools", tools.into());
    body["tool_choice"] = choice;
    body
}

fn call(id: &str) -> Value {
    json!({ "type": "function_call", "call_id": id, "name": "f", "arguments": "{}" })
}

fn output(id: &str) -> Value {
    json!({ "type": "function_call_output", "call_id": id, "output": "done" })
}

fn search(execution: &str) -> Value {
    json!({ "type": "tool_search_call", "call_id": "s", "execution": execution, "arguments": {} })
}

fn found(execution: &str) -> Value {
    json!({ "type": "tool_search_output", "call_id": "s", "execution": execution, "tools": [], "status": "completed" })
}

fn json_mode(instructions: &str, question: &Value) -> Value {
    let mut body = with("text", json!({ "format": { "type": "json_object" } }));
    body["instructions"] = instructions.into();
    body["input"] = json!([question]);
    body
}

fn message(role: &str, part: &Value) -> Value {
    json!({ "type": "message", "role": role, "content": [part] })
}

/// A request that the model layer refuses: the body, the code, and a part of the message.
type Refused = (Value, Option<&'static str>, &'static str);

async fn assert_refused(table: Vec<Refused>) {
    let backend = Backend::start().await;
    for (body, code, message) in table {
        let answer = backend.ask(&body).await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{} for {body}", answer.status);
        let error = answer.json()["error"].clone();
        assert_eq!(error["type"], "invalid_request_error", "{body}: {}", answer.text);
        assert_eq!(error["code"].as_str(), code, "{body}: {}", answer.text);
        assert!(error["message"].as_str().unwrap().contains(message), "{body}: {}", answer.text);
    }
}
