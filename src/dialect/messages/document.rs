//! An answer as one message.
//!
//! The pieces are kept, and put into blocks at the end as a streaming client would have received them.

use serde_json::value::RawValue;

use super::answer::Face;
use super::blocks::{Block, Blocks, Piece as BlockPiece, Target};
use super::request::MessagesShape;
use super::usage;
use crate::backend::answer::collected::{Collected, Piece};
use crate::backend::answer::sink::{CallHead, CallKind, Correction, FinishReason, Image, SearchCall, Sink, Spot};
use crate::backend::event::Usage;
use crate::dialect::Occasion;
use crate::fault::Fault;
use crate::json::{ArrayWriter, ObjectWriter, Text, object};

/// Collects an answer and writes the message when it is complete.
#[derive(Debug)]
pub struct Message {
    face: Face,
    shape: MessagesShape,
    model: String,
    seals: bool,
    account: String,
    collected: Collected,
    /// Blocks that run along to notice a stop sequence at the same point as a stream.
    watch: Blocks,
}

impl Message {
    /// Creates an empty answer.
    pub fn new(shape: MessagesShape, occasion: &Occasion) -> Self {
        Self {
            face: Face::new(occasion, shape.stop.clone()),
            watch: Blocks::new(&shape, &occasion.model, occasion.seals),
            model: occasion.model.clone(),
            seals: occasion.seals,
            account: String::new(),
            collected: Collected::default(),
            shape,
        }
    }

    fn watches(&self) -> bool {
        !self.shape.stop.is_empty()
    }

    /// Puts the collected pieces into blocks.
    fn blocks(&mut self, reason: FinishReason) -> (Vec<String>, super::blocks::Ending, u64) {
        let mut blocks = Blocks::new(&self.shape, &self.model, self.seals);
        blocks.account(&self.account);
        let mut written = Written::default();
        let calls = std::mem::take(&mut self.collected.calls);
        let mut next = 0..;
        for piece in self.collected.take() {
            match piece {
                Piece::Text(spot, text) => blocks.text(spot, Text::from_escaped(&text), &mut written),
                Piece::Citation(spot, json) => {
                    if let Ok(annotation) = serde_json::from_str::<&RawValue>(&json) {
                        blocks.citation(spot, annotation, &mut written);
                    }
                }
                Piece::Call(call) => {
                    let Some((index, call)) = next.next().zip(calls.get(call)) else { continue };
                    let (id, name) = (Text::from_escaped(&call.id), Text::from_escaped(&call.name));
                    blocks.call(CallHead { item: call.item, index, kind: call.kind, id, name }, &mut written);
                    blocks.arguments(index, &call.payload, &mut written);
                    blocks.item_done(call.item, &mut written);
                }
                Piece::Sealed(item, encrypted) => {
                    blocks.sealed(item, encrypted.as_deref().map(Text::from_escaped), &mut written);
                }
                Piece::Searched(id, action) => {
                    let action = action.as_deref().and_then(|json| serde_json::from_str::<&RawValue>(json).ok());
                    let id = id.as_deref().map(Text::from_escaped);
                    blocks.searched(SearchCall { id, action }, &mut written);
                }
                Piece::Ended(item) => blocks.item_done(item, &mut written),
                Piece::Image(_) => {}
            }
        }
        let ending = blocks.finish(reason, &mut written);
        (written.done, ending, blocks.searches)
    }
}

/// Writes complete blocks.
#[derive(Default)]
struct Written {
    done: Vec<String>,
    open: Option<Begun>,
}

/// An unfinished block. Texts are escaped.
struct Begun {
    /// The keys known from the beginning, as JSON without the braces.
    head: String,
    kind: Kind,
    text: String,
    signature: String,
    citations: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Input,
    Whole,
}

impl Target for Written {
    fn begin(&mut self, block: Block<'_>) {
        let kind = match block {
            Block::Text => Kind::Text,
            Block::Thinking => Kind::Thinking,
            Block::ToolUse { .. } | Block::Search { .. } => Kind::Input,
            Block::Redacted(_) | Block::Results { .. } => Kind::Whole,
        };
        let head = head(block);
        let (text, signature) = (String::new(), String::new());
        self.open = Some(Begun { head, kind, text, signature, citations: Vec::new() });
    }

    fn piece(&mut self, piece: BlockPiece<'_>) {
        let Some(open) = &mut self.open else { return };
        match piece {
            BlockPiece::Text(text) | BlockPiece::Thinking(text) => open.text.push_str(text.escaped()),
            BlockPiece::Signature(seal) => open.signature.push_str(seal),
            BlockPiece::Input(json) => open.text.push_str(json),
            BlockPiece::Citation(json) => open.citations.push(json.to_owned()),
        }
    }

    fn end(&mut self) {
        let Some(block) = self.open.take() else { return };
        let mut rest = Vec::new();
        match block.kind {
            Kind::Whole => {}
            Kind::Text => {
                let mut object = ObjectWriter::begin(&mut rest);
                object.text("text", Text::from_escaped(&block.text));
                if !block.citations.is_empty() {
                    let mut citations = ArrayWriter::begin(object.key("citations"));
                    for citation in &block.citations {
                        citations.element().extend_from_slice(citation.as_bytes());
                    }
                    citations.end();
                }
                object.end();
            }
            Kind::Thinking => {
                let mut object = ObjectWriter::begin(&mut rest);
                object.text("thinking", Text::from_escaped(&block.text)).string("signature", &block.signature);
                object.end();
            }
            Kind::Input => {
                let mut object = ObjectWriter::begin(&mut rest);
                object.json("input", &input(Text::from_escaped(&block.text)));
                object.end();
            }
        }
        let rest = String::from_utf8(rest).unwrap_or_default();
        let rest = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        let comma = if rest.is_empty() { "" } else { "," };
        self.done.push(format!("{{{}{comma}{rest}}}", block.head));
    }
}

