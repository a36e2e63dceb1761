//! What a request becomes for the backend.

use codex_proxy::simulator::Scenario;
use serde_json::{Value, json};

use super::*;

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
    assert_eq!(outputs[0]["output"], "Tool loaded: late");
    assert_eq!(outputs[1]["output"], json!([text("[tool error]"), text("one"), text("two")]));
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
    let search =
        json!({ "type": "web_search", "external_web_access": true, "filters": { "allowed_domains": ["a.org"] } });
    assert_eq!(sent["tools"][3], search);
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
async fn what_says_nothing_is_as_if_it_were_not_there() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    for key in [
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "stop_sequences",
        "metadata",
        "service_tier",
        "speed",
        "context_management",
        "container",
        "temperature",
        "stream",
    ] {
        body[key] = Value::Null;
    }
    let answer = ask(&proxy, &body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-codex-proxy-ignored")),
        (200, "max_tokens"),
        "{}",
        answer.text
    );
    body["output_config"] = json!({ "effort": null, "format": null });
    body["thinking"] = json!({ "type": "enabled", "budget_tokens": null, "display": null });
    body["metadata"] = json!({ "user_id": null });
    body["context_management"] = json!({ "edits": null });
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn the_effort_is_the_first_that_means_something() {
    let proxy = Proxy::start().await;
    let effort = |system: Value, config: Value, thinking: Value| {
        let mut body = asked("hi");
        body["model"] = "gpt-6.1-sol".into();
        body["messages"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "role": "system", "content": [], "output_config": system }));
        body["output_config"] = config;
        body["thinking"] = thinking;
        let proxy = &proxy;
        async move {
            let answer = ask(proxy, &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            proxy.last_sent()["reasoning"]["effort"].clone()
        }
    };
    let word = |word: &str| json!({ "effort": word });
    let budget = |tokens: u64| json!({ "type": "enabled", "budget_tokens": tokens });
    assert_eq!(effort(word("low"), word("high"), budget(20_000)).await, "low");
    assert_eq!(effort(word("galactic"), word("high"), budget(1024)).await, "high", "a word that means nothing");
    assert_eq!(effort(Value::Null, word("galactic"), budget(1024)).await, "low");
    assert_eq!(
        effort(Value::Null, word("max"), json!({ "type": "disabled" })).await,
        "low",
        "off, or the least there is"
    );
}

#[tokio::test]
async fn the_billing_line_changes_nothing_and_its_words_elsewhere_stay() {
    let proxy = Proxy::start().await;
    let text = |text: &str| json!({ "type": "text", "text": text });
    let bill =
        |version: u64| text(&format!("x-anthropic-billing-header: cc_version=2.1.{version}; cc_entrypoint=cli;"));
    let mut sent = Vec::new();
    for version in [1, 2] {
        let mut body = asked("hi");
        body["system"] = json!([bill(version), text("Be brief."), bill(7)]);
        ask(&proxy, &body).await.json();
        sent.push(proxy.last_sent());
    }
    assert_eq!(sent[0], sent[1]);
    assert!(sent[0]["instructions"].as_str().unwrap().ends_with("cc_version=2.1.7; cc_entrypoint=cli;"));
    // A client that joins the blocks loses the line alone.
    let line = bill(3)["text"].as_str().unwrap().to_owned();
    for (system, instructions) in [
        (json!(format!("{line}\n\nBe brief.\n\nNow.")), "Be brief.\n\nNow."),
        (json!(format!("{line}\r\nBe brief.")), "Be brief."),
        (json!(format!("{line} \\no line\nBe brief.")), "Be brief."),
        (json!([text(&format!("{line}\nBe brief."))]), "Be brief."),
        (json!(line), ""),
        (json!(format!("Be brief.\n{line}")), &format!("Be brief.\n{line}")),
    ] {
        let mut body = asked("hi");
        body["system"] = system;
        ask(&proxy, &body).await.json();
        assert_eq!(proxy.last_sent()["instructions"], instructions);
    }
}

