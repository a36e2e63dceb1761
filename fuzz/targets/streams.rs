//! Any stream, cut anywhere: the same answer as uncut, and a streaming client has in the end what a buffered one has.

#![no_main]

use codex_proxy::backend::answer::machine::AnswerMachine;
use codex_proxy::backend::answer::stop::StopSequences;
use codex_proxy::backend::answer::{Machine, Step, Transcoder};
use codex_proxy::dialect::Occasion;
use codex_proxy::dialect::chat::chunks::Chunks;
use codex_proxy::dialect::chat::document::Completion;
use codex_proxy::dialect::chat::options::{AnswerMeta, ReasoningFormat};
use codex_proxy::dialect::messages::document::Message;
use codex_proxy::dialect::messages::events::Events;
use codex_proxy::dialect::messages::request::{MessagesShape, Thinking};
use codex_proxy::dialect::responses::document::Collect;
use codex_proxy::dialect::responses::relay::Relay;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

fuzz_target!(|input: &[u8]| {
    let Some((&seed, stream)) = input.split_first() else { return };
    let cuts: Vec<&[u8]> = stream.chunks(usize::from(seed >> 2) + 1).collect();
    let meta = meta(seed);
    let streamed = run(
        AnswerMachine::new(&meta.model, meta.reasoning != ReasoningFormat::None, Chunks::new(meta.clone())),
        &[stream],
    );
    assert_eq!(
        streamed,
        run(AnswerMachine::new(&meta.model, meta.reasoning != ReasoningFormat::None, Chunks::new(meta.clone())), &cuts),
        "cutting changes the chunks"
    );
    let buffered = run(
        AnswerMachine::new(&meta.model, meta.reasoning != ReasoningFormat::None, Completion::new(meta.clone())),
        &[stream],
    );
    assert_eq!(
        buffered,
        run(
            AnswerMachine::new(&meta.model, meta.reasoning != ReasoningFormat::None, Completion::new(meta.clone())),
            &cuts
        ),
        "cutting changes the completion"
    );
    // What contradicts what a streaming client has already is an error there, and can be corrected in a document.
    assert!(streamed.1 != Step::Complete || buffered.1 == Step::Complete, "what is whole in chunks is whole in one");
    if streamed.1 == Step::Complete
        && let (Some(chunks), Some(completion)) = (Answer::of_chunks(&streamed.0), Answer::of_completion(&buffered.0))
    {
        assert_eq!(chunks, completion, "both modes say the same");
    }
    messages(seed, stream, &cuts);
    let relayed = run(Relay::default(), &[stream]);
    assert_eq!(relayed, run(Relay::default(), &cuts), "cutting changes the relayed events");
    let collected = run(Collect::default(), &[stream]);
    assert_eq!(collected, run(Collect::default(), &cuts), "cutting changes the response");
    for frame in std::str::from_utf8(&relayed.0).expect("events are text").split("\n\n") {
        let data = frame.lines().filter_map(|line| line.strip_prefix("data:")).collect::<Vec<_>>();
        assert!(data.len() <= 1, "one data line an event");
        for data in data {
            let _: &RawValue = serde_json::from_str(data).expect("an event is JSON");
        }
    }
    if collected.1 == Step::Complete {
        serde_json::from_slice::<&RawValue>(&collected.0).expect("the response is JSON");
    }
});

/// The same in Anthropic's form.
fn messages(seed: u8, stream: &[u8], cuts: &[&[u8]]) {
    let thinking = [Thinking::Hidden, Thinking::Shown, Thinking::Omitted][usize::from(seed % 3)];
    let stop = if seed.is_multiple_of(5) { vec!["\n".to_owned(), "ab".to_owned()] } else { Vec::new() };
    let (searches, only_searches) = (seed & 4 != 0, seed & 12 == 12);
    let shape = MessagesShape { thinking, stop, searches, only_searches, wants_nothing: false };
    let occasion = || Occasion {
        created: 1_786_000_000,
        request_id: "req_1".to_owned(),
        model: "gpt-6.1-sol".to_owned(),
        reasoning: ReasoningFormat::ReasoningContent,
        seals: true,
    };
    let shows = thinking != Thinking::Hidden;
    let events = || AnswerMachine::new("gpt-6.1-sol", shows, Events::new(shape.clone(), &occasion()));
    let document = || AnswerMachine::new("gpt-6.1-sol", shows, Message::new(shape.clone(), &occasion()));
    let (streamed, buffered) = (run(events(), &[stream]), run(document(), &[stream]));
    assert_eq!(streamed, run(events(), cuts), "cutting changes the events of a message");
    assert_eq!(buffered, run(document(), cuts), "cutting changes the message");
    assert!(streamed.1 != Step::Complete || buffered.1 == Step::Complete, "what is whole in events is whole in one");
    let text = std::str::from_utf8(&streamed.0).expect("events are text");
    let (mut open, mut next) = (false, 0);
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        serde_json::from_str::<&RawValue>(data).expect("an event is JSON");
        let Ok(event) = serde_json::from_str::<Value>(data) else { return };
        match event["type"].as_str().expect("a type") {
            "content_block_start" => {
                assert!(!std::mem::replace(&mut open, true), "one block at a time");
                assert_eq!(event["index"], next, "blocks are counted");
            }
            "content_block_delta" => assert!(open && event["index"] == next, "of the open block"),
            "content_block_stop" => {
                assert!(std::mem::replace(&mut open, false), "a block that is open");
                next += 1;
            }
            _ => {}
        }
    }
    if buffered.1 == Step::Complete {
        serde_json::from_slice::<&RawValue>(&buffered.0).expect("the message is JSON");
    }
}

