//! Forms of chat and of Anthropic's API in a Responses request.

use http::StatusCode;
use serde_json::{Value, json};

use super::harness::Proxy;

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgo=";

fn input_text(text: &str) -> Value {
    json!({ "type": "input_text", "text": text })
}

fn message(role: &str, content: Value) -> Value {
    json!({ "type": "message", "role": role, "content": content })
}

/// The body that the backend gets, for a request of which nothing is left out.
async fn sent(proxy: &Proxy, body: &Value) -> Value {
    let answer = proxy.post("/v1/responses", body).await;
    assert_eq!((answer.status, answer.header("x-codex-proxy-ignored")), (StatusCode::OK, ""), "{}", answer.text);
    proxy.last_sent()
}

fn call(id: &str) -> Value {
    json!({ "type": "function_call", "call_id": id, "name": "f", "arguments": "{}" })
}

fn output(id: &str, text: &str) -> Value {
    json!({ "type": "function_call_output", "call_id": id, "output": text })
}

#[tokio::test]
async fn the_calls_and_outputs_of_chat_are_items() {
    let proxy = Proxy::start().await;
    let chats = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "{}" } });
    let input = json!([
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": null, "tool_calls": [chats("one"), chats("two")] },
        { "role": "tool", "tool_call_id": "two", "content": "second" },
        { "role": "tool", "tool_call_id": "one", "content": [{ "type": "text", "text": "first" }] },
        { "role": "assistant", "content": "so", "tool_calls": [chats("three")] },
        output("three", "third"),
        { "role": "user", "content": "bye" },
    ]);
    let first = message("user", json!([input_text("hi")]));
    let items = json!([
        first,
        call("one"),
        call("two"),
        output("two", "second"),
        output("one", "first"),
        message("assistant", json!([{ "type": "output_text", "text": "so" }])),
        call("three"),
        output("three", "third"),
        message("user", json!([input_text("bye")])),
    ]);
    let answer = proxy.post("/v1/responses", &json!({ "input": input })).await;
    assert_eq!((answer.status, answer.header("x-codex-proxy-ignored")), (StatusCode::OK, ""), "{}", answer.text);
    assert_eq!(proxy.last_sent()["input"], items);

    // As a remembered conversation too.
    let next = json!({ "input": "go on", "previous_response_id": answer.json()["id"] });
    let sent = sent(&proxy, &next).await;
    let count = items.as_array().unwrap().len();
    assert_eq!(sent["input"].as_array().unwrap()[..count], items.as_array().unwrap()[..]);
}

#[tokio::test]
async fn the_blocks_of_anthropic_are_parts_and_items() {
    let proxy = Proxy::start().await;
    let source = json!({ "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo=" });
    let image = json!({ "type": "input_image", "image_url": PIXEL });
    let input = json!([
        { "role": "user", "content": [{ "type": "text", "text": "look" }, { "type": "image", "source": source }] },
        { "role": "assistant", "content": [
            { "type": "text", "text": "so" }, { "type": "tool_use", "id": "one", "name": "f", "input": {} }] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "one", "content": "done" }, { "type": "text", "text": "bye" }] },
        { "role": "user", "content": [{ "type": "file", "file": { "file_data": "data:a/b;base64,AAAA", "filename": "n" } }] },
    ]);
    let file = json!({ "type": "input_file", "filename": "n", "file_data": "data:a/b;base64,AAAA" });
    assert_eq!(
        sent(&proxy, &json!({ "input": input })).await["input"],
        json!([
            message("user", json!([input_text("look"), image])),
            message("assistant", json!([{ "type": "output_text", "text": "so" }])),
            call("one"),
            output("one", "done"),
            message("user", json!([input_text("bye")])),
            message("user", json!([file])),
        ])
    );
    let broken = json!({ "input": [{ "role": "user", "content": [
        { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "?" } }] }] });
    let answer = proxy.post("/v1/responses", &broken).await;
    assert_eq!(
        (answer.status, &answer.error()["param"]),
        (StatusCode::BAD_REQUEST, &json!("input[0].content[0].source.data"))
    );
}

