//! An answer as events: `message_start`, its blocks one after the other, `message_delta`, `message_stop`.
//!
//! Each event has the same name in its `event` line and its `type`; the SDKs need both.

use serde_json::value::RawValue;

use super::answer::Face;
use super::blocks::{Block, Blocks, Piece, Target};
use super::request::MessagesShape;
use super::{error, usage};
use crate::backend::answer::sink::{CallHead, CallKind, Correction, FinishReason, Image, SearchCall, Sink, Spot};
use crate::backend::event::Usage;
use crate::dialect::Occasion;
use crate::fault::Fault;
use crate::json::{ObjectWriter, Text};

/// Writes an answer as events.
#[derive(Debug)]
pub struct Events {
    face: Face,
    blocks: Blocks,
    has_begun: bool,
    /// The number of the next block.
    next: usize,
    beginning: DeltaBeginning,
    request_id: String,
}

impl Events {
    /// Creates a new stream.
    pub fn new(shape: MessagesShape, occasion: &Occasion) -> Self {
        Self {
            blocks: Blocks::new(&shape, &occasion.model, occasion.seals),
            face: Face::new(occasion, shape.stop),
            has_begun: false,
            next: 0,
            beginning: DeltaBeginning::default(),
            request_id: occasion.request_id.clone(),
        }
    }

    /// Runs `work` with the blocks and their writer.
    fn with(&mut self, out: &mut Vec<u8>, work: impl FnOnce(&mut Blocks, &mut Writer<'_>)) {
        let Self { face, blocks, has_begun, next, beginning, .. } = self;
        work(blocks, &mut Writer { face, has_begun, next, beginning, out });
    }
}

/// Writes blocks as events.
struct Writer<'w> {
    face: &'w Face,
    has_begun: &'w mut bool,
    next: &'w mut usize,
    beginning: &'w mut DeltaBeginning,
    out: &'w mut Vec<u8>,
}

/// The beginning of the events for a block's pieces, the same for all of them: written anew for each, it would be most of what a
/// piece costs.
#[derive(Debug, Default)]
struct DeltaBeginning {
    index: u64,
    kind: &'static str,
    text: String,
}

impl DeltaBeginning {
    /// Returns the event of a piece of type `kind` in the block `index`, up to the text in its field `key`.
    fn up_to_text(&mut self, index: u64, kind: &'static str, key: &str) -> &str {
        if (self.index, self.kind) != (index, kind) {
            let text = format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\
                 \"delta\":{{\"type\":\"{kind}\",\"{key}\":\""
            );
            *self = Self { index, kind, text };
        }
        &self.text
    }
}

impl Writer<'_> {
    fn begin_message(&mut self) {
        if std::mem::replace(self.has_begun, true) {
            return;
        }
        let face = self.face;
        event("message_start", self.out, |start| {
            let mut message = ObjectWriter::begin(start.key("message"));
            face.write(&mut message);
            message.json("content", "[]").json("stop_reason", "null").json("stop_sequence", "null");
            usage::write(None, 0, message.key("usage"));
            message.end();
        });
        self.out.extend_from_slice(super::PING);
    }

    fn index(&self) -> u64 {
        self.next.saturating_sub(1) as u64
    }
}

impl Target for Writer<'_> {
    fn begin(&mut self, block: Block<'_>) {
        self.begin_message();
        *self.next += 1;
        let index = self.index();
        event("content_block_start", self.out, |start| {
            start.unsigned("index", index);
            let mut object = ObjectWriter::begin(start.key("content_block"));
            write_beginning(block, &mut object);
            object.end();
        });
    }

    fn piece(&mut self, piece: Piece<'_>) {
        let index = self.index();
        let (kind, key, text) = match piece {
            Piece::Text(text) => ("text_delta", "text", text.escaped()),
            Piece::Thinking(text) => ("thinking_delta", "thinking", text.escaped()),
            Piece::Signature(seal) => ("signature_delta", "signature", seal),
            Piece::Input(json) => ("input_json_delta", "partial_json", json),
            Piece::Citation(json) => {
                event("content_block_delta", self.out, |delta| {
                    delta.unsigned("index", index);
                    let mut object = ObjectWriter::begin(delta.key("delta"));
                    object.string("type", "citations_delta").json("citation", json);
                    object.end();
                });
                return;
            }
        };
        for piece in [self.beginning.up_to_text(index, kind, key), text, "\"}}\n\n"] {
            self.out.extend_from_slice(piece.as_bytes());
        }
    }

    fn end(&mut self) {
        let index = self.index();
        event("content_block_stop", self.out, |stop| {
            stop.unsigned("index", index);
        });
    }
}

