//! A chat answer as a stream of chunks.
//!
//! The constant part of every chunk is built once; a text delta costs the copy of two constant pieces around the
//! backend's own escaped characters.

use serde_json::value::RawValue;

use crate::backend::answer::sink::{CallHead, CallKind, Correction, FinishReason, Image, Sink, Spot};
use crate::backend::event::Usage;
use crate::dialect::chat::flow::{Flow, Shown};
use crate::dialect::chat::options::AnswerMeta;
use crate::dialect::chat::{citation, usage};
use crate::fault::Fault;
use crate::json::{ObjectWriter, Text};

/// Writes `chat.completion.chunk` events.
#[derive(Debug)]
pub struct Chunks {
    flow: Flow,
    writer: Writer,
}

impl Chunks {
    /// Creates a new stream.
    pub fn new(meta: AnswerMeta) -> Self {
        Self { flow: Flow::new(&meta), writer: Writer::new(meta) }
    }
}

impl Sink for Chunks {
    fn identify(&mut self, id: &str) {
        self.writer.identify(id);
    }

    fn model(&mut self, name: &str) {
        self.writer.model(name);
    }

    fn text(&mut self, spot: Spot, text: Text<'_>, out: &mut Vec<u8>) {
        self.flow.text(spot, text, &mut |shown| self.writer.show(shown, out));
    }

    fn citation(&mut self, spot: Spot, annotation: &RawValue, out: &mut Vec<u8>) {
        let json = citation::translate(annotation, self.flow.offset(spot.part), Some(self.writer.citations));
        if let Some(json) = json.filter(|_| !self.flow.is_cut()) {
            self.writer.citation(&json, out);
        }
    }

    fn call(&mut self, head: CallHead<'_>, out: &mut Vec<u8>) {
        if self.flow.call(&mut |shown| self.writer.show(shown, out)) {
            self.writer.call(head, out);
        }
    }

    fn arguments(&mut self, index: usize, kind: CallKind, text: Text<'_>, out: &mut Vec<u8>) {
        if self.flow.has_room_for(index) {
            self.writer.arguments(index, kind, text, out);
        }
    }

    fn image(&mut self, image: Image<'_>, out: &mut Vec<u8>) {
        if self.flow.interrupt(&mut |shown| self.writer.show(shown, out)) {
            self.writer.image(image, out);
        }
    }

    /// The client has received everything already, except for calls that are not shown.
    fn correct(&mut self, correction: Correction<'_>) -> bool {
        match correction {
            Correction::Head(CallHead { index, .. }) | Correction::Arguments(index, _) => {
                !self.flow.has_room_for(index)
            }
            Correction::Text(..) | Correction::Citations(..) => false,
        }
    }

    fn sorts(&self) -> bool {
        false
    }

    fn has_one_order(&self) -> bool {
        self.writer.meta.has_one_order()
    }

    fn is_stopped(&self) -> bool {
        self.flow.is_stopped()
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        let reason = self.flow.finish(reason, &mut |shown| self.writer.show(shown, out));
        self.writer.finish(reason, usage, out);
    }

    fn fail(&mut self, error: &Fault, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(error.to_json().as_bytes());
        out.extend_from_slice(b"\n\n");
        out.extend_from_slice(DONE);
    }

    fn left_out(&self) -> usize {
        self.flow.left_out()
    }
}

/// Writes the chunks themselves.
#[derive(Debug)]
struct Writer {
    meta: AnswerMeta,
    id: String,
    /// `data: {…,"choices":[{"index":0,"delta":{` of every chunk, built for the first one, with [`CONTENT`] after it.
    prefix: Vec<u8>,
    /// The bytes after the delta in every chunk but the last.
    suffix: &'static [u8],
    /// The number of images sent.
    images: usize,
    /// The number of citations sent.
    citations: usize,
}

impl Writer {
    fn new(meta: AnswerMeta) -> Self {
        let suffix: &[u8] = if meta.include_usage {
            b"},\"finish_reason\":null}],\"usage\":null}\n\n"
        } else {
            b"},\"finish_reason\":null}]}\n\n"
        };
        Self { id: meta.fallback_id.clone(), meta, prefix: Vec::new(), suffix, images: 0, citations: 0 }
    }

