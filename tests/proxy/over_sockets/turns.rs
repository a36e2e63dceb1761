//! Turns over a WebSocket: what the backend receives, and that nothing of a conversation is left out.

use codex_proxy::simulator::{Scenario, SocketFault};
use futures_util::future::join;
use serde_json::{Value, json};

use super::{shape, start, succeeded, tool_round, with_tool};
use crate::common::socket::{CODEX, Socket, id, said};
use crate::harness::{Proxy, tool, user};

#[tokio::test]
async fn every_api_is_answered_over_one_socket_a_conversation() {
    let proxy = start().await;
    let hello = json!({ "role": "user", "content": "hi" });
    for (number, (path, body)) in (1..).zip([
        ("/v1/chat/completions", json!({ "messages": [hello] })),
        ("/v1/responses", json!({ "input": "hello" })),
        ("/v1/messages", json!({ "model": "claude-opus-5-5", "max_tokens": 100, "messages": [{ "role": "user", "content": "good morning" }] })),
    ]) {
        for stream in [false, true] {
            let mut body = body.clone();
            body["stream"] = stream.into();
            let answer = succeeded(proxy.post(path, &body).await);
            assert!(answer.whole && answer.text.contains("gpt-"), "{}", answer.text);
        }
        assert_eq!(proxy.ways(), [number, 2 * number, 0], "{path}");
    }
    assert_eq!(proxy.metric("codex_proxy_upstream_websocket_calls_total{sent=\"whole\"}").await, "6");
    let upgrade = proxy.simulator.requests_to("/responses").remove(0);
    assert_eq!(upgrade.header("openai-beta"), "responses_websockets=2026-02-06");
    assert_eq!(
        (upgrade.header("accept"), upgrade.header("content-type"), upgrade.header("sec-websocket-extensions")),
        ("", "", "")
    );
    assert!(!upgrade.header("session-id").is_empty());
}

#[tokio::test]
async fn a_tool_round_sends_only_what_is_new() {
    let proxy = start().await;
    let mut body = with_tool();
    body["reasoning_effort"] = "low".into();
    for _ in 0..3 {
        proxy.next(Scenario::CommentedCall);
        tool_round(&proxy, &mut body, "1").await;
    }
    let text = succeeded(proxy.chat(&body).await).text;
    assert!(text.contains("The tool returned: “1”"), "{text}");
    let frames = proxy.frames();
    let shapes: Vec<_> = frames.iter().map(shape).collect();
    assert_eq!(shapes, [(1, false), (1, true), (1, true), (1, true)]);
    assert_eq!(frames[3]["input"][0]["type"], "function_call_output");
    assert_eq!(frames[3]["type"], "response.create");
    for key in ["model", "tools", "instructions", "prompt_cache_key"] {
        assert_eq!(frames[3][key], frames[0][key], "{key}");
    }
    assert_eq!(proxy.ways(), [1, 4, 0]);
    assert_eq!(proxy.metric("codex_proxy_upstream_websocket_calls_total{sent=\"increment\"}").await, "3");
}

#[tokio::test]
async fn a_tool_round_of_responses_sends_only_what_is_new() {
    let proxy = start().await;
    let tools = json!([{ "type": "function", "name": "f", "parameters": { "type": "object", "properties": {} }, "strict": false }]);
    let mut input =
        vec![json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "use f" }] })];
    let body = |input: &[Value]| json!({ "input": input, "tools": tools, "store": false, "include": ["reasoning.encrypted_content"], "reasoning": { "summary": "auto" } });
    let first = succeeded(proxy.post("/v1/responses", &body(&input)).await).json();
    let output = first["output"].as_array().unwrap();
    assert_eq!(output.len(), 2, "reasoning and a call");
    // As the official clients send it back: without ids and states.
    input.extend(output.iter().cloned().map(|mut item| {
        item.as_object_mut().unwrap().retain(|key, _| !["id", "status"].contains(&key.as_str()));
        item
    }));
    input.push(json!({ "type": "function_call_output", "call_id": output[1]["call_id"], "output": "7" }));
    let second = succeeded(proxy.post("/v1/responses", &body(&input)).await).json();
    assert!(second["output"].to_string().contains("The tool returned: “7”"), "{second}");
    let shapes: Vec<_> = proxy.frames().iter().map(shape).collect();
    assert_eq!(shapes, [(1, false), (1, true)]);
}

