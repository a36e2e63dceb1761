//! Stop sequences, which the proxy applies itself: the same in both modes.

use codex_proxy::dialect::chat::options::ReasoningFormat;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{ScriptStep, ScriptedAnswer};
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, Setup, user};
use crate::common::answer::Answer;
use crate::common::chat::Message;

/// A stream of `events`, numbered, that goes on for ever.
fn endless(events: &[Value]) -> ScriptedAnswer {
    let created = json!({ "type": "response.created", "response": { "id": "resp_1" } });
    let mut text = String::new();
    for (number, event) in std::iter::once(&created).chain(events).enumerate() {
        let mut event = event.clone();
        event["sequence_number"] = number.into();
        text += &format!("data: {event}\n\n");
    }
    ScriptedAnswer::stream().bytes(text).step(ScriptStep::Hold)
}

/// The same, but it ends.
fn whole(events: &[Value]) -> ScriptedAnswer {
    let usage = json!({ "input_tokens": 5, "output_tokens": 7 });
    let completed =
        json!({ "type": "response.completed", "response": { "id": "resp_1", "output": [], "usage": usage } });
    let mut answer = endless(&[events, &[completed]].concat());
    answer.steps.pop();
    answer
}

fn text(place: u64, part: u64, delta: &str) -> Value {
    json!({ "type": "response.output_text.delta", "item_id": format!("m{place}"), "output_index": place, "content_index": part, "delta": delta })
}

fn call(place: u64, arguments: &str) -> Value {
    let item = json!({ "id": format!("f{place}"), "type": "function_call", "call_id": format!("c{place}"), "name": "n", "arguments": arguments });
    json!({ "type": "response.output_item.done", "output_index": place, "item": item })
}

fn stopping_at(stop: &Value) -> Value {
    let mut body = user("hi");
    body["stop"] = stop.clone();
    body
}

/// Content and finish of the answer in both modes, which must agree.
async fn asked(proxy: &Proxy, answer: ScriptedAnswer, stop: &Value) -> Message {
    let [buffered, streamed] = proxy.both(answer, &stopping_at(stop)).await.map(|answer: Answer| answer.message());
    assert_eq!(buffered, streamed);
    streamed
}

#[tokio::test]
async fn the_text_and_the_call_end_at_the_first_sequence_however_it_is_cut() {
    let proxy = Proxy::start().await;
    for (deltas, stop, expected) in [
        (&["one ST", "OP two"][..], json!("STOP"), "one "),
        (&["one S", "T", "O", "P"], json!(["nothing", "STOP"]), "one "),
        (&["STOP"], json!("STOP"), ""),
        (&["a\nb", "\n\nc"], json!(["\n\n"]), "a\nb"),
        (&["né\"", "e 👋", "x"], json!(["\"e 👋"]), "né"),
        (&["x ab", "ac"], json!(["ac", "bac"]), "x a"),
    ] {
        let events: Vec<Value> = deltas.iter().map(|delta| text(0, 0, delta)).collect();
        let message = asked(&proxy, endless(&events), &stop).await;
        assert_eq!((message.content.as_str(), message.finish.as_str()), (expected, "stop"), "{deltas:?}");
        let count = |key: &str| message.usage[key].as_u64().unwrap();
        assert!((5..100).contains(&count("prompt_tokens")), "an estimate: {}", message.usage);
        assert!((1..20).contains(&count("completion_tokens")), "an estimate: {}", message.usage);
        assert_eq!(count("total_tokens"), count("prompt_tokens") + count("completion_tokens"));
    }
}

#[tokio::test]
async fn sequences_count_by_their_characters_across_parts_and_messages() {
    let proxy = Proxy::start().await;
    let raw = |delta: &str| text(0, 0, "DELTA").to_string().replace("DELTA", delta);
    let stream = [raw(r"a\u0053T"), raw(r"\u004fP\ud83d"), raw(r"\ude00 b")].map(|data| format!("data: {data}\n\n"));
    for stop in [json!("STOP"), json!("P😀"), json!("😀 b")] {
        let answer = ScriptedAnswer::stream().bytes(stream.concat()).step(ScriptStep::Hold);
        let message = asked(&proxy, answer, &stop).await;
        assert!("aSTOP😀 b".starts_with(&message.content) && !message.content.is_empty(), "{message:?}");
    }
    let part_done = json!({ "type": "response.output_text.done", "item_id": "m0", "output_index": 0, "content_index": 0, "text": "one ST" });
    let parts = [text(0, 0, "one ST"), part_done, text(0, 1, "OP two")];
    assert_eq!(asked(&proxy, endless(&parts), &json!("STOP")).await.content, "one ");
    let item = json!({ "id": "m0", "type": "message", "content": [{ "type": "output_text", "text": "one", "annotations": [] }] });
    let item_done = json!({ "type": "response.output_item.done", "output_index": 0, "item": item });
    let messages = [text(0, 0, "one"), item_done, text(1, 0, "two")];
    assert_eq!(asked(&proxy, endless(&messages), &json!("\n\n")).await.content, "one");
}

#[tokio::test]
async fn what_only_almost_is_one_is_shown() {
    let proxy = Proxy::start().await;
    for (deltas, expected) in
        [(&["one ST", "OX"][..], "one STOX"), (&["one", " STO"], "one STO"), (&["STSTO"], "STSTO")]
    {
        let events: Vec<Value> = deltas.iter().map(|delta| text(0, 0, delta)).collect();
        let message = asked(&proxy, whole(&events), &json!(["STOP", "never"])).await;
        assert_eq!((message.content.as_str(), message.finish.as_str()), (expected, "stop"));
        assert_eq!(message.usage["total_tokens"], 12, "the backend went on to its end");
    }
}

