//! `POST /v1/responses/compact`, through the backend's only remaining way to compact: a stream that ends in a
//! `compaction` item.
//!
//! * The backend's own endpoint was removed on 2026-08-12 (Soju06/codex-lb#1715, openai/codex#38323). A stream whose
//!   last input item is [`TRIGGER`] does the same (openai/codex#22809).
//! * The endpoint's document is built from that stream: [`retained`] messages, then the compaction. Clients replace
//!   their whole history with its `output` (Codex CLI 0.147, `compact_remote.rs`), so messages missing from it would be
//!   lost to them.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::backend::answer::{Machine, Step};
use crate::backend::event::answerer::Answerer;
use crate::backend::event::failure::Failure;
use crate::backend::event::sse::Frame;
use crate::backend::event::{Event, ResponseEnding, ResponseView, Usage};
use crate::dialect::responses::request::Input;
use crate::fault::Fault;
use crate::json::{Object, ObjectWriter, Raw, Text};

/// The input item that requests a compaction of everything before it. It has no id and must be last.
pub const TRIGGER: &str = r#"{"type":"compaction_trigger"}"#;

/// Returns whether `item` is a [`TRIGGER`].
pub fn is_trigger(item: &RawValue) -> bool {
    kind(item.into()).is_some_and(|kind| kind.is("compaction_trigger"))
}

/// Returns the messages that a compacted conversation keeps, as JSON values with a comma between each: those of the
/// user and the developer, whole and in order. The newest fit into a budget of text and the last one is always kept;
/// the compaction summarizes the older ones.
pub fn retained(input: &Input<'_>) -> Vec<u8> {
    let items = match input {
        Input::Text(_) => return input.spoken().map(|message| message.get().as_bytes().to_owned()).unwrap_or_default(),
        Input::Items(items) => items,
    };
    let mut left = RETAINED_BYTES;
    let mut messages = Vec::new();
    for (item, size) in items.iter().rev().filter_map(|item| Some((item, text_of_message(item)?))) {
        if size > left && !messages.is_empty() {
            break;
        }
        left = left.saturating_sub(size);
        messages.push(item.get());
    }
    messages.reverse();
    messages.join(",").into_bytes()
}

/// Counts the bytes of text in a message to keep; `None` for any other item.
fn text_of_message(item: &RawValue) -> Option<usize> {
    let object = serde_json::from_str::<Object<'_>>(item.get()).ok()?;
    let role = object.find("role").and_then(Text::of)?;
    let is_message = object.find("type").and_then(Text::of).is_none_or(|kind| kind.is("message"));
    if !is_message || !["user", "developer", "system"].iter().any(|known| role.is(known)) {
        return None;
    }
    let content = object.find("content")?;
    if let Some(text) = Text::of(content) {
        return Some(text.escaped().len());
    }
    let parts = serde_json::from_str::<Vec<Object<'_>>>(content.get()).unwrap_or_default();
    let texts = parts.iter().filter_map(|part| part.find("text").and_then(Text::of));
    Some(texts.map(|text| text.escaped().len()).sum())
}

/// Waits for the compaction and writes the endpoint's document.
#[derive(Debug)]
pub struct Compaction {
    answerer: Answerer,
    /// The result of [`retained`], without the commas around it.
    retained: Arc<[u8]>,
    compactions: Vec<String>,
    usage: Option<Usage>,
}

impl Compaction {
    /// Creates a machine whose document begins with the `retained` messages.
    pub fn new(retained: Arc<[u8]>) -> Self {
        Self { answerer: Answerer::default(), retained, compactions: Vec::new(), usage: None }
    }

    fn complete(&mut self, view: Option<&ResponseView<'_>>, out: &mut Vec<u8>) -> Step {
        self.usage = view.and_then(|view| view.usage);
        if self.compactions.is_empty() {
            let output = view.map(ResponseView::items).unwrap_or_default();
            output.into_iter().for_each(|item| self.note(item));
        }
        if self.compactions.is_empty() {
            let message = "the backend's answer holds no compaction item, so there is nothing to go on with".to_owned();
            let failure =
                Failure { message: Some(message), code: Some(NO_COMPACTION.to_owned()), ..Failure::default() };
            return Step::Failed { failure, reported: false };
        }
        let response = view.and_then(|view| serde_json::from_slice(view.json).ok()).unwrap_or_default();
        self.write(&response, out);
        Step::Complete
    }

