//! Anthropic's Messages, from a request to the answer.

use codex_proxy::models::Models;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{Ending, FailureShape, IncompleteReason, Moment, Play, Scenario, StreamFailure};
use serde_json::{Value, json};

use super::harness::{Proxy, Setup};
use crate::common::answer::Answer;

fn asked(content: &str) -> Value {
    json!({ "model": "claude-opus-5-5", "max_tokens": 100, "messages": [{ "role": "user", "content": content }] })
}

fn tool(name: &str) -> Value {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    json!({ "name": name, "description": "d", "input_schema": schema })
}

async fn ask(proxy: &Proxy, body: &Value) -> Answer {
    proxy.post("/v1/messages", body).await
}

/// The message of a streamed answer, put together as the SDKs do it; fails on any event out of order.
fn folded(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let mut message = Value::Null;
    let mut open: Option<usize> = None;
    let mut input = String::new();
    let mut is_over = false;
    for frame in answer.text.split_terminator("\n\n") {
        let (name, data) = frame.split_once("\ndata: ").unwrap_or_else(|| panic!("{frame}"));
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name.strip_prefix("event: "), event["type"].as_str());
        assert!(!is_over, "{frame} after the end");
        match event["type"].as_str().unwrap() {
            "ping" => {}
            "message_start" => {
                assert_eq!(message, Value::Null, "one start");
                message = event["message"].clone();
                assert_eq!(message["content"], json!([]));
            }
            "content_block_start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!((open, event["index"].as_u64()), (None, Some(content.len() as u64)));
                open = Some(content.len());
                content.push(event["content_block"].clone());
                input.clear();
            }
            "content_block_delta" => {
                let block = &mut message["content"][open.expect("an open block")];
                let delta = &event["delta"];
                let kind = block["type"].as_str().unwrap().to_owned();
                let mut add = |key: &str| {
                    let text = block[key].as_str().unwrap().to_owned() + delta[key].as_str().unwrap();
                    block[key] = text.into();
                };
                match (delta["type"].as_str().unwrap(), kind.as_str()) {
                    ("text_delta", "text") => add("text"),
                    ("thinking_delta", "thinking") => add("thinking"),
                    ("signature_delta", "thinking") => block["signature"] = delta["signature"].clone(),
                    ("input_json_delta", "tool_use" | "server_tool_use") => {
                        input += delta["partial_json"].as_str().unwrap();
                    }
                    ("citations_delta", "text") => {
                        if block["citations"].is_null() {
                            block["citations"] = json!([]);
                        }
                        block["citations"].as_array_mut().unwrap().push(delta["citation"].clone());
                    }
                    other => panic!("{other:?}"),
                }
            }
            "content_block_stop" => {
                let block = &mut message["content"][open.take().expect("an open block")];
                if !input.is_empty() {
                    block["input"] = serde_json::from_str(&input).unwrap();
                }
            }
            "message_delta" => {
                assert_eq!(open, None);
                for (key, value) in event["delta"].as_object().unwrap() {
                    message[key] = value.clone();
                }
                message["usage"] = event["usage"].clone();
            }
            "message_stop" => is_over = true,
            other => panic!("no client knows {other}"),
        }
    }
    assert!(is_over, "{}", answer.text);
    message
}

/// Asks for a document and for events; they hold the same.
async fn both(proxy: &Proxy, play: impl Into<Play>, body: &Value) -> Value {
    let play = play.into();
    let mut body = body.clone();
    proxy.next(play.clone());
    let mut whole = ask(proxy, &body).await.json();
    body["stream"] = true.into();
    proxy.next(play);
    let mut streamed = folded(&ask(proxy, &body).await);
    for message in [&mut whole, &mut streamed] {
        assert!(message["id"].as_str().unwrap().starts_with("msg_"));
        message["id"] = Value::Null;
        // How much of the prompt was cached is another thing each time.
        let usage = message["usage"].as_object_mut().unwrap();
        let whole: u64 = PROMPT.iter().filter_map(|key| usage.remove(*key)?.as_u64()).sum();
        usage.insert("prompt".to_owned(), whole.into());
        for block in message["content"].as_array_mut().unwrap() {
            // Ids and encrypted reasoning are made anew for each answer.
            for key in ["signature", "data", "id", "tool_use_id"] {
                if let Some(value) = block.get_mut(key).filter(|value| *value != "") {
                    *value = "set".into();
                }
            }
        }
    }
    assert_eq!(whole, streamed);
    whole
}