#[tokio::test]
async fn names_too_long_for_the_backend_come_back_as_they_were() {
    let proxy = Proxy::start().await;
    let names = ["a", "b"].map(|end| format!("mcp__{}__{end}", "server_of_many_tools".repeat(4)));
    assert!(names[0].len() > 77);
    let mut body = asked("go");
    body["tools"] = json!([tool(&names[0]), tool(&names[1])]);
    body["tool_choice"] = json!({ "type": "tool", "name": names[1] });
    let message = both(&proxy, Scenario::Default, &body).await;
    assert_eq!(message["content"][0]["name"], names[1]);
    let message = ask(&proxy, &body).await.json();
    let call = &message["content"][0];
    let reference = json!({ "type": "tool_reference", "tool_name": names[0] });
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": [call] }),
        json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": call["id"], "content": [reference] }] }),
    ]);
    ask(&proxy, &body).await.json();
    let sent = proxy.last_sent();
    let known: Vec<&str> =
        sent["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(known[0] != known[1] && known.iter().all(|name| name.len() <= 64), "{known:?}");
    assert_eq!((&sent["tool_choice"]["name"], &sent["input"][1]["name"]), (&json!(known[1]), &json!(known[1])));
    assert_eq!(sent["input"][2]["output"], format!("Tool loaded: {}", known[0]), "as the model knows it");
}

/// The schemas are this program's: a line of the request becomes a dozen of the backend's.
#[tokio::test]
async fn tools_with_a_known_schema_are_as_many_as_anybody_has() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    let many = |count: usize| (0..count).map(|_| json!({ "type": "memory_20250818", "name": "memory" })).collect();
    body["tools"] = many(1000);
    assert_eq!(ask(&proxy, &body).await.status, 200);
    body["tools"] = many(1001);
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("'tools[1000]'"), "{}", answer.text);
}

#[tokio::test]
async fn tools_come_and_go_in_the_middle_of_a_conversation() {
    let proxy = Proxy::start().await;
    let definition = |name: &str, says: &str| {
        let mut tool = tool(name);
        tool["description"] = says.into();
        json!({ "type": "tool_addition", "tool": { "type": "tool_definition", "definition": tool } })
    };
    let by_name = |kind: &str, name: &str| json!({ "type": kind, "tool": { "type": "tool_reference", "name": name } });
    let mut body = asked("hi");
    body["tools"] = json!([tool("f"), tool("g"), tool("h")]);
    body["messages"].as_array_mut().unwrap().push(json!({ "role": "system", "content": [
        definition("new", "once"), definition("f", "again"),
        by_name("tool_removal", "g"), by_name("tool_removal", "h"), by_name("tool_addition", "h"),
    ] }));
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let sent = proxy.last_sent();
    let tools: Vec<(&str, &str)> = sent["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| (tool["name"].as_str().unwrap(), tool["description"].as_str().unwrap()))
        .collect();
    assert_eq!(tools, [("h", "d"), ("new", "once"), ("f", "again")], "each once");
    assert_eq!(sent["input"][1]["content"][0]["text"], "Tool removed: g");
    let names = async |changes: Value| {
        let mut body = asked("hi");
        body["tools"] = json!([tool("f"), { "type": "web_search_20250305", "name": "web_search" }]);
        body["messages"].as_array_mut().unwrap().push(json!({ "role": "system", "content": changes }));
        let answer = ask(&proxy, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let tools = proxy.last_sent()["tools"].as_array().cloned().unwrap_or_default();
        let name = |tool: &Value| tool["name"].as_str().or(tool["type"].as_str()).unwrap().to_owned();
        tools.iter().map(name).collect::<Vec<_>>()
    };
    let (removed, added) = (|name| by_name("tool_removal", name), |name| by_name("tool_addition", name));
    assert_eq!(names(json!([removed("f"), definition("f", "again"), added("f")])).await, ["f", "web_search"], "once");
    assert_eq!(names(json!([removed("web_search")])).await, ["f"], "the search too");
    assert_eq!(names(json!([removed("web_search"), added("web_search"), removed("f")])).await, ["web_search"]);
    let mut nameless = definition("f", "again");
    nameless["tool"]["definition"]["input_schema"].take();
    body["messages"][1]["content"] = json!([nameless]);
    let error = ask(&proxy, &body).await.json();
    let words = error["error"]["message"].as_str().unwrap();
    assert!(words.starts_with("messages.1.content.0.tool.definition.input_schema: "), "{words}");
}

#[tokio::test]
async fn stop_sequences_are_bounded_in_number_and_length() {
    let proxy = Proxy::start().await;
    for (stop, field) in
        [(json!(vec!["x"; 65]), "stop_sequences: "), (json!(["x", "y".repeat((16 << 10) + 1)]), "stop_sequences.1: ")]
    {
        let mut body = asked("hi");
        body["stop_sequences"] = stop;
        let answer = ask(&proxy, &body).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (400, "false"), "{}", answer.text);
        assert!(answer.json()["error"]["message"].as_str().unwrap().starts_with(field), "{}", answer.text);
    }
}

/// Each level would be read once more, and the API has none.
#[tokio::test]
async fn a_document_in_a_document_is_passed_on_as_it_stands_and_named() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    let document = |content: Value| json!({ "type": "document", "source": { "type": "content", "content": content } });
    let inner = document(json!([{ "type": "text", "text": "B" }]));
    body["messages"][0]["content"] = json!([document(json!([{ "type": "text", "text": "A" }, inner]))]);
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let sent = proxy.last_sent()["input"][0]["content"].clone();
    assert_eq!(sent[0]["text"], "A");
    assert_eq!(serde_json::from_str::<Value>(sent[1]["text"].as_str().unwrap()).unwrap(), inner);
    assert_eq!(answer.header("x-codex-proxy-ignored"), "messages[0].content[0].source.content[1], max_tokens");
}

