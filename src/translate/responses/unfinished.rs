//! Items that have begun and not ended: what is known of them, should the backend never send them whole.
//!
//! * An item is known by its id, else by its place in the answer.
//! * Its texts are its deltas, or the finished text where no delta came. Once the item itself has come, they are forgotten.
//! * A call of which nothing but arguments has come has no name; nobody could carry it out, and it is left out.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::openai::json::{ArrayWriter, Object, ObjectWriter, Text};
use crate::translate::delta::{Delta, DeltaKind};
use crate::translate::event::Event;

/// The items that are under way, in order of appearance.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    items: Vec<Begun>,
}

#[derive(Debug, Default)]
struct Begun {
    id: Option<String>,
    place: Option<u64>,
    /// The item as it began, once it has.
    item: Option<String>,
    pieces: Vec<Piece>,
}

/// One text of an item.
#[derive(Debug)]
struct Piece {
    kind: DeltaKind,
    index: u64,
    escaped: String,
}

impl Unfinished {
    /// Takes note of a delta.
    pub(super) fn note_delta(&mut self, delta: &Delta<'_>) {
        let index = match delta.kind {
            DeltaKind::Text | DeltaKind::Refusal | DeltaKind::Reasoning => delta.content_index,
            DeltaKind::Summary => delta.summary_index,
            DeltaKind::Arguments | DeltaKind::Input => None,
        };
        let piece = self.begun(delta.item_id, delta.output_index).piece(delta.kind, index.unwrap_or_default());
        piece.escaped.push_str(delta.text.escaped());
    }

    /// Takes note of what `event` says of an item.
    pub(super) fn note(&mut self, event: &Event<'_>) {
        if let Some(delta) = Delta::of(event) {
            return self.note_delta(&delta);
        }
        match event.kind.as_ref() {
            "response.output_item.added" => {
                let Some(item) = event.item else { return };
                self.begun(id_of(item).map(RawValue::get), event.output_index).item = Some(item.get().to_owned());
            }
            "response.output_item.done" => {
                let id = event.item.and_then(id_of).map(RawValue::get);
                if let Some(position) = self.find(id, event.output_index) {
                    self.items.remove(position);
                }
            }
            kind => {
                let Some((kind, index, text)) = finished_text(kind, event) else { return };
                let piece = self.begun(event.item_id.map(RawValue::get), event.output_index).piece(kind, index);
                if piece.escaped.is_empty() {
                    piece.escaped.push_str(text.escaped());
                }
            }
        }
    }

    /// The items with their places, as JSON, their status being `status` from now on.
    pub(super) fn finish(self, status: &str) -> impl Iterator<Item = (u64, String)> {
        self.items.into_iter().filter_map(move |begun| Some((begun.place.unwrap_or(u64::MAX), begun.written(status)?)))
    }

    fn find(&self, id: Option<&str>, place: Option<u64>) -> Option<usize> {
        let same_id = |begun: &Begun| id.is_some() && begun.id.as_deref() == id;
        let same_place = |begun: &Begun| place.is_some() && begun.place == place;
        self.items.iter().position(same_id).or_else(|| self.items.iter().position(same_place))
    }

    fn begun(&mut self, id: Option<&str>, place: Option<u64>) -> &mut Begun {
        let position = self.find(id, place).unwrap_or_else(|| {
            let id = id.map(str::to_owned);
            self.items.push(Begun { id, place, ..Begun::default() });
            self.items.len() - 1
        });
        &mut self.items[position]
    }
}

impl Begun {
    fn piece(&mut self, kind: DeltaKind, index: u64) -> &mut Piece {
        let same = |piece: &Piece| piece.kind == kind && piece.index == index;
        let position = self.pieces.iter().position(same).unwrap_or_else(|| {
            self.pieces.push(Piece { kind, index, escaped: String::new() });
            self.pieces.len() - 1
        });
        &mut self.pieces[position]
    }

    /// The item with its texts in place.
    fn written(mut self, status: &str) -> Option<String> {
        use DeltaKind::{Arguments, Input, Reasoning, Refusal, Summary, Text};
        self.pieces.sort_by_key(|piece| piece.index);
        let item = match self.item.take() {
            Some(item) => item,
            None if self.has(&[Text, Refusal]) => r#"{"type":"message","role":"assistant"}"#.to_owned(),
            None if self.has(&[Summary, Reasoning]) => r#"{"type":"reasoning"}"#.to_owned(),
            None => return None,
        };
        let object = serde_json::from_str::<Object<'_>>(&item).ok()?;
        let replaced: Vec<(&str, &[DeltaKind])> = [
            ("content", &[Text, Refusal, Reasoning][..]),
            ("summary", &[Summary]),
            ("arguments", &[Arguments]),
            ("input", &[Input]),
        ]
        .into_iter()
        .filter(|(_, kinds)| self.has(kinds))
        .collect();
        let mut out = Vec::new();
        let mut writer = ObjectWriter::begin(&mut out);
        for (key, value) in object.iter().filter(|(key, _)| replaced.iter().all(|(name, _)| name != key)) {
            match key {
                "status" => writer.string(key, status),
                _ => writer.raw(key, value),
            };
        }
        for (key, kinds) in replaced {
            self.write_texts(kinds, writer.key(key));
        }
        writer.end();
        String::from_utf8(out).ok()
    }

    fn has(&self, kinds: &[DeltaKind]) -> bool {
        self.pieces.iter().any(|piece| kinds.contains(&piece.kind))
    }