/// The counts that make up the prompt's.
const PROMPT: [&str; 3] = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];

fn kinds(message: &Value) -> Vec<&str> {
    message["content"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_text_comes_as_one_block_in_both_forms() {
    let proxy = Proxy::start().await;
    let message = both(&proxy, Scenario::Default, &asked("hi")).await;
    assert_eq!(kinds(&message), ["text"]);
    assert_eq!((&message["role"], &message["stop_reason"]), (&json!("assistant"), &json!("end_turn")));
    assert_eq!(message["model"], "gpt-6.1-sol", "the model that answers");
    let several = both(&proxy, Scenario::SeveralMessages, &asked("hi")).await;
    assert!(kinds(&several).len() > 1, "a block for each message: {several}");
    assert!(several["content"].as_array().unwrap().iter().all(|block| !block["text"].as_str().unwrap().is_empty()));
}

#[tokio::test]
async fn reasoning_goes_out_sealed_and_comes_back_byte_for_byte() {
    let proxy = Proxy::start().await;
    let mut body = asked("call it");
    body["thinking"] = json!({ "type": "adaptive" });
    body["tools"] = json!([tool("get_weather")]);
    let message = ask(&proxy, &body).await.json();
    assert_eq!(kinds(&message), ["thinking", "tool_use"]);
    assert_eq!(proxy.last_sent()["reasoning"]["summary"], "auto");
    let call = &message["content"][1];
    let result = json!({ "type": "tool_result", "tool_use_id": call["id"], "content": "22" });
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": message["content"] }),
        json!({ "role": "user", "content": [result] }),
    ]);
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.header("x-codex-proxy-reasoning-dropped"), "");
    let input = proxy.last_sent()["input"].clone();
    let kinds: Vec<&str> = input.as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "reasoning", "function_call", "function_call_output"]);
    // The simulator refuses reasoning that it did not give, byte for byte.
    assert!(input[1]["encrypted_content"].as_str().unwrap().starts_with("gAAAA"), "{input}");
    assert!(input[1]["summary"].as_array().unwrap().len() > 1, "the summary's texts: {input}");
    // Under the seal of nobody, or of another program, it stays away, and the answer comes all the same. What is remembered
    // would take its place: so ask one that remembers nothing.
    let proxy = Proxy::start().await;
    let sealed = message["content"][0]["signature"].as_str().unwrap();
    let mut foreign = sealed.to_owned();
    foreign.replace_range(6..8, if &sealed[6..8] == "AA" { "BB" } else { "AA" });
    for signature in ["", "EqQBCgIYAh", foreign.as_str()] {
        let mut body = body.clone();
        body["messages"][1]["content"][0]["signature"] = signature.into();
        let answer = ask(&proxy, &body).await;
        assert_eq!(answer.header("x-codex-proxy-reasoning-dropped"), "true", "{signature}");
        assert!(!proxy.last_sent()["input"].to_string().contains("\"reasoning\""), "{signature}");
    }
}

#[tokio::test]
async fn without_thinking_there_are_no_blocks_and_omitted_ones_have_no_text() {
    let proxy = Proxy::start().await;
    let several = both(&proxy, Scenario::SeveralReasoningItems, &asked("hi")).await;
    assert!(kinds(&several).iter().all(|kind| *kind == "text"), "{several}");
    assert_eq!(proxy.last_sent()["reasoning"]["summary"], Value::Null);
    let mut body = asked("hi");
    body["thinking"] = json!({ "type": "adaptive", "display": "omitted" });
    let omitted = both(&proxy, Scenario::SeveralReasoningItems, &body).await;
    assert_eq!(omitted["content"][0], json!({ "type": "thinking", "thinking": "", "signature": "set" }));
    body["thinking"] = json!({ "type": "enabled", "budget_tokens": 5000 });
    both(&proxy, Scenario::Default, &body).await;
    assert_eq!(proxy.last_sent()["reasoning"]["effort"], "medium");
    body["thinking"] = json!({ "type": "disabled" });
    ask(&proxy, &body).await.json();
    assert_eq!(proxy.last_sent()["reasoning"]["effort"], "low", "the least that the model takes");
}

