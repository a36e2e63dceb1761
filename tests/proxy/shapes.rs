//! What clients put into chat requests beside the plain things: names, images, searches, other APIs' shapes, and keys that
//! nobody knows.

use codex_proxy::simulator::Scenario;
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, tool, user};

const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn input_text(text: &str) -> Value {
    json!({ "type": "input_text", "text": text })
}

fn message(role: &str, content: Value) -> Value {
    json!({ "type": "message", "role": role, "content": content })
}

#[tokio::test]
async fn the_model_sees_the_names_of_participants() {
    let proxy = Proxy::start().await;
    let body = json!({ "messages": [
        { "role": "system", "name": "example_user", "content": "How are you?" },
        { "role": "system", "content": "Be kind." },
        { "role": "user", "name": "Ada \"A\"", "content": " hi" },
        { "role": "assistant", "name": "Bot", "content": "hello" },
        { "role": "developer", "name": "ops", "content": [{ "type": "text", "text": "hurry" }] },
        { "role": "user", "name": "", "content": "bye" },
    ] });
    let sent = proxy.sent(&body).await;
    assert_eq!(sent["instructions"], "example_user:\nHow are you?\n\nBe kind.");
    let expected = json!([
        message("user", json!([input_text("Ada \"A\":\n"), input_text(" hi")])),
        message("developer", json!([input_text("Author of the next message: Bot")])),
        message("assistant", json!([{ "type": "output_text", "text": "hello" }])),
        message("developer", json!([input_text("ops:\n"), input_text("hurry")])),
        message("user", json!([input_text("bye")])),
    ]);
    assert_eq!(sent["input"], expected);
    assert_eq!(proxy.chat(&body).await.header("x-codex-proxy-ignored"), "");
    let odd = json!({ "messages": [{ "role": "user", "name": 5, "content": "hi" }] });
    assert_eq!(proxy.chat(&odd).await.header("x-codex-proxy-ignored"), "messages[0].name");
}

#[tokio::test]
async fn a_list_of_images_beside_the_content_is_seen() {
    let proxy = Proxy::start().await;
    let url = format!("data:image/png;base64,{PIXEL}");
    let body = json!({ "messages": [
        { "role": "user", "content": "what?", "images": [PIXEL, url, "https://example.com/a.png", "/9j/4AAQ", "nothing"] },
        { "role": "assistant", "content": "see", "images": [{ "type": "image_url", "image_url": { "url": url }, "index": 0 }] },
        { "role": "user", "images": [PIXEL] },
    ] });
    let answer = proxy.chat(&body).await;
    answer.message();
    assert_eq!(answer.header("x-codex-proxy-ignored"), "messages[0].images[4], messages[1].images[0].index");
    let sent = proxy.last_sent();
    let image = |url: &str| json!({ "type": "input_image", "image_url": url });
    let jpeg = "data:image/jpeg;base64,/9j/4AAQ";
    let expected = json!([
        message(
            "user",
            json!([input_text("what?"), image(&url), image(&url), image("https://example.com/a.png"), image(jpeg)])
        ),
        message("assistant", json!([{ "type": "output_text", "text": "see" }])),
        message("user", json!([image(&url)])),
        message("user", json!([image(&url)])),
    ]);
    assert_eq!(sent["input"], expected);
    let escaped = r#"{"messages":[{"role":"user","content":"x","images":["\/9j\/4AAQ"]}]}"#;
    let request = proxy.http.post(format!("{}/v1/chat/completions", proxy.base));
    let response = request.header("content-type", "application/json").body(escaped).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(proxy.last_sent()["input"][0]["content"][1], image(jpeg));
}

