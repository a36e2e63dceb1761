//! A chat answer as one JSON document.
//!
//! * What comes is kept piece by piece and put together at the end, the way a streaming client would have got it one chunk
//!   after the other. Until then a piece can be corrected, and one that comes late be put in its place.
//! * Texts are joined in their escaped form, so the document holds exactly the backend's characters.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use crate::backend::answer::sink::{CallHead, CallKind, Correction, FinishReason, Image, Sink, Spot};
use crate::backend::event::Usage;
use crate::backend::event::delta::DeltaKind;
use crate::backend::event::usage;
use crate::dialect::chat::chunks::write_image;
use crate::dialect::chat::citation;
use crate::dialect::chat::flow::{Flow, Shown};
use crate::dialect::chat::options::{AnswerMeta, ReasoningFormat};
use crate::fault::ApiError;
use crate::json::{ArrayWriter, ObjectWriter, Text};

/// Collects an answer and writes the `chat.completion` when it is whole.
#[derive(Debug)]
pub struct Fold {
    meta: AnswerMeta,
    id: String,
    pieces: Vec<Piece>,
    /// The parts of which there is a piece.
    begun: HashSet<usize>,
    /// For every kind of text, the part that belongs behind all others so far.
    latest: HashMap<DeltaKind, Order>,
    calls: Vec<Call>,
    /// The data URL of each.
    images: Vec<Vec<u8>>,
    /// Goes along to notice a stop sequence; there is none for most requests.
    watch: Option<Flow>,
    left_out: usize,
}

/// Something that has come, in the order in which it is shown.
#[derive(Debug)]
enum Piece {
    /// Escaped characters of a text.
    Text(Spot, String),
    /// A citation in a part, as the backend wrote it.
    Citation(usize, Box<str>),
    /// The next call.
    Call,
    /// The next image.
    Image,
}

/// Place of an item, and of a part in it.
type Order = (u64, u64);

