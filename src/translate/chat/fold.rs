//! A chat answer as one JSON document.
//!
//! The pieces are joined in their escaped form, so the document holds exactly the characters a streaming client would have
//! got, one chunk after the other.

use super::chunks::write_image;
use super::sink::{AnswerMeta, CallHead, CallKind, FinishReason, Image, ReasoningFormat, Sink};
use crate::openai::error::ApiError;
use crate::openai::json::{ArrayWriter, ObjectWriter, Text};
use crate::translate::event::Usage;
use crate::translate::usage;

/// Collects an answer and writes the `chat.completion` when it is whole.
#[derive(Debug)]
pub struct Fold {
    meta: AnswerMeta,
    id: String,
    content: String,
    refusal: String,
    reasoning: String,
    calls: Vec<Call>,
    /// Citations, each a JSON object.
    annotations: Vec<Vec<u8>>,
    /// The data URL of each.
    images: Vec<Vec<u8>>,
}

/// One call; every text is escaped.
#[derive(Debug)]
struct Call {
    kind: CallKind,
    id: String,
    name: String,
    payload: String,
}

impl Fold {
    /// An answer of which nothing has come.
    pub fn new(meta: AnswerMeta) -> Self {
        Self {
            id: meta.fallback_id.clone(),
            meta,
            content: String::new(),
            refusal: String::new(),
            reasoning: String::new(),
            calls: Vec::new(),
            annotations: Vec::new(),
            images: Vec::new(),
        }
    }

    fn write_message(&self, message: &mut ObjectWriter<'_>) {
        message.string("role", "assistant");
        if self.content.is_empty() && !(self.calls.is_empty() && self.refusal.is_empty()) {
            message.json("content", "null");
        } else {
            escaped(message, "content", &self.content);
        }
        if self.refusal.is_empty() {
            message.json("refusal", "null");
        } else {
            escaped(message, "refusal", &self.refusal);
        }
        if !self.reasoning.is_empty() && self.meta.reasoning != ReasoningFormat::None {
            escaped(message, self.meta.reasoning.field(), &self.reasoning);
        }
        self.write_calls(message);
        if !self.annotations.is_empty() {
            let mut annotations = ArrayWriter::begin(message.key("annotations"));
            for annotation in &self.annotations {
                annotations.element().extend_from_slice(annotation);
            }
            annotations.end();
        }
        if !self.images.is_empty() {
            let mut images = ArrayWriter::begin(message.key("images"));
            for (index, url) in self.images.iter().enumerate() {
                write_image(index, |out| out.extend_from_slice(url), images.element());
            }
            images.end();
        }
    }

    fn write_calls(&self, message: &mut ObjectWriter<'_>) {
        if self.meta.legacy_functions {
            if let Some(call) = self.calls.first() {
                call.write_tool(ObjectWriter::begin(message.key("function_call")));
            }
            return;
        }
        if self.calls.is_empty() {
            return;
        }
        let mut calls = ArrayWriter::begin(message.key("tool_calls"));
        for call in &self.calls {
            let mut object = calls.object();
            escaped(&mut object, "id", &call.id);
            object.string("type", call.kind.as_str());
            call.write_tool(ObjectWriter::begin(object.key(call.kind.as_str())));
            object.end();
        }
        calls.end();
    }
}

impl Call {
    fn write_tool(&self, mut tool: ObjectWriter<'_>) {
        escaped(&mut tool, "name", &self.name);
        escaped(&mut tool, self.kind.payload_field(), &self.payload);
        tool.end();
    }
}

impl Sink for Fold {
    fn identify(&mut self, id: &str) {
        self.id = format!("chatcmpl-{id}");
    }

    fn model(&mut self, name: &str) {
        if self.meta.model != name {
            name.clone_into(&mut self.meta.model);
        }
    }

    fn content(&mut self, text: Text<'_>, _out: &mut Vec<u8>) {
        self.content.push_str(text.escaped());
    }

    fn refusal(&mut self, text: Text<'_>, _out: &mut Vec<u8>) {
        self.refusal.push_str(text.escaped());
    }

    fn reasoning(&mut self, text: Text<'_>, _out: &mut Vec<u8>) {
        self.reasoning.push_str(text.escaped());
    }

    fn call(&mut self, head: CallHead<'_>, _out: &mut Vec<u8>) {
        self.calls.push(Call {
            kind: head.kind,
            id: head.id.escaped().to_owned(),
            name: head.name.escaped().to_owned(),
            payload: String::new(),
        });
    }

    fn arguments(&mut self, index: usize, _kind: CallKind, text: Text<'_>, _out: &mut Vec<u8>) {
        if let Some(call) = self.calls.get_mut(index) {
            call.payload.push_str(text.escaped());
        }
    }

    fn annotation(&mut self, json: &[u8], _out: &mut Vec<u8>) {
        self.annotations.push(json.to_vec());
    }

    fn image(&mut self, image: Image<'_>, _out: &mut Vec<u8>) {
        let mut url = Vec::new();
        image.write_url(&mut url);
        self.images.push(url);
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        let mut document = ObjectWriter::begin(out);
        document
            .string("id", &self.id)
            .string("object", "chat.completion")
            .unsigned("created", self.meta.created)
            .string("model", &self.meta.model);
        let mut choices = ArrayWriter::begin(document.key("choices"));
        let mut choice = choices.object();
        choice.unsigned("index", 0);
        let mut message = ObjectWriter::begin(choice.key("message"));
        self.write_message(&mut message);
        message.end();
        choice.json("logprobs", "null").string("finish_reason", reason.as_str());
        choice.end();
        choices.end();
        if let Some(usage) = usage {
            usage::write_chat(usage, document.key("usage"));
        }
        document.end();
    }

    /// Nothing was sent, so the failure is answered with a status instead.
    fn fail(&mut self, _error: &ApiError, _out: &mut Vec<u8>) {}
}

fn escaped(object: &mut ObjectWriter<'_>, key: &str, text: &str) {
    object.text(key, Text::from_escaped(text));
}
