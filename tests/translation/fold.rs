//! Running a stream through the machines, and reading what they give the way a client would.

use codex_proxy::backend::answer::machine::AnswerMachine;
use codex_proxy::backend::answer::{Machine, Step, Transcoder};
use codex_proxy::dialect::chat::chunks::Chunks;
use codex_proxy::dialect::chat::document::Completion;
use codex_proxy::dialect::chat::options::{AnswerMeta, ReasoningFormat};
use codex_proxy::dialect::responses::document::Collect;
use codex_proxy::dialect::responses::relay::Relay;
use serde_json::Value;

use crate::common::chat::Message;

pub(crate) fn meta() -> AnswerMeta {
    AnswerMeta {
        created: 1_786_000_000,
        model: "gpt-6.1-sol".to_owned(),
        fallback_id: "chatcmpl-fallback".to_owned(),
        include_usage: true,
        legacy_functions: false,
        reasoning: ReasoningFormat::ReasoningContent,
        stop: None,
    }
}

/// Feeds `chunks` to `machine`; gives what came out and how it ended.
pub(crate) fn run<M: Machine>(machine: M, chunks: &[&[u8]]) -> (Vec<u8>, Step) {
    let mut transcoder = Transcoder::new(machine);
    let mut out = Vec::new();
    for chunk in chunks {
        transcoder.feed(chunk, &mut out);
    }
    let step = transcoder.end(&mut out).clone();
    (out, step)
}

pub(crate) fn chunks(meta: &AnswerMeta, stream: &[&[u8]]) -> (Vec<u8>, Step) {
    run(AnswerMachine::new(&meta.model, meta.reasoning != ReasoningFormat::None, Chunks::new(meta.clone())), stream)
}

pub(crate) fn completion(meta: &AnswerMeta, stream: &[&[u8]]) -> (Vec<u8>, Step) {
    run(AnswerMachine::new(&meta.model, meta.reasoning != ReasoningFormat::None, Completion::new(meta.clone())), stream)
}

pub(crate) fn relay(stream: &[&[u8]]) -> (Vec<u8>, Step) {
    run(Relay::default(), stream)
}

pub(crate) fn collect(stream: &[&[u8]]) -> (Vec<u8>, Step) {
    run(Collect::default(), stream)
}

/// The JSON of every `data` line; `[DONE]` is left out.
pub(crate) fn data(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(str::trim_start)
        .filter(|data| *data != "[DONE]" && !data.is_empty())
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// The message that a client has of the chunks in `stream`.
pub(crate) fn of_chunks(stream: &[u8]) -> Message {
    Message::of_chunks(&data(stream))
}

/// The message that a client has of a completion.
pub(crate) fn of_completion(document: &[u8]) -> Message {
    Message::of_document(&serde_json::from_slice(document).unwrap())
}
