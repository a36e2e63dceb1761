//! Events of several items and parts, interleaved in any way that keeps the order of each one's own.

use std::collections::VecDeque;

use codex_proxy::backend::answer::Step;
use codex_proxy::backend::answer::stop::StopSequences;
use codex_proxy::dialect::chat::options::{AnswerMeta, ReasoningFormat};
use codex_proxy::dialect::messages::request::{MessagesShape, Thinking};
use codex_proxy::platform::Instant;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fold::{chunks, completion, data, meta, of_chunks, of_completion};
use super::messages::{document, events, folded};

/// An item: its kind, and the pieces of each of its texts.
#[derive(Debug, Clone)]
struct Item {
    kind: Kind,
    texts: Vec<Vec<&'static str>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Message,
    Reasoning,
    Function,
    Custom,
}

/// The events of an item: those before its parts, those of each part, those behind them.
struct Threads {
    before: Value,
    parts: Vec<VecDeque<Value>>,
    after: Value,
}

impl Item {
    fn threads(&self, place: usize) -> Threads {
        let id = format!("i{place}");
        let event = |kind: &str, fields: Value| {
            let mut event = json!({ "type": format!("response.{kind}"), "item_id": id, "output_index": place });
            event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            event
        };
        let wholes: Vec<String> = self.texts.iter().map(|pieces| pieces.concat()).collect();
        let item = |wholes: &[String], seal: Value| match self.kind {
            Kind::Message => {
                json!({ "id": id, "type": "message", "role": "assistant", "content": wholes.iter().map(|text| json!({ "type": "output_text", "text": text, "annotations": [] })).collect::<Vec<_>>() })
            }
            Kind::Reasoning => {
                json!({ "id": id, "type": "reasoning", "encrypted_content": seal, "summary": wholes.iter().map(|text| json!({ "type": "summary_text", "text": text })).collect::<Vec<_>>() })
            }
            Kind::Function => {
                json!({ "id": id, "type": "function_call", "call_id": format!("c{place}"), "name": "f", "arguments": wholes.concat() })
            }
            Kind::Custom => {
                json!({ "id": id, "type": "custom_tool_call", "call_id": format!("c{place}"), "name": "g", "input": wholes.concat() })
            }
        };
        let part = |(index, pieces): (usize, &Vec<&str>)| {
            let whole = pieces.concat();
            let (family, key, part) = match self.kind {
                Kind::Message => ("output_text", "content_index", Some("content_part")),
                Kind::Reasoning => ("reasoning_summary_text", "summary_index", Some("reasoning_summary_part")),
                Kind::Function => ("function_call_arguments", "content_index", None),
                Kind::Custom => ("custom_tool_call_input", "content_index", None),
            };
            let field = match self.kind {
                Kind::Message | Kind::Reasoning => "text",
                Kind::Function => "arguments",
                Kind::Custom => "input",
            };
            let kind = if self.kind == Kind::Message { "output_text" } else { "summary_text" };
            let told = |name: &str, text: &str| {
                part.map(|part| {
                    event(&format!("{part}.{name}"), json!({ key: index, "part": { "type": kind, "text": text } }))
                })
            };
            let deltas =
                pieces.iter().map(|piece| event(&format!("{family}.delta"), json!({ key: index, "delta": piece })));
            told("added", "")
                .into_iter()
                .chain(deltas)
                .chain([event(&format!("{family}.done"), json!({ key: index, field: whole }))])
                .chain(told("done", &whole))
                .collect()
        };
        Threads {
            before: event("output_item.added", json!({ "item": item(&[], Value::Null) })),
            parts: self.texts.iter().enumerate().map(part).collect(),
            after: event("output_item.done", json!({ "item": item(&wholes, json!(format!("seal{place}"))) })),
        }
    }
}

fn item() -> impl Strategy<Value = Item> {
    let kind = prop::sample::select(vec![Kind::Message, Kind::Message, Kind::Reasoning, Kind::Function, Kind::Custom]);
    let pieces =
        prop::collection::vec(prop::sample::select(vec!["alpha ", "bravo", "\n", "é👋", "STOP", "ST", "OP"]), 1..4);
    (kind, prop::collection::vec(pieces, 1..3)).prop_map(|(kind, mut texts)| {
        if matches!(kind, Kind::Function | Kind::Custom) {
            texts.truncate(1);
        }
        if kind == Kind::Function {
            texts = vec![vec!["{\"a\"", ":1", "}"]];
        }
        Item { kind, texts }
    })
}

/// Whether parts and items begin in their order.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Beginnings {
    InOrder,
    Any,
}

