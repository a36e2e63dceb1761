//! Conversations that go on from what the proxy remembers: `previous_response_id` and references to items.

use codex_proxy::server::guard::Guard;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{IncompleteReason, Scenario, ScriptedAnswer};
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, Setup};
use crate::common::answer::Answer;

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

/// The final response object, in either mode.
fn response(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    match answer.header("content-type") {
        "text/event-stream" => answer.events().pop().unwrap()["response"].clone(),
        _ => answer.json(),
    }
}

/// The body that the backend got for `body`, and the answer to it.
async fn turn(proxy: &Proxy, body: &Value) -> (Value, Value) {
    let response = response(&proxy.post("/v1/responses", body).await);
    (proxy.last_sent(), response)
}

/// `input`, what came back for it, and `next`: the conversation as a client would send it whole.
fn whole(input: &[Value], response: &Value, next: &[Value]) -> Value {
    [input, response["output"].as_array().unwrap(), next].concat().into()
}

#[tokio::test]
async fn an_answer_is_gone_on_from_by_its_id_as_if_all_had_been_sent() {
    let proxy = Proxy::start().await;
    for (index, store) in [json!(null), json!(true), json!(false)].into_iter().enumerate() {
        for answer in proxy
            .both_responses(
                Scenario::Default,
                &json!({ "instructions": "i", "reasoning": { "summary": "auto" }, "input": format!("first {index}"), "store": store }),
            )
            .await
        {
            let first = response(&answer);
            let asked = [json!({ "type": "message", "role": "user", "content": format!("first {index}") })];
            let body = |input: Value| json!({ "instructions": "i", "input": input, "store": store });
            let mut next = body(json!("second"));
            next["previous_response_id"] = first["id"].clone();
            let answers = proxy.both_responses(Scenario::Default, &next).await;
            let continued = proxy.last_sent();
            let kinds: Vec<&str> = continued["input"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
            assert_eq!(kinds, ["message", "reasoning", "message", "message"]);

            let (sent, _) = turn(&proxy, &body(whole(&asked, &first, &[user("second")]))).await;
            assert_eq!(continued, sent, "the cache key too");

            let second = response(&answers[1]);
            let mut third = body(json!([user("third")]));
            third["previous_response_id"] = second["id"].clone();
            let (sent, _) = turn(&proxy, &third).await;
            assert_eq!(sent["input"].as_array().unwrap().len(), 6, "{sent}");
            assert_eq!(sent["prompt_cache_key"], continued["prompt_cache_key"]);
        }
    }
}

#[tokio::test]
async fn a_tool_round_needs_no_more_than_the_output() {
    let proxy = Proxy::start().await;
    let tools = json!([{ "type": "function", "name": "f", "parameters": { "type": "object", "properties": {} }, "strict": false }]);
    for answer in proxy.both_responses(Scenario::Default, &json!({ "input": "use f", "tools": tools })).await {
        let first = response(&answer);
        let call = &first["output"][0];
        assert_eq!(call["type"], "function_call");
        let output = json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "1" });
        let next = json!({ "previous_response_id": first["id"], "input": [output], "tools": tools });
        let (sent, second) = turn(&proxy, &next).await;
        assert_eq!(sent["input"].as_array().unwrap().len(), 3);
        assert!(second["output"][0]["content"][0]["text"].as_str().unwrap().contains("The tool returned: “1”"));
    }
}

#[tokio::test]
async fn instructions_and_tools_are_not_carried_over() {
    let proxy = Proxy::start().await;
    let tools = json!([{ "type": "function", "name": "f", "parameters": { "type": "object", "properties": {} }, "strict": false }]);
    let (_, first) =
        turn(&proxy, &json!({ "instructions": "old", "tools": tools, "tool_choice": "none", "input": "hi" })).await;
    let (sent, _) = turn(&proxy, &json!({ "previous_response_id": first["id"], "input": "ho" })).await;
    assert_eq!(sent["instructions"], "");
    assert!(sent.get("tools").is_none());
}

