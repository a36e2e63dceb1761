//! The output of an answer with missing or repeated parts.

use serde_json::{Value, json};

use super::*;

/// Returns an answer of these events, and its last event's response, filled; `Err` if they contradict each other.
fn filled(audience: Audience, events: &[Value], response: &str) -> Result<(String, String), Inconsistency> {
    let mut output = Output::new(audience);
    let mut told = Vec::new();
    for event in events {
        let text = event.to_string();
        let event = Event::read(text.as_bytes()).unwrap();
        match Delta::of(&event) {
            Some(delta) => drop(output.delta(&delta, &mut told)),
            None => drop(output.event(&event, &mut told)?),
        }
    }
    // Whether the event was scanned or parsed, the response is the same.
    let event = format!(r#"{{"type":"response.completed","response":{response}}}"#);
    let scanned = Event::scan(event.as_bytes()).unwrap().response.unwrap();
    let parsed = Event::parse(event.as_bytes()).unwrap().response.unwrap();
    let list = output.complete(&scanned, COMPLETED, None, &mut told)?;
    let filled = |view: &ResponseView<'_>| {
        let mut filled = Vec::new();
        match &list {
            Some(list) => write_filled(view, list, &mut filled),
            None => filled.extend_from_slice(view.json),
        }
        String::from_utf8(filled).unwrap()
    };
    assert_eq!(filled(&scanned), filled(&parsed));
    Ok((filled(&scanned), String::from_utf8(told).unwrap()))
}

fn document(events: &[Value], response: &str) -> String {
    filled(Audience::Document, events, response).unwrap().0
}

