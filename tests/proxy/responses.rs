//! The Responses API through the proxy.

use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{Ending, IncompleteReason, Scenario, ScriptedAnswer};
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, Setup};

async fn sent(proxy: &Proxy, body: &Value) -> Value {
    let answer = proxy.post("/v1/responses", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    proxy.last_sent()
}

#[tokio::test]
async fn a_string_becomes_a_user_message() {
    let proxy = Proxy::before_retirements().await;
    let sent = sent(&proxy, &json!({ "input": "hi", "model": "gpt-5.1" })).await;
    assert_eq!(sent["instructions"], "");
    assert_eq!((&sent["store"], &sent["stream"]), (&json!(false), &json!(true)));
    assert_eq!(sent["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!(sent["reasoning"], json!({ "effort": "low" }));
    let expected = json!([{ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "hi" }] }]);
    assert_eq!(sent["input"], expected);
}

#[tokio::test]
async fn the_tokens_of_a_prompt_are_estimated_in_openais_form() {
    let proxy = Proxy::start().await;
    let count = async |body: Value| {
        let answer = proxy.post("/v1/responses/input_tokens", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let counted = answer.json();
        assert_eq!(counted["object"], "response.input_tokens");
        assert_eq!(counted.as_object().unwrap().len(), 2, "{counted}");
        counted["input_tokens"].as_u64().unwrap()
    };
    let said = "The quick brown fox jumps over the lazy dog.";
    let one = count(json!({ "input": said })).await;
    assert!((10..30).contains(&one), "{one}");
    assert_eq!(count(json!({ "input": [{ "role": "user", "content": said }] })).await, one);
    assert!(count(json!({ "input": said, "instructions": said })).await > one);
    let message = json!({ "messages": [{ "role": "user", "content": said }] });
    let counted = proxy.post("/v1/messages/count_tokens", &message).await.json();
    assert_eq!(counted, json!({ "input_tokens": one }), "the same estimate on both routes");
    assert_eq!(proxy.calls(), 0, "the backend is not asked");

    // Earlier turns count.
    let answer = proxy.post("/v1/responses", &json!({ "input": said })).await.json();
    assert!(count(json!({ "input": said, "previous_response_id": answer["id"] })).await > 2 * one);
    let refused = proxy.post("/v1/responses/input_tokens", &json!({ "model": "gpt-6-sol" })).await;
    assert_eq!((refused.status, &refused.error()["param"]), (StatusCode::BAD_REQUEST, &json!("input")));
}

#[tokio::test]
async fn items_lose_their_ids_and_nothing_else() {
    let proxy = Proxy::start().await;
    let body = json!({
        "model": "gpt-6.1-sol",
        "instructions": "be brief",
        "include": ["web_search_call.action.sources"],
        "reasoning": { "effort": "xhigh", "summary": "auto", "context": "all_turns" },
        "text": { "verbosity": "low" },
        "input": [
            { "role": "system", "content": "sys" },
            { "type": "message", "id": "msg_1", "role": "assistant", "content": "said", "phase": "commentary" },
            { "type": "item_reference", "id": "rs_1" },
            { "type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}" },
            { "type": "function_call_output", "id": "o", "call_id": "c", "output": "x" },
            { "type": "reasoning", "id": "rs_2", "summary": [] },
            { "role": "user", "content": [{ "type": "input_text", "text": "hi" }] },
        ],
        "tools": [{ "type": "function", "name": "f", "parameters": {}, "strict": false }, { "type": "web_search_preview" }],
    });
    let answer = proxy.post("/v1/responses", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.header("x-codex-proxy-ignored"), "input[2], input[5]");
    let sent = proxy.last_sent();
    assert_eq!(sent["instructions"], "be brief");
    assert_eq!(sent["reasoning"], body["reasoning"]);
    assert_eq!(sent["text"], body["text"]);
    let parameters = json!({ "type": "object", "properties": {} });
    assert_eq!(sent["tools"][0], json!({ "type": "function", "name": "f", "parameters": parameters, "strict": false }));
    assert_eq!(sent["tools"][1], json!({ "type": "web_search" }));
    assert_eq!(sent["include"], json!(["web_search_call.action.sources", "reasoning.encrypted_content"]));
    let expected = json!([
        { "type": "message", "role": "developer", "content": [{ "type": "input_text", "text": "sys" }] },
        { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "said" }], "phase": "commentary" },
        { "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}" },
        { "type": "function_call_output", "call_id": "c", "output": "x" },
        { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "hi" }] },
    ]);
    assert_eq!(sent["input"], expected);
}