/// Weaves the events of `items`; `choices` says whose event is next.
fn woven(items: &[Item], choices: &[prop::sample::Index], beginnings: Beginnings) -> Vec<Value> {
    let mut threads: Vec<Threads> = items.iter().enumerate().map(|(place, item)| item.threads(place)).collect();
    let mut lengths: Vec<Vec<usize>> = Vec::new();
    lengths.extend(threads.iter().map(|threads| threads.parts.iter().map(VecDeque::len).collect()));
    let (mut begun, mut ended) = (vec![false; items.len()], vec![false; items.len()]);
    let (mut events, mut choices) = (Vec::new(), choices.iter().cycle());
    loop {
        // Every step that may be next: an item's first event, one of a part, an item's last event.
        let mut steps = Vec::new();
        for (place, item) in threads.iter().enumerate() {
            let may_begin = beginnings == Beginnings::Any || begun[..place].iter().all(|begun| *begun);
            if !begun[place] {
                steps.extend(may_begin.then_some((place, None)));
                continue;
            }
            let left: Vec<usize> = (0..item.parts.len()).filter(|part| !item.parts[*part].is_empty()).collect();
            let has_begun = |part: usize| item.parts[part].len() < lengths[place][part];
            let may = |part: usize| beginnings == Beginnings::Any || has_begun(part) || (0..part).all(has_begun);
            steps.extend(left.iter().filter(|part| may(**part)).map(|part| (place, Some(*part))));
            if left.is_empty() && !ended[place] {
                steps.push((place, None));
            }
        }
        let Some((place, part)) = steps.get(choices.next().unwrap().index(steps.len().max(1))).copied() else { break };
        let item = &mut threads[place];
        events.push(match part {
            Some(part) => item.parts[part].pop_front().unwrap(),
            None if begun[place] => {
                ended[place] = true;
                item.after.clone()
            }
            None => {
                begun[place] = true;
                item.before.clone()
            }
        });
    }
    events
}

/// The stream of these events, numbered.
fn stream(events: &[Value]) -> Vec<u8> {
    let usage = json!({ "input_tokens": 1, "output_tokens": 2, "total_tokens": 3 });
    let first = json!({ "type": "response.created", "response": { "id": "resp_1" } });
    let last = json!({ "type": "response.completed", "response": { "id": "resp_1", "status": "completed", "output": [], "usage": usage } });
    let all = [&[first], events, &[last]].concat();
    let frames = all.into_iter().enumerate().map(|(number, mut event)| {
        event["sequence_number"] = number.into();
        format!("data: {event}\n\n")
    });
    frames.collect::<String>().into_bytes()
}

fn serial(items: &[Item]) -> Vec<Value> {
    let threads = items.iter().enumerate().map(|(place, item)| item.threads(place));
    threads
        .flat_map(|item| [item.before].into_iter().chain(item.parts.into_iter().flatten()).chain([item.after]))
        .collect()
}

fn metas() -> Vec<AnswerMeta> {
    let formats = [ReasoningFormat::ReasoningContent, ReasoningFormat::ThinkTags, ReasoningFormat::None];
    let with = |reasoning| AnswerMeta { reasoning, ..meta() };
    let stopping = AnswerMeta { stop: StopSequences::new(vec!["STOP".to_owned()]), ..meta() };
    formats.map(with).into_iter().chain([stopping]).collect()
}

fn shapes() -> Vec<MessagesShape> {
    let thinking = [Thinking::Shown, Thinking::Omitted, Thinking::Hidden];
    let with = |thinking| MessagesShape { thinking, ..MessagesShape::default() };
    let stopping = MessagesShape { stop: vec!["STOP".to_owned()], ..with(Thinking::Shown) };
    thinking.map(with).into_iter().chain([stopping]).collect()
}

/// Asserts that the woven events give what the serial ones give. Returns whether all streams were complete.
fn assert_same(items: &[Item], events_woven: &[Value]) -> bool {
    let (plain, weave) = (stream(&serial(items)), stream(events_woven));
    let mut is_complete = true;
    for meta in metas() {
        let (expected, _) = completion(&meta, &[&plain]);
        let (buffered, step) = completion(&meta, &[&weave]);
        assert_eq!(step, Step::Complete);
        let (expected, buffered) = (of_completion(&expected), of_completion(&buffered));
        // A stop sequence ends the answer at once, with whatever has come until then.
        if meta.stop.is_none() {
            assert_eq!(buffered, expected, "{:?}", meta.reasoning);
        }
        let (streamed, step) = chunks(&meta, &[&weave]);
        is_complete &= step == Step::Complete;
        if step == Step::Complete {
            assert_eq!(of_chunks(&streamed), buffered, "{:?}, streamed", meta.reasoning);
        }
    }
    for shape in shapes() {
        let (expected, _) = document(&shape, &[&plain]);
        let (buffered, step) = document(&shape, &[&weave]);
        assert_eq!(step, Step::Complete);
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        if shape.stop.is_empty() {
            assert_eq!(read(&buffered), read(&expected), "{:?}", shape.thinking);
        }
        let (streamed, step) = events(&shape, &[&weave]);
        is_complete &= step == Step::Complete;
        if step == Step::Complete {
            assert_eq!(folded(&data(&streamed)), read(&buffered), "{:?}, streamed", shape.thinking);
        }
    }
    is_complete
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn any_weave_of_items_is_the_same_answer_or_an_error_of_the_stream(
        items in prop::collection::vec(item(), 1..5),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
    ) {
        assert_same(&items, &woven(&items, &choices, Beginnings::Any));
    }

    #[test]
    fn a_weave_of_items_that_begin_in_their_order_is_the_same_answer_in_every_mode(
        items in prop::collection::vec(item(), 1..5),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
    ) {
        assert!(assert_same(&items, &woven(&items, &choices, Beginnings::InOrder)));
    }
}

