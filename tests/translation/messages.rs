//! Streams in Anthropic's form: their grammar under any damage, their cuts, and the document that says the same.

use codex_proxy::backend::answer::Step;
use codex_proxy::backend::answer::machine::AnswerMachine;
use codex_proxy::dialect::Occasion;
use codex_proxy::dialect::chat::options::ReasoningFormat;
use codex_proxy::dialect::messages::document::Message;
use codex_proxy::dialect::messages::events::Events;
use codex_proxy::dialect::messages::request::{MessagesShape, Thinking};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fold::{data, run};
use super::modes;
use super::recordings::streams;
use super::splits::{cut, damaged, own_frames};

fn occasion() -> Occasion {
    Occasion {
        created: 1_786_000_000,
        request_id: "req_1".to_owned(),
        model: "gpt-6.1-sol".to_owned(),
        reasoning: ReasoningFormat::ReasoningContent,
        seals: true,
    }
}

pub(crate) fn events(shape: &MessagesShape, stream: &[&[u8]]) -> (Vec<u8>, Step) {
    let shows = shape.thinking != Thinking::Hidden;
    run(AnswerMachine::new("gpt-6.1-sol", shows, Events::new(shape.clone(), &occasion())), stream)
}

pub(crate) fn document(shape: &MessagesShape, stream: &[&[u8]]) -> (Vec<u8>, Step) {
    let shows = shape.thinking != Thinking::Hidden;
    run(AnswerMachine::new("gpt-6.1-sol", shows, Message::new(shape.clone(), &occasion())), stream)
}

/// The message that `events` make, in the way the SDKs put it together. Fails on whatever none of them could read.
pub(crate) fn folded(events: &[Value]) -> Value {
    let mut message = Value::Null;
    let mut open: Option<(usize, String)> = None;
    for event in events {
        assert!(message["stop_reason"].is_null() || event["type"] == "message_stop", "{event} behind the end");
        match event["type"].as_str().unwrap() {
            "ping" => {}
            "message_start" => {
                assert_eq!(message, Value::Null, "one start");
                message = event["message"].clone();
            }
            "content_block_start" => {
                let content = message["content"].as_array_mut().expect("a start");
                assert_eq!((&open, &event["index"]), (&None, &json!(content.len())));
                open = Some((content.len(), String::new()));
                content.push(event["content_block"].clone());
            }
            "content_block_delta" => add(&mut message, &mut open, event),
            "content_block_stop" => {
                let (index, input) = open.take().expect("an open block");
                assert_eq!(event["index"], json!(index));
                end(&mut message["content"][index], &input);
            }
            "message_delta" => {
                assert_eq!(open, None);
                message["usage"] = event["usage"].clone();
                message.as_object_mut().unwrap().extend(event["delta"].as_object().unwrap().clone());
                assert!(message["stop_reason"].is_string());
            }
            "message_stop" => assert!(message["stop_reason"].is_string()),
            other => panic!("no client knows {other}"),
        }
    }
    message
}

fn add(message: &mut Value, open: &mut Option<(usize, String)>, event: &Value) {
    let (index, input) = open.as_mut().expect("an open block");
    assert_eq!(event["index"], json!(*index));
    let (block, delta) = (&mut message["content"][*index], &event["delta"]);
    let kind = block["type"].as_str().unwrap().to_owned();
    match (delta["type"].as_str().unwrap(), kind.as_str()) {
        ("text_delta", "text") => append(block, "text", delta),
        ("thinking_delta", "thinking") => append(block, "thinking", delta),
        ("signature_delta", "thinking") => {
            assert_eq!(block["signature"], "", "one signature");
            block["signature"] = delta["signature"].clone();
        }
        ("input_json_delta", "tool_use" | "server_tool_use") => *input += delta["partial_json"].as_str().unwrap(),
        ("citations_delta", "text") => {
            if block["citations"].is_null() {
                block["citations"] = json!([]);
            }
            block["citations"].as_array_mut().unwrap().push(delta["citation"].clone());
        }
        other => panic!("{other:?}"),
    }
}

fn append(block: &mut Value, key: &str, delta: &Value) {
    let piece = delta[key].as_str().unwrap();
    assert!(!piece.is_empty(), "an empty delta");
    block[key] = (block[key].as_str().unwrap().to_owned() + piece).into();
}

/// Claude Code asks again where a text is empty.
fn end(block: &mut Value, input: &str) {
    match block["type"].as_str().unwrap() {
        "text" => assert_ne!(block["text"], "", "an empty text"),
        "tool_use" | "server_tool_use" if !input.trim().is_empty() => {
            let parsed = serde_json::from_str::<Value>(input).ok().filter(Value::is_object);
            block["input"] = parsed.unwrap_or_else(|| json!({ "input": input }));
        }
        _ => {}
    }
}

