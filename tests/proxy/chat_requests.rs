//! What the backend gets for a chat request, where there are many forms of one field; `tests/translation/requests` shows whole
//! bodies. The simulator refuses what the real backend refuses.

use codex_proxy::models::Models;
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, tool, user};

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn input_text(text: &str) -> Value {
    json!([{ "type": "input_text", "text": text }])
}

fn message(role: &str, content: Value) -> Value {
    json!({ "type": "message", "role": role, "content": content })
}

#[tokio::test]
async fn leading_instructions_are_joined_and_later_ones_stay_in_place() {
    let proxy = Proxy::start().await;
    let sent = proxy
        .sent(&json!({ "messages": [
            { "role": "system", "content": "  one\r\n" },
            { "role": "developer", "content": [{ "type": "text", "text": "two" }, { "type": "text", "text": "three" }] },
            { "role": "system", "content": "" },
            { "role": "user", "content": "hi" },
            { "role": "system", "content": "later" },
            { "role": "developer", "content": [{ "type": "text", "text": "and later" }] },
        ] }))
        .await;
    assert_eq!(sent["instructions"], "  one\r\n\n\ntwo\nthree");
    let expected = json!([
        message("user", input_text("hi")),
        message("developer", input_text("later")),
        message("developer", input_text("and later")),
    ]);
    assert_eq!(sent["input"], expected);
}

#[tokio::test]
async fn a_conversation_of_instructions_alone_is_sent_as_messages() {
    let proxy = Proxy::start().await;
    let sent = proxy.sent(&json!({ "messages": [{ "role": "system", "content": "say hi" }] })).await;
    assert_eq!(sent["instructions"], "");
    assert_eq!(sent["input"], json!([message("developer", input_text("say hi"))]));
}

#[tokio::test]
async fn no_byte_of_a_text_changes() {
    let proxy = Proxy::start().await;
    for text in ["  leading", "a\r\nb\n", "Cursor and Microsoft", "\u{2028}\u{2029}", "👩‍👩‍👧‍👦 é", "\u{0}\u{7f}\\\"/", ""]
    {
        let sent = proxy.sent(&user(text)).await;
        assert_eq!(sent["input"][0]["content"][0]["text"], text);
    }
}