#[tokio::test]
async fn a_tool_of_anthropic_is_a_function() {
    let proxy = Proxy::start().await;
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let function =
        json!({ "type": "function", "name": "f", "description": "d", "parameters": schema, "strict": false });
    for kind in [Value::Null, json!("custom")] {
        for (choice, chosen) in [
            (json!({ "type": "tool", "name": "f" }), json!({ "type": "function", "name": "f" })),
            (json!({ "type": "any", "disable_parallel_tool_use": true }), json!("required")),
            (json!({ "type": "auto" }), json!("auto")),
            (json!("required"), json!("required")),
        ] {
            let tool = json!({ "type": kind, "name": "f", "description": "d", "input_schema": schema });
            let is_one = choice["disable_parallel_tool_use"] == true;
            let sent = sent(&proxy, &json!({ "input": "hi", "tools": [tool], "tool_choice": choice })).await;
            assert_eq!((&sent["tools"], &sent["tool_choice"]), (&json!([function]), &chosen));
            assert_eq!(sent["parallel_tool_calls"], !is_one);
        }
    }
    let odd = json!({ "name": "f", "input_schema": schema, "cache_control": { "type": "ephemeral" }, "shade": 1 });
    let answer = proxy.post("/v1/responses", &json!({ "input": "hi", "tools": [odd] })).await;
    assert_eq!(answer.header("x-codex-proxy-ignored"), "tools[0].shade");
    let answer = proxy.post("/v1/responses", &json!({ "input": "hi", "tools": [{ "input_schema": schema }] })).await;
    assert_eq!((answer.status, &answer.error()["param"]), (StatusCode::BAD_REQUEST, &json!("tools[0].name")));
    // The name is fitted, as any function's.
    let dotted = json!({ "name": "a.b", "input_schema": schema });
    let sent = sent(&proxy, &json!({ "input": "hi", "tools": [dotted] })).await;
    assert!(sent["tools"][0]["name"].as_str().unwrap().starts_with("a_b_"), "{sent}");
}

#[tokio::test]
async fn a_grammar_in_chats_form_is_flat() {
    let proxy = Proxy::start().await;
    let flat = json!({ "type": "grammar", "syntax": "lark", "definition": "start: \"x\"" });
    let nested = json!({ "type": "grammar", "grammar": { "syntax": "lark", "definition": "start: \"x\"" } });
    for format in [&flat, &nested] {
        for tool in [
            json!({ "type": "custom", "custom": { "name": "p", "format": format } }),
            json!({ "type": "custom", "name": "p", "format": format }),
        ] {
            let sent = sent(&proxy, &json!({ "input": "hi", "tools": [tool] })).await;
            assert_eq!(sent["tools"], json!([{ "type": "custom", "name": "p", "format": flat }]));
        }
    }
}

#[tokio::test]
async fn a_search_has_the_backends_name_in_the_choice_too() {
    let proxy = Proxy::start().await;
    let tools = json!([{ "type": "web_search_preview" }, { "type": "function", "name": "f" }]);
    let allowed = |kind: &str| json!({ "type": "allowed_tools", "mode": "auto", "tools": [{ "type": kind }] });
    let body = json!({ "input": "hi", "tools": tools, "tool_choice": allowed("web_search_preview_2025_03_11") });
    assert_eq!(sent(&proxy, &body).await["tool_choice"], allowed("web_search"));
    // The backend can be made to use none of its own tools.
    let alone = json!({ "input": "hi", "tools": tools, "tool_choice": { "type": "web_search_preview" } });
    let answer = proxy.post("/v1/responses", &alone).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
    assert_eq!(proxy.last_sent()["tool_choice"], json!({ "type": "web_search" }));
}