#[tokio::test]
async fn parallel_calls_become_blocks_in_a_row() {
    let proxy = Proxy::start().await;
    let mut body = asked("call them");
    body["tools"] = json!([tool("get_weather"), tool("get_time")]);
    for scenario in [Scenario::InterleavedCalls, Scenario::ArgumentsOnlyInDone, Scenario::ArgumentsOnlyInItem] {
        let message = both(&proxy, scenario, &body).await;
        assert_eq!(message["stop_reason"], "tool_use");
        let calls: Vec<&Value> =
            message["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use").collect();
        assert!(!calls.is_empty());
        assert!(calls.iter().all(|call| call["input"]["city"].is_string()), "{calls:?}");
    }
}

#[tokio::test]
async fn the_conversation_keeps_its_order_and_loses_nothing() {
    let proxy = Proxy::start().await;
    let pdf = "JVBERi0xLjQK";
    let body = json!({ "model": "gpt-6-1-sol", "max_tokens": 5, "system": [
        { "type": "text", "text": "x-anthropic-billing-header: cc_version=1; cc_entrypoint=cli;" },
        { "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral" } },
    ], "tools": [tool("f"), tool("g")], "messages": [
        { "role": "user", "content": [
            { "type": "text", "text": "look" },
            { "type": "image", "source": { "type": "url", "url": "https://example.com/a.png" } },
            { "type": "document", "title": "T", "source": { "type": "base64", "media_type": "application/pdf", "data": pdf } },
            { "type": "document", "title": "T", "context": "C", "source": { "type": "text", "media_type": "text/plain", "data": "D" } },
            { "type": "search_result", "title": "S", "source": "https://s", "content": [{ "type": "text", "text": "found" }] },
        ] },
        { "role": "system", "content": "From now on: hurry." },
        { "role": "assistant", "content": [
            { "type": "text", "text": "ok" },
            { "type": "tool_use", "id": "t1", "name": "f", "input": { "b": 12345678901234567890_u64, "a": 1 } },
            { "type": "tool_use", "id": "t2", "name": "g", "input": {} },
        ] },
        { "role": "user", "content": [
            { "type": "text", "text": "Tool loaded." },
            { "type": "tool_result", "tool_use_id": "t2", "is_error": true, "content": [
                { "type": "text", "text": "one" }, { "type": "text", "text": "two" } ] },
            { "type": "tool_result", "tool_use_id": "t1", "content": [{ "type": "tool_reference", "tool_name": "late" }] },
        ] },
    ] });
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.header("x-codex-proxy-ignored"), "max_tokens", "{}", answer.text);
    let sent = proxy.last_sent();
    assert_eq!(sent["instructions"], "Be brief.");
    let text = |text: &str| json!({ "type": "input_text", "text": text });
    let input = sent["input"].as_array().unwrap();
    assert_eq!(
        input[0]["content"],
        json!([
            text("look"),
            { "type": "input_image", "image_url": "https://example.com/a.png" },
            { "type": "input_file", "filename": "T", "file_data": format!("data:application/pdf;base64,{pdf}") },
            text("T"), text("C"), text("D"), text("S\nhttps://s\nfound"),
        ])
    );
    assert_eq!(input[1]["role"], "developer");
    assert_eq!(input[3]["arguments"], r#"{"b":12345678901234567890,"a":1}"#);
    let outputs = [&input[5], &input[6]];
    assert_eq!(outputs[0]["output"], json!([text("[tool error]"), text("one"), text("two")]));
    assert_eq!(outputs[1]["output"], "Tool loaded: late");
    assert_eq!(input[7]["content"], json!([text("Tool loaded.")]));
    assert_eq!(sent["parallel_tool_calls"], true);
}

