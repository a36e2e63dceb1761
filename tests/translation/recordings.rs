//! Real recorded streams against a plain reading of their events.
//!
//! The recordings are not part of the project: the folder is named by `CODEX_PROXY_RECORDINGS` and otherwise looked for
//! beside the checkout. Without it these tests say so and pass; the project's own fixtures are always there.

use std::path::PathBuf;

use codex_proxy::translate::Step;
use serde_json::Value;

use super::fold::{Answer, chunks, collect, completion, data, meta, relay};

/// Name and bytes of every stream: the project's own, then the recordings.
pub(crate) fn streams() -> Vec<(String, Vec<u8>)> {
    let own = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/streams"));
    let recorded = std::env::var_os("CODEX_PROXY_RECORDINGS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/streams")), PathBuf::from);
    if !recorded.is_dir() {
        println!("no recordings in {}: only the project's own streams are read", recorded.display());
    }
    let mut found = Vec::new();
    for folder in [own, recorded] {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "sse"));
        paths.sort();
        for path in paths {
            found.push((path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()));
        }
    }
    assert!(!found.is_empty());
    found
}

/// The answer as somebody would read it off the events with a pencil: a text is what its item says, unless its deltas say
/// something else.
fn plain_reading(events: &[Value]) -> Option<Answer> {
    let mut answer = Answer::default();
    let mut texts = Vec::new();
    for event in finished(events) {
        let item = &event["item"];
        let string = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let place = &event["output_index"];
        match item["type"].as_str().unwrap() {
            "message" => {
                let mut text = String::new();
                for (index, part) in item["content"].as_array().unwrap().iter().enumerate() {
                    text += &said(events, "response.output_text.delta", place, Some(index), part["text"].as_str());
                    answer.refusal +=
                        &said(events, "response.refusal.delta", place, Some(index), part["refusal"].as_str());
                }
                if !text.is_empty() {
                    texts.push(text);
                }
            }
            "function_call" => {
                let arguments =
                    said(events, "response.function_call_arguments.delta", place, None, item["arguments"].as_str());
                answer.calls.push((string("call_id"), string("name"), arguments));
            }
            "custom_tool_call" => {
                let input = said(events, "response.custom_tool_call_input.delta", place, None, item["input"].as_str());
                answer.calls.push((string("call_id"), string("name"), input));
            }
            _ => {}
        }
    }
    answer.text = texts.join("\n\n");
    let is_last = |event: &&Value| matches!(event["type"].as_str(), Some("response.completed" | "response.incomplete"));
    let usage = &events.iter().rfind(is_last)?["response"]["usage"];
    answer.usage = usage.is_object().then(|| {
        let number = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or_default();
        [
            number("/input_tokens"),
            number("/input_tokens_details/cached_tokens"),
            number("/output_tokens"),
            number("/output_tokens_details/reasoning_tokens"),
        ]
    });
    Some(answer)
}

/// The events that finish an item, in the order of their places in the answer.
fn finished(events: &[Value]) -> Vec<&Value> {
    let mut found: Vec<_> = events.iter().filter(|event| event["type"] == "response.output_item.done").collect();
    found.sort_by_key(|event| event["output_index"].as_u64());
    found
}

fn said(events: &[Value], kind: &str, place: &Value, part: Option<usize>, finished: Option<&str>) -> String {
    let deltas: String = events
        .iter()
        .filter(|event| event["type"] == kind && event["output_index"] == *place)
        .filter(|event| part.is_none_or(|part| event["content_index"] == part))
        .map(|event| event["delta"].as_str().unwrap())
        .collect();
    finished.filter(|whole| whole.starts_with(&deltas)).map_or(deltas, str::to_owned)
}

#[test]
fn chat_gives_what_a_plain_reading_gives_in_both_modes() {
    let mut whole = 0;
    for (name, stream) in streams() {
        let events = data(&stream);
        let (streamed, step) = chunks(&meta(), &[&stream]);
        let (buffered, buffered_step) = completion(&meta(), &[&stream]);
        assert_eq!(step, buffered_step, "{name}");
        let Some(expected) = plain_reading(&events) else {
            assert_ne!(step, Step::Complete, "{name}: no last event, so no success");
            continue;
        };
        assert_eq!(step, Step::Complete, "{name}");
        let streamed = Answer::of_chunks(&streamed);
        assert_eq!(streamed, Answer::of_completion(&buffered), "{name}: both modes agree");
        assert_eq!(streamed.text, expected.text, "{name}");
        assert_eq!(streamed.refusal, expected.refusal, "{name}");
        assert_eq!(streamed.calls, expected.calls, "{name}");
        assert_eq!(streamed.usage, expected.usage, "{name}");
        whole += 1;
    }
    println!("{whole} whole streams agree with a plain reading");
}

#[test]
fn responses_are_relayed_to_the_byte_and_collected_with_their_items() {
    for (name, stream) in streams() {
        let events = data(&stream);
        let items: Vec<&Value> = finished(&events).into_iter().map(|event| &event["item"]).collect();
        let (relayed, step) = relay(&[&stream]);
        if step != Step::Complete {
            continue;
        }
        let last = data(&relayed).pop().unwrap();
        let unchanged =
            events.last().unwrap()["response"]["output"].as_array().is_some_and(|output| !output.is_empty());
        if unchanged {
            assert!(stream.starts_with(&relayed), "{name}: every byte as it came");
        } else {
            assert_eq!(last["response"]["output"].as_array().unwrap().iter().collect::<Vec<_>>(), items, "{name}");
        }
        let (document, _) = collect(&[&stream]);
        let document: Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(document, last["response"], "{name}");
    }
}
