//! The history of a conversation, in the order of its blocks and with nothing missing.

use serde_json::{Value, json};

use super::*;

/// The items of `input` for a user's "go", these `messages` and a user's "and?", without the first and the last; and
/// the fields that had no effect, but for `max_tokens`.
async fn items(proxy: &Proxy, messages: &[Value]) -> (Vec<Value>, String) {
    let mut body = asked("go");
    let all = body["messages"].as_array_mut().unwrap();
    all.extend_from_slice(messages);
    all.push(json!({ "role": "user", "content": "and?" }));
    let answer = ask(proxy, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let ignored = answer.header("x-codex-proxy-ignored");
    let ignored = ignored.strip_suffix("max_tokens").unwrap().trim_end_matches(", ").to_owned();
    let mut input = proxy.last_sent()["input"].as_array().unwrap().clone();
    assert_eq!(input.pop().unwrap()["content"][0]["text"], "and?");
    (input.split_off(1), ignored)
}

fn assistant(content: Value) -> Value {
    json!({ "role": "assistant", "content": content })
}

fn call(id: &str) -> Value {
    json!({ "type": "tool_use", "id": id, "name": "f", "input": {} })
}

fn result(id: &str) -> Value {
    json!({ "type": "tool_result", "tool_use_id": id, "content": id })
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// Each item in a word or two.
fn told(items: &[Value]) -> Vec<String> {
    let string = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let told = |item: &Value| match item["type"].as_str().unwrap() {
        "message" => {
            let parts = item["content"].as_array().unwrap();
            let texts: Vec<&str> = parts.iter().map(|part| part["text"].as_str().unwrap()).collect();
            format!("{}: {}", item["role"].as_str().unwrap(), texts.join("|"))
        }
        "function_call" => format!("call {}", item["call_id"].as_str().unwrap()),
        "function_call_output" => {
            format!("output {} {}", item["call_id"].as_str().unwrap(), string(&item["output"]))
        }
        other => other.to_owned(),
    };
    items.iter().map(told).collect()
}

#[tokio::test]
async fn results_stand_in_the_order_of_their_calls() {
    let proxy = Proxy::start().await;
    let calls = assistant(json!([call("a"), call("b"), call("c"), call("d")]));
    let results = json!({ "role": "user", "content": [result("c"), text("loaded"), result("a"), result("d")] });
    let (items, _) = items(&proxy, &[calls, results]).await;
    assert_eq!(
        told(&items),
        [
            "call a",
            "call b",
            "call c",
            "call d",
            "output a a",
            "output b No output was recorded for this tool call.",
            "output c c",
            "output d d",
            "user: loaded"
        ]
    );
}

#[tokio::test]
async fn the_blocks_of_an_answer_stay_together_and_results_follow_them() {
    let proxy = Proxy::start().await;
    let content = json!([text("one"), call("a"), text("two"), call("b"), call("c"), text("three")]);
    let results = json!({ "role": "user", "content": [result("a"), result("b"), result("c")] });
    let expected = [
        "assistant: one",
        "call a",
        "assistant: two",
        "call b",
        "call c",
        "assistant: three",
        "output a a",
        "output b b",
        "output c c",
    ];
    let (whole, _) = items(&proxy, &[assistant(content.clone()), results.clone()]).await;
    assert_eq!(told(&whole), expected);
    // The API joins neighbours, so one message and its halves mean the same.
    let blocks = content.as_array().unwrap();
    let (first, second) = (json!(blocks[..3]), json!(blocks[3..]));
    let (halves, _) = items(&proxy, &[assistant(first), assistant(second), results]).await;
    assert_eq!(halves, whole);
}

#[tokio::test]
async fn thinking_between_calls_stays_between_them() {
    let proxy = Proxy::start().await;
    let mut body = asked("call it");
    body["thinking"] = json!({ "type": "adaptive" });
    body["tools"] = json!([tool("f")]);
    let [first, second] = [ask(&proxy, &body).await.json(), ask(&proxy, &body).await.json()];
    let blocks: Vec<&Value> =
        [&first, &second].iter().flat_map(|message| message["content"].as_array().unwrap()).collect();
    let ids = [&blocks[1]["id"], &blocks[3]["id"]];
    let results = ids.map(|id| json!({ "type": "tool_result", "tool_use_id": id, "content": "22" }));
    body["messages"]
        .as_array_mut()
        .unwrap()
        .extend([assistant(json!(blocks)), json!({ "role": "user", "content": results })]);
    ask(&proxy, &body).await.json();
    let sent = proxy.last_sent();
    let kinds: Vec<&str> =
        sent["input"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds[1..],
        ["reasoning", "function_call", "reasoning", "function_call", "function_call_output", "function_call_output"]
    );
}

fn searched(id: &str, input: Value) -> [Value; 2] {
    [
        json!({ "type": "server_tool_use", "id": id, "name": "web_search", "input": input }),
        json!({ "type": "web_search_tool_result", "tool_use_id": id, "content": [] }),
    ]
}

#[tokio::test]
async fn an_opened_page_and_what_was_looked_for_in_it_come_back() {
    let proxy = Proxy::start().await;
    let blocks: Vec<Value> = [
        searched("s1", json!({ "url": "https://a.example" })),
        searched("s2", json!({ "url": "https://a.example", "pattern": "needle" })),
        searched("s3", json!({ "query": "q" })),
    ]
    .concat();
    let (items, _) = items(&proxy, &[assistant(json!([blocks, vec![text("done")]].concat()))]).await;
    let actions: Vec<&Value> = items.iter().take(3).map(|item| &item["action"]).collect();
    assert_eq!(
        actions,
        [
            &json!({ "type": "open_page", "url": "https://a.example" }),
            &json!({ "type": "find_in_page", "url": "https://a.example", "pattern": "needle" }),
            &json!({ "type": "search", "query": "q" }),
        ]
    );
}

#[tokio::test]
async fn a_search_is_known_by_its_id_over_neighbouring_messages() {
    let proxy = Proxy::start().await;
    let [used, found] = searched("s1", json!({ "query": "q" }));
    let unanswered = json!({ "type": "server_tool_use", "id": "s2", "name": "web_fetch", "input": { "url": "u" } });
    let messages = [assistant(json!([text("one"), used, unanswered, text("two")])), assistant(json!([found]))];
    let (items, ignored) = items(&proxy, &messages).await;
    assert_eq!(
        told(&items),
        ["assistant: one", "web_search_call", r#"assistant: [web_fetch call: {"url":"u"}]"#, "assistant: two"]
    );
    assert_eq!(ignored, "");
}

#[tokio::test]
async fn a_search_that_failed_says_so() {
    let proxy = Proxy::start().await;
    let [used, mut failed] = searched("s1", json!({ "query": "q" }));
    failed["content"] = json!({ "type": "web_search_tool_result_error", "error_code": "max_uses_exceeded" });
    let (items, _) = items(&proxy, &[assistant(json!([used, failed, text("done")]))]).await;
    assert_eq!(
        told(&items),
        [
            r#"assistant: [web_search call: {"query":"q"}]"#,
            r#"assistant: [web_search result: {"type":"web_search_tool_result_error","error_code":"max_uses_exceeded"}]"#,
            "assistant: done"
        ]
    );
}

fn ran(id: &str, name: &str, result: Value) -> [Value; 2] {
    let mut result = result;
    result["type"] = "mcp_tool_result".into();
    result["tool_use_id"] = id.into();
    [json!({ "type": "mcp_tool_use", "id": id, "name": name, "server_name": "server", "input": { "k": 1 } }), result]
}

#[tokio::test]
async fn calls_of_mcp_servers_are_calls_with_names_and_ids_of_their_own() {
    let proxy = Proxy::start().await;
    let names = ["a", "b"].map(|end| format!("{}{end}", "tool_of_a_long_name_".repeat(4)));
    let image =
        json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo=" } });
    let blocks = [
        ran("m1", &names[0], json!({ "content": "x", "is_error": true })),
        ran("m2", &names[1], json!({ "content": [text("see"), image] })),
        ran("same", "f", json!({ "content": [text("one"), text("two")] })),
        [call("same"), text("behind")],
    ]
    .concat();
    let results = json!({ "role": "user", "content": [result("same")] });
    let (items, ignored) = items(&proxy, &[assistant(json!(blocks)), results]).await;
    let called: Vec<&str> = items.iter().filter_map(|item| item["name"].as_str()).collect();
    assert!(called[0] != called[1] && called.iter().all(|name| name.len() <= 64), "{called:?}");
    assert!(called[0].starts_with("server__tool_of_a_long_name_"), "{called:?}");
    assert_eq!(called[2..], ["server__f", "f"]);
    assert_eq!(items[0]["arguments"], r#"{"k":1}"#);
    assert_eq!(
        items[1]["output"],
        json!([{ "type": "input_text", "text": "[tool error]" }, { "type": "input_text", "text": "x" }])
    );
    assert_eq!(
        items[3]["output"][1],
        json!({ "type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=" })
    );
    assert_eq!(items[5]["output"].as_array().unwrap().len(), 2, "texts stay apart");
    let ids: Vec<&str> = items.iter().filter_map(|item| item["call_id"].as_str()).collect();
    assert_eq!((ids[4], ids[5], ids[7]), ("same", "same", ids[6]));
    assert_ne!(ids[6], "same");
    assert_eq!((items[8]["output"].as_str(), ignored.as_str()), (Some("same"), ""));
}

#[tokio::test]
async fn results_of_no_known_tool_stay_whole_and_are_named() {
    let proxy = Proxy::start().await;
    let advice = json!({ "type": "advisor_tool_result", "tool_use_id": "a1", "content": { "text": "think" } });
    let lonely = json!({ "type": "web_fetch_tool_result", "tool_use_id": "nobody", "content": { "url": "u" } });
    let asked = json!({ "type": "server_tool_use", "id": "a1", "name": "advisor", "input": {} });
    let messages = [assistant(json!([asked, advice, lonely, text("done")]))];
    let (items, ignored) = items(&proxy, &messages).await;
    let texts = told(&items).join("\n");
    for whole in [advice, lonely] {
        assert!(texts.contains(&whole.to_string()), "{texts}");
    }
    assert_eq!(ignored, "messages[1].content[1], messages[1].content[2]");
}

#[tokio::test]
async fn a_compaction_says_what_it_holds_and_nothing_where_it_holds_nothing() {
    let proxy = Proxy::start().await;
    let compaction = |content: Value| json!({ "type": "compaction", "content": content, "encrypted_content": "x" });
    for (content, expected) in [
        (json!("so far"), "developer: Summary of the conversation so far:\nso far|"),
        (json!([text("so"), text("far")]), "developer: Summary of the conversation so far:|so|far"),
        (Value::Null, ""),
        (json!([]), ""),
        (json!(""), ""),
    ] {
        let (items, ignored) = items(&proxy, &[assistant(json!([compaction(content.clone()), text("done")]))]).await;
        let expected: Vec<&str> =
            [expected.trim_end_matches('|'), "assistant: done"].into_iter().filter(|item| !item.is_empty()).collect();
        assert_eq!(told(&items), expected, "{content}");
        assert_eq!(ignored, "messages[1].content[0].encrypted_content");
    }
}

#[tokio::test]
async fn an_instruction_in_a_message_keeps_its_place_and_its_parts() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    body["system"] = "S".into();
    let messages = body["messages"].as_array_mut().unwrap();
    messages.insert(0, json!({ "role": "system", "content": [text("one"), text("two")] }));
    messages.insert(1, assistant(json!([{ "type": "compaction", "content": "so far" }])));
    ask(&proxy, &body).await.json();
    let sent = proxy.last_sent();
    assert_eq!(sent["instructions"], "S");
    assert_eq!(
        told(sent["input"].as_array().unwrap()),
        ["developer: one|two", "developer: Summary of the conversation so far:\nso far", "user: hi"]
    );
}

#[tokio::test]
async fn results_of_calls_that_share_an_id_go_to_the_calls_in_their_order() {
    let proxy = Proxy::start().await;
    let result = |content: &str| json!({ "type": "tool_result", "tool_use_id": "c", "content": content });
    let calls = assistant(json!([call("c"), text("and"), call("c")]));
    let results = json!({ "role": "user", "content": [result("1"), result("2")] });
    let (items, _) = items(&proxy, &[calls, results]).await;
    assert_eq!(told(&items), ["call c", "assistant: and", "call c_2", "output c 1", "output c_2 2"]);
}