#[tokio::test]
async fn what_chat_says_of_a_message_is_sent_in_another_form_or_named() {
    let proxy = Proxy::start().await;
    let said = |text: &str| json!([{ "type": "output_text", "text": text }]);
    let input = json!([
        { "role": "system", "name": "ops", "content": "hurry" },
        { "role": "user", "name": "Bob", "content": "x" },
        { "role": "user", "name": "Eve \"E\"", "content": [{ "type": "text", "text": "y" }, { "type": "input_text", "text": "z" }] },
        { "role": "assistant", "name": "Bot", "content": "a", "phase": "final_answer" },
        { "type": "message", "role": "assistant", "content": null, "refusal": "no" },
        { "role": "assistant", "content": "b", "refusal": null, "annotations": [], "audio": null },
        { "role": "user", "name": "", "content": "bye" },
    ]);
    let mut answered = message("assistant", said("a"));
    answered["phase"] = json!("final_answer");
    let expected = json!([
        message("developer", json!([input_text("ops:\n"), input_text("hurry")])),
        message("user", json!([input_text("Bob:\n"), input_text("x")])),
        message("user", json!([input_text("Eve \"E\":\n"), input_text("y"), input_text("z")])),
        message("developer", json!([input_text("Author of the next message: Bot")])),
        answered,
        message("assistant", said("no")),
        message("assistant", said("b")),
        message("user", json!([input_text("bye")])),
    ]);
    assert_eq!(sent(&proxy, &json!({ "input": input })).await["input"], expected);
    let thought =
        json!({ "role": "assistant", "content": "a", "reasoning_content": "r", "annotations": [1], "name": 5 });
    let cached = json!({ "role": "user", "content": [
        { "type": "input_text", "text": "z", "prompt_cache_breakpoint": {} },
        { "type": "text", "text": "y", "cache_control": { "type": "ephemeral" } }] });
    let output = json!([{ "type": "input_text", "text": "o", "prompt_cache_breakpoint": { "mode": "explicit" } }]);
    let output = json!({ "type": "function_call_output", "call_id": "one", "output": output });
    let body = json!({ "input": [thought, cached, call("one"), output] });
    let answer = proxy.post("/v1/responses", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let expected = json!([
        message("assistant", said("a")),
        message("user", json!([input_text("z"), input_text("y")])),
        call("one"),
        { "type": "function_call_output", "call_id": "one", "output": [input_text("o")] },
    ]);
    assert_eq!(proxy.last_sent()["input"], expected);
    assert_eq!(
        answer.header("x-codex-proxy-ignored"),
        "input[0].reasoning_content, input[0].annotations, input[0].name, \
         input[1].content[1].cache_control, input[3].output[0].prompt_cache_breakpoint"
    );
}

#[tokio::test]
async fn the_legacy_functions_of_chat_are_calls() {
    let proxy = Proxy::start().await;
    let legacy = |arguments: &str| json!({ "role": "assistant", "content": null, "function_call": { "name": "f", "arguments": arguments } });
    let result = |text: &str| json!({ "role": "function", "name": "f", "content": text });
    let input = json!([legacy("1"), result("one"), legacy("2"), result("two"), result("three")]);
    let sent = sent(&proxy, &json!({ "input": input })).await;
    let told = |item: &Value| (item["call_id"].clone(), item["arguments"].clone(), item["output"].clone());
    let items: Vec<_> = sent["input"].as_array().unwrap().iter().map(told).collect();
    let id = |index: usize| items[index].0.clone();
    assert_eq!(
        (&items[0].1, &items[1].2, &items[2].1, &items[3].2),
        (&json!("1"), &json!("one"), &json!("2"), &json!("two"))
    );
    assert!(id(0) == id(1) && id(2) == id(3) && id(0) != id(2), "{sent}");
    assert!(sent["input"][4]["content"][0]["text"].as_str().unwrap().ends_with("\nthree"), "{sent}");
}
