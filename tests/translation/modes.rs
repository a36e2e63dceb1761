//! Streams that no backend would send, in both modes; and events read with their keys in any order.

use codex_proxy::backend::answer::Step;
use codex_proxy::backend::event::Event;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::fold::{chunks, completion, meta, of_chunks, of_completion};

/// Items of few ids and places, so that events meet, contradict each other and come too early or too late.
pub(crate) fn event() -> impl Strategy<Value = Value> {
    let id = prop::sample::select(vec!["a", "b", "c"]);
    let text = prop::sample::select(vec!["", "x", "é\n", "👋", "{\"k\":", "1}", "\u{2028}"]);
    (id, 0..3_u64, 0..2_u64, text, 0..16_u8).prop_map(|(id, place, part, text, kind)| {
        let message = json!({ "id": id, "type": "message", "role": "assistant",
            "content": [{ "type": "output_text", "text": text, "annotations": [] }, { "type": "refusal", "refusal": text }] });
        let call = json!({ "id": id, "type": "function_call", "call_id": format!("call_{id}"), "name": "f", "arguments": text });
        let custom = json!({ "id": id, "type": "custom_tool_call", "call_id": format!("call_{id}"), "name": "g", "input": text });
        let reasoning = json!({ "id": id, "type": "reasoning", "summary": [{ "type": "summary_text", "text": text }] });
        let image = json!({ "id": id, "type": "image_generation_call", "result": "aGk=" });
        let citation = json!({ "type": "url_citation", "url": "https://a.example", "title": text, "start_index": 0, "end_index": 1 });
        let (name, fields) = match kind {
            0 => ("response.output_item.added", json!({ "item": message })),
            1 => ("response.output_item.added", json!({ "item": call })),
            2 => ("response.output_item.added", json!({ "item": custom })),
            3 => ("response.output_text.delta", json!({ "delta": text })),
            4 => ("response.output_text.done", json!({ "text": text })),
            5 => ("response.refusal.delta", json!({ "delta": text })),
            6 => ("response.function_call_arguments.delta", json!({ "delta": text })),
            7 => ("response.function_call_arguments.done", json!({ "arguments": text })),
            8 => ("response.custom_tool_call_input.delta", json!({ "delta": text })),
            9 => ("response.reasoning_summary_text.delta", json!({ "delta": text, "summary_index": part })),
            10 => ("response.reasoning_text.delta", json!({ "delta": text })),
            11 => ("response.output_text.annotation.added", json!({ "annotation": citation })),
            12 => ("response.output_item.done", json!({ "item": message })),
            13 => ("response.output_item.done", json!({ "item": call })),
            14 => ("response.output_item.done", json!({ "item": reasoning })),
            _ => ("response.output_item.done", json!({ "item": image })),
        };
        let mut event = json!({ "type": name, "item_id": id, "output_index": place, "content_index": part });
        event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        event
    })
}

pub(crate) fn stream(events: &[Value]) -> Vec<u8> {
    let created = json!({ "type": "response.created", "response": { "id": "resp_1" } });
    let usage = json!({ "input_tokens": 1, "output_tokens": 2, "total_tokens": 3 });
    let completed =
        json!({ "type": "response.completed", "response": { "id": "resp_1", "output": [], "usage": usage } });
    let frame = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    [frame(&created), events.iter().map(frame).collect(), frame(&completed)].concat().into_bytes()
}

proptest! {
    #[test]
    fn streamed_and_buffered_hold_the_same(events in prop::collection::vec(event(), 0..30)) {
        let stream = stream(&events);
        let (streamed, step) = chunks(&meta(), &[&stream]);
        let (buffered, buffered_step) = completion(&meta(), &[&stream]);
        // What contradicts what a streaming client has already is an error there, and can be corrected in a document.
        prop_assert!(step != Step::Complete || buffered_step == Step::Complete);
        if step == Step::Complete {
            prop_assert_eq!(of_chunks(&streamed), of_completion(&buffered));
        }
    }

    #[test]
    fn an_event_reads_the_same_with_its_keys_in_any_order(event in event(), order in any::<prop::sample::Index>(), noise in any::<bool>()) {
        let mut fields: Vec<(String, Value)> = event.as_object().unwrap().clone().into_iter().collect();
        if noise {
            fields.push(("obfuscation".to_owned(), json!({ "type": "not.this", "delta": [1, { "item": null }] })));
        }
        let turn = order.index(fields.len());
        fields.rotate_left(turn);
        let text = Value::Object(fields.into_iter().collect::<Map<_, _>>()).to_string();
        let seen = Event::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&Value::from(seen.kind.as_ref()), &event["type"]);
        let raw = |raw: Option<&serde_json::value::RawValue>| raw.map_or(Value::Null, |raw| serde_json::from_str(raw.get()).unwrap());
        prop_assert_eq!(raw(seen.item_id), event["item_id"].clone());
        prop_assert_eq!(raw(seen.delta), event["delta"].clone());
        prop_assert_eq!(raw(seen.text), event["text"].clone());
        prop_assert_eq!(raw(seen.arguments), event["arguments"].clone());
        prop_assert_eq!(raw(seen.item), event["item"].clone());
        prop_assert_eq!(raw(seen.annotation), event["annotation"].clone());
        prop_assert_eq!(seen.output_index, event["output_index"].as_u64());
        prop_assert_eq!(seen.content_index, event["content_index"].as_u64());
        prop_assert_eq!(seen.summary_index, event["summary_index"].as_u64());
    }
}
