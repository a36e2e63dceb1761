//! What the backend gets for a chat request, where there are many forms of one field; `tests/translation/requests` shows whole
//! bodies. The simulator refuses what the real backend refuses.

use std::collections::HashSet;

use codex_proxy::backend::request::context::Context;
use codex_proxy::backend::request::translate;
use codex_proxy::dialect::Dialect as _;
use codex_proxy::dialect::chat::Chat;
use codex_proxy::models::Models;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::harness::{PIXEL, Proxy, tool, user};

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

/// Many of them become the same body, which the backend is asked for once.
#[tokio::test]
async fn every_effort_word_over_every_model_is_accepted() {
    let proxy = Proxy::start().await;
    let models = Models::default();
    let names: Vec<String> = models.list().into_iter().map(|entry| entry.id).collect();
    assert!(names.len() > 30);
    let mut accepted = HashSet::new();
    for name in names {
        for effort in ["none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra", "LOW", "bogus", ""] {
            let mut body = user("hi");
            body["model"] = name.clone().into();
            body["reasoning_effort"] = effort.into();
            if accepted.insert(translated(&models, &body)) {
                let answer = proxy.chat(&body).await;
                assert_eq!(answer.status, StatusCode::OK, "{name} {effort}: {}", answer.text);
            }
        }
    }
    println!("{} bodies", accepted.len());
}

/// The body that the backend gets for a chat.
fn translated(models: &Models, body: &Value) -> Vec<u8> {
    let bytes = body.to_string().into_bytes();
    let ask = Chat::parse(&bytes, &HeaderMap::new()).unwrap();
    let model = models.resolve_by(Chat::EFFORT_ORDER, ask.model.as_deref(), ask.effort.as_deref());
    translate(ask.form.own().unwrap(), &Context::new(&model)).body
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