#[tokio::test]
async fn a_string_and_one_block_are_the_same_bytes() {
    let proxy = Proxy::start().await;
    let blocks = |role: &str, text: &str| json!({ "role": role, "content": [{ "type": "text", "text": text }] });
    let strings = |role: &str, text: &str| json!({ "role": role, "content": text });
    let mut bodies = Vec::new();
    for message in [&blocks as &dyn Fn(&str, &str) -> Value, &strings] {
        let messages = [message("user", "a"), message("assistant", "b"), message("system", "c"), message("user", "d")];
        ask(&proxy, &json!({ "model": "gpt-6.1-sol", "max_tokens": 1, "messages": messages })).await.json();
        bodies.push(proxy.last_sent().to_string());
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn tools_of_every_kind_are_sent_or_refused() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    body["tools"] = json!([
        { "name": "open", "input_schema": { "type": "object" }, "input_examples": [{ "a": 1 }], "defer_loading": true },
        { "type": "bash_20250124", "name": "bash" },
        { "type": "text_editor_20250728", "name": "str_replace_based_edit_tool" },
        { "type": "web_search_20250305", "name": "web_search", "max_uses": 8, "allowed_domains": ["a.org"] },
    ]);
    body["tool_choice"] = json!({ "type": "any", "disable_parallel_tool_use": true });
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.header("x-codex-proxy-ignored"), "tools[3].max_uses, max_tokens", "{}", answer.text);
    let sent = proxy.last_sent();
    let names: Vec<&Value> = sent["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names[..3], [&json!("open"), &json!("bash"), &json!("str_replace_based_edit_tool")]);
    assert_eq!(sent["tools"][0]["description"], "\n\nExamples:\n{\"a\":1}");
    assert_eq!(sent["tools"][3], json!({ "type": "web_search", "filters": { "allowed_domains": ["a.org"] } }));
    assert_eq!((&sent["tool_choice"], &sent["parallel_tool_calls"]), (&json!("required"), &json!(false)));
    body["tool_choice"] = json!({ "type": "tool", "name": "web_search" });
    ask(&proxy, &body).await.json();
    assert_eq!(proxy.last_sent()["tools"].as_array().unwrap().len(), 1, "the search alone");
    for (tools, choice, path) in [
        (json!([{ "type": "computer_20250124", "name": "computer" }]), Value::Null, "tools.0.type"),
        (json!([{ "name": "f" }]), Value::Null, "tools.0.input_schema"),
        (json!([tool("f")]), json!({ "type": "tool", "name": "g" }), "tool_choice.name"),
    ] {
        body["tools"] = tools;
        body["tool_choice"] = choice;
        let answer = ask(&proxy, &body).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (400, "false"));
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("{path}: ")), "{message}");
    }
}

#[tokio::test]
async fn a_search_shows_what_it_found() {
    let proxy = Proxy::start().await;
    let mut body = asked("search");
    body["tools"] = json!([{ "type": "web_search_20250305", "name": "web_search" }]);
    let message = both(&proxy, Scenario::WebSearch, &body).await;
    assert_eq!(kinds(&message)[..2], ["server_tool_use", "web_search_tool_result"]);
    assert_eq!(kinds(&message).last(), Some(&"text"), "the last block is text");
    let results = message["content"][1]["content"].as_array().unwrap();
    assert!(!results.is_empty() && results[0]["url"].as_str().unwrap().starts_with("http"), "{message}");
    assert_eq!(message["usage"]["server_tool_use"]["web_search_requests"], 1);
    let cited = message["content"].as_array().unwrap().iter().find_map(|block| block["citations"].as_array());
    let citation = &cited.expect("a citation")[0];
    assert_eq!(citation["type"], "web_search_result_location");
    assert!(!citation["cited_text"].as_str().unwrap().is_empty());
    // It goes back as the backend's own item.
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": message["content"] }),
        json!({ "role": "user", "content": "and?" }),
    ]);
    ask(&proxy, &body).await.json();
    assert_eq!(proxy.last_sent()["input"][1]["type"], "web_search_call");
}

#[tokio::test]
async fn an_answer_ends_for_the_reason_the_backend_gives() {
    let proxy = Proxy::start().await;
    for (scenario, reason) in [
        (Scenario::Incomplete(IncompleteReason::MaxOutputTokens), "max_tokens"),
        (Scenario::Incomplete(IncompleteReason::ContentFilter), "refusal"),
        (Scenario::Refusal, "refusal"),
        (Scenario::Ending(Ending::NoUsage), "end_turn"),
    ] {
        let message = both(&proxy, scenario.clone(), &asked("hi")).await;
        assert_eq!(message["stop_reason"], reason, "{scenario:?}");
        assert_eq!(message["stop_details"].is_object(), reason == "refusal", "{scenario:?}");
    }
    let mut body = asked("hi");
    body["stop_sequences"] = json!(["no model", "was asked"]);
    let message = both(&proxy, Scenario::Default, &body).await;
    assert_eq!((&message["stop_reason"], &message["stop_sequence"]), (&json!("stop_sequence"), &json!("no model")));
    assert_eq!(message["content"][0]["text"], "This is a simulation: ");
    body["stop_sequences"] = json!([" "]);
    assert_eq!(ask(&proxy, &body).await.status, 400);
    let calls = proxy.calls();
    let mut body = asked("hi");
    body["max_tokens"] = 0.into();
    let nothing = ask(&proxy, &body).await.json();
    assert_eq!((&nothing["content"], proxy.calls()), (&json!([]), calls), "the backend is not asked");
}

