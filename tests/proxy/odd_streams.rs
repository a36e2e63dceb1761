//! Streams that leave something out, say something twice or take turns: nothing of them is lost.

use codex_proxy::simulator::ScriptedAnswer;
use serde_json::{Value, json};

use super::harness::{Proxy, user};

/// A stream of `events` between its beginning and its end.
pub(crate) fn stream_of(events: &[Value]) -> ScriptedAnswer {
    let created = json!({ "type": "response.created", "response": { "id": "resp_1" } });
    let completed = json!({ "type": "response.completed", "response": { "id": "resp_1", "output": [] } });
    let events = std::iter::once(&created).chain(events).chain([&completed]);
    ScriptedAnswer::stream().bytes(events.map(|event| format!("data: {event}\n\n")).collect::<String>())
}

#[tokio::test]
async fn a_whole_text_completes_what_deltas_left_out() {
    let proxy = Proxy::start().await;
    let item = |item: &Value| json!({ "type": "response.output_item.done", "output_index": 0, "item": item });
    let text = |event: &str, key: &str, text: &str| json!({ "type": format!("response.output_text.{event}"), "item_id": "m", "output_index": 0, "content_index": 0, key: text });
    let message = |text: &str| json!({ "id": "m", "type": "message", "content": [{ "type": "output_text", "text": text, "annotations": [] }] });
    for (events, expected) in [
        (vec![text("delta", "delta", "hel"), text("done", "text", "hello\n\"")], "hello\n\""),
        (vec![text("delta", "delta", "hel"), item(&message("hello"))], "hello"),
        (
            vec![text("delta", "delta", "hel"), text("done", "text", "hello"), item(&message("hello, you"))],
            "hello, you",
        ),
    ] {
        for answer in proxy.both(stream_of(&events), &user("hi")).await {
            assert_eq!(answer.message().content, expected, "{events:?}");
        }
    }
    let summary = json!({ "type": "response.reasoning_summary_text.delta", "item_id": "r", "output_index": 0, "summary_index": 0, "delta": "ab" });
    let part = json!({ "type": "response.reasoning_summary_part.done", "item_id": "r", "output_index": 0, "summary_index": 1, "part": { "type": "summary_text", "text": "second" } });
    let reasoning =
        item(&json!({ "id": "r", "type": "reasoning", "summary": [{ "type": "summary_text", "text": "abcd" }] }));
    for answer in proxy.both(stream_of(&[summary, reasoning, part]), &user("hi")).await {
        assert_eq!(answer.message().reasoning, "abcd\n\nsecond");
    }
}

#[tokio::test]
async fn a_whole_call_completes_what_deltas_left_out() {
    let proxy = Proxy::start().await;
    let call = |name: &str, arguments: &str| json!({ "id": "f", "type": "function_call", "call_id": "c", "name": name, "arguments": arguments });
    let unsaid = json!({ "id": "f", "type": "function_call", "call_id": "c", "name": "n", "arguments": null });
    let added = |call: &Value| json!({ "type": "response.output_item.added", "output_index": 0, "item": call });
    let ended = |call: &Value| json!({ "type": "response.output_item.done", "output_index": 0, "item": call });
    let delta = |id: &str, delta: &str| json!({ "type": "response.function_call_arguments.delta", "item_id": id, "output_index": 0, "delta": delta });
    let done = json!({ "type": "response.function_call_arguments.done", "item_id": "f", "output_index": 0, "arguments": "{\"a\":1}" });
    for events in [
        vec![added(&call("n", "")), delta("f", "{\"a\""), done.clone(), ended(&call("n", "{\"a\":1}"))],
        vec![added(&call("n", "")), delta("f", "{\"a\""), ended(&call("n", "{\"a\":1}"))],
        vec![added(&call("", "")), delta("f", "{\"a\":1}"), ended(&call("n", "{\"a\":1}"))],
        vec![delta("x", "{\"a"), added(&call("n", "")), delta("y", "\":1}"), ended(&unsaid)],
        vec![delta("x", "{\"a"), delta("y", "\":1}"), ended(&unsaid)],
    ] {
        for answer in proxy.both(stream_of(&events), &user("hi")).await {
            assert_eq!(answer.message().tools(), [("n", "{\"a\":1}")], "{events:?}");
        }
    }
}

#[tokio::test]
async fn messages_that_take_turns_stay_apart() {
    let proxy = Proxy::start().await;
    let delta = |id: &str, place: u64, text: &str| json!({ "type": "response.output_text.delta", "item_id": id, "output_index": place, "content_index": 0, "delta": text });
    let events = [delta("a", 0, "a1"), delta("b", 1, "b1"), delta("b", 1, "b2"), delta("a", 0, "a2")];
    for answer in proxy.both(stream_of(&events), &user("hi")).await {
        assert_eq!(answer.message().content, "a1a2\n\nb1b2");
    }
}

#[tokio::test]
async fn every_image_has_a_place_of_its_own() {
    let proxy = Proxy::start().await;
    let image = |place: u64, data: &str| {
        let item = json!({ "id": format!("ig_{place}"), "type": "image_generation_call", "result": data });
        json!({ "type": "response.output_item.done", "output_index": place, "item": item })
    };
    for answer in proxy.both(stream_of(&[image(0, "AAAA"), image(1, "BBBB")]), &user("hi")).await {
        assert_eq!(answer.message().images.len(), 2);
        assert!(
            answer.text.contains(r#""index":0,"image_url":{"url":"data:image/png;base64,AAAA""#),
            "{}",
            answer.text
        );
        assert!(
            answer.text.contains(r#""index":1,"image_url":{"url":"data:image/png;base64,BBBB""#),
            "{}",
            answer.text
        );
    }
}
