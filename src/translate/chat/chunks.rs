//! A chat answer as a stream of chunks.
//!
//! What is the same in every chunk is built once; a text delta costs the copy of two constant pieces around the backend's own
//! escaped characters.

use super::sink::{AnswerMeta, CallHead, CallKind, FinishReason, Sink};
use crate::openai::error::ApiError;
use crate::openai::json::{ObjectWriter, Text};
use crate::translate::event::Usage;
use crate::translate::usage;

/// Writes `chat.completion.chunk` events.
#[derive(Debug)]
pub struct Chunks {
    meta: AnswerMeta,
    id: String,
    /// `data: {…,"choices":[` of every chunk, made when the first one is written.
    envelope: Vec<u8>,
    /// What closes a chunk after its choices.
    tail: &'static [u8],
}

impl Chunks {
    /// A stream that has not begun.
    pub fn new(meta: AnswerMeta) -> Self {
        let tail: &[u8] = if meta.include_usage { b"],\"usage\":null}\n\n" } else { b"]}\n\n" };
        Self { id: meta.fallback_id.clone(), meta, envelope: Vec::new(), tail }
    }

    /// Writes one chunk whose delta is what `write` appends. The first chunk is preceded by the one that names the role.
    fn chunk(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        self.open(out);
        self.delta(out, write);
    }

    fn open(&mut self, out: &mut Vec<u8>) {
        if self.envelope.is_empty() {
            self.envelope = self.build_envelope();
            self.delta(out, |out| out.extend_from_slice(br#""role":"assistant","content":"""#));
        }
    }

    fn delta(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&self.envelope);
        out.extend_from_slice(br#"{"index":0,"delta":{"#);
        write(out);
        out.extend_from_slice(br#"},"finish_reason":null}"#);
        out.extend_from_slice(self.tail);
    }

    fn build_envelope(&self) -> Vec<u8> {
        let mut envelope = b"data: ".to_vec();
        let mut object = ObjectWriter::begin(&mut envelope);
        object
            .string("id", &self.id)
            .string("object", "chat.completion.chunk")
            .unsigned("created", self.meta.created)
            .string("model", &self.meta.model);
        object.key("choices").push(b'[');
        envelope
    }

    fn usage_chunk(&self, usage: Usage, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.envelope);
        out.extend_from_slice(b"],\"usage\":");
        usage::write_chat(usage, out);
        out.extend_from_slice(b"}\n\n");
    }
}

impl Sink for Chunks {
    fn identify(&mut self, id: &str) {
        if self.envelope.is_empty() {
            self.id = format!("chatcmpl-{id}");
        }
    }

    fn content(&mut self, text: Text<'_>, out: &mut Vec<u8>) {
        self.chunk(out, |out| string_field(out, "content", text));
    }

    fn refusal(&mut self, text: Text<'_>, out: &mut Vec<u8>) {
        self.chunk(out, |out| string_field(out, "refusal", text));
    }

    fn reasoning(&mut self, text: Text<'_>, out: &mut Vec<u8>) {
        let field = self.meta.reasoning.field();
        self.chunk(out, |out| string_field(out, field, text));
    }

    fn call(&mut self, head: CallHead<'_>, out: &mut Vec<u8>) {
        if self.meta.legacy_functions {
            self.chunk(out, |out| {
                out.extend_from_slice(br#""function_call":"#);
                let mut call = ObjectWriter::begin(out);
                call.text("name", head.name).string("arguments", "");
                call.end();
            });
            return;
        }
        self.chunk(out, |out| {
            out.extend_from_slice(br#""tool_calls":["#);
            let mut call = ObjectWriter::begin(out);
            call.unsigned("index", head.index as u64).text("id", head.id).string("type", head.kind.as_str());
            let mut tool = ObjectWriter::begin(call.key(head.kind.as_str()));
            tool.text("name", head.name).string(head.kind.payload_field(), "");
            tool.end();
            call.end();
            out.push(b']');
        });
    }

    fn arguments(&mut self, index: usize, kind: CallKind, text: Text<'_>, out: &mut Vec<u8>) {
        let legacy = self.meta.legacy_functions;
        self.chunk(out, |out| {
            if legacy {
                out.extend_from_slice(br#""function_call":{"#);
                string_field(out, "arguments", text);
                out.push(b'}');
                return;
            }
            out.extend_from_slice(br#""tool_calls":[{"index":"#);
            out.extend_from_slice(index.to_string().as_bytes());
            out.extend_from_slice(match kind {
                CallKind::Function => br#","function":{"#,
                CallKind::Custom => br#","custom":{"#,
            });
            string_field(out, kind.payload_field(), text);
            out.extend_from_slice(b"}}]");
        });
    }

    fn annotation(&mut self, json: &[u8], out: &mut Vec<u8>) {
        self.chunk(out, |out| {
            out.extend_from_slice(br#""annotations":["#);
            out.extend_from_slice(json);
            out.push(b']');
        });
    }

    fn image(&mut self, url: Text<'_>, out: &mut Vec<u8>) {
        self.chunk(out, |out| {
            out.extend_from_slice(br#""images":["#);
            write_image(0, url, out);
            out.push(b']');
        });
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        self.open(out);
        out.extend_from_slice(&self.envelope);
        out.extend_from_slice(br#"{"index":0,"delta":{},"finish_reason":""#);
        out.extend_from_slice(reason.as_str().as_bytes());
        out.extend_from_slice(b"\"}");
        out.extend_from_slice(self.tail);
        if let Some(usage) = usage.filter(|_| self.meta.include_usage) {
            self.usage_chunk(usage, out);
        }
        out.extend_from_slice(DONE);
    }

    fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(error.to_json().as_bytes());
        out.extend_from_slice(b"\n\n");
        out.extend_from_slice(DONE);
    }
}

/// One generated image in the shape that multi-provider gateways have made usual.
pub(super) fn write_image(index: usize, url: Text<'_>, out: &mut Vec<u8>) {
    let mut image = ObjectWriter::begin(out);
    image.string("type", "image_url").unsigned("index", index as u64);
    let mut location = ObjectWriter::begin(image.key("image_url"));
    location.text("url", url);
    location.end();
    image.end();
}

fn string_field(out: &mut Vec<u8>, name: &str, text: Text<'_>) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(text.escaped().as_bytes());
    out.push(b'"');
}

const DONE: &[u8] = b"data: [DONE]\n\n";