#[tokio::test]
async fn a_search_asked_for_by_its_options_is_a_tool() {
    let proxy = Proxy::start().await;
    let mut body = user("hi");
    body["web_search_options"] = json!({});
    let sent = proxy.sent(&body).await;
    assert_eq!(sent["tools"], json!([{ "type": "web_search" }]));
    assert_eq!(sent["tool_choice"], "auto");
    let place =
        json!({ "country": "DE", "city": "Köln", "region": null, "timezone": "Europe/Berlin", "planet": "Earth" });
    body["web_search_options"] = json!({
        "search_context_size": "low", "user_location": { "type": "approximate", "approximate": place }, "depth": 3,
    });
    body["tools"] = json!([tool("f")]);
    body["tool_choice"] = json!({ "type": "function", "function": { "name": "f" } });
    let answer = proxy.chat(&body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let ignored = "web_search_options.depth, web_search_options.user_location.approximate.planet";
    assert_eq!(answer.header("x-codex-proxy-ignored"), ignored);
    let sent = proxy.last_sent();
    let location = json!({ "type": "approximate", "country": "DE", "city": "Köln", "timezone": "Europe/Berlin" });
    let search = json!({ "type": "web_search", "search_context_size": "low", "user_location": location });
    assert_eq!(sent["tools"][1], search);
    assert_eq!(sent["tool_choice"], json!({ "type": "function", "name": "f" }));
    for (choice, expected) in [("none", "none"), ("auto", "auto"), ("required", "required")] {
        let mut body = user("hi");
        body["web_search_options"] = json!({});
        body["tool_choice"] = choice.into();
        assert_eq!(proxy.sent(&body).await["tool_choice"], expected);
    }
    body["tools"] = json!([{ "type": "web_search_preview", "search_context_size": "high" }]);
    body["tool_choice"] = Value::Null;
    body["web_search_options"] = json!({});
    let answer = proxy.chat(&body).await;
    assert_eq!(answer.header("x-codex-proxy-ignored"), "web_search_options");
    assert_eq!(proxy.last_sent()["tools"], json!([{ "type": "web_search", "search_context_size": "high" }]));
    body["web_search_options"] = json!({ "search_context_size": "huge" });
    let answer = proxy.chat(&body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.error()["param"], "web_search_options.search_context_size");
}

#[tokio::test]
async fn what_a_search_found_is_an_annotation() {
    let proxy = Proxy::start().await;
    let mut body = user("search the web");
    body["web_search_options"] = json!({});
    for answer in proxy.both(Scenario::WebSearch, &body).await {
        let message = answer.message();
        assert!(message.calls.is_empty() && !message.annotations.is_empty(), "{}", answer.text);
    }
}

#[tokio::test]
async fn keys_nobody_knows_are_named_by_their_path() {
    let proxy = Proxy::start().await;
    let part = json!({ "type": "text", "text": "hi", "cache_control": { "type": "ephemeral" }, "annotations": [] });
    let image =
        json!({ "type": "image_url", "image_url": { "url": "https://example.com/a.png", "alt": "x" }, "id": 1 });
    let call = json!({ "id": "a", "type": "function", "index": 0, "function": { "name": "f", "arguments": "{}", "parsed": 1 }, "extra": 2 });
    let function = json!({ "name": "f", "parameters": {}, "cache": true });
    let body = json!({
        "messages": [
            { "role": "system", "content": "s", "priority": 1 },
            { "role": "user", "content": [part, image], "id": "m" },
            { "role": "assistant", "content": null, "refusal": null, "annotations": [], "reasoning_content": "t",
              "provider_specific_fields": {}, "tool_calls": [call], "function_call": null },
            { "role": "tool", "tool_call_id": "a", "name": "f", "content": "1" },
        ],
        "tools": [{ "type": "function", "function": function, "eager": 1 }, { "type": "custom", "custom": { "name": "c", "x": 1 } }],
        "tool_choice": { "type": "function", "function": { "name": "f", "why": 1 }, "also": 1 },
        "response_format": { "type": "json_schema", "json_schema": { "name": "n", "schema": {}, "loose": 1 }, "retries": 2 },
        "stream_options": { "include_usage": true, "include_obfuscation": false },
        "reasoning": { "effort": "low", "max_tokens": 5, "exclude": null },
        "made_up": 1,
    });
    let answer = proxy.chat(&body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let expected = [
        "made_up",
        "messages[0].priority",
        "messages[1].content[0].cache_control",
        "messages[1].content[1].id",
        "messages[1].content[1].image_url.alt",
        "messages[1].id",
        "messages[2].reasoning_content",
        "messages[2].tool_calls[0].extra",
        "messages[2].tool_calls[0].function.parsed",
        "messages[3].name",
        "reasoning.max_tokens",
        "response_format.json_schema.loose",
        "response_format.retries",
        "stream_options.include_obfuscation",
        "tool_choice.also",
        "tool_choice.function.why",
        "tools[0].eager",
        "tools[0].function.cache",
        "tools[1].custom.x",
    ];
    let mut named: Vec<&str> = answer.header("x-codex-proxy-ignored").split(", ").collect();
    named.sort_unstable();
    assert_eq!(named, expected);
}

#[tokio::test]
async fn a_long_history_makes_no_long_header() {
    let proxy = Proxy::start().await;
    let mut messages = Vec::new();
    for turn in 0..500 {
        messages.push(json!({ "role": "user", "content": format!("{turn}"), "id": turn }));
        messages.push(json!({ "role": "assistant", "content": "a", "reasoning_content": "t" }));
    }
    let answer = proxy.chat(&json!({ "messages": messages })).await;
    assert_eq!(answer.header("x-codex-proxy-ignored"), "messages[*].id, messages[*].reasoning_content");
    let mut message = json!({ "role": "user", "content": "hi" });
    for number in 0..1000 {
        message[format!("a key, {number} {}", "é".repeat(200))] = 1.into();
    }
    let answer = proxy.chat(&json!({ "messages": [message] })).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let header = answer.header("x-codex-proxy-ignored");
    assert!(header.len() <= 2048 && header.ends_with(", ..."), "{header}");
}

#[tokio::test]
async fn anthropic_tools_and_blocks_are_understood() {
    let proxy = Proxy::start().await;
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let image = json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PIXEL } });
    let body = json!({
        "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "hi" }, image] },
            { "role": "assistant", "content": [
                { "type": "text", "text": "let me see" },
                { "type": "tool_use", "id": "toolu_1", "name": "w", "input": { "city": "Köln", "n": 1 } },
                { "type": "tool_use", "id": "toolu_2", "name": "w", "input": {} },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "toolu_2", "content": [{ "type": "text", "text": "rain" }, image] },
                { "type": "tool_result", "tool_use_id": "toolu_1", "content": "no such city", "is_error": true },
                { "type": "text", "text": "and?" },
            ] },
        ],
        "tools": [{ "name": "w", "description": "d", "input_schema": schema }],
        "tool_choice": { "type": "tool", "name": "w" },
    });
    let sent = proxy.sent(&body).await;
    let tool = json!({ "type": "function", "name": "w", "description": "d", "parameters": schema, "strict": false });
    assert_eq!(sent["tools"], json!([tool]));
    assert_eq!(sent["tool_choice"], json!({ "type": "function", "name": "w" }));
    let shown = json!({ "type": "input_image", "image_url": format!("data:image/png;base64,{PIXEL}") });
    let call = |id: &str, arguments: &str| json!({ "type": "function_call", "call_id": id, "name": "w", "arguments": arguments });
    let output = |id: &str, output: Value| json!({ "type": "function_call_output", "call_id": id, "output": output });
    let expected = json!([
        message("user", json!([input_text("hi"), shown])),
        message("assistant", json!([{ "type": "output_text", "text": "let me see" }])),
        call("toolu_1", r#"{"city":"Köln","n":1}"#),
        call("toolu_2", "{}"),
        output("toolu_1", json!("[tool error]\nno such city")),
        output("toolu_2", json!([input_text("rain"), shown])),
        message("user", json!([input_text("and?")])),
    ]);
    assert_eq!(sent["input"], expected);
    assert_eq!(proxy.chat(&body).await.header("x-codex-proxy-ignored"), "");
    for (choice, expected) in [("any", "required"), ("auto", "auto"), ("none", "none")] {
        let mut body = body.clone();
        body["tool_choice"] = json!({ "type": choice });
        assert_eq!(proxy.sent(&body).await["tool_choice"], expected);
    }
}

