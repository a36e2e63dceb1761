//! Answers with events of which a field is missing or damaged: whole where another event tells it, or an error.

use codex_proxy::backend::answer::Step;
use codex_proxy::dialect::chat::options::{AnswerMeta, ReasoningFormat};
use codex_proxy::dialect::messages::request::{MessagesShape, Thinking};
use serde_json::{Value, json};

use super::fold::{chunks, collect, completion, data, meta, of_chunks, of_completion, relay};
use super::messages::{document, events, folded};
use super::modes::stream;
use crate::common::chat::Message;

/// The events of a message at `place`.
fn message(place: u64, pieces: &[&str]) -> Vec<Value> {
    let (id, whole) = (format!("m{place}"), pieces.concat());
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
    let item = |parts: Value| json!({ "id": id, "type": "message", "role": "assistant", "content": parts });
    let event = |kind: &str, field: &str, value: Value| json!({ "type": format!("response.{kind}"), "item_id": id, "output_index": place, "content_index": 0, field: value });
    let whole_item =
        |kind: &str, parts| json!({ "type": format!("response.{kind}"), "output_index": place, "item": item(parts) });
    let mut found = vec![whole_item("output_item.added", json!([])), event("content_part.added", "part", part(""))];
    found.extend(pieces.iter().map(|piece| event("output_text.delta", "delta", json!(piece))));
    found.push(event("output_text.done", "text", json!(whole)));
    found.push(event("content_part.done", "part", part(&whole)));
    found.push(whole_item("output_item.done", json!([part(&whole)])));
    found
}

/// The events of a reasoning item at place 0.
fn reasoning() -> Vec<Value> {
    let item = |summary| json!({ "id": "r", "type": "reasoning", "encrypted_content": "sealed", "summary": summary });
    let event = |kind: &str, field: &str, value: Value| json!({ "type": format!("response.{kind}"), "item_id": "r", "output_index": 0, "summary_index": 0, field: value });
    vec![
        json!({ "type": "response.output_item.added", "output_index": 0, "item": item(json!([])) }),
        event("reasoning_summary_text.delta", "delta", json!("think")),
        event("reasoning_summary_text.done", "text", json!("think")),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item(json!([{ "type": "summary_text", "text": "think" }])) }),
    ]
}

/// A chat answer in both modes; `None` for an error.
fn chat(events: &[Value]) -> [Option<Message>; 2] {
    chat_of(&stream(events))
}

fn chat_of(stream: &[u8]) -> [Option<Message>; 2] {
    let (buffered, buffered_step) = completion(&meta(), &[stream]);
    let (streamed, step) = chunks(&meta(), &[stream]);
    [
        (buffered_step == Step::Complete).then(|| of_completion(&buffered)),
        (step == Step::Complete).then(|| of_chunks(&streamed)),
    ]
}

/// The content of a Messages answer in both modes; `None` for an error.
fn messages(events_sent: &[Value]) -> [Option<Value>; 2] {
    let shape = MessagesShape { thinking: Thinking::Shown, ..MessagesShape::default() };
    let stream = stream(events_sent);
    let (buffered, buffered_step) = document(&shape, &[&stream]);
    let (streamed, step) = events(&shape, &[&stream]);
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap()["content"].clone();
    [
        (buffered_step == Step::Complete).then(|| read(&buffered)),
        (step == Step::Complete).then(|| folded(&data(&streamed))["content"].clone()),
    ]
}

/// An event that names no item, by neither id nor place, is about the current one.
#[test]
fn an_event_without_a_name_is_about_the_current_item() {
    let (first, second) = (reasoning(), message(1, &["alpha ", "bravo"]));
    for nameless in [None, Some(Value::Null)] {
        for which in 1..second.len() - 1 {
            let mut events = [first.clone(), second.clone()].concat();
            let event = events[first.len() + which].as_object_mut().unwrap();
            for name in ["item_id", "output_index"] {
                event.remove(name);
                event.extend(nameless.clone().map(|null| (name.to_owned(), null)));
            }
            for answer in chat(&events).map(Option::unwrap) {
                assert_eq!((answer.content.as_str(), answer.reasoning.as_str()), ("alpha bravo", "think"), "{which}");
            }
            let answers = messages(&events).map(Option::unwrap);
            assert_eq!(answers[0][1], json!({ "type": "text", "text": "alpha bravo" }), "{which}");
            assert_eq!(answers[0], answers[1], "{which}");
        }
    }
}