/// Returns the items that fill an empty output.
fn items(events: &[Value]) -> Value {
    let mut response: Value = serde_json::from_str(&document(events, r#"{"output":[]}"#)).unwrap();
    response["output"].take()
}

fn added(place: u64, item: &Value) -> Value {
    json!({ "type": "response.output_item.added", "output_index": place, "item": item })
}

fn done(place: u64, item: &Value) -> Value {
    json!({ "type": "response.output_item.done", "output_index": place, "item": item })
}

#[test]
fn fills_what_is_empty_null_or_absent_in_order_of_place() {
    let events = [done(1, &json!({ "b": 12_345_678_901_234_567_u64 })), done(0, &json!({ "a": 1 }))];
    let items = r#""output":[{"a":1},{"b":12345678901234567}]"#;
    assert_eq!(document(&events, r#"{"id":"r","output":[ ],"x":1}"#), format!(r#"{{"id":"r",{items},"x":1}}"#));
    assert_eq!(document(&events, r#"{"output":null}"#), format!("{{{items}}}"));
    assert_eq!(document(&events, r#"{"id":"r"}"#), format!(r#"{{"id":"r",{items}}}"#));
}

#[test]
fn items_that_claim_one_place_are_told_apart_by_their_ids() {
    let events = [
        done(0, &json!({ "id": "a", "v": 1 })),
        done(0, &json!({ "id": "b" })),
        done(0, &json!({ "id": "a", "v": 2 })),
    ];
    assert_eq!(items(&events), json!([{ "id": "a", "v": 2 }, { "id": "b" }]));
}

#[test]
fn leaves_a_full_output_alone() {
    let response = r#"{"output": [{"a":2}] }"#;
    assert_eq!(document(&[done(0, &json!({ "a": 1 }))], response), response);
    assert_eq!(document(&[], r#"{"output":[]}"#), r#"{"output":[]}"#);
}

#[test]
fn a_message_is_its_deltas_and_keeps_what_else_was_said_of_it() {
    let item = json!({ "id": "m", "type": "message", "status": "in_progress", "role": "assistant", "phase": "x", "content": [] });
    let delta = |index, text| json!({ "type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": index, "delta": text });
    let refusal = json!({ "type": "response.refusal.done", "item_id": "m", "content_index": 2, "refusal": "no" });
    let whole = json!({ "type": "response.output_text.done", "item_id": "m", "content_index": 0, "text": "Hé\n!" });
    let citation = json!({ "type": "url_citation", "url": "https://a.example" });
    let cited = json!({ "type": "response.output_text.annotation.added", "item_id": "m", "content_index": 1, "annotation_index": 0, "annotation": citation });
    let events = [added(0, &item), delta(1, "b"), delta(0, "H"), delta(0, "é"), whole, refusal, cited];
    let content = json!([
        { "type": "output_text", "text": "Hé\n!", "annotations": [] },
        { "type": "output_text", "text": "b", "annotations": [citation] },
        { "type": "refusal", "refusal": "no" },
    ]);
    let expected = json!([{ "id": "m", "type": "message", "status": "completed", "role": "assistant", "phase": "x", "content": content }]);
    assert_eq!(items(&events), expected);
}

#[test]
fn a_finished_part_is_kept_with_all_it_says() {
    let part =
        json!({ "type": "output_text", "text": "hi", "annotations": [{ "type": "file_citation" }], "logprobs": [1] });
    let ended = json!({ "type": "response.content_part.done", "item_id": "m", "output_index": 0, "content_index": 0, "part": part });
    assert_eq!(items(&[ended]), json!([{ "type": "message", "role": "assistant", "content": [part] }]));
}

#[test]
fn calls_get_their_arguments_wherever_they_came() {
    let call = json!({ "id": "f", "type": "function_call", "call_id": "c", "name": "n", "arguments": "" });
    let custom = json!({ "id": "g", "type": "custom_tool_call", "call_id": "d", "name": "n", "input": "" });
    let early = json!({ "type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{\"k\":" });
    let late =
        json!({ "type": "response.function_call_arguments.delta", "item_id": "f", "output_index": 1, "delta": "1}" });
    let input =
        json!({ "type": "response.custom_tool_call_input.done", "item_id": "g", "output_index": 2, "input": "text" });
    let nameless = json!({ "type": "response.function_call_arguments.delta", "item_id": "z", "delta": "lost" });
    let events = [early, added(1, &call), late, added(2, &custom), input, nameless];
    let mut expected = [call, custom];
    expected[0]["arguments"] = r#"{"k":1}"#.into();
    expected[1]["input"] = "text".into();
    assert_eq!(items(&events), json!(expected));
    // A stream's client receives them once their call has begun.
    let told = filled(Audience::Stream, &events, r#"{"output":[]}"#).unwrap().1;
    assert!(told.contains(r#""delta":"{\"k\":1}""#) && told.contains(r#""delta":"text""#), "{told}");
    assert_eq!(told.matches("event: response.output_item.done").count(), 2, "{told}");
}

#[test]
fn reasoning_and_items_that_never_began() {
    let half = json!({ "id": "h", "type": "reasoning", "summary": [], "encrypted_content": "half" });
    let summary =
        json!({ "type": "response.reasoning_summary_text.delta", "item_id": "r", "summary_index": 0, "delta": "why" });
    let raw = json!({ "type": "response.reasoning_text.delta", "item_id": "r", "delta": "because" });
    let text = json!({ "type": "response.output_text.delta", "item_id": "m", "delta": "hi" });
    let expected = json!([
        { "id": "h", "type": "reasoning", "summary": [] },
        { "type": "reasoning", "content": [{ "type": "reasoning_text", "text": "because" }], "summary": [{ "type": "summary_text", "text": "why" }] },
        { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "hi", "annotations": [] }] },
    ]);
    assert_eq!(items(&[added(0, &half), summary, raw, text]), expected);
}

#[test]
fn what_has_come_whole_is_all_that_counts() {
    let item = json!({ "id": "m", "type": "message", "content": [] });
    let ended =
        done(0, &json!({ "id": "other", "type": "message", "content": [{ "type": "output_text", "text": "y" }] }));
    let delta = json!({ "type": "response.output_text.delta", "item_id": "m", "delta": "x" });
    let events = [added(0, &item), delta, ended.clone()];
    assert_eq!(items(&events), json!([ended["item"]]));
    assert!(filled(Audience::Stream, &events, "{}").is_err(), "a stream's client has had another text");
}

#[test]
fn what_only_the_last_event_holds_is_told_before_it() {
    let call = json!({ "id": "f", "type": "function_call", "status": "completed", "call_id": "c", "name": "n", "arguments": "{}" });
    let message = json!({ "id": "m", "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "é", "annotations": [{ "type": "x" }] }] });
    let response = json!({ "output": [message, call] }).to_string();
    let told = filled(Audience::Stream, &[], &response).unwrap().1;
    let names: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("event: response.")).collect();
    assert_eq!(
        names,
        [
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.annotation.added",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "output_item.done"
        ]
    );
    let other = json!({ "output": [{ "id": "n", "type": "novelty" }] }).to_string();
    assert_eq!(filled(Audience::Stream, &[], &other).unwrap().1, "");
}

#[test]
fn two_finished_items_that_contradict_each_other_are_an_error_for_everybody() {
    let item =
        |text: &str| json!({ "id": "m", "type": "message", "content": [{ "type": "output_text", "text": text }] });
    let response = json!({ "output": [item("two")] }).to_string();
    for audience in [Audience::Stream, Audience::Document] {
        assert!(filled(audience, &[done(0, &item("one"))], &response).is_err());
        assert!(filled(audience, &[done(0, &item("one"))], r#"{"output":[{"id":"r","type":"reasoning"}]}"#).is_err());
    }
}