#[tokio::test]
async fn a_document_arrives_in_whatever_form_or_is_refused() {
    let proxy = Proxy::start().await;
    let mut body = asked("");
    let document = |source: Value| json!({ "type": "document", "title": "T", "source": source });
    body["messages"][0]["content"] = json!([
        document(json!({ "type": "url", "url": "https://example.com/a.pdf" })),
        document(json!({ "type": "content", "content": [{ "type": "text", "text": "A" },
            { "type": "image", "source": { "type": "url", "url": "https://example.com/a.png" } }] })),
        document(json!({ "type": "content", "content": "B" })),
        { "type": "something_new", "value": 1 },
    ]);
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.header("x-codex-proxy-ignored"), "messages[0].content[3], max_tokens", "{}", answer.text);
    let sent = proxy.last_sent().to_string();
    for part in ["https://example.com/a.pdf", "\"A\"", "https://example.com/a.png", "\"B\"", "something_new"] {
        assert!(sent.contains(part), "{part}: {sent}");
    }
    for source in [
        json!({ "type": "file", "file_id": "f" }),
        json!({ "type": "odd" }),
        json!({ "type": "base64", "media_type": "application/pdf", "data": "%" }),
    ] {
        body["messages"][0]["content"] = json!([document(source)]);
        let answer = ask(&proxy, &body).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (400, "false"), "{}", answer.text);
    }
}

#[tokio::test]
async fn an_answer_that_is_begun_for_the_model_is_named() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    body["messages"].as_array_mut().unwrap().push(json!({ "role": "assistant", "content": "{" }));
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.header("x-codex-proxy-ignored"), "messages[1], max_tokens", "{}", answer.text);
}

#[tokio::test]
async fn what_the_program_says_last_hides_nothing_of_what_the_user_says() {
    let proxy = Proxy::start().await;
    let mut body = asked("[[simulate:refusal]]");
    body["messages"].as_array_mut().unwrap().push(json!({ "role": "system", "content": "# Environment" }));
    assert_eq!(ask(&proxy, &body).await.json()["stop_reason"], "refusal");
}

