//! A chat answer as one JSON document.
//!
//! * The pieces are kept and joined at the end, in the way a streaming client would have received them.
//! * Texts are joined in their escaped form, so the document contains exactly the backend's characters.

use serde_json::value::RawValue;

use crate::backend::answer::collected::{Collected, CollectedCall, Piece};
use crate::backend::answer::sink::{CallHead, CallKind, Correction, FinishReason, Image, Sink, Spot};
use crate::backend::event::Usage;
use crate::dialect::chat::chunks::write_image;
use crate::dialect::chat::flow::{Flow, Shown};
use crate::dialect::chat::options::{AnswerMeta, ReasoningFormat};
use crate::dialect::chat::{citation, usage};
use crate::fault::Fault;
use crate::json::{ArrayWriter, ObjectWriter, Text};

/// Collects an answer and writes the `chat.completion` when it is complete.
#[derive(Debug)]
pub struct Completion {
    meta: AnswerMeta,
    id: String,
    collected: Collected,
    /// A flow that runs along to notice a stop sequence; most requests have none.
    watch: Option<Flow>,
    left_out: usize,
}

impl Completion {
    /// Creates an empty answer.
    pub fn new(meta: AnswerMeta) -> Self {
        Self {
            id: meta.fallback_id.clone(),
            watch: meta.stop.is_some().then(|| Flow::new(&meta)),
            meta,
            collected: Collected::default(),
            left_out: 0,
        }
    }
}

impl Sink for Completion {
    fn identify(&mut self, id: &str) {
        self.id = format!("chatcmpl-{id}");
    }

    fn model(&mut self, name: &str) {
        if self.meta.model != name {
            name.clone_into(&mut self.meta.model);
        }
    }

    fn text(&mut self, spot: Spot, text: Text<'_>, _out: &mut Vec<u8>) {
        if let Some(watch) = &mut self.watch {
            watch.text(spot, text, &mut |_| {});
        }
        self.collected.text(spot, text);
    }

    fn citation(&mut self, spot: Spot, annotation: &RawValue, _out: &mut Vec<u8>) {
        if !self.watch.as_ref().is_some_and(Flow::is_cut) {
            self.collected.citation(spot, annotation);
        }
    }

    fn call(&mut self, head: CallHead<'_>, _out: &mut Vec<u8>) {
        if let Some(watch) = &mut self.watch {
            watch.call(&mut |_| {});
        }
        self.collected.call(head);
    }

    fn arguments(&mut self, index: usize, _kind: CallKind, text: Text<'_>, _out: &mut Vec<u8>) {
        self.collected.arguments(index, text);
    }

    fn image(&mut self, image: Image<'_>, _out: &mut Vec<u8>) {
        if let Some(watch) = &mut self.watch {
            watch.interrupt(&mut |_| {});
        }
        self.collected.image(image);
    }

    fn correct(&mut self, correction: Correction<'_>) -> bool {
        self.collected.correct(correction);
        true
    }

    fn sorts(&self) -> bool {
        true
    }

    fn has_one_order(&self) -> bool {
        self.meta.has_one_order()
    }

    fn turn(&mut self, item: usize, place: Option<u64>) {
        self.collected.turn(item, place);
    }

    fn is_stopped(&self) -> bool {
        self.watch.as_ref().is_some_and(Flow::is_stopped)
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        let mut message = Message::default();
        let mut flow = Flow::new(&self.meta);
        for piece in self.collected.take() {
            match piece {
                Piece::Text(spot, escaped) => {
                    flow.text(spot, Text::from_escaped(&escaped), &mut |shown| message.show(shown));
                }
                Piece::Citation(spot, json) => {
                    let raw = serde_json::from_str::<&RawValue>(&json).ok();
                    message
                        .citations
                        .extend(raw.and_then(|raw| citation::translate(raw, flow.offset(spot.part), None)));
                }
                Piece::Call(index) => {
                    let is_shown = flow.call(&mut |shown| message.show(shown));
                    message.calls.extend(is_shown.then_some(index));
                }
                Piece::Image(index) => {
                    let is_shown = flow.interrupt(&mut |shown| message.show(shown));
                    message.images.extend(is_shown.then_some(index));
                }
                Piece::Sealed(..) | Piece::Ended(_) | Piece::Searched(..) => {}
            }
        }
        self.left_out = flow.left_out();
        let reason = flow.finish(reason, &mut |shown| message.show(shown));
        self.write(&message, reason, usage, out);
    }