fn order_of(spot: Spot) -> Option<Order> {
    spot.place.map(|place| (place, spot.index))
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
            watch: meta.stop.is_some().then(|| Flow::new(&meta)),
            meta,
            pieces: Vec::new(),
            begun: HashSet::new(),
            latest: HashMap::new(),
            calls: Vec::new(),
            images: Vec::new(),
            left_out: 0,
        }
    }

    /// Where the first piece of a part belongs: behind all that came, unless parts of its kind that belong behind it did.
    fn place_of(&mut self, spot: Spot) -> usize {
        let Some(order) = order_of(spot) else { return self.pieces.len() };
        let latest = self.latest.entry(spot.kind).or_insert(order);
        if *latest <= order {
            *latest = order;
            return self.pieces.len();
        }
        let is_behind = |piece: &Piece| match piece {
            Piece::Text(other, _) => other.kind == spot.kind && order_of(*other).is_some_and(|other| other > order),
            Piece::Citation(..) | Piece::Call | Piece::Image => false,
        };
        self.pieces.iter().position(is_behind).unwrap_or(self.pieces.len())
    }

    fn is_of(piece: &Piece, part: usize) -> bool {
        matches!(piece, Piece::Text(spot, _) if spot.part == part)
    }

    /// Puts `whole` where the part at `spot` begins, and takes away the rest of it.
    fn replace(&mut self, spot: Spot, whole: Text<'_>) {
        self.begun.insert(spot.part);
        let first = self.pieces.iter().position(|piece| Self::is_of(piece, spot.part));
        let place = first.unwrap_or_else(|| self.place_of(spot));
        self.pieces.retain(|piece| !Self::is_of(piece, spot.part));
        if !whole.is_empty() {
            self.pieces.insert(place, Piece::Text(spot, whole.escaped().to_owned()));
        }
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

    fn text(&mut self, spot: Spot, text: Text<'_>, _out: &mut Vec<u8>) {
        if let Some(watch) = &mut self.watch {
            watch.text(spot, text, &mut |_| {});
        }
        match self.pieces.last_mut() {
            Some(Piece::Text(last, escaped)) if last.part == spot.part => escaped.push_str(text.escaped()),
            _ => {
                let is_new = self.begun.insert(spot.part);
                let place = if is_new { self.place_of(spot) } else { self.pieces.len() };
                self.pieces.insert(place, Piece::Text(spot, text.escaped().to_owned()));
            }
        }
    }

    fn citation(&mut self, spot: Spot, annotation: &RawValue, _out: &mut Vec<u8>) {
        if !self.watch.as_ref().is_some_and(Flow::is_cut) {
            self.pieces.push(Piece::Citation(spot.part, annotation.get().into()));
        }
    }

    fn call(&mut self, head: CallHead<'_>, _out: &mut Vec<u8>) {
        if let Some(watch) = &mut self.watch {
            watch.call(&mut |_| {});
        }
        self.pieces.push(Piece::Call);
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

    fn image(&mut self, image: Image<'_>, _out: &mut Vec<u8>) {
        if let Some(watch) = &mut self.watch {
            watch.interrupt(&mut |_| {});
        }
        let mut url = Vec::new();
        image.write_url(&mut url);
        self.pieces.push(Piece::Image);
        self.images.push(url);
    }

    fn correct(&mut self, correction: Correction<'_>) -> bool {
        match correction {
            Correction::Text(spot, whole) => self.replace(spot, whole),
            Correction::Citations(spot, whole) => {
                self.pieces.retain(|piece| !matches!(piece, Piece::Citation(part, _) if *part == spot.part));
                self.pieces.extend(whole.iter().map(|citation| Piece::Citation(spot.part, citation.get().into())));
            }
            Correction::Head(head) => {
                if let Some(call) = self.calls.get_mut(head.index) {
                    head.id.escaped().clone_into(&mut call.id);
                    head.name.escaped().clone_into(&mut call.name);
                }
            }
            Correction::Arguments(index, whole) => {
                if let Some(call) = self.calls.get_mut(index) {
                    whole.escaped().clone_into(&mut call.payload);
                }
            }
        }
        true
    }

    fn sorts(&self) -> bool {
        true
    }

    fn is_stopped(&self) -> bool {
        self.watch.as_ref().is_some_and(Flow::is_stopped)
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        let mut message = Message::default();
        let mut flow = Flow::new(&self.meta);
        let mut images = 0;
        for piece in std::mem::take(&mut self.pieces) {
            match piece {
                Piece::Text(spot, escaped) => {
                    flow.text(spot, Text::from_escaped(&escaped), &mut |shown| message.show(shown));
                }
                Piece::Citation(part, json) => {
                    let raw = serde_json::from_str::<&RawValue>(&json).ok();
                    message.citations.extend(raw.and_then(|raw| citation::translate(raw, flow.offset(part))));
                }
                Piece::Call => {
                    message.calls += usize::from(flow.call(&mut |shown| message.show(shown)));
                }
                Piece::Image => {
                    images += usize::from(flow.interrupt(&mut |shown| message.show(shown)));
                }
            }
        }
        self.left_out = flow.left_out();
        self.images.truncate(images);
        let reason = flow.finish(reason, &mut |shown| message.show(shown));
        self.write(&message, reason, usage, out);
    }

    /// Nothing was sent, so the failure is answered with a status instead.
    fn fail(&mut self, _error: &ApiError, _out: &mut Vec<u8>) {}

    fn left_out(&self) -> usize {
        self.left_out
    }
}

/// What a message holds in the end; every text is escaped.
#[derive(Debug, Default)]
struct Message {
    content: String,
    refusal: String,
    reasoning: String,
    /// How many calls are shown.
    calls: usize,
    /// In chat's shape.
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

impl Fold {
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
            usage::write_chat(usage, document.key("usage"));
        }
        document.end();
    }

    fn write_message(&self, message: &Message, object: &mut ObjectWriter<'_>) {
        object.string("role", "assistant");
        if message.content.is_empty() && !(message.calls == 0 && message.refusal.is_empty()) {
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
        self.write_calls(message.calls, object);
        if !message.citations.is_empty() {
            let mut annotations = ArrayWriter::begin(object.key("annotations"));
            for annotation in &message.citations {
                annotations.element().extend_from_slice(annotation);
            }
            annotations.end();
        }
        if !self.images.is_empty() {
            let mut images = ArrayWriter::begin(object.key("images"));
            for (index, url) in self.images.iter().enumerate() {
                write_image(index, |out| out.extend_from_slice(url), images.element());
            }
            images.end();
        }
    }

    /// Writes the first `shown` calls.
    fn write_calls(&self, shown: usize, message: &mut ObjectWriter<'_>) {
        let shown = self.calls.get(..shown).unwrap_or_default();
        if self.meta.legacy_functions {
            if let Some(call) = shown.first() {
                call.write_tool("arguments", ObjectWriter::begin(message.key("function_call")));
            }
            return;
        }
        if shown.is_empty() {
            return;
        }
        let mut calls = ArrayWriter::begin(message.key("tool_calls"));
        for call in shown {
            let mut object = calls.object();
            escaped(&mut object, "id", &call.id);
            object.string("type", call.kind.as_str());
            call.write_tool(call.kind.payload_field(), ObjectWriter::begin(object.key(call.kind.as_str())));
            object.end();
        }
        calls.end();
    }
}

impl Call {
    fn write_tool(&self, payload_field: &str, mut tool: ObjectWriter<'_>) {
        escaped(&mut tool, "name", &self.name);
        escaped(&mut tool, payload_field, &self.payload);
        tool.end();
    }
}

fn escaped(object: &mut ObjectWriter<'_>, key: &str, text: &str) {
    object.text(key, Text::from_escaped(text));
}