#[tokio::test]
async fn a_responses_body_on_the_chat_route_is_answered_as_chat() {
    let proxy = Proxy::start().await;
    let custom = json!({ "type": "custom", "name": "apply_patch", "format": { "type": "text" } });
    let function =
        json!({ "type": "function", "name": "get.weather", "parameters": { "type": "object" }, "strict": false });
    let input = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": [{ "type": "text", "text": "hi" }, { "type": "image_url", "image_url": { "url": "https://example.com/a.png", "detail": "low" } }] },
        { "type": "function_call", "call_id": "a", "name": "get.weather", "arguments": "{}" },
        { "role": "user", "content": [{ "type": "input_text", "text": "go on" }] },
    ]);
    for messages in [Value::Null, json!([])] {
        let body = json!({
            "model": "gpt-6.1-sol", "messages": messages, "input": input, "tools": [function, custom], "store": false,
            "reasoning": { "effort": "low" }, "tool_choice": "required", "user": "u", "include": [],
        });
        for answer in proxy.both(Scenario::InterleavedCalls, &body).await {
            assert!(answer.message().tools().iter().all(|(name, _)| *name == "get.weather"), "{}", answer.text);
            assert_eq!(answer.header("x-codex-proxy-ignored"), "user");
        }
        let sent = proxy.last_sent();
        assert_eq!(sent["reasoning"], json!({ "effort": "low", "summary": "auto" }));
        assert_eq!(sent["tools"][1], custom);
        let image = json!({ "type": "input_image", "image_url": "https://example.com/a.png", "detail": "low" });
        assert_eq!(sent["input"][0], message("developer", json!([input_text("Be brief.")])));
        assert_eq!(sent["input"][1]["content"], json!([input_text("hi"), image]));
        assert_eq!(sent["input"][3]["type"], "function_call_output");
    }
    let [buffered, streamed] = proxy.both(Scenario::Default, &json!({ "input": "hi", "n": 1 })).await;
    assert_eq!(buffered.message().content, streamed.message().content);
    assert!(!buffered.message().content.is_empty());
    let answer = proxy.chat(&json!({ "input": "hi", "n": 2 })).await;
    assert_eq!((answer.status, &answer.error()["param"]), (StatusCode::BAD_REQUEST, &json!("n")));
    let answer = proxy.chat(&json!({ "input": [] , "messages": [{ "role": "user", "content": "hi" }] })).await;
    assert_eq!(answer.header("x-codex-proxy-ignored"), "input");
}