#[test]
fn two_messages_that_interleave_stay_two() {
    let message = |texts: &[&'static str]| Item { kind: Kind::Message, texts: vec![texts.to_vec()] };
    let items = [message(&["alpha ", "bravo"]), message(&["delta ", "echo"])];
    let (first, second) = (serial(&items[..1]), serial(&items)[first_length(&items)..].to_vec());
    let events = [&first[..3], &second[..3], &first[3..], &second[3..]].concat();
    assert!(assert_same(&items, &events));
    let (document, _) = completion(&meta(), &[&stream(&events)]);
    assert_eq!(of_completion(&document).content, "alpha bravo\n\ndelta echo");
}

fn first_length(items: &[Item]) -> usize {
    serial(&items[..1]).len()
}

/// A later message is sent as soon as the earlier one is complete, and the earlier one as it comes.
#[test]
fn a_stream_holds_only_what_is_not_in_turn() {
    let message = |texts: &[&'static str]| Item { kind: Kind::Message, texts: vec![texts.to_vec()] };
    let items = [message(&["alpha ", "bravo"]), message(&["delta ", "echo"])];
    let (first, second) = (serial(&items[..1]), serial(&items)[first_length(&items)..].to_vec());
    let content = |events: &[Value]| {
        let (streamed, _) = chunks(&meta(), &[&stream(events)[..stream(events).len() - LAST]]);
        data(&streamed).iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect::<String>()
    };
    let before = [&first[..3], &second[..4], &first[3..4]].concat();
    assert_eq!(content(&before), "alpha bravo");
    let after = [&before[..], &first[4..]].concat();
    assert_eq!(content(&after), "alpha bravo\n\ndelta echo");
    let more = [&after[..], &second[4..]].concat();
    assert_eq!(content(&more), "alpha bravo\n\ndelta echo");
}

/// Bytes to take off a stream so that its last event is missing.
const LAST: usize = 20;

/// Thousands of items that begin before others end, or thousands of pieces that wait for one, are put in order at once.
#[test]
fn pieces_that_wait_take_time_by_their_number() {
    let added = |item: usize| {
        json!({ "type": "response.output_item.added", "output_index": item,
            "item": { "id": format!("m{item}"), "type": "message", "content": [] } })
    };
    let delta = |item: usize| {
        json!({ "type": "response.output_text.delta", "item_id": format!("m{item}"), "output_index": item,
            "content_index": 0, "delta": "x" })
    };
    let done = |item: usize| {
        json!({ "type": "response.output_item.done", "output_index": item, "item": { "id": format!("m{item}"),
            "type": "message", "content": [{ "type": "output_text", "text": "x", "annotations": [] }] } })
    };
    let citation = |number: usize| {
        json!({ "type": "response.output_text.annotation.added", "item_id": "m1", "output_index": 1,
            "content_index": 0, "annotation_index": number,
            "annotation": { "type": "url_citation", "url": "https://a.example", "title": "t", "start_index": 0, "end_index": 1 } })
    };
    let begun = |items: usize| (0..items).flat_map(move |item| [added(item), delta(item)]);
    let first_open =
        begun(1).chain((1..ITEMS).flat_map(|item| [added(item), delta(item), done(item)])).chain([done(0)]);
    let all_open = begun(ITEMS).chain((0..ITEMS).map(done));
    let many_citations = begun(2).chain((0..3 * ITEMS).map(citation)).chain([done(0), done(1)]);
    let kinds: [(&str, Vec<Value>); 3] = [
        ("the first item is open", first_open.collect()),
        ("all items are open", all_open.collect()),
        ("citations wait", many_citations.collect()),
    ];
    for (what, events_woven) in kinds {
        let stream = stream(&events_woven);
        let begun = Instant::now();
        assert_eq!(chunks(&meta(), &[&stream]).1, Step::Complete, "{what}");
        assert_eq!(completion(&meta(), &[&stream]).1, Step::Complete, "{what}");
        assert_eq!(events(&MessagesShape::default(), &[&stream]).1, Step::Complete, "{what}");
        assert_eq!(document(&MessagesShape::default(), &[&stream]).1, Step::Complete, "{what}");
        let taken = begun.elapsed();
        assert!(taken.as_secs() < 20, "{what}: {taken:?}");
    }
}

/// Items of one answer: more than any has.
const ITEMS: usize = 4_000;
