//! Items of the history that the model layer refuses.

use codex_proxy::simulator::EncryptedRejection;
use serde_json::{Value, json};

use super::{Refused, assert_refused, call, found, input, message, output, search, with};
use crate::simulator::support::{Backend, user};

fn named_call(name: &str) -> Value {
    let mut call = call("call_1");
    call["name"] = name.into();
    input(&[user("Hello"), call, output("call_1")])
}

fn image(url: &Value) -> Value {
    input(&[message("user", &json!({ "type": "input_image", "image_url": url }))])
}

#[tokio::test]
async fn the_model_layer_refuses_items_in_its_words() {
    assert_refused(refused_items()).await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn refused_items() -> Vec<Refused> {
    let long = "x".repeat(65);
    let with_id = |id: &str| {
        let mut call = call("call_1");
        call["id"] = id.into();
        input(&[user("Hello"), call, output("call_1")])
    };
    let reasoning = |fields: Value| {
        let mut item = json!({ "type": "reasoning", "id": "rs_1", "summary": [] });
        item.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        item
    };
    vec![
        (with_id(&format!("fc_{long}")), Some("string_above_max_length"), "string too long"),
        (with_id("fc_a.b"), Some("invalid_value"), "letters, numbers, underscores, or dashes"),
        (with_id("call_1"), Some("invalid_id_prefix"), "Expected an ID that begins with 'fc'"),
        (input(&[user("Hello"), call(&long), output(&long)]), Some("string_above_max_length"), "maximum length 64"),
        (input(&[user("Hello"), call("call_1")]), None, "No tool output found for function call call_1."),
        (
            input(&[user("Hello"), output("call_1")]),
            None,
            "No tool call found for function call output with call_id call_1.",
        ),
        (input(&[output("call_1"), call("call_1"), output("call_1")]), None, "No tool call found"),
        (input(&[call("call_1"), output("call_1"), output("call_1")]), None, "No tool call found"),
        (
            input(&[json!({ "type": "custom_tool_call", "call_id": "call_1", "name": "p", "input": "" })]),
            None,
            "No tool output found for custom tool call call_1.",
        ),
        (input(&[json!({ "type": "item_reference", "id": "rs_1" })]), None, "Item with id 'rs_1' not found."),
        (
            input(&[reasoning(json!({})), message("assistant", &json!({ "type": "output_text", "text": "a" }))]),
            None,
            "Items are not persisted when `store` is set to false",
        ),
        (
            input(&[
                reasoning(json!({ "encrypted_content": "gAAAAABforeign" })),
                message("assistant", &json!({ "type": "output_text", "text": "a" })),
            ]),
            Some("invalid_encrypted_content"),
            "The encrypted content gAAA...eign could not be verified. Reason:",
        ),
        (
            input(&[json!({ "type": "compaction_trigger" }), user("Hello")]),
            None,
            "The 'compaction_trigger' item must be the final input item.",
        ),
        (
            input(&[user("Hello"), json!({ "type": "compaction_trigger" }), json!({ "type": "compaction_trigger" })]),
            None,
            "must be the final input item.",
        ),
        (
            input(&[user("Hello"), json!({ "type": "compaction_trigger", "id": "cmp_1" })]),
            Some("unknown_parameter"),
            "Unknown parameter: 'input[1].id'.",
        ),
        (
            input(&[message("user", &json!({ "type": "output_text", "text": "a" }))]),
            Some("invalid_value"),
            "Invalid value: 'output_text'",
        ),
        (
            input(&[message("assistant", &json!({ "type": "input_text", "text": "a" }))]),
            Some("invalid_value"),
            "Supported values are: 'output_text' and 'refusal'.",
        ),
        (
            input(&[message("user", &json!({ "type": "text", "text": "a" }))]),
            Some("invalid_value"),
            "Invalid value: 'text'",
        ),
        (
            input(&[message("user", &json!({ "type": "input_text", "text": "a", "cache_control": {} }))]),
            Some("unknown_parameter"),
            "Unknown parameter: 'input[0].content[0].cache_control'.",
        ),
        (
            input(&[message("tool", &json!({ "type": "input_text", "text": "a" }))]),
            Some("invalid_value"),
            "Invalid value: 'tool'",
        ),
        (
            input(&[json!({ "type": "message", "role": "user", "content": "a", "name": "Ann" })]),
            Some("unknown_parameter"),
            "input[0].name",
        ),
        (input(&[json!({ "type": "thing" })]), Some("invalid_value"), "Invalid value: 'thing'"),
        (
            input(&[json!({ "type": "function_call", "call_id": "c", "name": "f", "arguments": {} }), output("c")]),
            Some("invalid_type"),
            "expected a string, but got an object",
        ),
        (
            image(&json!({ "url": "https://example.com/a.png" })),
            Some("invalid_type"),
            "expected an image URL, but got an object instead.",
        ),
        (
            image(&json!("data:image/png;base64,AAAA")),
            Some("invalid_image"),
            "The image data you provided does not represent a valid image",
        ),
        (image(&json!("data:text/plain;base64,iVBORw0KGgo=")), Some("invalid_image"), "valid image"),
        (image(&json!("cat.png")), Some("invalid_value"), "Expected a valid URL"),
        (
            named_call(""),
            Some("empty_string"),
            "Invalid 'input[1].name': empty string. Expected a string with minimum length 1",
        ),
        (named_call("a.b"), Some("invalid_value"), "Invalid 'input[1].name': string does not match pattern."),
        (named_call(&long), Some("string_above_max_length"), "Invalid 'input[1].name': string too long."),
        (input(&[user("Hello"), search("client")]), None, "No tool output found for tool search call s."),
        (input(&[user("Hello"), found("client")]), None, "No tool call found for tool search output with call_id s."),
    ]
}

#[tokio::test]
async fn encrypted_reasoning_belongs_to_its_account_and_leads_somewhere() {
    let mut backend = Backend::start().await;
    let mut request = with("reasoning", json!({ "summary": "auto" }));
    let items = backend.ask(&request).await.items();
    request["input"] = json!([user("Hello"), items[0], user("Go on")]);
    let answer = backend.ask(&request).await;
    assert!(answer.text.contains("was provided without its required following item."), "{}", answer.text);
    request["input"] = json!([user("Hello"), items[0], items[1], user("Go on")]);
    assert_eq!(backend.ask(&request).await.status, 200);
    request["model"] = "gpt-6-luna".into();
    assert_eq!(backend.ask(&request).await.code(), "invalid_encrypted_content", "another model");
    request["model"] = "gpt-6.1-sol".into();
    let other = codex_proxy::simulator::SimulatedLogin::default().for_account("other");
    backend.login = backend.simulator.issue_login(other);
    assert_eq!(backend.ask(&request).await.code(), "invalid_encrypted_content", "another account");

    backend.simulator.configure(|settings| settings.encrypted_rejection = EncryptedRejection::WithoutCode);
    let answer = backend.ask(&request).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (400, &Value::Null));
    backend.simulator.configure(|settings| settings.encrypted_rejection = EncryptedRejection::InStream);
    let answer = backend.ask(&request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.types()),
        (200, ["response.created", "response.failed"].map(Into::into).into())
    );
    let error = &answer.frames()[1]["response"]["error"];
    assert!(error["code"].is_null() && error["message"].as_str().unwrap().contains("could not be verified"));
}