/// An item that begins without a name is another one than the item before it, even if that has not ended.
#[test]
fn an_item_without_a_name_is_one_of_its_own() {
    let mut nameless = message(1, &["bravo"]);
    for event in &mut nameless {
        event.as_object_mut().unwrap().retain(|key, _| key != "item_id" && key != "output_index");
        if let Some(item) = event.get_mut("item") {
            item.as_object_mut().unwrap().remove("id");
        }
    }
    let mut unfinished = message(0, &["alpha"]);
    unfinished.pop();
    for first in [message(0, &["alpha"]), unfinished] {
        for answer in chat(&[first.clone(), nameless.clone()].concat()) {
            assert_eq!(answer.unwrap().content, "alpha\n\nbravo");
        }
    }
}

/// The events of a call at place 0.
fn call(kind: &str) -> Vec<Value> {
    let (field, family) = match kind {
        "function_call" => ("arguments", "response.function_call_arguments"),
        _ => ("input", "response.custom_tool_call_input"),
    };
    let item = |payload: &str| json!({ "id": "f", "type": kind, "call_id": "c", "name": "n", field: payload });
    let event = |name: &str, field: &str| json!({ "type": format!("{family}.{name}"), "item_id": "f", "output_index": 0, field: "{}" });
    vec![
        json!({ "type": "response.output_item.added", "output_index": 0, "item": item("") }),
        event("delta", "delta"),
        event("done", field),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item("{}") }),
    ]
}

/// Removes `field` from the item of the event at `position`, or makes it `null`.
fn without(events: &mut [Value], position: usize, field: &str, is_null: bool) {
    let item = events[position]["item"].as_object_mut().unwrap();
    item.remove(field);
    item.extend(is_null.then(|| (field.to_owned(), Value::Null)));
}

#[test]
fn a_call_without_an_id_or_a_name_is_an_error() {
    for kind in ["function_call", "custom_tool_call"] {
        for (field, is_null) in [("call_id", false), ("call_id", true), ("name", false), ("name", true)] {
            let mut events = call(kind);
            for position in [0, 3] {
                without(&mut events, position, field, is_null);
            }
            for events in [&events[..], &events[..3], &events[3..]] {
                assert_eq!(chat(events), [None, None], "{kind} {field}");
                assert_eq!(messages(events), [None, None], "{kind} {field}");
            }
        }
    }
}

#[test]
fn a_call_has_the_id_and_the_name_that_either_event_tells() {
    for kind in ["function_call", "custom_tool_call"] {
        for (first, last) in [("call_id", "name"), ("name", "call_id"), ("name", "name_"), ("name_", "name")] {
            let mut events = call(kind);
            without(&mut events, 0, first, false);
            without(&mut events, 3, last, true);
            for answer in chat(&events) {
                let call = &answer.unwrap().calls[0];
                assert_eq!((call.0.as_str(), call.2.as_str(), call.3.as_str()), ("c", "n", "{}"), "{kind} {first}");
            }
        }
    }
}

/// A finished item of which a field is damaged does not take back the text that the events before it agree on.
#[test]
fn a_damaged_field_of_a_finished_item_is_no_contradiction() {
    let fields = [
        ("/item/content", json!([])),
        ("/item/content", json!({})),
        ("/item/content", json!("x")),
        ("/item/content", Value::Null),
        ("/item/content/0", Value::Null),
        ("/item/content/0/type", Value::Null),
        ("/item/content/0/text", Value::Null),
        ("/item/content/0/text", json!([])),
        ("/item/content/0", json!({ "type": "output_text", "annotations": [] })),
        ("/item/content/0/annotations", json!({})),
        ("/item/content/0/annotations", json!(5)),
        ("/item/type", Value::Null),
    ];
    for (pointer, damaged) in fields {
        let mut events = [reasoning(), message(1, &["alpha ", "bravo"]), message(2, &["charlie"])].concat();
        let last = reasoning().len() + message(1, &["alpha ", "bravo"]).len() - 1;
        *events[last].pointer_mut(pointer).unwrap() = damaged.clone();
        for answer in chat(&events) {
            let answer = answer.unwrap_or_else(|| panic!("{pointer} {damaged}"));
            assert_eq!(answer.content, "alpha bravo\n\ncharlie", "{pointer} {damaged}");
        }
        let answers = messages(&events).map(Option::unwrap);
        assert_eq!(answers[0][1]["text"], "alpha bravo", "{pointer} {damaged}");
        assert_eq!(answers[0], answers[1], "{pointer} {damaged}");
    }
}