#[tokio::test]
async fn an_incomplete_answer_and_one_given_whole_at_the_end_can_be_gone_on_from() {
    let proxy = Proxy::start().await;
    let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "yo" }] });
    let completed = json!({ "type": "response.completed", "response": { "id": "resp_1", "status": "completed", "output": [message] } });
    let at_the_end = ScriptedAnswer::stream().bytes(format!("data: {completed}\n\n"));
    let incomplete = Scenario::Incomplete(IncompleteReason::MaxOutputTokens);
    for play in [incomplete, Scenario::Scripted(at_the_end)] {
        for answer in proxy.both_responses(play.clone(), &json!({ "input": "hi" })).await {
            let first = response(&answer);
            let (sent, _) = turn(&proxy, &json!({ "previous_response_id": first["id"], "input": "go on" })).await;
            assert_eq!(sent["input"].as_array().unwrap().len(), 3, "{play:?}");
            assert_eq!(sent["input"][1]["content"][0]["text"], first["output"][0]["content"][0]["text"]);
        }
    }
}

#[tokio::test]
async fn an_unknown_answer_is_said_to_be_unknown() {
    let proxy = Proxy::start().await;
    proxy.next(Scenario::EndWithoutTerminal);
    let failed = proxy.post("/v1/responses", &json!({ "input": "hi", "stream": true })).await;
    let failed = failed.events()[0]["response"]["id"].clone();
    for id in [json!("resp_x"), failed, json!("")] {
        for answer in
            proxy.both_responses(Scenario::Default, &json!({ "previous_response_id": id, "input": "hi" })).await
        {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
            let expected = json!({
                "message": format!("Previous response with id '{}' not found.", id.as_str().unwrap()),
                "type": "invalid_request_error", "param": "previous_response_id", "code": "previous_response_not_found",
            });
            assert_eq!(answer.error(), expected);
        }
    }
    let both = json!({ "previous_response_id": "resp_x", "conversation": "conv_1", "input": "hi" });
    let answer = proxy.post("/v1/responses", &both).await;
    assert_eq!(
        (answer.status, &answer.error()["code"]),
        (StatusCode::BAD_REQUEST, &json!("mutually_exclusive_parameters"))
    );
    let answer = proxy.post("/v1/responses", &json!({ "previous_response_id": 1, "input": "hi" })).await;
    assert_eq!(answer.error()["param"], "previous_response_id");
}

#[tokio::test]
async fn a_compaction_is_nothing_to_go_on_from() {
    let proxy = Proxy::start().await;
    let (_, compacted) = turn(&proxy, &json!({ "input": [user("hi"), { "type": "compaction_trigger" }] })).await;
    let answer = proxy.post("/v1/responses", &json!({ "previous_response_id": compacted["id"], "input": "ho" })).await;
    assert_eq!(answer.error()["code"], "previous_response_not_found");
    let reference = json!({ "type": "item_reference", "id": compacted["output"][0]["id"] });
    let (sent, _) = turn(&proxy, &json!({ "input": [reference, user("ho")] })).await;
    assert_eq!(sent["input"][0]["type"], "compaction");
}