/// Checks everything that is true of any stream; half a surrogate pair, which no Rust string can hold, is not looked into.
fn check(shape: &MessagesShape, stream: &[u8], pieces: &[&[u8]]) {
    let (streamed, buffered) = (events(shape, &[stream]), document(shape, &[stream]));
    assert_eq!(events(shape, pieces), streamed, "cuts change the events");
    assert_eq!(document(shape, pieces), buffered, "cuts change the document");
    assert!(streamed.1 != Step::Complete || buffered.1 == Step::Complete, "what is whole in pieces is whole in one");
    if String::from_utf8_lossy(&streamed.0).contains("\\ud") {
        return;
    }
    let all = data(&streamed.0);
    let mut message = folded(&all);
    if streamed.1 == Step::Complete {
        assert_eq!(all.last().unwrap()["type"], "message_stop");
        let mut whole: Value = serde_json::from_slice(&buffered.0).unwrap();
        // A stream says at once who answers; a document knows what comes later.
        for key in ["id", "model"] {
            (message[key], whole[key]) = (Value::Null, Value::Null);
        }
        assert_eq!(message, whole, "both modes say the same");
    }
}

fn shape() -> impl Strategy<Value = MessagesShape> {
    let thinking = prop::sample::select(vec![Thinking::Hidden, Thinking::Shown, Thinking::Omitted]);
    let stop = prop::sample::select(vec![vec![], vec!["is".to_owned(), "\n\n".to_owned()], vec!["x".to_owned()]]);
    (thinking, stop, 0..3_u8).prop_map(|(thinking, stop, search)| MessagesShape {
        thinking,
        stop,
        searches: search > 0,
        only_searches: search > 1,
        wants_nothing: false,
    })
}

/// What the other API's events have not: searches, and reasoning that can be given back.
fn more() -> impl Strategy<Value = Value> {
    let id = prop::sample::select(vec!["a", "b", "c"]);
    (id, 0..3_u64, 0..4_u8).prop_map(|(id, place, kind)| {
        let (name, item) = match kind {
            0 => ("added", json!({ "id": id, "type": "reasoning", "summary": [], "encrypted_content": "early" })),
            1 => ("done", json!({ "id": id, "type": "reasoning", "summary": [], "encrypted_content": "gAAAA" })),
            2 => ("done", json!({ "id": format!("ws_{id}"), "type": "web_search_call", "action": { "type": "search", "query": "q" } })),
            _ => ("done", json!({ "id": format!("ws_{id}"), "type": "web_search_call", "action": { "type": "open_page", "url": "u" } })),
        };
        json!({ "type": format!("response.output_item.{name}"), "output_index": place, "item": item })
    })
}

#[test]
fn every_recording_reads_the_same_in_both_modes() {
    for (name, stream) in streams().into_iter().filter(|(_, stream)| stream.len() < 200_000) {
        println!("{name}");
        for thinking in [Thinking::Hidden, Thinking::Shown, Thinking::Omitted] {
            for only_searches in [false, true] {
                let shape = MessagesShape { thinking, searches: true, only_searches, ..MessagesShape::default() };
                let bytes: Vec<&[u8]> = stream.chunks(1).collect();
                check(&shape, &stream, &bytes);
            }
        }
    }
}

/// A search that was finished before waits for the message. Its turn comes once the message's own event is over, not with the
/// first piece of it.
#[test]
fn an_item_ends_before_what_waited_for_it() {
    let done =
        |place: u64, item: Value| json!({ "type": "response.output_item.done", "output_index": place, "item": item });
    let search =
        |id: &str| json!({ "id": id, "type": "web_search_call", "action": { "type": "search", "query": "q" } });
    let message = |content: Value| json!({ "id": "m", "type": "message", "role": "assistant", "content": content });
    let page =
        json!({ "type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 1 });
    let stream = modes::stream(&[
        done(0, search("ws_a")),
        json!({ "type": "response.output_item.added", "output_index": 1, "item": message(json!([])) }),
        done(2, search("ws_b")),
        done(1, message(json!([{ "type": "output_text", "text": "x", "annotations": [page] }]))),
    ]);
    for only_searches in [false, true] {
        let shape = MessagesShape { searches: true, only_searches, ..MessagesShape::default() };
        check(&shape, &stream, &[&stream]);
    }
    let shape = MessagesShape { searches: true, only_searches: true, ..MessagesShape::default() };
    let told = folded(&data(&events(&shape, &[&stream]).0));
    assert_eq!(
        told["content"][1]["content"][0]["url"], "https://a.example",
        "the pages of the text are those of the search before it"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_stream_keeps_its_grammar(
        shape in shape(),
        damage in damaged(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
    ) {
        let stream = damage.stream(own_frames());
        check(&shape, &stream, &cut(&stream, &cuts));
    }

    #[test]
    fn a_stream_that_no_backend_would_send_keeps_its_grammar(
        shape in shape(),
        events in prop::collection::vec(prop_oneof![3 => modes::event(), 1 => more()], 0..30),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        // Who is offered nothing but a search calls nothing.
        let is_call = |event: &Value| event.to_string().contains("function_call") || event.to_string().contains("tool_call");
        let events: Vec<Value> = events.into_iter().filter(|event| !shape.only_searches || !is_call(event)).collect();
        let stream = modes::stream(&events);
        check(&shape, &stream, &cut(&stream, &cuts));
    }
}
