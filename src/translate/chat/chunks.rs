//! A chat answer as a stream of chunks.
//!
//! What is the same in every chunk is built once; a text delta costs the copy of two constant pieces around the backend's own
//! escaped characters.

use super::sink::{AnswerMeta, CallHead, CallKind, FinishReason, Image, Sink};
use crate::openai::error::ApiError;
use crate::openai::json::{ObjectWriter, Text};
use crate::translate::event::Usage;
use crate::translate::usage;

/// Writes `chat.completion.chunk` events.
#[derive(Debug)]
pub struct Chunks {
    meta: AnswerMeta,
    id: String,
    /// `data: {…,"choices":[{"index":0,"delta":{` of every chunk, made when the first one is written.
    prefix: Vec<u8>,
    /// What follows the delta in every chunk but the last.
    suffix: &'static [u8],
    /// How many images have been passed on.
    images: usize,
}

impl Chunks {
    /// A stream that has not begun.
    pub fn new(meta: AnswerMeta) -> Self {
        let suffix: &[u8] = if meta.include_usage {
            b"},\"finish_reason\":null}],\"usage\":null}\n\n"
        } else {
            b"},\"finish_reason\":null}]}\n\n"
        };
        Self { id: meta.fallback_id.clone(), meta, prefix: Vec::new(), suffix, images: 0 }
    }

    /// Writes one chunk whose delta is what `write` appends. The first chunk is preceded by the one that names the role.
    fn chunk(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        self.open(out);
        self.delta(out, write);
    }

    fn open(&mut self, out: &mut Vec<u8>) {
        if self.prefix.is_empty() {
            self.prefix = self.build_prefix();
            self.delta(out, |out| out.extend_from_slice(br#""role":"assistant","content":"""#));
        }
    }

    fn delta(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&self.prefix);
        write(out);
        out.extend_from_slice(self.suffix);
    }

    /// `data: {…,"choices":[`, up to where a choice would stand.
    fn envelope(&self) -> &[u8] {
        self.prefix.strip_suffix(CHOICE).unwrap_or_default()
    }

    fn build_prefix(&self) -> Vec<u8> {
        let mut prefix = b"data: ".to_vec();
        let mut object = ObjectWriter::begin(&mut prefix);
        object
            .string("id", &self.id)
            .string("object", "chat.completion.chunk")
            .unsigned("created", self.meta.created)
            .string("model", &self.meta.model);
        let choices = object.key("choices");
        choices.push(b'[');
        choices.extend_from_slice(CHOICE);
        prefix.shrink_to_fit();
        prefix
    }

    fn usage_chunk(&self, usage: Usage, out: &mut Vec<u8>) {
        out.extend_from_slice(self.envelope());
        out.extend_from_slice(b"],\"usage\":");
        usage::write_chat(usage, out);
        out.extend_from_slice(b"}\n\n");
    }
}

impl Sink for Chunks {
    fn identify(&mut self, id: &str) {
        if self.prefix.is_empty() {
            self.id = format!("chatcmpl-{id}");
        }
    }

    fn model(&mut self, name: &str) {
        if self.prefix.is_empty() && self.meta.model != name {
            name.clone_into(&mut self.meta.model);
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

    fn image(&mut self, image: Image<'_>, out: &mut Vec<u8>) {
        let index = self.images;
        self.images += 1;
        self.chunk(out, |out| {
            out.extend_from_slice(br#""images":["#);
            write_image(index, |out| image.write_url(out), out);
            out.push(b']');
        });
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        self.open(out);
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(br#"},"finish_reason":""#);
        out.extend_from_slice(reason.as_str().as_bytes());
        out.extend_from_slice(if self.meta.include_usage { b"\"}],\"usage\":null}\n\n" } else { b"\"}]}\n\n" });
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
pub(super) fn write_image(index: usize, write_url: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    let mut image = ObjectWriter::begin(out);
    image.string("type", "image_url").unsigned("index", index as u64);
    let mut location = ObjectWriter::begin(image.key("image_url"));
    let out = location.key("url");
    out.push(b'"');
    write_url(out);
    out.push(b'"');
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

const CHOICE: &[u8] = br#"{"index":0,"delta":{"#;
const DONE: &[u8] = b"data: [DONE]\n\n";