#[tokio::test]
async fn counts_of_tokens_do_not_overlap() {
    let proxy = Proxy::start().await;
    let mut body = asked(&"long enough to be cached ".repeat(200));
    body["metadata"] = json!({ "user_id": "{\"session_id\":\"s\"}" });
    let mut seen = Vec::new();
    for _ in 0..2 {
        let usage = ask(&proxy, &body).await.json()["usage"].clone();
        seen.push((PROMPT.map(|key| usage[key].as_u64().unwrap()), usage["output_tokens"].as_u64().unwrap()));
    }
    assert!(seen[1].0[1] > 0, "{seen:?}");
    assert_eq!(seen[0].0.iter().sum::<u64>(), seen[1].0.iter().sum::<u64>());
    let counted = proxy.post("/v1/messages/count_tokens", &asked("hi")).await.json();
    assert!(counted["input_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn errors_are_those_that_clients_act_on() {
    let proxy = Proxy::start().await;
    for (failure, status, kind, words) in [
        (StreamFailure::of("context_length_exceeded"), 400, "invalid_request_error", "prompt is too long: "),
        (StreamFailure::of("usage_limit_reached"), 429, "rate_limit_error", ""),
        (StreamFailure::of("server_is_overloaded"), 529, "overloaded_error", ""),
    ] {
        for stream in [false, true] {
            proxy.next(Scenario::Fail(failure.clone(), FailureShape::Failed, Moment::BeforeOutput));
            let mut body = asked("hi");
            body["stream"] = stream.into();
            let answer = ask(&proxy, &body).await;
            let error = answer.json();
            assert_eq!(answer.status.as_u16(), status, "{failure:?}: {error}");
            assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!(kind)));
            assert!(error["error"]["message"].as_str().unwrap().starts_with(words), "{error}");
            assert_eq!(answer.header("request-id"), error["request_id"].as_str().unwrap());
        }
    }
    // After the beginning it is the stream's last event.
    proxy.next(Scenario::Fail(StreamFailure::of("server_is_overloaded"), FailureShape::Failed, Moment::AfterOutput));
    let mut body = asked("hi");
    body["stream"] = true.into();
    let answer = ask(&proxy, &body).await;
    let last = answer.text.trim_end().rsplit("\n\n").next().unwrap();
    let error: Value = serde_json::from_str(last.strip_prefix("event: error\ndata: ").unwrap()).unwrap();
    assert_eq!(error["error"]["type"], "overloaded_error");
    assert!(!answer.text.contains("message_stop"));
    for path in ["/v1/messages/batches", "/v1/messages/nothing", "/v1/complete"] {
        let error = proxy.post(path, &json!({})).await.json();
        assert_eq!(error["error"]["type"], "not_found_error", "{path}: {error}");
    }
    let broken = json!({ "model": "m", "messages": [{ "role": "user", "content": [
        { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "?" } } ] }] });
    let calls = proxy.calls();
    assert_eq!(ask(&proxy, &broken).await.json()["error"]["message"], "Could not process image");
    assert_eq!(proxy.calls(), calls, "nothing was asked");
}

