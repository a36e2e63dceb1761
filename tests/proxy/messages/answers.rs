//! The blocks of an answer, and how it ends.

use std::time::Duration;

use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{Ending, IncompleteReason, Scenario, Stage};
use serde_json::{Value, json};

use super::*;
use crate::harness::Setup;
use crate::odd_streams::stream_of;

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
    assert_eq!((&nothing["content"], &nothing["stop_reason"]), (&json!([]), &json!("max_tokens")));
    body["stream"] = true.into();
    let mut streamed = folded(&ask(&proxy, &body).await);
    streamed["id"] = nothing["id"].clone();
    assert_eq!((streamed, proxy.calls()), (nothing, calls), "the backend is not asked");
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

fn delta(text: &str) -> Value {
    json!({ "type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": text })
}

#[tokio::test]
async fn a_stop_sequence_is_found_across_pieces() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    body["stop_sequences"] = json!(["</end>", "zzz"]);
    let message = both(&proxy, stream_of(&["one <", "/e", "nd> two"].map(delta)), &body).await;
    assert_eq!((&message["stop_reason"], &message["stop_sequence"]), (&json!("stop_sequence"), &json!("</end>")));
    assert_eq!(message["content"], json!([{ "type": "text", "text": "one " }]));
    let counted = ["prompt", "output_tokens"].map(|key| message["usage"][key].as_u64().unwrap());
    assert!((5..100).contains(&counted[0]) && (1..20).contains(&counted[1]), "estimates: {counted:?}");
    let message = both(&proxy, stream_of(&["</e", "nd>"].map(delta)), &body).await;
    assert_eq!(message["content"], json!([]), "an empty text is no block");
    let whole = json!({ "type": "response.output_item.done", "output_index": 0, "item": { "id": "m", "type": "message",
        "content": [{ "type": "output_text", "text": "one </e", "annotations": [] }] } });
    let message = both(&proxy, stream_of(&[delta("one </"), delta("e"), whole]), &body).await;
    assert_eq!((&message["stop_reason"], &message["content"][0]["text"]), (&json!("end_turn"), &json!("one </e")));
}

#[tokio::test]
async fn counts_add_up_whatever_the_backend_counts() {
    let proxy = Proxy::start().await;
    let usage = json!({ "input_tokens": 10, "input_tokens_details": { "cached_tokens": 8, "cache_write_tokens": 5 },
        "output_tokens": 1, "total_tokens": 11 });
    let last = json!({ "type": "response.completed", "response": { "id": "r", "output": [], "usage": usage } });
    proxy.next(stream_of(&[delta("x"), whole_text("x"), last]));
    let usage = ask(&proxy, &asked("hi")).await.json()["usage"].clone();
    let counts: Vec<u64> = PROMPT.iter().map(|key| usage[*key].as_u64().unwrap()).collect();
    assert_eq!(counts, [0, 8, 2]);
}

fn whole_text(text: &str) -> Value {
    json!({ "type": "response.output_item.done", "output_index": 0, "item": { "id": "m", "type": "message",
        "content": [{ "type": "output_text", "text": text, "annotations": [] }] } })
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let proxy = Proxy::start().await;
    let mut body = asked("call get_weather and get_time");
    body["tools"] = json!([tool("get_weather"), tool("get_time")]);
    let body = &body;
    let answers = futures_util::future::join_all((0..8).map(|_| ask(&proxy, body))).await;
    let mut ids = Vec::new();
    for message in answers.iter().map(Answer::json) {
        ids.push(message["id"].clone());
        ids.extend(message["content"].as_array().unwrap().iter().map(|block| block["id"].clone()));
    }
    let different: std::collections::HashSet<String> = ids.iter().map(Value::to_string).collect();
    assert_eq!((different.len(), ids.len()), (24, 24));
}