#[tokio::test]
async fn escapes_are_copied_as_they_stand() {
    let proxy = Proxy::start().await;
    let raw = r#"{"messages":[{"role":"user","content":"\u00e9\/\ud83d\ude00 half \ud83d"}]}"#;
    let url = format!("{}/v1/chat/completions", proxy.base);
    let response = proxy.http.post(url).header("content-type", "application/json").body(raw).send().await.unwrap();
    assert!(response.status().is_success() || response.status() == StatusCode::BAD_REQUEST);
    let sent = proxy.simulator.requests_to("/responses").pop().unwrap();
    let sent = String::from_utf8(sent.bytes.to_vec()).unwrap();
    assert!(sent.contains(r#""\u00e9\/\ud83d\ude00 half \ud83d""#), "{sent}");
}

#[tokio::test]
async fn user_parts_keep_their_order_and_details() {
    let proxy = Proxy::start().await;
    let content = json!([
        { "type": "text", "text": "before" },
        { "type": "image_url", "image_url": { "url": PIXEL, "detail": "high" } },
        { "type": "text", "text": "after" },
        { "type": "image_url", "image_url": { "url": "https://example.com/a.png", "detail": "nonsense" } },
        { "type": "image_url", "image_url": PIXEL },
        { "type": "file", "file": { "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0=" } },
    ]);
    let body = json!({ "messages": [{ "role": "user", "content": content }] });
    let sent = proxy.sent(&body).await;
    let expected = json!([
        { "type": "input_text", "text": "before" },
        { "type": "input_image", "image_url": PIXEL, "detail": "high" },
        { "type": "input_text", "text": "after" },
        { "type": "input_image", "image_url": "https://example.com/a.png" },
        { "type": "input_image", "image_url": PIXEL },
        { "type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0=" },
    ]);
    assert_eq!(sent["input"][0]["content"], expected);
    let ignored = proxy.chat(&body).await.header("x-codex-proxy-ignored").to_owned();
    assert_eq!(ignored, "messages[0].content[3].image_url.detail");
}

#[tokio::test]
async fn numbers_in_schemas_keep_their_digits() {
    let proxy = Proxy::start().await;
    let mut body = user("hi").to_string();
    body.truncate(body.len() - 1);
    let schema = r#"{"type":"object","properties":{"n":{"maximum":12345678901234567890123,"minimum":1.10}}}"#;
    body += &format!(r#","tools":[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}]}}"#);
    let url = format!("{}/v1/chat/completions", proxy.base);
    let sending = proxy.http.post(url).header("content-type", "application/json").body(body).send();
    assert_eq!(sending.await.unwrap().status(), StatusCode::OK);
    let sent = proxy.simulator.requests_to("/responses").pop().unwrap();
    assert!(String::from_utf8(sent.bytes.to_vec()).unwrap().contains(schema));
}

#[tokio::test]
async fn every_form_of_tool_choice() {
    let proxy = Proxy::start().await;
    let function = json!({ "type": "function", "name": "a" });
    let cases = [
        (json!("auto"), json!("auto")),
        (json!("none"), json!("none")),
        (json!("required"), json!("required")),
        (json!({ "type": "function", "function": { "name": "a" } }), function.clone()),
        (function.clone(), function.clone()),
        (json!({ "type": "custom", "custom": { "name": "c" } }), json!({ "type": "custom", "name": "c" })),
        (
            json!({ "type": "allowed_tools", "allowed_tools": { "mode": "required",
                "tools": [{ "type": "function", "function": { "name": "a" } }] } }),
            json!({ "type": "allowed_tools", "mode": "required", "tools": [function] }),
        ),
    ];
    for (given, expected) in cases {
        let mut body = user("hi");
        body["tools"] = json!([tool("a"), { "type": "custom", "custom": { "name": "c" } }]);
        body["tool_choice"] = given.clone();
        body["parallel_tool_calls"] = false.into();
        let sent = proxy.sent(&body).await;
        assert_eq!(sent["tool_choice"], expected, "{given}");
        assert_eq!(sent["parallel_tool_calls"], false);
    }
    for (given, expected) in
        [(json!("auto"), json!("auto")), (json!({ "name": "a" }), json!({ "type": "function", "name": "a" }))]
    {
        let mut body = user("hi");
        body["functions"] = json!([tool("a")["function"]]);
        body["function_call"] = given;
        assert_eq!(proxy.sent(&body).await["tool_choice"], expected);
    }
}

#[tokio::test]
async fn without_tools_there_is_no_choice_among_them() {
    let proxy = Proxy::start().await;
    let mut body = user("hi");
    body["tools"] = json!([]);
    body["tool_choice"] = "auto".into();
    body["parallel_tool_calls"] = true.into();
    let sent = proxy.sent(&body).await;
    for absent in ["tools", "tool_choice", "parallel_tool_calls"] {
        assert!(sent.get(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn response_formats() {
    let proxy = Proxy::start().await;
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"], "additionalProperties": false });
    let cases = [
        (json!({ "type": "text" }), json!({ "type": "text" })),
        (json!({ "type": "json_object" }), json!({ "type": "json_object" })),
        (
            json!({ "type": "json_schema", "json_schema": { "name": "n", "strict": true, "description": "d", "schema": schema } }),
            json!({ "type": "json_schema", "name": "n", "description": "d", "schema": schema, "strict": true }),
        ),
        (
            json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": schema } }),
            json!({ "type": "json_schema", "name": "n", "schema": schema }),
        ),
    ];
    for (given, expected) in cases {
        let mut body = user("answer in JSON");
        body["response_format"] = given;
        body["verbosity"] = "low".into();
        assert_eq!(proxy.sent(&body).await["text"], json!({ "verbosity": "low", "format": expected }));
    }
}

#[tokio::test]
async fn effort_and_summary() {
    let proxy = Proxy::before_retirements().await;
    let cases = [
        (json!({ "model": "gpt-5" }), json!({ "summary": "auto" })),
        (json!({ "model": "gpt-5-high" }), json!({ "effort": "high", "summary": "auto" })),
        (json!({ "model": "gpt-5.1" }), json!({ "effort": "low", "summary": "auto" })),
        (json!({ "model": "gpt-5", "reasoning_effort": "xhigh" }), json!({ "effort": "high", "summary": "auto" })),
        (
            json!({ "model": "gpt-5", "reasoning": { "effort": "low", "summary": "detailed" } }),
            json!({ "effort": "low", "summary": "detailed" }),
        ),
        (json!({ "model": "gpt-6-luna", "reasoning_effort": "none" }), json!({ "effort": "none" })),
        (json!({ "model": "gpt-6.1-sol", "reasoning_effort": "none" }), json!({ "effort": "low", "summary": "auto" })),
        (json!({ "model": "gpt-5", "reasoning_effort": "enormous" }), json!({ "summary": "auto" })),
        (
            json!({ "model": "gpt-5", "reasoning_effort": "enormous", "reasoning": { "effort": "high" } }),
            json!({ "effort": "high", "summary": "auto" }),
        ),
    ];
    for (fields, expected) in cases {
        let mut body = user("hi");
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(proxy.sent(&body).await["reasoning"], expected, "{fields}");
    }
}

#[tokio::test]
async fn effort_in_an_object_in_brackets_and_in_other_words() {
    let proxy = Proxy::start().await;
    let high = json!({ "effort": "high", "summary": "auto" });
    let cases = [
        (json!({ "reasoning_effort": { "effort": "high" } }), high.clone()),
        (
            json!({ "reasoning_effort": { "effort": "high", "summary": "detailed" } }),
            json!({ "effort": "high", "summary": "detailed" }),
        ),
        (
            json!({ "reasoning_effort": { "effort": "nonsense", "summary": "concise" },
                "reasoning": { "effort": "low", "summary": "detailed" } }),
            json!({ "effort": "low", "summary": "detailed" }),
        ),
        (json!({ "reasoning_effort": { "effort": null } }), json!({ "summary": "auto" })),
        (json!({ "reasoning_effort": "Extra High" }), json!({ "effort": "xhigh", "summary": "auto" })),
        (json!({ "reasoning_effort": "auto" }), json!({ "summary": "auto" })),
        (json!({ "model": "gpt-6.1-sol(high)" }), high.clone()),
        (json!({ "model": "gpt-6-1-sol:high" }), high.clone()),
        (json!({ "model": "openai/gpt-6.1-sol (x-high)" }), json!({ "effort": "xhigh", "summary": "auto" })),
        (json!({ "model": "gpt-6.1-sol(12000)" }), json!({ "summary": "auto" })),
    ];
    for (fields, expected) in cases {
        let mut body = user("hi");
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let sent = proxy.sent(&body).await;
        assert_eq!((&sent["model"], &sent["reasoning"]), (&json!("gpt-6.1-sol"), &expected), "{fields}");
    }
    let mut body = user("hi");
    body["reasoning_effort"] = json!({ "effort": "low", "max_tokens": 5, "enabled": null });
    assert_eq!(proxy.chat(&body).await.header("x-codex-proxy-ignored"), "reasoning_effort.max_tokens");
    for (value, param) in [(json!(5), "reasoning_effort"), (json!({ "effort": 5 }), "reasoning_effort.effort")] {
        body["reasoning_effort"] = value;
        assert_eq!(proxy.chat(&body).await.error()["param"], param);
    }
}

#[tokio::test]
async fn every_effort_word_over_every_model_is_accepted() {
    let proxy = Proxy::start().await;
    let names: Vec<String> = Models::default().list().into_iter().map(|entry| entry.id).collect();
    assert!(names.len() > 30);
    for name in names {
        for effort in ["none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra", "LOW", "bogus", ""] {
            let mut body = user("hi");
            body["model"] = name.clone().into();
            body["reasoning_effort"] = effort.into();
            let answer = proxy.chat(&body).await;
            assert_eq!(answer.status, StatusCode::OK, "{name} {effort}: {}", answer.text);
        }
    }
}

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
async fn the_fast_tier_is_sent_where_the_model_has_it() {
    let proxy = Proxy::before_retirements().await;
    for (tier, model, expected) in [
        ("fast", "gpt-6.1-sol", json!("priority")),
        ("priority", "gpt-6-luna", json!("priority")),
        ("priority", "gpt-5", Value::Null),
        ("default", "gpt-6.1-sol", Value::Null),
    ] {
        let mut body = user("hi");
        body["service_tier"] = tier.into();
        body["model"] = model.into();
        assert_eq!(proxy.sent(&body).await["service_tier"], expected, "{tier} {model}");
    }
}

#[tokio::test]
async fn a_conversation_keeps_its_cache_key_and_another_has_another() {
    let proxy = Proxy::start().await;
    let key = |sent: Value| sent["prompt_cache_key"].as_str().unwrap().to_owned();
    let first = key(proxy.sent(&user("hi")).await);
    let mut longer = user("hi");
    longer["messages"]
        .as_array_mut()
        .unwrap()
        .extend([json!({ "role": "assistant", "content": "hello" }), json!({ "role": "user", "content": "and?" })]);
    assert_eq!(key(proxy.sent(&longer).await), first);
    assert_ne!(key(proxy.sent(&user("ho")).await), first);
    let request = &proxy.simulator.requests_to("/responses")[0];
    assert_eq!(request.header("session-id"), request.json()["prompt_cache_key"]);
    let mut given = user("hi");
    given["prompt_cache_key"] = "mine".into();
    assert_eq!(key(proxy.sent(&given).await), "mine");
}

#[tokio::test]
async fn a_session_header_gives_the_cache_key() {
    let proxy = Proxy::start().await;
    for name in ["session-id", "session_id", "x-session-id", "x-session-affinity", "x-affinity", "thread-id"] {
        let request = proxy.http.post(format!("{}/v1/chat/completions", proxy.base));
        let request =
            request.header("content-type", "application/json").header(name, "s-1").body(user("hi").to_string());
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
        assert_eq!(proxy.last_sent()["prompt_cache_key"], "s-1", "{name}");
    }
}

#[tokio::test]
async fn the_headers_say_who_calls() {
    let proxy = Proxy::start().await;
    proxy.sent(&user("hi")).await;
    let request = proxy.simulator.requests_to("/responses").pop().unwrap();
    assert!(request.header("authorization").starts_with("Bearer "));
    assert!(!request.header("chatgpt-account-id").is_empty());
    assert_eq!(request.header("originator"), "codex-proxy");
    assert!(request.header("user-agent").starts_with("codex-proxy/"));
    assert_eq!(request.header("version"), "0.160.0");
    assert_eq!(request.header("accept"), "text/event-stream");
    assert_eq!(request.header("content-type"), "application/json");
    assert!(request.headers.get("x-openai-fedramp").is_none());
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
        let answer = crate::common::answer::Answer::read(answer).await;
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