    /// The texts of `kinds`: an array of parts, or the one string of a call.
    fn write_texts(&self, kinds: &[DeltaKind], out: &mut Vec<u8>) {
        let pieces = self.pieces.iter().filter(|piece| kinds.contains(&piece.kind));
        if matches!(kinds, [DeltaKind::Arguments | DeltaKind::Input]) {
            out.push(b'"');
            pieces.for_each(|piece| out.extend_from_slice(piece.escaped.as_bytes()));
            out.push(b'"');
            return;
        }
        let mut parts = ArrayWriter::begin(out);
        for piece in pieces {
            let text = Text::from_escaped(&piece.escaped);
            let mut part = parts.object();
            match piece.kind {
                DeltaKind::Text => part.string("type", "output_text").text("text", text).json("annotations", "[]"),
                DeltaKind::Refusal => part.string("type", "refusal").text("refusal", text),
                DeltaKind::Summary => part.string("type", "summary_text").text("text", text),
                DeltaKind::Reasoning | DeltaKind::Arguments | DeltaKind::Input => {
                    part.string("type", "reasoning_text").text("text", text)
                }
            };
            part.end();
        }
        parts.end();
    }
}

/// Which text of its item an event finishes.
fn finished_text<'a>(name: &str, event: &Event<'a>) -> Option<(DeltaKind, u64, Text<'a>)> {
    let (kind, index, whole) = match name {
        "response.output_text.done" => (DeltaKind::Text, event.content_index, event.text),
        "response.refusal.done" => (DeltaKind::Refusal, event.content_index, event.refusal),
        "response.reasoning_summary_text.done" => (DeltaKind::Summary, event.summary_index, event.text),
        "response.reasoning_text.done" => (DeltaKind::Reasoning, event.content_index, event.text),
        "response.function_call_arguments.done" => (DeltaKind::Arguments, None, event.arguments),
        "response.custom_tool_call_input.done" => (DeltaKind::Input, None, event.input),
        _ => return None,
    };
    Some((kind, index.unwrap_or_default(), whole.and_then(Text::of)?))
}

/// The id of an item, as it is written.
pub(super) fn id_of(item: &RawValue) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow, default)]
        id: Option<&'a RawValue>,
    }
    serde_json::from_str::<Id<'_>>(item.get()).ok()?.id
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn finished(events: &[Value]) -> Vec<(u64, Value)> {
        let mut unfinished = Unfinished::default();
        for event in events {
            unfinished.note(&Event::parse(event.to_string().as_bytes()).unwrap());
        }
        unfinished.finish("completed").map(|(place, item)| (place, serde_json::from_str(&item).unwrap())).collect()
    }

    fn added(place: u64, item: &Value) -> Value {
        json!({ "type": "response.output_item.added", "output_index": place, "item": item })
    }

    #[test]
    fn a_message_is_its_deltas_and_keeps_what_else_was_said_of_it() {
        let item = json!({ "id": "m", "type": "message", "status": "in_progress", "role": "assistant", "phase": "x", "content": [] });
        let delta = |index, text| json!({ "type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": index, "delta": text });
        let refusal = json!({ "type": "response.refusal.done", "item_id": "m", "content_index": 2, "refusal": "no" });
        let done = json!({ "type": "response.output_text.done", "item_id": "m", "content_index": 0, "text": "Hé\n!" });
        let events = [added(0, &item), delta(1, "b"), delta(0, "H"), delta(0, "é\n!"), done, refusal];
        let content = json!([
            { "type": "output_text", "text": "Hé\n!", "annotations": [] },
            { "type": "output_text", "text": "b", "annotations": [] },
            { "type": "refusal", "refusal": "no" },
        ]);
        let expected = json!({ "id": "m", "type": "message", "status": "completed", "role": "assistant", "phase": "x", "content": content });
        assert_eq!(finished(&events), [(0, expected)]);
    }

    #[test]
    fn calls_get_their_arguments_wherever_they_came() {
        let call = json!({ "id": "f", "type": "function_call", "call_id": "c", "name": "n", "arguments": "" });
        let custom = json!({ "id": "g", "type": "custom_tool_call", "call_id": "d", "name": "n", "input": "" });
        let early = json!({ "type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{\"k\":" });
        let late = json!({ "type": "response.function_call_arguments.delta", "item_id": "f", "output_index": 1, "delta": "1}" });
        let input = json!({ "type": "response.custom_tool_call_input.done", "item_id": "g", "input": "text" });
        let nameless = json!({ "type": "response.function_call_arguments.delta", "item_id": "z", "delta": "lost" });
        let events = [early, added(1, &call), late, added(2, &custom), input, nameless];
        let mut expected = [(1, call), (2, custom)];
        expected[0].1["arguments"] = r#"{"k":1}"#.into();
        expected[1].1["input"] = "text".into();
        assert_eq!(finished(&events), expected);
    }

    #[test]
    fn reasoning_and_items_that_never_began() {
        let summary = json!({ "type": "response.reasoning_summary_text.delta", "item_id": "r", "summary_index": 0, "delta": "why" });
        let raw = json!({ "type": "response.reasoning_text.delta", "item_id": "r", "delta": "because" });
        let text = json!({ "type": "response.output_text.delta", "item_id": "m", "delta": "hi" });
        let expected = [
            json!({ "type": "reasoning", "content": [{ "type": "reasoning_text", "text": "because" }], "summary": [{ "type": "summary_text", "text": "why" }] }),
            json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "hi", "annotations": [] }] }),
        ];
        assert_eq!(finished(&[summary, raw, text]), expected.map(|item| (u64::MAX, item)));
    }

    #[test]
    fn what_has_come_whole_is_forgotten() {
        let item = json!({ "id": "m", "type": "message", "content": [] });
        let done = json!({ "type": "response.output_item.done", "output_index": 0, "item": { "id": "other", "type": "message" } });
        let events =
            [added(0, &item), json!({ "type": "response.output_text.delta", "item_id": "m", "delta": "x" }), done];
        assert_eq!(finished(&events), []);
    }
}