    /// Writes one chunk whose delta `write` appends. Before the first chunk comes the one that names the role.
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
        out.extend_from_slice(self.delta_prefix());
        write(out);
        out.extend_from_slice(self.suffix);
    }

    /// Writes a chunk of content, most of an answer.
    fn content(&mut self, text: Text<'_>, out: &mut Vec<u8>) {
        self.open(out);
        let text = text.escaped().as_bytes();
        out.reserve(self.prefix.len() + text.len() + 1 + self.suffix.len());
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(text);
        out.push(b'"');
        out.extend_from_slice(self.suffix);
    }

    /// Returns `data: {…,"choices":[{"index":0,"delta":{`.
    fn delta_prefix(&self) -> &[u8] {
        self.prefix.strip_suffix(CONTENT).unwrap_or_default()
    }

    /// Returns `data: {…,"choices":[`, up to the position of a choice.
    fn envelope(&self) -> &[u8] {
        self.delta_prefix().strip_suffix(CHOICE).unwrap_or_default()
    }

    fn build_prefix(&self) -> Vec<u8> {
        let mut prefix = Vec::with_capacity(USUAL_PREFIX);
        prefix.extend_from_slice(b"data: ");
        let mut object = ObjectWriter::begin(&mut prefix);
        object
            .string("id", &self.id)
            .string("object", "chat.completion.chunk")
            .unsigned("created", self.meta.created)
            .string("model", &self.meta.model);
        let choices = object.key("choices");
        choices.push(b'[');
        choices.extend_from_slice(CHOICE);
        choices.extend_from_slice(CONTENT);
        prefix.shrink_to_fit();
        prefix
    }

    fn usage_chunk(&self, usage: Usage, out: &mut Vec<u8>) {
        out.extend_from_slice(self.envelope());
        out.extend_from_slice(b"],\"usage\":");
        usage::write(usage, out);
        out.extend_from_slice(b"}\n\n");
    }

    fn identify(&mut self, id: &str) {
        if self.prefix.is_empty() {
            self.id = ["chatcmpl-", id].concat();
        }
    }

    fn model(&mut self, name: &str) {
        if self.prefix.is_empty() && self.meta.model != name {
            name.clone_into(&mut self.meta.model);
        }
    }

    fn show(&mut self, shown: Shown<'_>, out: &mut Vec<u8>) {
        let (field, text) = match shown {
            Shown::Content(text) => return self.content(text, out),
            Shown::Refusal(text) => ("refusal", text),
            Shown::Reasoning(text) => (self.meta.reasoning.field(), text),
        };
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
            push_number(out, index);
            out.extend_from_slice(match kind {
                CallKind::Function => br#","function":{"#,
                CallKind::Custom => br#","custom":{"#,
            });
            string_field(out, kind.payload_field(), text);
            out.extend_from_slice(b"}}]");
        });
    }

    fn citation(&mut self, json: &[u8], out: &mut Vec<u8>) {
        self.citations += 1;
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
        out.extend_from_slice(self.delta_prefix());
        out.extend_from_slice(br#"},"finish_reason":""#);
        out.extend_from_slice(reason.as_str().as_bytes());
        out.extend_from_slice(if self.meta.include_usage { b"\"}],\"usage\":null}\n\n" } else { b"\"}]}\n\n" });
        if let Some(usage) = usage.filter(|_| self.meta.include_usage) {
            self.usage_chunk(usage, out);
        }
        out.extend_from_slice(DONE);
    }
}

/// Writes one generated image in the form common among multi-provider gateways.
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

/// Appends a small number without allocating a string.
fn push_number(out: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        push_number(out, number / 10);
    }
    out.push(b"0123456789"[number % 10]);
}

/// More than the bytes of a usual chunk's prefix.
const USUAL_PREFIX: usize = 256;

const CHOICE: &[u8] = br#"{"index":0,"delta":{"#;
const CONTENT: &[u8] = br#""content":""#;
const DONE: &[u8] = b"data: [DONE]\n\n";