#[tokio::test]
async fn a_tool_round_of_messages_sends_only_what_is_new() {
    let proxy = start().await;
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    let mut body = json!({
        "model": "claude-opus-5-5", "max_tokens": 4096, "thinking": { "type": "enabled", "budget_tokens": 2048 },
        "tools": [{ "name": "f", "description": "d", "input_schema": schema }],
        "messages": [{ "role": "user", "content": "use f" }],
    });
    let first = succeeded(proxy.post("/v1/messages", &body).await).json();
    let call = first["content"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(call["type"], "tool_use", "{first}");
    let result = json!({ "type": "tool_result", "tool_use_id": call["id"], "content": "7" });
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": first["content"] }),
        json!({ "role": "user", "content": [result] }),
    ]);
    let second = succeeded(proxy.post("/v1/messages", &body).await).text;
    assert!(second.contains("The tool returned: “7”"), "{second}");
    let shapes: Vec<_> = proxy.frames().iter().map(shape).collect();
    assert_eq!(shapes, [(1, false), (1, true)]);
}

#[tokio::test]
async fn a_history_that_is_not_the_backends_is_sent_whole() {
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit); 9] = [
        ("nothing", |_| {}),
        ("the question", |body| body["messages"][0]["content"] = "use f again".into()),
        ("the arguments", |body| {
            body["messages"][1]["tool_calls"][0]["function"]["arguments"] = r#"{"city":"elsewhere"}"#.into();
        }),
        ("a text beside the call", |body| body["messages"][1]["content"] = "I call it".into()),
        ("the name", |body| body["messages"][1]["tool_calls"][0]["function"]["name"] = "g".into()),
        ("the id", |body| {
            body["messages"][1]["tool_calls"][0]["id"] = "call_other".into();
            body["messages"][2]["tool_call_id"] = "call_other".into();
        }),
        ("the tools", |body| body["tools"].as_array_mut().unwrap().push(tool("g"))),
        ("the effort", |body| body["reasoning_effort"] = "high".into()),
        ("a message before", |body| {
            body["messages"].as_array_mut().unwrap().insert(0, json!({ "role": "user", "content": "earlier" }));
        }),
    ];
    for (what, edit) in edits {
        let proxy = start().await;
        let mut body = with_tool();
        body["prompt_cache_key"] = "one".into();
        tool_round(&proxy, &mut body, "1").await;
        edit(&mut body);
        succeeded(proxy.chat(&body).await);
        let frames = proxy.frames();
        let is_increment = frames[1]["previous_response_id"].is_string();
        assert_eq!(is_increment, what == "nothing", "{what}: {}", frames[1]);
        assert_eq!(proxy.ways(), [1, 2, 0], "{what}");
        if is_increment {
            continue;
        }
        // Exactly what HTTP sends.
        let plain = Proxy::start().await;
        let sent = plain.sent(&body).await;
        let without_reasoning = |input: &Value| -> Vec<Value> {
            input.as_array().unwrap().iter().filter(|item| item["type"] != "reasoning").cloned().collect()
        };
        assert_eq!(without_reasoning(&frames[1]["input"]), without_reasoning(&sent["input"]), "{what}");
    }
}

#[tokio::test]
async fn reasoning_that_is_not_sent_back_is_missed() {
    let proxy = start().await;
    let mut body = user("hi");
    body["reasoning_effort"] = "low".into();
    body["prompt_cache_key"] = "one".into();
    proxy.next(Scenario::SeveralReasoningItems);
    let first = succeeded(proxy.chat(&body).await).json()["choices"][0]["message"].clone();
    // A chat client has no place for reasoning that no call followed.
    body["messages"].as_array_mut().unwrap().extend([first, json!({ "role": "user", "content": "go on" })]);
    succeeded(proxy.chat(&body).await);
    assert_eq!(shape(&proxy.frames()[1]), (3, false));
    // Without reasoning the text is all there was.
    proxy.next(Scenario::SingleDelta);
    let answer = succeeded(proxy.chat(&body).await).json()["choices"][0]["message"].clone();
    body["messages"].as_array_mut().unwrap().extend([answer, json!({ "role": "user", "content": "and on" })]);
    succeeded(proxy.chat(&body).await);
    assert_eq!(shape(&proxy.frames()[3]), (1, true));
}

#[tokio::test]
async fn a_second_call_at_the_same_time_goes_by_http() {
    let proxy = start().await;
    let body = user("hi");
    proxy.next(Scenario::Paced(20, std::time::Duration::from_millis(10)));
    proxy.next(Scenario::Paced(20, std::time::Duration::from_millis(10)));
    let (one, other) = join(proxy.chat(&body), proxy.chat(&body)).await;
    assert!(succeeded(one).whole && succeeded(other).whole);
    assert_eq!(proxy.ways(), [1, 1, 1]);
    assert_eq!(proxy.simulator.counters().overlaps, 0);
    succeeded(proxy.chat(&body).await);
    assert_eq!(proxy.ways(), [1, 2, 1], "the socket is free again");
}

