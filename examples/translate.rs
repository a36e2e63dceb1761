//! A recorded stream of the backend through the machine of the chat dialect: once as chunks, once as one document.
//!
//! `cargo run --example translate`, or with the path of another recording behind it.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use codex_proxy::backend::answer::machine::AnswerMachine;
use codex_proxy::backend::answer::sink::Sink;
use codex_proxy::backend::answer::{Step, Transcoder};
use codex_proxy::dialect::chat::chunks::Chunks;
use codex_proxy::dialect::chat::document::Completion;
use codex_proxy::dialect::chat::options::{AnswerMeta, ReasoningFormat};

const MODEL: &str = "gpt-6.1-sol";

fn main() -> Result<(), Box<dyn Error>> {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/streams/parallel-calls.sse");
    let stream = std::fs::read(std::env::args().nth(1).as_deref().unwrap_or(usual))?;
    println!("# As chunks\n\n{}", translated(&stream, Chunks::new(meta()))?);
    println!("# As one document\n\n{}", translated(&stream, Completion::new(meta()))?);
    Ok(())
}

/// What `sink` makes of `stream`. The stream comes in pieces of any size; 100 bytes stand for what a network does.
fn translated(stream: &[u8], sink: impl Sink) -> Result<String, Box<dyn Error>> {
    let mut transcoder = Transcoder::new(AnswerMachine::new(MODEL, true, sink));
    let mut out = Vec::new();
    for piece in stream.chunks(100) {
        transcoder.feed(piece, &mut out);
    }
    match transcoder.end(&mut out) {
        Step::Complete => Ok(String::from_utf8(out)?),
        Step::Continue => Err("the stream ends too early".into()),
        Step::Failed { failure, .. } => Err(format!("the answer failed: {failure:?}").into()),
    }
}

/// What the client asked for, beside the conversation.
fn meta() -> AnswerMeta {
    AnswerMeta {
        created: 1_786_000_000,
        model: MODEL.to_owned(),
        fallback_id: "chatcmpl-example".to_owned(),
        include_usage: true,
        legacy_functions: false,
        reasoning: ReasoningFormat::ReasoningContent,
        stop: None,
    }
}