fn run<M: Machine>(machine: M, pieces: &[&[u8]]) -> (Vec<u8>, Step) {
    let mut transcoder = Transcoder::new(machine);
    let mut out = Vec::new();
    for piece in pieces {
        transcoder.feed(piece, &mut out);
    }
    let step = transcoder.end(&mut out).clone();
    (out, step)
}

fn meta(seed: u8) -> AnswerMeta {
    AnswerMeta {
        created: 1_786_000_000,
        model: "gpt-6.1-sol".to_owned(),
        fallback_id: "chatcmpl-fallback".to_owned(),
        include_usage: seed & 1 == 0,
        legacy_functions: seed & 2 != 0,
        reasoning: ReasoningFormat::ReasoningContent,
        stop: StopSequences::new(if seed.is_multiple_of(5) {
            vec!["\n".to_owned(), "ab".to_owned()]
        } else {
            Vec::new()
        }),
    }
}

/// What a client has in the end.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    content: String,
    refusal: String,
    reasoning: String,
    calls: Vec<(String, String)>,
    function_call: Vec<String>,
    annotations: usize,
    images: usize,
    finish: String,
}

impl Answer {
    /// `None` where half a surrogate pair was passed on, which no Rust string can hold.
    fn of_chunks(stream: &[u8]) -> Option<Self> {
        let mut answer = Self::default();
        let text = std::str::from_utf8(stream).expect("chunks are text");
        for line in text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|line| *line != "[DONE]") {
            serde_json::from_str::<&RawValue>(line).expect("a chunk is JSON");
            let chunk: Value = serde_json::from_str(line).ok()?;
            let Some(choice) = chunk["choices"].get(0) else { continue };
            answer.finish += choice["finish_reason"].as_str().unwrap_or_default();
            answer.add(&choice["delta"]);
        }
        Some(answer)
    }

    fn of_completion(document: &[u8]) -> Option<Self> {
        serde_json::from_slice::<&RawValue>(document).expect("the completion is JSON");
        let document: Value = serde_json::from_slice(document).ok()?;
        let choice = &document["choices"][0];
        let finish = choice["finish_reason"].as_str().unwrap_or_default().to_owned();
        let mut answer = Self { finish, ..Self::default() };
        answer.add(&choice["message"]);
        Some(answer)
    }

    fn add(&mut self, delta: &Value) {
        let text = |name: &str| delta[name].as_str().unwrap_or_default();
        let count = |name: &str| delta[name].as_array().map_or(0, Vec::len);
        self.content += text("content");
        self.refusal += text("refusal");
        self.reasoning += text("reasoning_content");
        self.annotations += count("annotations");
        self.images += count("images");
        if let Some(call) = delta.get("function_call").filter(|call| !call.is_null()) {
            self.function_call.resize(1, String::new());
            self.function_call[0] += call["name"].as_str().unwrap_or_default();
            self.function_call[0] += call["arguments"].as_str().unwrap_or_default();
            // A custom call has no legacy form: where it turns up all the same, its payload may be under its own name.
            self.function_call[0] += call["input"].as_str().unwrap_or_default();
        }
        for (position, call) in delta["tool_calls"].as_array().into_iter().flatten().enumerate() {
            let index = call["index"].as_u64().map_or(position, |index| usize::try_from(index).expect("small"));
            if let Some(id) = call["id"].as_str() {
                assert_eq!(index, self.calls.len(), "indexes are dense");
                self.calls.push((id.to_owned(), String::new()));
            }
            for (kind, payload) in [("function", "arguments"), ("custom", "input")] {
                self.calls[index].1 += call[kind][payload].as_str().unwrap_or_default();
            }
        }
    }
}
