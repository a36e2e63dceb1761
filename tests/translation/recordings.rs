//! Real recorded streams against a plain reading of their events.
//!
//! The recordings are not part of the project: the folder is named by `CODEX_PROXY_RECORDINGS` and otherwise looked for
//! beside the checkout. Without it these tests say so and pass; the project's own fixtures are always there.

use std::path::PathBuf;

use codex_proxy::backend::answer::Step;
use serde_json::Value;

use super::fold::{chunks, collect, completion, data, meta, of_chunks, of_completion, relay};
use super::reading::Reading;

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

/// Prompt, cached, completion and reasoning tokens that the last event of an answer names; `None` if it has none.
fn usage(events: &[Value]) -> Option<Option<[u64; 4]>> {
    let is_last = |event: &&Value| matches!(event["type"].as_str(), Some("response.completed" | "response.incomplete"));
    let usage = &events.iter().rfind(is_last)?["response"]["usage"];
    Some(usage.is_object().then(|| {
        let number = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or_default();
        [
            number("/input_tokens"),
            number("/input_tokens_details/cached_tokens"),
            number("/output_tokens"),
            number("/output_tokens_details/reasoning_tokens"),
        ]
    }))
}

/// The same of a chat answer's `usage`.
fn chat_usage(usage: &Value) -> Option<[u64; 4]> {
    let number = |path: &str| usage.pointer(path).unwrap().as_u64().unwrap();
    usage.is_object().then(|| {
        [
            number("/prompt_tokens"),
            number("/prompt_tokens_details/cached_tokens"),
            number("/completion_tokens"),
            number("/completion_tokens_details/reasoning_tokens"),
        ]
    })
}

/// Whether finished items continue their deltas; a recording that was shortened by hand may not.
fn is_sound(reading: &Reading, deltas: &Reading) -> bool {
    let texts = |reading: &Reading| -> Vec<String> {
        let items = reading.clone().told_in_deltas().items;
        items.into_iter().flat_map(|item| item.parts.into_iter().map(|part| part.0).chain([item.payload])).collect()
    };
    texts(reading).iter().zip(texts(deltas)).all(|(whole, deltas)| whole.starts_with(&deltas))
}

/// The events that finish an item, in the order of their places in the answer.
fn finished(events: &[Value]) -> Vec<&Value> {
    let mut found: Vec<_> = events.iter().filter(|event| event["type"] == "response.output_item.done").collect();
    found.sort_by_key(|event| event["output_index"].as_u64());
    found
}

#[test]
fn chat_gives_what_a_plain_reading_gives_in_both_modes() {
    let mut whole = 0;
    for (name, stream) in streams() {
        let events = data(&stream);
        let (streamed, step) = chunks(&meta(), &[&stream]);
        let (buffered, buffered_step) = completion(&meta(), &[&stream]);
        let Some(usage) = usage(&events) else {
            assert_eq!(step, buffered_step, "{name}");
            assert_ne!(step, Step::Complete, "{name}: no last event, so no success");
            continue;
        };
        let (reading, deltas) = (Reading::of_items(&events), Reading::of_deltas(&events));
        let expected = reading.as_chat();
        assert_eq!(buffered_step, Step::Complete, "{name}");
        let buffered = of_completion(&buffered);
        assert_eq!(buffered.content, expected.content, "{name}");
        assert_eq!(buffered.refusal, expected.refusal, "{name}");
        assert_eq!(buffered.reasoning, expected.reasoning, "{name}");
        assert_eq!(buffered.calls, expected.calls, "{name}");
        assert_eq!(chat_usage(&buffered.usage), usage, "{name}");
        if is_sound(&reading, &deltas) {
            assert_eq!(step, Step::Complete, "{name}");
            assert_eq!(of_chunks(&streamed), buffered, "{name}: both modes agree");
            whole += 1;
        } else {
            assert_ne!(step, Step::Complete, "{name}: sent already, and contradicted");
        }
    }
    println!("{whole} whole streams agree with a plain reading");
}

/// Whether the frames of `relayed` are those of `stream`, but for deltas that tell what no delta did.
fn are_as_they_came(relayed: &[u8], stream: &[u8]) -> bool {
    let frames = |bytes: &[u8]| -> Vec<String> {
        std::str::from_utf8(bytes).unwrap().split_inclusive("\n\n").map(str::to_owned).collect()
    };
    let mut came = frames(stream).into_iter();
    frames(relayed).into_iter().all(|frame| frame.contains(".delta\ndata: ") || came.any(|came| came == frame))
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
            assert!(are_as_they_came(&relayed, &stream), "{name}: every byte as it came");
        } else {
            assert_eq!(last["response"]["output"].as_array().unwrap().iter().collect::<Vec<_>>(), items, "{name}");
        }
        let (document, _) = collect(&[&stream]);
        let document: Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(document, last["response"], "{name}");
    }
}
