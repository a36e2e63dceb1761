//! Running a stream through the machines, and reading what they give the way a client would.

use codex_proxy::backend::answer::machine::AnswerMachine;
use codex_proxy::backend::answer::{Machine, Step, Transcoder};
use codex_proxy::dialect::chat::chunks::Chunks;
use codex_proxy::dialect::chat::document::Fold;
use codex_proxy::dialect::chat::options::{AnswerMeta, ReasoningFormat};
use codex_proxy::dialect::responses::document::Collect;
use codex_proxy::dialect::responses::relay::Relay;
use serde_json::Value;

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
    run(AnswerMachine::new(&meta.model, meta.reasoning != ReasoningFormat::None, Fold::new(meta.clone())), stream)
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

/// What a client has in the end, whichever mode it used.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) refusal: String,
    pub(crate) reasoning: String,
    /// Id, name, arguments or input.
    pub(crate) calls: Vec<(String, String, String)>,
    pub(crate) annotations: Vec<Value>,
    pub(crate) images: Vec<String>,
    pub(crate) finish: String,
    /// Prompt, cached, completion, reasoning.
    pub(crate) usage: Option<[u64; 4]>,
}

impl Answer {
    /// From chunks, with the checks a strict client makes on the way.
    pub(crate) fn of_chunks(stream: &[u8]) -> Self {
        let mut answer = Self::default();
        let events = data(stream);
        let constant = |event: &Value| (event["id"].clone(), event["created"].clone(), event["model"].clone());
        for (index, event) in events.iter().enumerate() {
            assert_eq!(constant(event), constant(&events[0]));
            assert_eq!(event["object"], "chat.completion.chunk");
            if let Some(usage) = event.get("usage").filter(|usage| !usage.is_null()) {
                assert_eq!(event["choices"], serde_json::json!([]));
                answer.usage = Some(usage_of(usage));
                continue;
            }
            let choice = &event["choices"][0];
            let delta = &choice["delta"];
            assert_eq!(delta.get("role").is_some(), index == 0, "role once, first");
            if let Some(finish) = choice["finish_reason"].as_str() {
                assert_eq!(answer.finish, "", "one finish");
                answer.finish = finish.to_owned();
            }
            answer.add(delta);
        }
        answer
    }

    /// From one completion.
    pub(crate) fn of_completion(document: &[u8]) -> Self {
        let document: Value = serde_json::from_slice(document).unwrap();
        assert_eq!(document["object"], "chat.completion");
        let choice = &document["choices"][0];
        let mut answer = Self { finish: choice["finish_reason"].as_str().unwrap().to_owned(), ..Self::default() };
        answer.add(&choice["message"]);
        answer.usage = document.get("usage").map(usage_of);
        answer
    }

    fn add(&mut self, delta: &Value) {
        let text = |name: &str| delta[name].as_str().unwrap_or_default();
        self.text += text("content");
        self.refusal += text("refusal");
        self.reasoning += text("reasoning_content");
        for (position, call) in delta["tool_calls"].as_array().into_iter().flatten().enumerate() {
            let index = call["index"].as_u64().map_or(position, |index| usize::try_from(index).unwrap());
            if let Some(id) = call["id"].as_str() {
                assert_eq!(index, self.calls.len(), "dense indexes, each begun once");
                let tool = if call["type"] == "custom" { &call["custom"] } else { &call["function"] };
                self.calls.push((id.to_owned(), tool["name"].as_str().unwrap().to_owned(), String::new()));
            }
            for (tool, payload) in [("function", "arguments"), ("custom", "input")] {
                self.calls[index].2 += call[tool][payload].as_str().unwrap_or_default();
            }
        }
        self.annotations.extend(delta["annotations"].as_array().into_iter().flatten().cloned());
        for image in delta["images"].as_array().into_iter().flatten() {
            self.images.push(image["image_url"]["url"].as_str().unwrap().to_owned());
        }
    }
}

pub(crate) fn usage_of(usage: &Value) -> [u64; 4] {
    [
        usage["prompt_tokens"].as_u64().unwrap(),
        usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap(),
        usage["completion_tokens"].as_u64().unwrap(),
        usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap(),
    ]
}
