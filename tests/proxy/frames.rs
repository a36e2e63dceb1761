//! Whatever frames the backend sends, only frames that every client can read leave: each event on one `data` line.

use codex_proxy::simulator::{Delivery, Scenario, ScriptedAnswer};
use serde_json::{Value, json};

use super::harness::{Proxy, user};
use crate::common::answer::Answer;

/// The events of a stream, read by the simplest of clients; anything it would trip over is an error.
fn read_simply(answer: &Answer) -> Vec<Value> {
    assert!(!answer.text.contains('\r') && !answer.text.contains('\0'), "{:?}", answer.text);
    assert!(answer.text.ends_with("\n\n"), "{:?}", answer.text);
    let mut events = Vec::new();
    for frame in answer.text.trim_end().split("\n\n") {
        let data: Vec<&str> = frame.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let others = frame.lines().filter(|line| !line.starts_with("data: ") && !line.starts_with("event: "));
        assert_eq!(others.count(), 0, "{frame:?}");
        let [data] = data[..] else { panic!("not one data line: {frame:?}") };
        if data != "[DONE]" {
            let event: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {frame:?}"));
            let name = frame.lines().find_map(|line| line.strip_prefix("event: "));
            assert!(name.is_none_or(|name| event["type"] == name), "{frame:?}");
            events.push(event);
        }
    }
    events
}

/// An answer with a text, a nested citation and a call, each event as `frame` writes it.
fn answer(frame: impl Fn(&Value) -> String) -> ScriptedAnswer {
    let citation = json!({ "type": "url_citation", "url": "https://a.example", "title": "T", "start_index": 0, "end_index": 1, "nested": { "a": [1, { "b": null }] } });
    let part = json!({ "type": "output_text", "text": "a\u{2028}b\r\n", "annotations": [citation] });
    let events = [
        json!({ "type": "response.created", "response": { "id": "resp_1", "nested": { "a": [1] } } }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": { "id": "m", "type": "message", "content": [] } }),
        json!({ "type": "response.content_part.added", "item_id": "m", "output_index": 0, "content_index": 0, "part": { "type": "output_text", "text": "" } }),
        json!({ "type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": "a\u{2028}b\r\n", "logprobs": [{ "a": 1 }] }),
        json!({ "type": "response.output_text.annotation.added", "item_id": "m", "output_index": 0, "content_index": 0, "annotation_index": 0, "annotation": citation }),
        json!({ "type": "response.novelty", "nested": { "a": [1] } }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": { "id": "m", "type": "message", "content": [part] } }),
        json!({ "type": "response.output_item.done", "output_index": 1, "item": { "id": "f", "type": "function_call", "call_id": "c", "name": "n", "arguments": "{}" } }),
        json!({ "type": "response.completed", "response": { "id": "resp_1", "output": [], "usage": { "input_tokens": 1, "output_tokens": 2 } } }),
    ];
    ScriptedAnswer::stream().bytes(events.iter().map(frame).collect::<String>())
}

/// JSON over several lines, each with this in front and this behind.
fn spread(event: &Value, before: &str, end: &str) -> String {
    let json = serde_json::to_string_pretty(event).unwrap();
    let lines: String = json.lines().map(|line| format!("{before}{line}{end}")).collect();
    format!("event: {}{end}{lines}{end}", event["type"].as_str().unwrap())
}

async fn assert_readable(proxy: &Proxy, play: &ScriptedAnswer, what: &str) {
    let [buffered, streamed] = proxy.both(play.clone(), &user("hi")).await;
    read_simply(&streamed);
    let (buffered, streamed) = (buffered.message(), streamed.message());
    assert_eq!(buffered, streamed, "{what}");
    assert_eq!((buffered.content.as_str(), buffered.tools()), ("a\u{2028}b\r\n", vec![("n", "{}")]), "{what}");
    assert_eq!(buffered.annotations[0]["url_citation"]["nested"], json!({ "a": [1, { "b": null }] }), "{what}");
    let [buffered, streamed] = proxy.both_responses(play.clone(), &json!({ "input": "hi" })).await;
    let events = read_simply(&streamed);
    assert!(events.iter().any(|event| event["type"] == "response.novelty"), "{what}");
    assert_eq!(events.last().unwrap()["response"], buffered.json(), "{what}");
    assert_eq!(buffered.json()["output"][0]["content"][0]["text"], "a\u{2028}b\r\n", "{what}");
}

#[tokio::test]
async fn an_event_over_several_lines_leaves_on_one() {
    let proxy = Proxy::start().await;
    assert_readable(&proxy, &answer(|event| spread(event, "data: ", "\n")), "LF").await;
    assert_readable(&proxy, &answer(|event| spread(event, "data:", "\r\n")), "CRLF").await;
    assert_readable(&proxy, &answer(|event| spread(event, "data: ", "\r")), "CR").await;
    let with_others = |event: &Value| format!(": comment\nid: 7\n{}", spread(event, "data: ", "\n"));
    assert_readable(&proxy, &answer(with_others), "other fields").await;
}

#[tokio::test]
async fn an_event_on_one_line_leaves_on_one_however_the_line_ends() {
    let proxy = Proxy::start().await;
    let plain = |event: &Value| format!("data: {event}\n\n");
    assert_readable(&proxy, &answer(plain), "LF").await;
    assert_readable(&proxy, &answer(|event| format!("data: {event}\r\r")), "CR").await;
    // A byte order mark at the beginning belongs to the stream, and a NUL to no event.
    let mut marked = answer(plain);
    let Some(codex_proxy::simulator::ScriptStep::Bytes(bytes)) = marked.steps.pop() else { panic!("bytes") };
    let marked =
        marked.bytes([b"\xEF\xBB\xBF: begin\n\n\0garbage\n\nevent: a\0b\ndata: {\"a\0b\":1}\n\n", &bytes[..]].concat());
    assert_readable(&proxy, &marked, "a byte order mark and NULs").await;
    let named = |event: &Value| format!("event: a\0b\ndata: {event}\n\n");
    assert_readable(&proxy, &answer(named), "a NUL in a name").await;
    // The last frame's blank line is missing.
    let mut cut = answer(plain);
    let Some(codex_proxy::simulator::ScriptStep::Bytes(bytes)) = cut.steps.pop() else { panic!("bytes") };
    assert_readable(&proxy, &cut.bytes(bytes.slice(..bytes.len() - 2)), "no blank line at the end").await;
}

#[tokio::test]
async fn a_name_that_would_break_its_line_is_left_out() {
    let proxy = Proxy::start().await;
    let odd = "data: {\"type\":\"response.odd\\n\\ndata: x\",\n\ndata: {\"type\":\"response.odd\\ndata: y\",\ndata: \"a\":1}\n\n";
    let play = ScriptedAnswer::stream()
        .bytes(format!("{odd}data: {}\n\n", json!({ "type": "response.completed", "response": { "output": [] } })));
    proxy.next(play);
    let answer = proxy.post("/v1/responses", &json!({ "input": "hi", "stream": true })).await;
    let events = read_simply(&answer);
    assert_eq!(events[0]["type"], "response.odd\ndata: y");
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn lines_that_end_as_on_windows_pass_as_they_are() {
    let proxy = Proxy::start().await;
    proxy.next(Scenario::Default.delivered(Delivery { crlf: true, ..Delivery::default() }));
    let answer = proxy.post("/v1/responses", &json!({ "input": "hi", "stream": true })).await;
    assert!(answer.text.contains("\r\n\r\n") && answer.text.contains("response.completed"), "{}", answer.text);
}