#[tokio::test]
async fn effort_is_read_from_every_place_it_is_put() {
    let proxy = Proxy::start().await;
    for (fields, expected) in [
        (json!({ "reasoning_effort": "high" }), json!({ "effort": "high" })),
        (
            json!({ "reasoning_effort": { "effort": "high", "summary": "auto" } }),
            json!({ "effort": "high", "summary": "auto" }),
        ),
        (
            json!({ "reasoning": { "summary": "detailed" }, "reasoning_effort": { "effort": "high", "summary": "auto" } }),
            json!({ "effort": "high", "summary": "detailed" }),
        ),
        (json!({ "reasoning": { "effort": "odd" }, "reasoning_effort": "low" }), json!({ "effort": "low" })),
        (json!({ "reasoning": { "effort": "x-high" } }), json!({ "effort": "xhigh" })),
        (json!({ "model": "gpt-6-luna(off)" }), json!({ "effort": "none" })),
    ] {
        let mut body = json!({ "input": "hi" });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        assert_eq!(sent(&proxy, &body).await["reasoning"], expected, "{fields}");
    }
}

#[tokio::test]
async fn bad_requests_name_the_field() {
    let proxy = Proxy::start().await;
    for (body, param) in [
        (json!({}), "input"),
        (json!({ "input": 5 }), "input"),
        (json!({ "input": [5] }), "input[0]"),
        (json!({ "input": [{ "content": "x" }] }), "input[0].type"),
        (json!({ "input": [{ "type": "item_reference", "id": "m", "content": "x" }] }), "input[0].content"),
        (
            json!({ "input": [{ "role": "user", "content": "x" }, { "type": "item_reference", "id": "msg_1" }] }),
            "input[1]",
        ),
        (json!({ "input": [{ "type": "item_reference", "id": "fc_1" }] }), "input[0]"),
        (json!({ "input": [{ "type": "item_reference", "id": 1 }] }), "input[0].id"),
        (json!({ "input": "x", "previous_response_id": "resp_1" }), "previous_response_id"),
        (json!({ "input": "x", "background": true }), "background"),
        (json!({ "input": "x", "stream": 1 }), "stream"),
        (json!({ "input": "x", "tools": "all" }), "tools"),
        (json!({ "input": "x", "reasoning": "hard" }), "reasoning"),
        (json!({ "input": "x", "reasoning_effort": 5 }), "reasoning_effort"),
        (json!({ "input": "x", "reasoning_effort": { "effort": [] } }), "reasoning_effort.effort"),
    ] {
        let answer = proxy.post("/v1/responses", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text);
        assert_eq!(answer.error()["param"], param, "{body}");
    }
    assert_eq!(proxy.calls(), 0);
}

#[tokio::test]
async fn parameters_without_counterpart_are_named() {
    let proxy = Proxy::start().await;
    let body = json!({ "input": "hi", "temperature": 1, "max_output_tokens": 9, "store": true, "truncation": null });
    let answer = proxy.post("/v1/responses", &body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("x-codex-proxy-ignored"), "temperature, max_output_tokens, store");
}

