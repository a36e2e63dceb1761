//! Replacements for events that were lost or that the backend omitted.
//!
//! * A client that adds up deltas has to end with the same text as a client that reads the finished item. If a finished
//!   form says more than the deltas before it, the rest is sent as one delta; before that, the part and the item are
//!   announced unless they have been, since some clients (openai-python) rely on it.
//! * The fields are those of the backend's own events, in its order. An event takes the number of a lost one, or else
//!   that of the event that follows it.

use serde_json::value::RawValue;

use crate::backend::answer::call_kind::CallKind;
use crate::backend::answer::items::{ItemKind, Items, Part};
use crate::backend::event::delta::DeltaKind;
use crate::backend::event::sse::on_one_line;
use crate::json::{Object, ObjectWriter, Raw, Text};

/// Writes events about one item.
pub(super) struct Missing<'a> {
    out: &'a mut Vec<u8>,
    number: Option<u64>,
    id: Option<&'a str>,
    place: Option<u64>,
    kind: ItemKind,
}

impl<'a> Missing<'a> {
    /// Prepares events about the item at `position`, to precede the event `number`.
    pub(super) fn before(number: Option<u64>, items: &'a Items, position: usize, out: &'a mut Vec<u8>) -> Self {
        let item = items.item(position);
        Self { out, number: items.sequence.number_before(number), id: item.id(), place: item.place, kind: item.kind }
    }

    /// Announces an item of which only a part of this kind is known.
    pub(super) fn item_of(self, kind: DeltaKind) {
        let id = self.id.unwrap_or("null");
        let item = match kind {
            DeltaKind::Text | DeltaKind::Refusal => {
                format!(r#"{{"id":{id},"type":"message","status":"in_progress","content":[],"role":"assistant"}}"#)
            }
            DeltaKind::Summary | DeltaKind::Reasoning => format!(r#"{{"id":{id},"type":"reasoning","summary":[]}}"#),
            DeltaKind::Arguments | DeltaKind::Input => return,
        };
        self.event("response.output_item.added", |event, place| {
            event.json("item", &item);
            write_place(event, place);
        });
    }

    /// Announces a finished item as it began: without its texts.
    pub(super) fn item(self, finished: Raw<'_>) {
        let object = serde_json::from_str::<Object<'_>>(finished.get()).unwrap_or_default();
        self.event("response.output_item.added", |event, place| {
            let mut item = ObjectWriter::begin(event.key("item"));
            for (key, value) in object.iter() {
                match key {
                    "content" | "summary" if value.get().starts_with('[') => item.json(key, "[]"),
                    "arguments" | "input" if value.get().starts_with('"') => item.string(key, ""),
                    "status" => item.string(key, "in_progress"),
                    _ => item.json(key, &on_one_line(value.get())),
                };
            }
            item.end();
            write_place(event, place);
        });
    }

    /// Ends an item whose end was not sent.
    pub(super) fn item_done(self, json: &str) {
        self.event("response.output_item.done", |event, place| {
            event.json("item", &on_one_line(json));
            write_place(event, place);
        });
    }

    /// Sends `rest`, escaped characters of `part`.
    pub(super) fn text(mut self, part: &Part, rest: &str) {
        self.announce(part);
        let (index_name, kind) = match (part.kind, self.kind) {
            (DeltaKind::Text | DeltaKind::Refusal | DeltaKind::Reasoning, _) => (Some("content_index"), part.kind),
            (DeltaKind::Summary, _) => (Some("summary_index"), part.kind),
            (_, ItemKind::Call(CallKind::Custom)) => (None, DeltaKind::Input),
            _ => (None, DeltaKind::Arguments),
        };
        let id = self.id;
        self.event(kind.event(), |event, place| {
            if index_name == Some("content_index") {
                event.unsigned("content_index", part.index);
            }
            event.text("delta", Text::from_escaped(rest)).json("item_id", id.unwrap_or("null"));
            if kind == DeltaKind::Text {
                event.json("logprobs", "[]");
            }
            write_place(event, place);
            if index_name == Some("summary_index") {
                event.unsigned("summary_index", part.index);
            }
        });
    }

    /// Announces a new part; a part with sent text needs no announcement.
    pub(super) fn announce(&mut self, part: &Part) {
        if part.announced || !part.sent.is_empty() {
            return;
        }
        let (name, index_name, json) = match part.kind {
            DeltaKind::Text => {
                let json = r#"{"type":"output_text","annotations":[],"logprobs":[],"text":""}"#;
                ("response.content_part.added", "content_index", json)
            }
            DeltaKind::Refusal => {
                ("response.content_part.added", "content_index", r#"{"type":"refusal","refusal":""}"#)
            }
            DeltaKind::Summary => {
                ("response.reasoning_summary_part.added", "summary_index", r#"{"type":"summary_text","text":""}"#)
            }
            DeltaKind::Reasoning | DeltaKind::Arguments | DeltaKind::Input => return,
        };
        let again = Missing { out: self.out, ..*self };
        let id = self.id;
        again.event(name, |event, place| {
            event.unsigned(index_name, part.index).json("item_id", id.unwrap_or("null"));
            write_place(event, place);
            event.json("part", json);
        });
    }

    /// Sends a citation in `part`.
    pub(super) fn citation(self, part: &Part, index: u64, citation: &RawValue) {
        let id = self.id;
        self.event("response.output_text.annotation.added", |event, place| {
            event.json("annotation", &on_one_line(citation.get())).unsigned("annotation_index", index);
            event.unsigned("content_index", part.index).json("item_id", id.unwrap_or("null"));
            write_place(event, place);
        });
    }

    fn event(self, name: &str, write: impl FnOnce(&mut ObjectWriter<'_>, Option<u64>)) {
        for piece in ["event: ", name, "\ndata: "] {
            self.out.extend_from_slice(piece.as_bytes());
        }
        let mut event = ObjectWriter::begin(self.out);
        event.string("type", name);
        write(&mut event, self.place);
        if let Some(number) = self.number {
            event.unsigned("sequence_number", number);
        }
        event.end();
        self.out.extend_from_slice(b"\n\n");
    }
}

fn write_place(event: &mut ObjectWriter<'_>, place: Option<u64>) {
    if let Some(place) = place {
        event.unsigned("output_index", place);
    }
}