    fn note(&mut self, item: Raw<'_>) {
        let is_known = self.compactions.iter().any(|known| known == item.get());
        if !is_known && kind(item).is_some_and(|kind| matches!(kind.escaped(), "compaction" | "compaction_summary")) {
            self.compactions.push(item.get().to_owned());
        }
    }

    fn write(&self, response: &Object<'_>, out: &mut Vec<u8>) {
        let mut document = ObjectWriter::begin(out);
        for key in ["id", "created_at"] {
            if let Some(value) = response.find(key) {
                document.raw(key, value);
            }
        }
        document.string("object", "response.compaction");
        let output = document.key("output");
        output.push(b'[');
        output.extend_from_slice(&self.retained);
        for (index, compaction) in self.compactions.iter().enumerate() {
            if index > 0 || !self.retained.is_empty() {
                output.push(b',');
            }
            output.extend_from_slice(compaction.as_bytes());
        }
        output.push(b']');
        if let Some(usage) = response.find("usage") {
            document.raw("usage", usage);
        }
        document.end();
    }
}

impl Machine for Compaction {
    fn begin(&mut self, answerer: Answerer) {
        self.answerer = answerer;
    }

    fn answerer(&self) -> &Answerer {
        &self.answerer
    }

    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        let Some(event) = Event::read(&frame.data) else { return Step::Continue };
        self.answerer.note(&event);
        if let Some(failure) = self.answerer.refused() {
            return Step::Failed { failure, reported: false };
        }
        match event.ending() {
            Some(ResponseEnding::Completed | ResponseEnding::Incomplete) => {
                return self.complete(event.response.as_ref(), out);
            }
            Some(ResponseEnding::Failed) => {
                return Step::Failed { failure: Failure::from_failed_response(&event), reported: false };
            }
            None => {}
        }
        match event.kind.as_ref() {
            "response.output_item.done" => event.item.into_iter().for_each(|item| self.note(item)),
            "error" => return Step::Failed { failure: Failure::from_error_event(&frame.data), reported: false },
            _ => {}
        }
        Step::Continue
    }

    /// The document is sent only at the end: until the compaction has come, a failure may be retried.
    fn visible(&self) -> bool {
        !self.compactions.is_empty()
    }

    /// The client has received nothing, so the failure becomes a status instead.
    fn fail(&mut self, _error: &Fault, _out: &mut Vec<u8>) {}

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

fn kind(item: Raw<'_>) -> Option<Text<'_>> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: Raw<'a>,
    }
    serde_json::from_str::<Kind<'_>>(item.get()).ok().and_then(|item| item.kind.text())
}

/// The code of an answer without a compaction.
const NO_COMPACTION: &str = "upstream_invalid_response";

/// The bytes of text in kept messages: 64,000 tokens of four bytes, as the backend's endpoint kept them and as the
/// Codex CLI does by itself since (`RETAINED_MESSAGE_TOKEN_BUDGET`). Pictures do not count.
const RETAINED_BYTES: usize = 64_000 * 4;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn kept(items: &[Value]) -> Value {
        let items: Vec<Box<RawValue>> =
            items.iter().map(|item| RawValue::from_string(item.to_string()).unwrap()).collect();
        let kept = retained(&Input::Items(items.iter().map(AsRef::as_ref).collect()));
        serde_json::from_slice(&[b"[", kept.as_slice(), b"]"].concat()).unwrap()
    }

    #[test]
    fn messages_of_the_user_are_kept_in_their_order_and_nothing_else() {
        let user = |text: &str| json!({ "role": "user", "content": text });
        let developer =
            json!({ "type": "message", "role": "developer", "content": [{ "type": "input_text", "text": "d" }] });
        let said = json!({ "type": "message", "role": "assistant", "content": "a" });
        let call = json!({ "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}" });
        let old = json!({ "type": "compaction", "encrypted_content": "gAAA" });
        let items = [old, developer.clone(), user("1"), said, call, user("2")];
        assert_eq!(kept(&items), json!([developer, user("1"), user("2")]));
    }

    #[test]
    fn the_newest_fit_the_budget_and_the_last_is_always_there() {
        let user = |letter: &str, size| json!({ "role": "user", "content": letter.repeat(size) });
        let half = RETAINED_BYTES / 2;
        let items = [user("a", 1), user("b", half), user("c", half), user("d", 1)];
        assert_eq!(kept(&items), json!([items[2], items[3]]));
        let large = [user("a", 1), user("b", RETAINED_BYTES + 1)];
        assert_eq!(kept(&large), json!([large[1]]));
    }
}