#[tokio::test]
async fn nothing_remembered_crosses_from_one_key_to_another() {
    let guard = Guard { api_keys: Keys::new(["one", "two"]), ..Guard::default() };
    let proxy =
        Proxy::with(Setup { settings: ServerSettings { guard, ..ServerSettings::default() }, ..Setup::default() })
            .await;
    let ask = async |key: &str, body: Value| {
        let request = proxy.http.post(format!("{}/v1/responses", proxy.base)).header("x-api-key", key).json(&body);
        Answer::read(request.send().await.unwrap()).await
    };
    let first = response(&ask("one", json!({ "input": "secret" })).await);
    let next = json!({ "previous_response_id": first["id"], "input": "what was it?" });
    let reference = json!({ "input": [{ "type": "item_reference", "id": first["output"][0]["id"] }, user("ho")] });
    assert_eq!(ask("two", next.clone()).await.error()["code"], "previous_response_not_found");
    assert_eq!(ask("two", reference.clone()).await.error()["param"], "input[0]");
    assert_eq!(ask("one", next).await.status, StatusCode::OK);
    assert_eq!(ask("one", reference).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_codex_client_keeps_its_own_history_and_is_not_remembered() {
    let proxy = Proxy::start().await;
    let request = proxy.http.post(format!("{}/v1/responses", proxy.base)).header("user-agent", "codex_exec/0.169.0");
    let first = Answer::read(request.json(&json!({ "input": "hi" })).send().await.unwrap()).await.json();
    let answer = proxy.post("/v1/responses", &json!({ "previous_response_id": first["id"], "input": "ho" })).await;
    assert_eq!(answer.error()["code"], "previous_response_not_found");
}

#[tokio::test]
async fn references_in_an_earlier_turn_stay_resolved() {
    let proxy = Proxy::start().await;
    let (_, first) = turn(&proxy, &json!({ "input": "hi" })).await;
    let id = &first["output"][0]["id"];
    let input = json!([user("hi"), { "type": "item_reference", "id": id }, { "type": "item_reference", "id": "rs_unknown" }, user("ho")]);
    let (second_sent, second) = turn(&proxy, &json!({ "input": input })).await;
    let (sent, _) = turn(&proxy, &json!({ "previous_response_id": second["id"], "input": "ha" })).await;
    let sent = sent["input"].as_array().unwrap();
    assert_eq!(sent[..3], second_sent["input"].as_array().unwrap()[..]);
    assert_eq!(sent.len(), 5);
}

#[tokio::test]
async fn a_reference_that_is_repeated_is_sent_once() {
    let proxy = Proxy::start().await;
    proxy.next(Scenario::Paced(2000, std::time::Duration::ZERO));
    let (_, first) = turn(&proxy, &json!({ "input": "hi" })).await;
    let reference = json!({ "type": "item_reference", "id": first["output"][0]["id"] });
    let mut input = vec![reference; 500];
    input.insert(0, user("hi"));
    input.push(user("ho"));
    for answer in proxy.both_responses(Scenario::Default, &json!({ "input": input })).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.header("x-codex-proxy-ignored"), "input[*]");
        assert_eq!(proxy.last_sent()["input"].as_array().unwrap().len(), 3);
        assert!(proxy.simulator.requests_to("/responses").last().unwrap().bytes.len() < 40_000);
    }
}

#[tokio::test]
async fn an_item_that_refers_to_itself_is_an_error() {
    let proxy = Proxy::start().await;
    let item = json!({ "type": "item_reference", "id": "msg_1" });
    let done = json!({ "type": "response.output_item.done", "output_index": 0, "item": item });
    let completed =
        json!({ "type": "response.completed", "response": { "id": "resp_1", "status": "completed", "output": [] } });
    proxy.next(ScriptedAnswer::stream().bytes(format!("data: {done}\n\ndata: {completed}\n\n")));
    turn(&proxy, &json!({ "input": "hi" })).await;
    let answer = proxy.post("/v1/responses", &json!({ "input": [item, user("ho")] })).await;
    assert_eq!((answer.status, &answer.error()["param"]), (StatusCode::BAD_REQUEST, &json!("input[0]")));
    let answer = proxy.post("/v1/responses", &json!({ "previous_response_id": "resp_1", "input": "ho" })).await;
    assert_eq!((answer.status, &answer.error()["param"]), (StatusCode::BAD_REQUEST, &json!("previous_response_id")));
}

#[tokio::test]
async fn what_memory_adds_is_bounded_like_a_body() {
    let settings = ServerSettings { max_body_size: 4096, ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    let mut previous = Value::Null;
    let mut statuses = Vec::new();
    let (mut referred, mut items) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let body = json!({ "previous_response_id": previous, "input": "x".repeat(1000) });
        let answer = proxy.post("/v1/responses", &body).await;
        statuses.push(answer.status.as_u16());
        if answer.status == StatusCode::OK {
            previous = answer.json()["id"].clone();
            referred.push(json!({ "type": "item_reference", "id": answer.json()["output"][0]["id"] }));
            items.push(user("y"));
        } else {
            assert_eq!(answer.error()["code"], "request_too_large");
        }
    }
    assert_eq!((statuses[0], statuses[3]), (200, 413), "{statuses:?}");
    let distinct = proxy.post("/v1/responses", &json!({ "input": [user("z"), referred[0]] })).await;
    assert_eq!(distinct.status, StatusCode::OK, "{}", distinct.text);
}