#[tokio::test]
async fn arguments_that_are_no_json_pass_as_they_are() {
    let proxy = Proxy::start().await;
    let mut body = asked("call it");
    body["tools"] = json!([tool("f")]);
    for (arguments, buffered) in
        [("", json!({})), ("{\"pages\":\"\"}", json!({ "pages": "" })), ("[1]", json!({ "input": "[1]" }))]
    {
        let call =
            json!({ "id": "fc", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": arguments });
        let events = [json!({ "type": "response.output_item.done", "output_index": 0, "item": call })];
        proxy.next(stream_of(&events));
        assert_eq!(ask(&proxy, &body).await.json()["content"][0]["input"], buffered);
        body["stream"] = true.into();
        proxy.next(stream_of(&events));
        let answer = ask(&proxy, &body).await;
        let deltas = answer.text.matches("input_json_delta").count();
        assert_eq!(deltas, usize::from(!arguments.is_empty()), "{}", answer.text);
        body["stream"] = false.into();
    }
}

#[tokio::test]
async fn silence_is_filled_with_pings_before_and_inside_a_block() {
    let settings = ServerSettings { keepalive: Duration::from_millis(40), ..ServerSettings::default() };
    let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
    for stage in [Stage::Head, Stage::Output, Stage::Middle, Stage::Terminal] {
        proxy.next(Scenario::Stall(Duration::from_millis(800), stage));
        let mut body = asked("hi");
        body["stream"] = true.into();
        let answer = ask(&proxy, &body).await;
        folded(&answer);
        assert!(answer.text.matches("event: ping\n").count() >= 4, "{stage:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_inside_a_call_says_so() {
    let proxy = Proxy::start().await;
    let call = |arguments: &str| json!({ "id": "fc", "type": "function_call", "call_id": "call_1", "name": "ReadFile", "arguments": arguments });
    let incomplete = |reason: &str| json!({ "type": "response.incomplete", "response": { "id": "r", "output": [], "incomplete_details": { "reason": reason } } });
    let mut body = asked("go");
    body["tools"] = json!([tool("ReadFile")]);
    for (why, reason) in [("max_output_tokens", "max_tokens"), ("content_filter", "refusal")] {
        let done = json!({ "type": "response.output_item.done", "output_index": 0, "item": call("{\"a\":1}") });
        let message = both(&proxy, stream_of(&[done, incomplete(why)]), &body).await;
        assert_eq!((&message["stop_reason"], &message["content"][0]["name"]), (&json!(reason), &json!("ReadFile")));
    }
}

#[tokio::test]
async fn arguments_pass_as_they_come() {
    let proxy = Proxy::start().await;
    let call = |arguments: &str| json!({ "id": "fc", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": arguments });
    let piece = |delta: &str| json!({ "type": "response.function_call_arguments.delta", "item_id": "fc", "output_index": 0, "delta": delta });
    let added = json!({ "type": "response.output_item.added", "output_index": 0, "item": call("") });
    let done = json!({ "type": "response.output_item.done", "output_index": 0, "item": call("{\"a\":\"b\"}") });
    let mut body = asked("go");
    body["tools"] = json!([tool("f")]);
    body["stream"] = true.into();
    proxy.next(stream_of(&[added, piece("{\"a\":"), piece("\"b"), piece("\"}"), done]));
    let answer = ask(&proxy, &body).await;
    assert_eq!(answer.text.matches("input_json_delta").count(), 3, "{}", answer.text);
    assert_eq!(folded(&answer)["content"][0]["input"], json!({ "a": "b" }));
}

#[tokio::test]
async fn a_stop_sequence_is_found_across_items() {
    let proxy = Proxy::start().await;
    let mut body = asked("hi");
    body["stop_sequences"] = json!(["END"]);
    let item = |place: u64, text: &str| {
        let id = format!("m{place}");
        let delta = json!({ "type": "response.output_text.delta", "item_id": id, "output_index": place,
            "content_index": 0, "delta": text });
        let done = json!({ "type": "response.output_item.done", "output_index": place, "item": { "id": id,
            "type": "message", "content": [{ "type": "output_text", "text": text, "annotations": [] }] } });
        [delta, done]
    };
    for (texts, blocks, stops) in [
        (&["one EN", "D two"][..], &["one "][..], true),
        (&["E", "N", "D two"], &[], true),
        (&["one E", "N", "Dx"], &["one "], true),
        (&["one EN", "x END"], &["one EN", "x "], true),
        (&["E", "E", "ND"], &["E"], true),
        (&["one EN", "E", "x"], &["one EN", "E", "x"], false),
        (&["E", "N"], &["E", "N"], false),
    ] {
        let events: Vec<Value> = (0..).zip(texts).flat_map(|(place, text)| item(place, text)).collect();
        let message = both(&proxy, stream_of(&events), &body).await;
        let found: Vec<&str> =
            message["content"].as_array().unwrap().iter().map(|block| block["text"].as_str().unwrap()).collect();
        assert_eq!((found.as_slice(), message["stop_reason"] == "stop_sequence"), (blocks, stops), "{texts:?}");
    }
    // A call between two texts keeps them apart.
    let call = json!({ "type": "response.output_item.done", "output_index": 1,
        "item": { "id": "f", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}" } });
    let events = [item(0, "EN").to_vec(), vec![call], item(2, "D").to_vec()].concat();
    let message = both(&proxy, stream_of(&events), &body).await;
    assert_eq!(kinds(&message), ["text", "tool_use", "text"]);
}

#[tokio::test]
async fn a_stop_sequence_is_not_looked_for_in_a_refusal() {
    let proxy = Proxy::start().await;
    let delta = |kind: &str, place: u64, text: &str| json!({ "type": format!("response.{kind}.delta"), "item_id": format!("m{place}"), "output_index": place, "content_index": 0, "delta": text });
    let mut body = asked("hi");
    body["stop_sequences"] = json!(["END"]);
    let refused = [delta("output_text", 0, "Well, EN"), delta("refusal", 1, "D no: I cannot END help")];
    let message = both(&proxy, stream_of(&refused), &body).await;
    let texts: Vec<&str> =
        message["content"].as_array().unwrap().iter().filter_map(|block| block["text"].as_str()).collect();
    assert_eq!(texts, ["Well, EN", "D no: I cannot END help"]);
    assert_eq!(message["stop_reason"], "refusal");
    let message =
        both(&proxy, stream_of(&[delta("output_text", 0, "Well END"), delta("refusal", 1, "no")]), &body).await;
    assert_eq!((&message["content"][0]["text"], &message["stop_reason"]), (&"Well ".into(), &"stop_sequence".into()));
}