/// Returns the JSON of a call's arguments. Arguments that are no JSON object, which a client could not read as one, go
/// under `input`.
fn input(arguments: Text<'_>) -> String {
    let json = arguments.decode();
    if json.trim().is_empty() {
        return "{}".to_owned();
    }
    let raw = serde_json::from_str::<&RawValue>(&json).ok();
    if raw.is_some_and(|raw| object(raw, &crate::json::Path::Root).is_ok()) {
        return json.into_owned();
    }
    format!(r#"{{"input":"{}"}}"#, arguments.escaped())
}

/// Writes the keys of a block known from its beginning, without braces.
fn head(block: Block<'_>) -> String {
    let mut out = Vec::new();
    let mut object = ObjectWriter::begin(&mut out);
    match block {
        Block::Text => object.string("type", "text"),
        Block::Thinking => object.string("type", "thinking"),
        Block::Redacted(seal) => object.string("type", "redacted_thinking").string("data", seal),
        Block::ToolUse { id, name } => object.string("type", "tool_use").text("id", id).text("name", name),
        Block::Search { id } => object.string("type", "server_tool_use").string("id", id).string("name", "web_search"),
        Block::Results { id, results } => {
            object.string("type", "web_search_tool_result").string("tool_use_id", id).json("content", results)
        }
    };
    object.end();
    let json = String::from_utf8(out).unwrap_or_default();
    json.strip_prefix('{').and_then(|json| json.strip_suffix('}')).unwrap_or_default().to_owned()
}

/// A target that discards everything.
struct Nowhere;

impl Target for Nowhere {
    fn begin(&mut self, _block: Block<'_>) {}
    fn piece(&mut self, _piece: BlockPiece<'_>) {}
    fn end(&mut self) {}
}

impl Sink for Message {
    fn identify(&mut self, id: &str) {
        self.face.identify(id);
    }

    fn model(&mut self, name: &str) {
        self.face.model(name);
    }

    fn account(&mut self, account: &str) {
        account.clone_into(&mut self.account);
    }

    fn sealed(&mut self, item: usize, encrypted: Option<Text<'_>>, _out: &mut Vec<u8>) {
        if self.watches() {
            self.watch.sealed(item, encrypted, &mut Nowhere);
        }
        self.collected.push(Piece::Sealed(item, encrypted.map(|text| text.escaped().to_owned())));
    }

    fn searched(&mut self, search: SearchCall<'_>, _out: &mut Vec<u8>) {
        if self.watches() {
            self.watch.searched(search, &mut Nowhere);
        }
        let id = search.id.map(|id| id.escaped().to_owned());
        self.collected.push(Piece::Searched(id, search.action.map(|action| action.get().into())));
    }

    /// Pieces that wait for the end of a text need this event.
    fn item_done(&mut self, item: usize, _out: &mut Vec<u8>) {
        if self.watches() {
            self.watch.item_done(item, &mut Nowhere);
        }
        if self.shape.only_searches {
            self.collected.push(Piece::Ended(item));
        }
    }

    fn text(&mut self, spot: Spot, text: Text<'_>, _out: &mut Vec<u8>) {
        if self.watches() {
            self.watch.text(spot, text, &mut Nowhere);
        }
        self.collected.text(spot, text);
    }

    fn citation(&mut self, spot: Spot, annotation: &RawValue, _out: &mut Vec<u8>) {
        self.collected.citation(spot, annotation);
    }

    fn call(&mut self, head: CallHead<'_>, _out: &mut Vec<u8>) {
        if self.watches() {
            self.watch.call(head, &mut Nowhere);
        }
        self.collected.call(head);
    }

    fn arguments(&mut self, index: usize, _kind: CallKind, text: Text<'_>, _out: &mut Vec<u8>) {
        self.collected.arguments(index, text);
    }

    fn image(&mut self, _image: Image<'_>, _out: &mut Vec<u8>) {}

    fn correct(&mut self, correction: Correction<'_>) -> bool {
        self.collected.correct(correction);
        true
    }

    fn sorts(&self) -> bool {
        true
    }

    fn has_one_order(&self) -> bool {
        true
    }

    fn turn(&mut self, item: usize, place: Option<u64>) {
        self.collected.turn(item, place);
    }

    fn is_stopped(&self) -> bool {
        self.watch.is_stopped()
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        let (blocks, ending, searches) = self.blocks(reason);
        let mut message = ObjectWriter::begin(out);
        self.face.write(&mut message);
        let mut content = ArrayWriter::begin(message.key("content"));
        for block in &blocks {
            content.element().extend_from_slice(block.as_bytes());
        }
        content.end();
        self.face.write_ending(&ending, &mut message);
        usage::write(usage, searches, message.key("usage"));
        message.end();
    }

    /// The client has received nothing, so the failure becomes a status instead.
    fn fail(&mut self, _fault: &Fault, _out: &mut Vec<u8>) {}

    fn left_out(&self) -> usize {
        0
    }
}