#[tokio::test]
async fn what_servers_ran_stays_in_the_history() {
    let proxy = Proxy::start().await;
    let mut body = asked("go");
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": [
            { "type": "text", "text": "I look." },
            { "type": "server_tool_use", "id": "s1", "name": "web_search", "input": { "query": "q" } },
            { "type": "web_search_tool_result", "tool_use_id": "s1", "content": [] },
            { "type": "mcp_tool_use", "id": "m1", "name": "look.up", "server_name": "a server", "input": { "k": 1 } },
            { "type": "mcp_tool_result", "tool_use_id": "m1", "content": [{ "type": "text", "text": "found" }] },
            { "type": "server_tool_use", "id": "c1", "name": "code_execution", "input": { "code": "1+1" } },
            { "type": "code_execution_tool_result", "tool_use_id": "c1", "content": { "stdout": "2" } },
            { "type": "server_tool_use", "id": "c2", "name": "web_fetch", "input": { "url": "u" } },
            { "type": "compaction", "content": "so far", "encrypted_content": "x" },
            { "type": "fallback", "from": "a" },
            { "type": "text", "text": "Done." },
        ] }),
        json!({ "role": "user", "content": "and?" }),
    ]);
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let ignored = answer.header("x-codex-proxy-ignored").to_owned();
    assert!(ignored.contains("content[8].encrypted_content") && ignored.contains("content[9]"), "{ignored}");
    let sent = proxy.last_sent()["input"].to_string();
    for part in [
        "I look.",
        r#""type":"web_search_call""#,
        r#""name":"a_server__look_up_"#,
        r#""output":"found""#,
        "[code_execution call: {",
        r#"[code_execution result: {\"stdout\":\"2\"}]"#,
        "[web_fetch call: {",
        "Summary of the conversation so far:\\nso far",
        "fallback",
        "Done.",
    ] {
        assert!(sent.contains(part), "{part}: {sent}");
    }
    body["messages"][1]["content"] = json!([{ "type": "container_upload", "file_id": "f" }]);
    assert_eq!(ask(&proxy, &body).await.status, 400);
}

#[tokio::test]
async fn the_route_answers_wherever_a_client_looks_for_it() {
    let proxy = Proxy::start().await;
    for path in ["/v1/messages", "/messages", "/v1/v1/messages", "/v1/messages/", "/v1/messages?beta=true"] {
        assert_eq!(proxy.post(path, &asked("hi")).await.json()["type"], "message", "{path}");
    }
    for path in ["/v1/messages", "/v1/messages/msg_1", "/v1/messages/count_tokens"] {
        let answer = proxy.get(path).await;
        assert!(answer.status.is_client_error() && answer.json()["type"] == "error", "{path}: {}", answer.text);
        assert!(answer.header("request-id").starts_with("req_"), "{path}");
    }
}

#[tokio::test]
async fn what_a_tool_shows_keeps_its_order() {
    let proxy = Proxy::start().await;
    let text = |text: &str| json!({ "type": "text", "text": text });
    let image =
        json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo=" } });
    let pdf = json!({ "type": "document", "source": { "type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK" } });
    let mut body = asked("go");
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "Read", "input": {} }] }),
        json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t",
            "content": [text("before"), image, text("between"), pdf, text("behind")] }] }),
    ]);
    ask(&proxy, &body).await.json();
    let sent = proxy.last_sent();
    let parts = sent["input"][2]["output"].as_array().unwrap();
    let kinds: Vec<&str> = parts.iter().map(|part| part["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["input_text", "input_image", "input_text", "input_file", "input_text"]);
    assert_eq!(parts[1]["image_url"], "data:image/png;base64,iVBORw0KGgo=");
    assert_eq!(parts[3]["filename"], "document.pdf");
}
