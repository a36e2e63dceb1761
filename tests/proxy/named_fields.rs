//! Fields of a chat request that are named: in the error where they are at fault, in a header where they have no effect.

use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{PIXEL, Proxy, tool, user};
use crate::common::answer::Answer;

#[tokio::test]
async fn what_has_no_counterpart_is_named_in_a_header() {
    let proxy = Proxy::start().await;
    let mut body = user("hi");
    for (name, value) in [
        ("temperature", json!(0.5)),
        ("max_tokens", json!(5)),
        ("top_p", json!(0.5)),
        ("user", json!("me")),
        ("unheard_of", json!({})),
        ("seed", json!(null)),
        ("n", json!(1)),
        ("service_tier", json!("auto")),
    ] {
        body[name] = value;
    }
    let answer = proxy.chat(&body).await;
    answer.message();
    assert_eq!(
        answer.header("x-codex-proxy-ignored"),
        "temperature, max_tokens, top_p, user, unheard_of, service_tier"
    );
}

#[tokio::test]
async fn bad_requests_name_the_field_and_never_reach_the_backend() {
    let proxy = Proxy::start().await;
    let with = |name: &str, value: Value| {
        let mut body = user("hi");
        body[name] = value;
        body
    };
    let messages = |messages: Value| json!({ "messages": messages });
    let content = |content: Value| messages(json!([{ "role": "user", "content": content }]));
    let cases = [
        (json!({}), "messages"),
        (json!({ "messages": null }), "messages"),
        (messages(json!([])), "messages"),
        (messages(json!("hi")), "messages"),
        (messages(json!([3])), "messages[0]"),
        (messages(json!([{ "content": "x" }])), "messages[0].role"),
        (messages(json!([{ "role": "wizard", "content": "x" }])), "messages[0].role"),
        (messages(json!([{ "role": "user" }])), "messages[0].content"),
        (messages(json!([{ "role": "tool", "content": "x" }])), "messages[0].tool_call_id"),
        (
            messages(json!([{ "role": "assistant", "tool_calls": [{ "function": { "name": "f" } }] }])),
            "messages[0].tool_calls[0].id",
        ),
        (content(json!(7)), "messages[0].content"),
        (content(json!([])), "messages[0].content"),
        (content(json!([{ "type": "text" }])), "messages[0].content[0].text"),
        (content(json!([{ "text": "x" }])), "messages[0].content[0].type"),
        (content(json!([{ "type": "hologram" }])), "messages[0].content[0].type"),
        (
            content(json!([{ "type": "text", "text": "a" }, { "type": "input_audio", "input_audio": {} }])),
            "messages[0].content[1]",
        ),
        (content(json!([{ "type": "image_url" }])), "messages[0].content[0].image_url"),
        (content(json!([{ "type": "image_url", "image_url": {} }])), "messages[0].content[0].image_url.url"),
        (content(json!([{ "type": "file", "file": { "file_id": "f" } }])), "messages[0].content[0].file.file_id"),
        (with("stream", json!("yes")), "stream"),
        (with("model", json!(5)), "model"),
        (with("tools", json!({})), "tools"),
        (with("tools", json!([tool("a"), { "type": "retrieval" }])), "tools[1]"),
        (with("tools", json!([{ "type": "function", "function": {} }])), "tools[0].function.name"),
        (with("tool_choice", json!("sometimes")), "tool_choice"),
        (with("tool_choice", json!({ "type": "web_search" })), "tool_choice"),
        (with("response_format", json!({ "type": "xml" })), "response_format.type"),
        (
            with("response_format", json!({ "type": "json_schema", "json_schema": {} })),
            "response_format.json_schema.schema",
        ),
        (with("n", json!(2)), "n"),
        (with("logprobs", json!(true)), "logprobs"),
        (with("modalities", json!(["text", "audio"])), "modalities"),
        (with("audio", json!({ "voice": "x" })), "audio"),
        (with("prediction", json!({})), "prediction"),
        (with("parallel_tool_calls", json!("no")), "parallel_tool_calls"),
    ];
    for (body, param) in cases {
        let answer = proxy.chat(&body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text);
        let error = answer.error();
        assert_eq!(error["param"], param, "{body}: {error}");
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].as_str().unwrap().contains('\''), "{error}");
    }
    assert_eq!(proxy.calls(), 0);
}