#[tokio::test]
async fn an_answer_that_is_not_known_any_more_costs_the_whole_input_and_nothing_else() {
    for frame in [
        r#"{"type":"error","status":400,"error":{"type":"invalid_request_error","code":"previous_response_not_found","message":"m"}}"#,
        r#"{"type":"error","status":400,"error":{"type":"invalid_request_error","code":null,"message":"Invalid `previous_response_id`."}}"#,
    ] {
        let proxy = start().await;
        let mut body = with_tool();
        tool_round(&proxy, &mut body, "1").await;
        let act = codex_proxy::simulator::SocketAct::Text(frame.to_owned());
        proxy.simulator.queue_socket_fault(SocketFault::Instead(act));
        let answer = succeeded(proxy.chat(&body).await);
        assert!(answer.text.contains("The tool returned"), "{}", answer.text);
        let shapes: Vec<_> = proxy.frames().iter().map(shape).collect();
        assert_eq!(shapes, [(1, false), (1, true), (4, false)]);
        assert_eq!(proxy.ways(), [1, 3, 0]);
    }
}

#[tokio::test]
async fn the_usage_windows_are_those_of_the_latest_turn() {
    let proxy = start().await;
    let used = || proxy.app.limits().latest().map(|latest| latest.limits.windows[0].used_percent);
    succeeded(proxy.chat(&user("hi")).await);
    let first = used().expect("a reading");
    proxy.simulator.configure(|settings| settings.limits.primary.used_percent = first + 1.5);
    succeeded(proxy.chat(&user("hi")).await);
    assert_eq!(used(), Some(first + 1.5));
    assert_eq!(proxy.ways(), [1, 2, 0]);
}

#[tokio::test]
async fn a_codex_clients_headers_of_a_turn_go_into_the_frame() {
    let proxy = start().await;
    let post = |turn: Option<&'static str>| {
        let mut request = proxy.http.post(format!("{}/v1/responses", proxy.base));
        if let Some(turn) = turn {
            request = request.header("x-codex-turn-state", turn);
        }
        let request = request.header("user-agent", "codex_exec/0.169.0").header("session-id", "s");
        let request = request.header("x-codex-turn-metadata", "{}").header("x-codex-beta-features", "b");
        request
            .json(&json!({ "input": "hi", "stream": true, "client_metadata": { "x-codex-turn-metadata": "own" } }))
            .send()
    };
    let mut expected = Vec::new();
    // The first request of a turn has no state yet.
    for turn in [None, Some("one"), Some("two")] {
        let answer = crate::common::answer::Answer::read(post(turn).await.unwrap()).await;
        assert_eq!(succeeded(answer).header("x-codex-turn-state"), "simulated");
        let mut metadata = json!({ "x-codex-turn-metadata": "own" });
        if let Some(turn) = turn {
            metadata["x-codex-turn-state"] = turn.into();
        }
        expected.push(metadata);
    }
    let told: Vec<_> = proxy.frames().iter().map(|frame| frame["client_metadata"].clone()).collect();
    assert_eq!(told, expected);
    assert_eq!(proxy.ways(), [1, 3, 0], "they are no reason for another socket");
}

#[tokio::test]
async fn a_socket_on_either_side_carries_what_is_new_alone() {
    let proxy = start().await;
    let mut socket = Socket::open(proxy.address(), CODEX).await;
    let function = json!({ "type": "function", "name": "f", "parameters": { "type": "object", "properties": {} }, "strict": false });
    let mut body = json!({ "tools": [function], "input": [said("use f")], "reasoning": { "summary": "auto" } });
    for _ in 0..2 {
        let events = socket.turn(&body).await;
        let done = events.iter().filter(|event| event["type"] == "response.output_item.done");
        let call = done.map(|event| &event["item"]).find(|item| item["type"] == "function_call").expect("a call");
        let output = json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "7" });
        body["previous_response_id"] = id(&events).into();
        body["input"] = json!([output, said("use f")]);
    }
    let shapes: Vec<_> = proxy.frames().iter().map(shape).collect();
    assert_eq!(shapes, [(1, false), (2, true)]);
    assert_eq!(proxy.ways(), [1, 2, 0]);
}