/// Writes the beginning of a block; the complete block if no pieces follow.
fn write_beginning(block: Block<'_>, object: &mut ObjectWriter<'_>) {
    match block {
        Block::Text => object.string("type", "text").string("text", ""),
        Block::Thinking => object.string("type", "thinking").string("thinking", "").string("signature", ""),
        Block::Redacted(seal) => object.string("type", "redacted_thinking").string("data", seal),
        Block::ToolUse { id, name } => {
            object.string("type", "tool_use").text("id", id).text("name", name).json("input", "{}")
        }
        Block::Search { id } => {
            object.string("type", "server_tool_use").string("id", id).string("name", "web_search").json("input", "{}")
        }
        Block::Results { id, results } => {
            object.string("type", "web_search_tool_result").string("tool_use_id", id).json("content", results)
        }
    };
}

impl Sink for Events {
    fn identify(&mut self, id: &str) {
        self.face.identify(id);
    }

    fn model(&mut self, name: &str) {
        if !self.has_begun {
            self.face.model(name);
        }
    }

    fn account(&mut self, account: &str) {
        self.blocks.account(account);
    }

    fn sealed(&mut self, item: usize, encrypted: Option<Text<'_>>, out: &mut Vec<u8>) {
        self.with(out, |blocks, writer| blocks.sealed(item, encrypted, writer));
    }

    fn searched(&mut self, search: SearchCall<'_>, out: &mut Vec<u8>) {
        self.with(out, |blocks, writer| blocks.searched(search, writer));
    }

    fn item_done(&mut self, item: usize, out: &mut Vec<u8>) {
        self.with(out, |blocks, writer| blocks.item_done(item, writer));
    }

    fn text(&mut self, spot: Spot, text: Text<'_>, out: &mut Vec<u8>) {
        self.with(out, |blocks, writer| blocks.text(spot, text, writer));
    }

    fn citation(&mut self, spot: Spot, annotation: &RawValue, out: &mut Vec<u8>) {
        self.with(out, |blocks, writer| blocks.citation(spot, annotation, writer));
    }

    fn call(&mut self, head: CallHead<'_>, out: &mut Vec<u8>) {
        self.with(out, |blocks, writer| blocks.call(head, writer));
    }

    fn arguments(&mut self, index: usize, _kind: CallKind, text: Text<'_>, out: &mut Vec<u8>) {
        self.with(out, |blocks, writer| blocks.arguments(index, text.escaped(), writer));
    }

    fn image(&mut self, _image: Image<'_>, _out: &mut Vec<u8>) {}

    /// The client has received everything already.
    fn correct(&mut self, _correction: Correction<'_>) -> bool {
        false
    }

    fn sorts(&self) -> bool {
        false
    }

    fn has_one_order(&self) -> bool {
        true
    }

    fn is_stopped(&self) -> bool {
        self.blocks.is_stopped()
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        let mut ending = None;
        self.with(out, |blocks, writer| {
            ending = Some(blocks.finish(reason, writer));
            writer.begin_message();
        });
        let (face, searches) = (&self.face, self.blocks.searches);
        event("message_delta", out, |delta| {
            let mut object = ObjectWriter::begin(delta.key("delta"));
            if let Some(ending) = &ending {
                face.write_ending(ending, &mut object);
            }
            object.end();
            usage::write(usage, searches, delta.key("usage"));
        });
        event("message_stop", out, |_| {});
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: error\ndata: ");
        out.extend_from_slice(error::body(fault, &self.request_id).as_bytes());
        out.extend_from_slice(b"\n\n");
    }

    fn left_out(&self) -> usize {
        0
    }
}

/// Writes an event of type `name`, whose other keys `write` adds.
fn event(name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut ObjectWriter<'_>)) {
    for piece in ["event: ", name, "\ndata: "] {
        out.extend_from_slice(piece.as_bytes());
    }
    let mut object = ObjectWriter::begin(out);
    object.string("type", name);
    write(&mut object);
    object.end();
    out.extend_from_slice(b"\n\n");
}