#[tokio::test]
async fn what_is_no_json_object_is_told_so() {
    let proxy = Proxy::start().await;
    for (body, words) in [
        ("", "empty"),
        ("{\"a\":", "not valid JSON"),
        ("[]", "must be a JSON object"),
        ("\"x\"", "must be"),
        ("\u{0}", "not valid JSON"),
    ] {
        let request = proxy.http.post(format!("{}/v1/chat/completions", proxy.base));
        let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
        let answer = Answer::read(answer).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.error()["message"].as_str().unwrap().contains(words), "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_a_message_cannot_carry_is_named() {
    let proxy = Proxy::start().await;
    let body = json!({ "messages": [
        { "role": "user", "content": "hi", "name": "" },
        { "role": "assistant", "content": "hello", "audio": { "id": "a" }, "images": [] },
        { "role": "assistant", "content": "see", "images": [{ "image_url": { "url": PIXEL } }, "no image"] },
        { "role": "user", "content": "and?", "images": "iVBORw0KGgo=" },
    ] });
    let answer = proxy.chat(&body).await;
    answer.message();
    assert_eq!(answer.header("x-codex-proxy-ignored"), "messages[1].audio, messages[2].images[1], messages[3].images");
}

#[tokio::test]
async fn what_asks_for_nothing_unusual_is_no_error_and_not_named() {
    let proxy = Proxy::start().await;
    let mut body = user("hi");
    body["logprobs"] = false.into();
    body["modalities"] = json!(["text"]);
    body["stream_options"] = json!({});
    body["reasoning"] = json!({});
    // Tools in today's form go before the choice in the old one.
    body["tools"] = json!([tool("a")]);
    body["tool_choice"] = "required".into();
    body["function_call"] = "none".into();
    let answer = proxy.chat(&body).await;
    answer.message();
    assert_eq!(answer.header("x-codex-proxy-ignored"), "");
    assert_eq!(proxy.last_sent()["tool_choice"], "required");
}

#[tokio::test]
async fn the_field_at_fault_is_named_however_deep_it_stands() {
    let proxy = Proxy::start().await;
    let content = |part: Value| json!({ "messages": [{ "role": "user", "content": [part] }] });
    let with = |name: &str, value: Value| {
        let mut body = user("hi");
        body["tools"] = json!([tool("a")]);
        body[name] = value;
        body
    };
    let allowed =
        |tools: Value| json!({ "type": "allowed_tools", "allowed_tools": { "mode": "auto", "tools": tools } });
    for (body, param) in [
        (content(json!({ "type": "image_url", "image_url": { "url": "" } })), "messages[0].content[0].image_url"),
        (content(json!({ "type": "file", "file": {} })), "messages[0].content[0].file.file_data"),
        (content(json!({ "type": "input_file", "file_id": "f" })), "messages[0].content[0].file_id"),
        (with("stream_options", json!({ "include_usage": "yes" })), "stream_options.include_usage"),
        (with("reasoning", json!({ "effort": 3 })), "reasoning.effort"),
        (with("reasoning", json!({ "summary": [] })), "reasoning.summary"),
        (with("n", json!(-1)), "n"),
        (with("tool_choice", json!({ "type": "function" })), "tool_choice.function"),
        (with("tool_choice", allowed(json!([{ "type": "retrieval" }]))), "tool_choice.allowed_tools.tools[0].type"),
        (with("tool_choice", allowed(json!("all"))), "tool_choice.allowed_tools.tools"),
        (with("function_call", json!({})), "function_call.name"),
        (with("functions", json!([{}])), "functions[0].name"),
    ] {
        let mut body = body;
        if param.starts_with("function_call") {
            body.as_object_mut().unwrap().remove("tool_choice");
        }
        let answer = proxy.chat(&body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text);
        assert_eq!(answer.error()["param"], param, "{body}: {}", answer.text);
    }
    assert_eq!(proxy.calls(), 0);
}

#[tokio::test]
async fn words_that_mean_nothing_here_are_named() {
    let proxy = Proxy::start().await;
    let chat = |key: &str, value: Value| {
        let mut body = user("hi");
        body[key] = value;
        ("/v1/chat/completions", body)
    };
    let responses = |key: &str, value: Value| {
        let mut body = json!({ "input": "hi" });
        body[key] = value;
        ("/v1/responses", body)
    };
    let messages = |effort: &str| {
        let body = json!({ "messages": [{ "role": "user", "content": "hi" }], "output_config": { "effort": effort } });
        ("/v1/messages", body)
    };
    for ((path, body), ignored) in [
        (chat("modalities", json!(["text"])), ""),
        (chat("modalities", json!([])), ""),
        (chat("modalities", json!(["text", "image"])), "modalities"),
        (chat("reasoning_effort", json!("turbo")), "reasoning_effort"),
        (chat("reasoning_effort", json!("ultra")), ""),
        (chat("reasoning_effort", json!("")), ""),
        (chat("reasoning_effort", json!({ "effort": "turbo" })), "reasoning_effort.effort"),
        (chat("reasoning", json!({ "effort": "turbo" })), "reasoning.effort"),
        (responses("reasoning", json!({ "effort": "turbo" })), "reasoning.effort"),
        (responses("reasoning", json!({ "effort": "low" })), ""),
        (responses("reasoning_effort", json!("turbo")), "reasoning_effort"),
        (messages("turbo"), "output_config.effort"),
        (messages("max"), ""),
    ] {
        let answer = proxy.post(path, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.header("x-codex-proxy-ignored"), ignored, "{path} {body}");
    }
}