#[tokio::test]
async fn a_responses_body_on_the_chat_route_ends_at_its_stop_sequence() {
    let proxy = Proxy::start().await;
    let body = json!({ "input": "Say END here.", "stop": "END" });
    let answer = proxy.chat(&body).await;
    let json = answer.json();
    let message = &json["choices"][0];
    assert_eq!(message["finish_reason"], "stop", "{}", answer.text);
    assert!(!message["message"]["content"].as_str().expect("text").contains("END"), "{}", answer.text);
    assert_eq!(answer.header("x-codex-proxy-ignored"), "");
}

#[tokio::test]
async fn the_format_that_chat_asks_for_goes_with_a_responses_body_too() {
    let proxy = Proxy::start().await;
    let schema = json!({ "type": "object", "properties": {} });
    let inner = json!({ "name": "n", "schema": schema, "strict": false });
    let flat = json!({ "type": "json_schema", "name": "n", "schema": schema, "strict": false });
    let asked = |fields: Value| {
        let mut body = json!({ "input": "as json" });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    for (fields, text, ignored) in [
        (json!({ "verbosity": "low" }), json!({ "verbosity": "low" }), ""),
        (json!({ "response_format": { "type": "json_object" } }), json!({ "format": { "type": "json_object" } }), ""),
        (
            json!({ "response_format": { "type": "json_schema", "json_schema": inner }, "verbosity": "high" }),
            json!({ "verbosity": "high", "format": flat }),
            "",
        ),
        (
            json!({ "response_format": { "type": "json_object" }, "text": { "verbosity": "low" }, "verbosity": "high" }),
            json!({ "verbosity": "low", "format": { "type": "json_object" } }),
            "verbosity",
        ),
        (
            json!({ "response_format": { "type": "json_object" }, "text": { "format": { "type": "text" } } }),
            json!({ "format": { "type": "text" } }),
            "response_format",
        ),
    ] {
        for path in ["/v1/chat/completions", "/v1/responses"] {
            let answer = proxy.post(path, &asked(fields.clone())).await;
            assert_eq!(
                (answer.status, answer.header("x-codex-proxy-ignored")),
                (StatusCode::OK, ignored),
                "{}",
                answer.text
            );
            assert_eq!(proxy.last_sent()["text"], text);
        }
    }
    let mut spoken = asked(json!({ "response_format": { "type": "json_object" }, "instructions": "In JSON." }));
    spoken["input"] = json!("hi");
    let answer = proxy.chat(&spoken).await;
    assert_eq!(answer.status, StatusCode::OK, "the word moves: {}", answer.text);
    let answer = proxy.chat(&asked(json!({ "response_format": { "type": "xml" } }))).await;
    assert_eq!((answer.status, &answer.error()["param"]), (StatusCode::BAD_REQUEST, &json!("response_format.type")));
}

#[tokio::test]
async fn a_name_longer_than_any_models_is_refused() {
    let proxy = Proxy::start().await;
    for (path, key, value) in [
        ("/v1/chat/completions", "messages", json!([{ "role": "user", "content": "hi" }])),
        ("/v1/responses", "input", json!("hi")),
    ] {
        let answer = proxy.post(path, &json!({ "model": "x".repeat(257), key: value })).await;
        assert_eq!((answer.status, &answer.error()["param"]), (StatusCode::BAD_REQUEST, &json!("model")));
        let answer = proxy.post(path, &json!({ "model": "x".repeat(256), key: value })).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_codex_clients_access_programs_are_passed_on() {
    let proxy = Proxy::start().await;
    proxy.simulator.configure(|settings| settings.access_programs = true);
    let body = json!({ "input": "hi", "access_programs": { "cyber": "daybreak" } });
    let ask = |agent: &str| {
        let request = proxy.http.post(format!("{}/v1/responses", proxy.base)).header("user-agent", agent);
        request.header("content-type", "application/json").body(body.to_string()).send()
    };
    assert_eq!(ask("codex_cli_rs/0.169.0").await.unwrap().status(), StatusCode::OK);
    assert_eq!(proxy.last_sent()["access_programs"], body["access_programs"]);
    let other = ask("curl/8").await.unwrap();
    assert_eq!(other.headers()["x-codex-proxy-ignored"], "access_programs");
    assert!(proxy.last_sent().get("access_programs").is_none());
}