#[tokio::test]
async fn only_text_is_looked_at() {
    let summary = json!({ "type": "response.reasoning_summary_text.delta", "item_id": "r", "output_index": 0, "summary_index": 0, "delta": "a STOP b" });
    let refusal = json!({ "type": "response.refusal.delta", "item_id": "m1", "output_index": 1, "content_index": 1, "delta": "no STOP" });
    let events = [summary, text(1, 0, "x ST"), refusal, text(1, 2, "OP y"), call(2, "{\"a\":\"STOP\"}")];
    for (format, content) in [
        (ReasoningFormat::ReasoningContent, "x STOP y"),
        (ReasoningFormat::ThinkTags, "<think>\na STOP b\n</think>\n\nx STOP y"),
    ] {
        let settings = ServerSettings { reasoning_format: format, ..ServerSettings::default() };
        let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
        let message = asked(&proxy, whole(&events), &json!("STOP")).await;
        assert_eq!((message.content.as_str(), message.finish.as_str()), (content, "tool_calls"));
        assert_eq!((message.refusal.as_str(), message.tools()), ("no STOP", vec![("n", "{\"a\":\"STOP\"}")]));
    }
}

#[tokio::test]
async fn a_call_that_has_begun_becomes_whole() {
    let proxy = Proxy::start().await;
    let begun = json!({ "type": "response.output_item.added", "output_index": 0, "item": { "id": "f0", "type": "function_call", "call_id": "c0", "name": "n", "arguments": "" } });
    let events = [begun, text(1, 0, "one STOP two"), text(1, 0, " three"), call(0, "{\"a\":1}"), call(2, "{}")];
    let message = asked(&proxy, whole(&events), &json!("STOP")).await;
    assert_eq!((message.content.as_str(), message.finish.as_str()), ("one ", "tool_calls"));
    assert_eq!(message.tools(), [("n", "{\"a\":1}"), ("n", "{}")]);
}

#[tokio::test]
async fn where_something_was_lost_the_finished_text_is_awaited() {
    let proxy = Proxy::start().await;
    let events = |deltas: &[&str], whole: &str| {
        let added = json!({ "type": "response.output_item.added", "output_index": 0, "item": { "id": "m0", "type": "message", "content": [] } });
        let part = json!({ "type": "response.content_part.added", "item_id": "m0", "output_index": 0, "content_index": 0, "part": { "type": "output_text", "text": "" } });
        let deltas = deltas.iter().map(|delta| text(0, 0, delta));
        let done = json!({ "type": "response.output_text.done", "item_id": "m0", "output_index": 0, "content_index": 0, "text": whole });
        [added, part].into_iter().chain(deltas).chain([done]).collect::<Vec<Value>>()
    };
    // One delta is lost: it would have stood between the halves of the sequence, or have been one.
    for (lost, deltas, text, expected) in [
        (3, &["ST", "x", "OP"][..], "STxOP", "STxOP"),
        (4, &["ST", "OP", "x"], "STOPx", ""),
        (4, &["a", "b STOP", "c"], "ab STOPc", "ab "),
    ] {
        let whole = whole(&events(deltas, text));
        let Some(ScriptStep::Bytes(bytes)) = whole.steps.first() else { panic!("bytes") };
        let frames: Vec<&str> = std::str::from_utf8(bytes).unwrap().split_inclusive("\n\n").collect();
        let kept = [&frames[..lost], &frames[lost + 1..]].concat().concat();
        let message = asked(&proxy, ScriptedAnswer::stream().bytes(kept), &json!("STOP")).await;
        assert_eq!((message.content.as_str(), message.finish.as_str()), (expected, "stop"), "{deltas:?}");
    }
}

#[tokio::test]
async fn a_wrong_stop_is_refused_as_openai_refuses_it_and_a_right_one_is_not_sent() {
    let proxy = Proxy::start().await;
    for (stop, param, code) in [
        (json!(5), "stop", "invalid_type"),
        (json!({ "a": "b" }), "stop", "invalid_type"),
        (json!(["a", null]), "stop[1]", "invalid_type"),
        (json!([]), "stop", "empty_array"),
        (json!(""), "stop", "empty_string"),
        (json!(["a", ""]), "stop[1]", "empty_string"),
        (json!(["a", "b", "c", "d", "e"]), "stop", "array_above_max_length"),
    ] {
        for stream in [false, true] {
            let mut body = stopping_at(&stop);
            body["stream"] = stream.into();
            let answer = proxy.chat(&body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{stop}");
            let error = answer.error();
            assert_eq!((&error["param"], &error["code"]), (&json!(param), &json!(code)), "{stop}");
            assert!(error["message"].as_str().unwrap().contains(param), "{error}");
        }
    }
    assert_eq!(proxy.calls(), 0);
    for stop in [json!(null), json!("never"), json!(["never", "b", "c", "d"])] {
        let answer = proxy.chat(&stopping_at(&stop)).await;
        assert_eq!(answer.header("x-codex-proxy-ignored"), "");
        assert!(proxy.last_sent().get("stop").is_none());
        answer.message();
    }
}