#[tokio::test]
async fn a_stream_is_relayed_without_the_backends_own_events() {
    let proxy = Proxy::start().await;
    for scenario in [Scenario::Default, Scenario::InterleavedCalls, Scenario::WebSearch] {
        let mut body = json!({ "input": "hi", "stream": true });
        body["tools"] = json!([{ "type": "function", "name": "f", "parameters": {}, "strict": false }]);
        proxy.next(scenario);
        let answer = proxy.post("/v1/responses", &body).await;
        let events = answer.events();
        let names: Vec<&str> = answer.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        assert_eq!(names.len(), events.len(), "each event keeps its line");
        for (name, event) in names.iter().zip(&events) {
            assert_eq!(*name, event["type"]);
            assert!(!name.starts_with("codex.") && *name != "keepalive" && *name != "response.metadata", "{name}");
        }
        assert_eq!(names[0], "response.created");
        assert!(names.iter().any(|name| name.contains("simulation")), "unknown events are passed on: {names:?}");
        let done: Vec<&Value> = events
            .iter()
            .filter(|event| event["type"] == "response.output_item.done")
            .map(|event| &event["item"])
            .collect();
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed");
        let output = last["response"]["output"].as_array().unwrap();
        assert_eq!(output.len(), done.len());
        assert!(done.iter().all(|item| output.contains(item)));
    }
}

#[tokio::test]
async fn buffered_and_streamed_end_in_the_same_object() {
    let proxy = Proxy::start().await;
    for scenario in [
        Scenario::Default,
        Scenario::Ending(Ending::NullOutput),
        Scenario::Ending(Ending::FullOutput),
        Scenario::Refusal,
    ] {
        let [buffered, streamed] = proxy.both_responses(scenario.clone(), &json!({ "input": "hi" })).await;
        let (buffered, last) = (buffered.json(), streamed.events().pop().unwrap());
        assert_eq!(buffered["object"], "response");
        assert_eq!(buffered["status"], "completed");
        let texts = |response: &Value| {
            response
                .pointer("/output")
                .unwrap()
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["content"].clone())
                .collect::<Vec<_>>()
        };
        assert!(!texts(&buffered).is_empty());
        assert_eq!(texts(&buffered), texts(&last["response"]), "{scenario:?}");
    }
}

#[tokio::test]
async fn an_incomplete_answer_is_an_answer() {
    let proxy = Proxy::start().await;
    let scenario = Scenario::Incomplete(IncompleteReason::MaxOutputTokens);
    let [buffered, streamed] = proxy.both_responses(scenario, &json!({ "input": "hi" })).await;
    assert_eq!(buffered.status, StatusCode::OK);
    assert_eq!(buffered.json()["status"], "incomplete");
    assert!(!buffered.json()["output"].as_array().unwrap().is_empty());
    assert_eq!(streamed.events().pop().unwrap()["type"], "response.incomplete");
}