#[tokio::test]
async fn a_key_in_either_header_opens_and_a_wrong_one_is_said_in_the_apis_shape() {
    let mut settings = ServerSettings::default();
    settings.guard.api_keys = Keys::new(["k"]);
    let proxy = Proxy::with(Setup { settings, models: Models::default(), ..Setup::default() }).await;
    let send = |headers: &[(&'static str, &'static str)]| {
        let mut request =
            proxy.http.post(format!("{}/v1/messages", proxy.base)).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(asked("hi").to_string());
        async move { Answer::read(request.send().await.unwrap()).await }
    };
    for headers in [&[("x-api-key", "k")][..], &[("authorization", "Bearer k"), ("x-api-key", "other")]] {
        assert_eq!(send(headers).await.status, 200);
    }
    let answer = send(&[("x-api-key", "wrong")]).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (401, "false"));
    assert_eq!(answer.json()["error"]["type"], "authentication_error");
    let probe = proxy.http.head(format!("{}/api/hello", proxy.base)).send().await.unwrap();
    assert_eq!(probe.status(), 200, "there is a server");
}

#[tokio::test]
async fn a_session_is_a_conversations_and_a_sub_agents_another() {
    let proxy = Proxy::start().await;
    let key = |headers: &[(&'static str, &'static str)], user: Option<&str>| {
        let mut body = asked("hi");
        if let Some(user) = user {
            body["metadata"] = json!({ "user_id": user });
        }
        let mut request =
            proxy.http.post(format!("{}/v1/messages", proxy.base)).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_string());
        let proxy = &proxy;
        async move {
            assert_eq!(request.send().await.unwrap().status(), 200);
            proxy.last_sent()["prompt_cache_key"].as_str().unwrap().to_owned()
        }
    };
    assert_eq!(key(&[("x-claude-code-session-id", "s")], None).await, "s");
    assert_eq!(key(&[("x-claude-code-session-id", "s"), ("x-claude-code-agent-id", "a")], None).await, "s:a");
    assert_eq!(key(&[], Some(r#"{"session_id":"m"}"#)).await, "m");
    assert_ne!(key(&[], Some("a-person")).await, "a-person");
}

#[tokio::test]
async fn structured_output_is_strict_only_where_the_schema_is() {
    let proxy = Proxy::start().await;
    let open = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let closed = json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"],
        "additionalProperties": false });
    for (schema, strict) in [(open, false), (closed, true)] {
        for key in ["output_config", "output_format"] {
            let mut body = asked("hi");
            let format = json!({ "type": "json_schema", "schema": schema });
            body[key] = if key == "output_config" { json!({ "format": format }) } else { format };
            ask(&proxy, &body).await.json();
            let sent = &proxy.last_sent()["text"]["format"];
            assert_eq!((&sent["schema"], &sent["strict"]), (&schema, &json!(strict)));
        }
    }
}

#[tokio::test]
async fn names_of_anthropics_models_mean_one_of_the_accounts() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    let listed = proxy.app.models.usable_names();
    for (asked, sent) in [
        ("claude-opus-5-5[1m]", listed[0].as_str()),
        ("claude-sonnet-5-5-20261001", listed[1].as_str()),
        ("claude-haiku-4.5", "gpt-6-luna"),
        ("claude-gpt-6-luna", "gpt-6-luna"),
        ("anthropic/gpt-6-luna-low", "gpt-6-luna"),
        ("claude-next", listed[0].as_str()),
    ] {
        let mut body = asked_of(asked);
        body["stream"] = false.into();
        ask(&proxy, &body).await.json();
        assert_eq!(proxy.last_sent()["model"], sent, "{asked}");
    }
}

fn asked_of(model: &str) -> Value {
    json!({ "model": model, "max_tokens": 100, "messages": [{ "role": "user", "content": "hi" }] })
}

#[tokio::test]
async fn the_list_of_models_has_the_form_of_the_api_that_asks() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    let list = |query: &'static str| {
        let request =
            proxy.http.get(format!("{}/v1/models{query}", proxy.base)).header("anthropic-version", "2023-06-01");
        async move { Answer::read(request.send().await.unwrap()).await.json() }
    };
    let all = list("?limit=1000").await;
    let ids: Vec<&str> = all["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert!(ids[0].starts_with("claude-gpt-") && ids.contains(&ids[0].strip_prefix("claude-").unwrap()));
    assert_eq!((&all["first_id"], &all["has_more"]), (&json!(ids[0]), &json!(false)));
    let page = list("?limit=2").await;
    assert_eq!((&page["last_id"], &page["has_more"]), (&json!(ids[1]), &json!(true)));
    assert_eq!(list("/gpt-6.1-sol").await["type"], "model");
    assert_eq!(proxy.get("/v1/models").await.json()["object"], "list", "OpenAI's form without the header");
}