#[test]
fn a_damaged_field_of_finished_reasoning_is_no_contradiction() {
    let fields = [("/item/summary", json!({})), ("/item/summary/0", Value::Null), ("/item/type", Value::Null)];
    for (pointer, damaged) in fields {
        let mut events = [reasoning(), message(1, &["alpha"])].concat();
        *events[3].pointer_mut(pointer).unwrap() = damaged.clone();
        let answers = messages(&events).map(Option::unwrap);
        assert_eq!(answers[0][0]["thinking"], "think", "{pointer}");
        assert_ne!(answers[0][0]["signature"], "", "{pointer}");
        assert_eq!(answers[0], answers[1], "{pointer}");
    }
}

/// A readable text that differs still counts: it replaces the deltas in a document, and ends a stream in an error.
#[test]
fn another_finished_text_is_still_a_contradiction() {
    for (pointer, other, expected) in [
        ("/item/content/0/text", json!("other"), "other"),
        ("/item/content/0", json!({ "type": "refusal", "refusal": "no" }), ""),
    ] {
        let mut events = message(0, &["alpha"]);
        *events.last_mut().unwrap().pointer_mut(pointer).unwrap() = other;
        let [buffered, streamed] = chat(&events);
        assert_eq!(buffered.unwrap().content, expected);
        assert_eq!(streamed, None);
    }
}

/// The last event of an answer whose response has this `status`.
fn ended(name: &str, status: &str) -> Vec<u8> {
    let response = json!({ "id": "resp_1", "status": status, "output": [], "incomplete_details": { "reason": "max_output_tokens" },
        "error": { "code": "rate_limit_exceeded", "message": "slow down" } });
    let last = json!({ "type": name, "response": response });
    message(0, &["alpha"]).iter().chain([&last]).map(|event| format!("data: {event}\n\n")).collect::<String>().into()
}

#[test]
fn the_status_of_the_response_decides_how_an_answer_ends() {
    let shape = MessagesShape::default();
    for name in ["response.completed", "response.incomplete"] {
        for status in ["failed", "cancelled"] {
            let stream = ended(name, status);
            let pieces = &[&stream[..]];
            let steps = [
                completion(&meta(), pieces).1,
                chunks(&meta(), pieces).1,
                document(&shape, pieces).1,
                events(&shape, pieces).1,
                collect(pieces).1,
                relay(pieces).1,
            ];
            for step in steps {
                let Step::Failed { failure, reported } = step else { panic!("{name} {status}: {step:?}") };
                assert_eq!((failure.code.as_deref(), reported), (Some("rate_limit_exceeded"), false));
            }
            assert!(!String::from_utf8(relay(pieces).0).unwrap().contains(name));
        }
        let stream = ended(name, "incomplete");
        for answer in chat_of(&stream) {
            assert_eq!(answer.unwrap().finish, "length");
        }
        let (collected, step) = collect(&[&stream]);
        assert_eq!(step, Step::Complete);
        assert_eq!(serde_json::from_slice::<Value>(&collected).unwrap()["status"], "incomplete");
        assert_eq!(relay(&[&stream]).1, Step::Complete);
    }
}

/// Without reasoning and its tags the messages are separated by a blank line, wherever reasoning stands between them.
#[test]
fn reasoning_in_the_text_leaves_messages_as_they_are() {
    let placed = |mut events: Vec<Value>, place: u64, id: &str| {
        for event in &mut events {
            event["output_index"] = place.into();
            let name = if event.get("item").is_some() { "/item/id" } else { "/item_id" };
            *event.pointer_mut(name).unwrap() = id.into();
        }
        events
    };
    let events = [
        reasoning(),
        message(1, &["alpha ", "bravo"]),
        placed(reasoning(), 2, "r2"),
        placed(reasoning(), 3, "r3"),
        message(4, &["charlie"]),
        message(5, &["delta"]),
        placed(reasoning(), 6, "r6"),
    ];
    let meta = AnswerMeta { reasoning: ReasoningFormat::ThinkTags, ..meta() };
    let stream = stream(&events.concat());
    let content = of_completion(&completion(&meta, &[&stream]).0).content;
    let expected = "<think>\nthink\n</think>\n\nalpha bravo\n\n<think>\nthink\n\nthink\n</think>\n\ncharlie\n\ndelta\n\n\
        <think>\nthink\n</think>\n\n";
    assert_eq!(content, expected);
    assert_eq!(of_chunks(&chunks(&meta, &[&stream]).0).content, expected);
    let stripped: String = content.split("<think>").map(|text| text.rsplit("</think>\n\n").next().unwrap()).collect();
    assert_eq!(stripped.trim_end(), "alpha bravo\n\ncharlie\n\ndelta");
}