#[tokio::test]
async fn items_that_never_ended_are_in_the_answer_all_the_same() {
    let proxy = Proxy::start().await;
    let message = json!({ "id": "m", "type": "message", "status": "in_progress", "role": "assistant", "content": [] });
    let call = json!({ "id": "f", "type": "function_call", "status": "in_progress", "call_id": "c", "name": "n", "arguments": "" });
    let events = [
        json!({ "type": "response.created", "response": { "id": "resp_1" } }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": message }),
        json!({ "type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "m", "delta": "Hel" }),
        json!({ "type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "m", "delta": "lo" }),
        json!({ "type": "response.output_item.added", "output_index": 1, "item": call }),
        json!({ "type": "response.function_call_arguments.done", "output_index": 1, "item_id": "f", "arguments": "{}" }),
        json!({ "type": "response.completed", "response": { "id": "resp_1", "object": "response", "status": "completed", "output": [] } }),
    ];
    let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let answer = ScriptedAnswer::stream().bytes(stream);
    let [buffered, streamed] = proxy.both_responses(answer, &json!({ "input": "hi" })).await;
    let (buffered, last) = (buffered.json(), streamed.events().pop().unwrap());
    assert_eq!(buffered, last["response"]);
    assert_eq!(buffered["output"][0]["content"][0]["text"], "Hello");
    assert_eq!(buffered["output"][1]["arguments"], "{}");
    assert_eq!(buffered["output"][1]["status"], "completed");
}

#[tokio::test]
async fn an_item_of_an_earlier_answer_takes_the_place_of_its_reference() {
    let proxy = Proxy::start().await;
    let tool = json!({ "type": "function", "name": "f", "parameters": {}, "strict": false });
    let question = json!({ "role": "user", "content": "hi" });
    for answer in
        proxy.both_responses(Scenario::InterleavedCalls, &json!({ "input": [question], "tools": [tool] })).await
    {
        let items = match answer.header("content-type") {
            "text/event-stream" => answer.events().pop().unwrap()["response"]["output"].clone(),
            _ => answer.json()["output"].clone(),
        };
        let items = items.as_array().unwrap();
        let calls = items.iter().filter(|item| item["type"] == "function_call");
        let outputs =
            calls.map(|call| json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "1" }));
        let references = items.iter().map(|item| json!({ "type": "item_reference", "id": item["id"] }));
        let input: Vec<Value> = std::iter::once(question.clone()).chain(references).chain(outputs).collect();
        let sent = sent(&proxy, &json!({ "input": input, "tools": [tool] })).await;
        let sent = sent["input"].as_array().unwrap();
        assert_eq!(sent.len(), input.len());
        for (item, sent) in items.iter().zip(&sent[1..]) {
            let mut whole = item.clone();
            whole.as_object_mut().unwrap().remove("id");
            assert_eq!(*sent, whole);
        }
    }
}

#[tokio::test]
async fn a_conversation_has_one_key_however_it_is_written() {
    let proxy = Proxy::start().await;
    let mut keys = Vec::new();
    for input in [
        json!("hi"),
        json!([{ "role": "user", "content": "hi" }]),
        json!([{ "role": "user", "content": [{ "type": "input_text", "text": "hi" }] }]),
        json!([{ "role": "user", "content": "hi" }, { "role": "assistant", "content": "ho" }, { "role": "user", "content": "ha" }]),
        json!([{ "role": "developer", "content": "A" }, { "role": "user", "content": "hi" }]),
        json!([{ "role": "developer", "content": "B" }, { "role": "user", "content": "hi" }]),
        json!([{ "role": "user", "content": "ho" }]),
    ] {
        keys.push(sent(&proxy, &json!({ "input": input })).await["prompt_cache_key"].clone());
    }
    assert!(keys[..4].iter().all(|key| *key == keys[0]), "{keys:?}");
    let others: std::collections::HashSet<&Value> = keys[3..].iter().collect();
    assert_eq!(others.len(), 4, "{keys:?}");
}

#[tokio::test]
async fn what_a_codex_client_says_in_a_chat_stays_here() {
    let proxy = Proxy::start().await;
    let request =
        proxy.http.post(format!("{}/v1/chat/completions", proxy.base)).header("user-agent", "codex_exec/0.169.0");
    let request =
        request.header("x-codex-turn-metadata", "m").header("thread-id", "t").json(&super::harness::user("hi"));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    let request = proxy.simulator.requests_to("/responses").pop().unwrap();
    assert_eq!((request.header("x-codex-turn-metadata"), request.header("thread-id")), ("", ""));
}

#[tokio::test]
async fn a_codex_client_keeps_its_own_headers_but_not_its_key() {
    let proxy = Proxy::start().await;
    let request = proxy.http.post(format!("{}/v1/responses", proxy.base)).header("content-type", "application/json");
    let request = request
        .header("user-agent", "codex_exec/0.169.0 (Debian)")
        .header("authorization", "Bearer sk-mine")
        .header("session-id", "s-1")
        .header("x-codex-window-id", "w-1");
    let answer = request.body(json!({ "input": "hi" }).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let request = proxy.simulator.requests_to("/responses").pop().unwrap();
    assert_eq!((request.header("session-id"), request.header("x-codex-window-id")), ("s-1", "w-1"));
    assert!(!request.header("authorization").contains("sk-mine"));
    assert!(request.header("user-agent").starts_with("codex-proxy/"));
}

#[tokio::test]
async fn a_call_id_that_is_too_long_fits_on_both_sides() {
    let proxy = Proxy::start().await;
    let long = "c".repeat(80);
    let sent = sent(
        &proxy,
        &json!({ "input": [
        { "role": "user", "content": "hi" },
        { "type": "function_call", "call_id": long, "name": "f", "arguments": "{}" },
        { "type": "function_call_output", "call_id": long, "output": "x" },
    ] }),
    )
    .await;
    assert_eq!(sent["input"][1]["call_id"].as_str().unwrap().len(), 64);
    assert_eq!(sent["input"][1]["call_id"], sent["input"][2]["call_id"]);
}

#[tokio::test]
async fn tier_metadata_choice_and_own_instructions_are_sent() {
    let settings = ServerSettings { instructions: Some("Operator.".into()), ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    let mut body = json!({
        "model": "gpt-6.1-sol",
        "instructions": "own",
        "input": "hi",
        "service_tier": "fast",
        "client_metadata": { "x-codex-installation-id": "i" },
        "tools": [{ "type": "function", "name": "f", "parameters": {}, "strict": false }],
        "tool_choice": "required",
        "parallel_tool_calls": false,
    });
    let first = sent(&proxy, &body).await;
    assert_eq!(first["instructions"], "Operator.");
    let own = json!({ "type": "message", "role": "developer", "content": [{ "type": "input_text", "text": "own" }] });
    assert_eq!(first["input"][0], own);
    assert_eq!(first["service_tier"], "priority");
    assert_eq!(first["client_metadata"], body["client_metadata"]);
    assert_eq!((&first["tool_choice"], &first["parallel_tool_calls"]), (&json!("required"), &json!(false)));
    body["service_tier"] = "flex".into();
    let answer = proxy.post("/v1/responses", &body).await;
    assert_eq!(answer.header("x-codex-proxy-ignored"), "service_tier");
    assert!(proxy.last_sent().get("service_tier").is_none());
}

/// A stream of these `data` lines, with their types as event names.
fn stream(events: &[&str]) -> ScriptedAnswer {
    let frame = |data: &&str| {
        let kind = serde_json::from_str::<Value>(data).unwrap()["type"].as_str().unwrap().to_owned();
        let lines: String = data.lines().map(|line| format!("data: {line}\n")).collect();
        format!("event: {kind}\n{lines}\n")
    };
    ScriptedAnswer::stream().bytes(events.iter().map(frame).collect::<String>())
}

const MESSAGE: &str = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]}}"#;

#[tokio::test]
async fn a_last_event_over_several_lines_is_filled_on_one() {
    let proxy = Proxy::start().await;
    let completed = "{\"type\":\"response.completed\",\n\"response\":{\"id\":\"r\",\n\"status\":\"completed\",\"output\":[],\n\"metadata\":{\n}}}";
    let [buffered, streamed] = proxy.both_responses(stream(&[MESSAGE, completed]), &json!({ "input": "hi" })).await;
    let last = streamed.events().pop().unwrap();
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "hi");
    assert_eq!(last["response"]["metadata"], json!({}));
    assert_eq!(buffered.json(), last["response"]);
}

#[tokio::test]
async fn an_item_without_a_place_is_kept_in_its_turn() {
    let proxy = Proxy::start().await;
    let item = |id: &str| json!({ "type": "response.output_item.done", "item": { "type": "x", "id": id } }).to_string();
    let (first, second) = (item("a"), item("b"));
    let nothing = r#"{"type":"response.output_item.done","output_index":9}"#;
    let completed = r#"{"type":"response.completed","response":{"id":"r","status":"completed","output":null}}"#;
    let play = stream(&[&first, nothing, &second, completed]);
    for answer in proxy.both_responses(play, &json!({ "input": "hi" })).await {
        let response = if answer.header("content-type") == "application/json" {
            answer.json()
        } else {
            answer.events().pop().unwrap()["response"].clone()
        };
        assert_eq!(response["output"], json!([{ "type": "x", "id": "a" }, { "type": "x", "id": "b" }]));
    }
}

#[tokio::test]
async fn a_failure_of_ours_inside_a_stream_has_every_field() {
    let proxy = Proxy::start().await;
    let text = r#"{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"h","sequence_number":7}"#;
    proxy.next(stream(&[text]).step(codex_proxy::simulator::ScriptStep::Cut));
    let answer = proxy.post("/v1/responses", &json!({ "input": "hi", "stream": true })).await;
    let last = answer.events().pop().unwrap();
    assert_eq!((&last["type"], &last["code"]), (&json!("error"), &json!("upstream_stream_interrupted")));
    assert_eq!((&last["param"], &last["sequence_number"]), (&Value::Null, &json!(8)));
    assert!(last["message"].is_string());
}