    /// The client has received nothing, so the failure becomes a status instead.
    fn fail(&mut self, _error: &Fault, _out: &mut Vec<u8>) {}

    fn left_out(&self) -> usize {
        self.left_out
    }
}

/// The final contents of a message; every text is escaped.
#[derive(Debug, Default)]
struct Message {
    content: String,
    refusal: String,
    reasoning: String,
    /// The indexes of the calls shown.
    calls: Vec<usize>,
    /// The indexes of the images shown.
    images: Vec<usize>,
    /// The citations in chat's form.
    citations: Vec<Vec<u8>>,
}

impl Message {
    fn show(&mut self, shown: Shown<'_>) {
        match shown {
            Shown::Content(text) => self.content.push_str(text.escaped()),
            Shown::Refusal(text) => self.refusal.push_str(text.escaped()),
            Shown::Reasoning(text) => self.reasoning.push_str(text.escaped()),
        }
    }
}

impl Completion {
    fn write(&self, message: &Message, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        let mut document = ObjectWriter::begin(out);
        document
            .string("id", &self.id)
            .string("object", "chat.completion")
            .unsigned("created", self.meta.created)
            .string("model", &self.meta.model);
        let mut choices = ArrayWriter::begin(document.key("choices"));
        let mut choice = choices.object();
        choice.unsigned("index", 0);
        let mut object = ObjectWriter::begin(choice.key("message"));
        self.write_message(message, &mut object);
        object.end();
        choice.json("logprobs", "null").string("finish_reason", reason.as_str());
        choice.end();
        choices.end();
        if let Some(usage) = usage {
            usage::write(usage, document.key("usage"));
        }
        document.end();
    }

    fn write_message(&self, message: &Message, object: &mut ObjectWriter<'_>) {
        object.string("role", "assistant");
        if message.content.is_empty() && !(message.calls.is_empty() && message.refusal.is_empty()) {
            object.json("content", "null");
        } else {
            escaped(object, "content", &message.content);
        }
        if message.refusal.is_empty() {
            object.json("refusal", "null");
        } else {
            escaped(object, "refusal", &message.refusal);
        }
        if !message.reasoning.is_empty() && self.meta.reasoning != ReasoningFormat::None {
            escaped(object, self.meta.reasoning.field(), &message.reasoning);
        }
        self.write_calls(&message.calls, object);
        if !message.citations.is_empty() {
            let mut annotations = ArrayWriter::begin(object.key("annotations"));
            for annotation in &message.citations {
                annotations.element().extend_from_slice(annotation);
            }
            annotations.end();
        }
        if !message.images.is_empty() {
            let mut images = ArrayWriter::begin(object.key("images"));
            let shown = message.images.iter().filter_map(|index| self.collected.images.get(*index));
            for (index, url) in shown.enumerate() {
                write_image(index, |out| out.extend_from_slice(url), images.element());
            }
            images.end();
        }
    }

    /// Writes the calls with the indexes `shown`.
    fn write_calls(&self, shown: &[usize], message: &mut ObjectWriter<'_>) {
        let mut shown = shown.iter().filter_map(|index| self.collected.calls.get(*index)).peekable();
        if self.meta.legacy_functions {
            if let Some(call) = shown.next() {
                write_tool(call, "arguments", ObjectWriter::begin(message.key("function_call")));
            }
            return;
        }
        if shown.peek().is_none() {
            return;
        }
        let mut calls = ArrayWriter::begin(message.key("tool_calls"));
        for call in shown {
            let mut object = calls.object();
            escaped(&mut object, "id", &call.id);
            object.string("type", call.kind.as_str());
            write_tool(call, call.kind.payload_field(), ObjectWriter::begin(object.key(call.kind.as_str())));
            object.end();
        }
        calls.end();
    }
}

fn write_tool(call: &CollectedCall, payload_field: &str, mut tool: ObjectWriter<'_>) {
    escaped(&mut tool, "name", &call.name);
    escaped(&mut tool, payload_field, &call.payload);
    tool.end();
}

fn escaped(object: &mut ObjectWriter<'_>, key: &str, text: &str) {
    object.text(key, Text::from_escaped(text));
}
