//! Forms of OpenAI's APIs in a Messages request.

use serde_json::{Value, json};

use super::*;

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgo=";

fn messages(messages: Value) -> Value {
    json!({ "model": "gpt-6.1-sol", "max_tokens": 100, "messages": messages })
}

fn input_text(text: &str) -> Value {
    json!({ "type": "input_text", "text": text })
}

fn message(role: &str, content: Value) -> Value {
    json!({ "type": "message", "role": role, "content": content })
}

/// The body that the backend gets, for a request of which nothing but `max_tokens` is left out.
async fn sent(proxy: &Proxy, body: &Value) -> Value {
    let answer = ask(proxy, body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-codex-proxy-ignored")),
        (200, "max_tokens"),
        "{}",
        answer.text
    );
    proxy.last_sent()
}

#[tokio::test]
async fn the_parts_of_openais_apis_are_what_they_are_there() {
    let proxy = Proxy::start().await;
    let pdf = "data:application/pdf;base64,JVBERi0=";
    let image = json!({ "type": "input_image", "image_url": PIXEL });
    let file = json!({ "type": "input_file", "filename": "a.pdf", "file_data": pdf });
    let parts = json!([
        { "type": "text", "text": "what is it" },
        { "type": "image_url", "image_url": { "url": PIXEL } },
        { "type": "input_image", "image_url": PIXEL },
        { "type": "file", "file": { "file_data": pdf, "filename": "a.pdf" } },
        { "type": "input_file", "file_data": pdf, "filename": "a.pdf" },
        { "type": "input_text", "text": "x" },
        { "type": "input_text", "text": "" },
    ]);
    let said = sent(&proxy, &messages(json!([{ "role": "user", "content": parts }]))).await;
    let expected = json!([input_text("what is it"), image, image, file, file, input_text("x")]);
    assert_eq!(said["input"], json!([message("user", expected)]));
    let shown = sent(
        &proxy,
        &messages(json!([
            { "role": "user", "content": "hi" },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "f", "input": {} }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": [
                { "type": "image_url", "image_url": { "url": PIXEL } }] }] },
        ])),
    )
    .await;
    assert_eq!(shown["input"][2]["output"], json!([image]));
}

#[tokio::test]
async fn a_part_that_cannot_be_sent_is_refused_rather_than_told_as_text() {
    let proxy = Proxy::start().await;
    for (part, path) in [
        (
            json!({ "type": "input_audio", "input_audio": { "data": "AAAA", "format": "wav" } }),
            "messages.0.content.0: ",
        ),
        (json!({ "type": "image_url", "image_url": { "url": "" } }), "Could not process image"),
        (json!({ "type": "file", "file": { "file_id": "f" } }), "messages.0.content.0.file.file_id: "),
    ] {
        let answer = ask(&proxy, &messages(json!([{ "role": "user", "content": [part] }]))).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (400, "false"), "{}", answer.text);
        assert!(answer.json()["error"]["message"].as_str().unwrap().starts_with(path), "{}", answer.text);
    }
    assert_eq!(proxy.calls(), 0);
}

#[tokio::test]
async fn the_calls_outputs_and_roles_of_chat_are_understood() {
    let proxy = Proxy::start().await;
    let call =
        |id: &str| json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{\"a\":1}" } });
    let sent = sent(
        &proxy,
        &messages(json!([
            { "role": "developer", "content": "Be brief." },
            { "role": "user", "content": "hi" },
            { "role": "assistant", "content": "x", "tool_calls": [call("one"), call("two")] },
            { "role": "tool", "tool_call_id": "two", "content": "second" },
            { "role": "tool", "tool_call_id": "one", "content": [{ "type": "text", "text": "first" }] },
            { "role": "assistant", "content": null, "tool_calls": [call("three")] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "three", "content": "third" }] },
            { "role": "developer", "content": "Hurry." },
        ])),
    )
    .await;
    let call = |id: &str| json!({ "type": "function_call", "call_id": id, "name": "f", "arguments": "{\"a\":1}" });
    let output = |id: &str, text: &str| json!({ "type": "function_call_output", "call_id": id, "output": text });
    assert_eq!(sent["instructions"], "Be brief.");
    assert_eq!(
        sent["input"],
        json!([
            message("user", json!([input_text("hi")])),
            message("assistant", json!([{ "type": "output_text", "text": "x" }])),
            call("one"),
            call("two"),
            output("one", "first"),
            output("two", "second"),
            call("three"),
            output("three", "third"),
            message("developer", json!([input_text("Hurry.")])),
        ])
    );
}

#[tokio::test]
async fn a_function_in_openais_form_is_a_tool() {
    let proxy = Proxy::start().await;
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let definition = json!({ "name": "f", "description": "d", "parameters": schema });
    let mut flat = definition.clone();
    flat["type"] = "function".into();
    let mut expected = flat.clone();
    expected["strict"] = false.into();
    for tool in [json!({ "type": "function", "function": definition }), flat] {
        for (choice, chosen) in [
            (json!("required"), json!("required")),
            (json!("auto"), json!("auto")),
            (json!({ "type": "function", "function": { "name": "f" } }), json!({ "type": "function", "name": "f" })),
            (json!({ "type": "tool", "name": "f" }), json!({ "type": "function", "name": "f" })),
        ] {
            let mut body = messages(json!([{ "role": "user", "content": "hi" }]));
            body["tools"] = json!([tool]);
            body["tool_choice"] = choice;
            let sent = sent(&proxy, &body).await;
            assert_eq!((&sent["tools"], &sent["tool_choice"]), (&json!([expected]), &chosen));
        }
    }
    let answer = ask(&proxy, &messages(json!([{ "role": "bot", "content": "hi" }]))).await;
    assert!(answer.text.contains("must be user, assistant or system"), "{}", answer.text);
}
