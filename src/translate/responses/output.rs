//! The items of an answer, kept to fill the final object's `output`.

use serde_json::value::RawValue;

use super::unfinished::{Unfinished, id_of};
use crate::openai::json::{ArrayWriter, Object, ObjectWriter, Text};
use crate::translate::delta::Delta;
use crate::translate::event::Event;
use crate::translate::{Answer, AnswerItem};

/// The items of an answer.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Those that have ended, each as the backend's own JSON.
    items: Vec<Item>,
    /// Those that have not.
    unfinished: Unfinished,
    last_place: Option<u64>,
    /// The answer's own id, once its last event has come.
    id: Option<String>,
}

#[derive(Debug)]
struct Item {
    place: u64,
    id: Option<String>,
    json: String,
}

impl Output {
    /// Takes note of a delta.
    pub(super) fn note_delta(&mut self, delta: &Delta<'_>) {
        self.unfinished.note_delta(delta);
    }

    /// Takes note of what `event` says of an item.
    pub(super) fn note(&mut self, event: &Event<'_>) {
        self.unfinished.note(event);
        if let (Some(item), "response.output_item.done") = (event.item, event.kind.as_ref()) {
            self.keep(item, event.output_index);
        }
    }

    /// Two items of one place are two, unless they say themselves that they are one.
    fn keep(&mut self, item: &RawValue, place: Option<u64>) {
        let place = place.unwrap_or(self.items.len() as u64);
        let id = id_of(item).map(|id| id.get().to_owned());
        let json = item.get().to_owned();
        // Items come in the order of their places: a place beyond the last cannot be known, and is not looked for.
        let is_new = self.last_place.is_none_or(|last| place > last);
        let same = |known: &&mut Item| known.place == place && (known.id == id || id.is_none());
        match if is_new { None } else { self.items.iter_mut().find(same) } {
            Some(known) => known.json = json,
            None => self.items.push(Item { place, id, json }),
        }
        self.last_place = self.last_place.max(Some(place));
    }

    /// Writes `response`, the answer's last word, with its `output` filled if it is empty and there is something to fill it
    /// with. `status` is that of items of which the end never came.
    pub(super) fn fill(&mut self, response: &RawValue, status: &str, out: &mut Vec<u8>) {
        let object = serde_json::from_str::<Object<'_>>(response.get()).unwrap_or_default();
        let unfinished = std::mem::take(&mut self.unfinished).finish(status);
        self.items.extend(unfinished.map(|(place, json)| Item { place, id: None, json }));
        self.id = object.find("id").and_then(Text::of).map(|id| id.decode().into_owned());
        if self.items.is_empty() {
            self.keep_all(object.find("output"));
        }
        if self.items.is_empty() || !object.find("output").is_none_or(is_empty_array) {
            out.extend_from_slice(response.get().as_bytes());
            return;
        }
        self.items.sort_by_key(|item| item.place);
        let mut writer = ObjectWriter::begin(out);
        let mut filled = false;
        for (key, value) in object.iter() {
            if key == "output" {
                self.write_items(writer.key(key));
                filled = true;
            } else {
                writer.raw(key, value);
            }
        }
        if !filled {
            self.write_items(writer.key("output"));
        }
        writer.end();
    }

    /// The items of the last event, where no other told of any.
    fn keep_all(&mut self, output: Option<&RawValue>) {
        let items = output.and_then(|output| serde_json::from_str::<Vec<&RawValue>>(output.get()).ok());
        items.unwrap_or_default().into_iter().for_each(|item| self.keep(item, None));
    }

    /// The whole answer.
    pub(super) fn take_answer(&mut self) -> Answer {
        let id = |item: &Item| serde_json::from_str::<String>(item.id.as_deref()?).ok();
        let items = std::mem::take(&mut self.items).into_iter();
        Answer { id: self.id.take(), items: items.map(|item| AnswerItem { id: id(&item), json: item.json }).collect() }
    }

    fn write_items(&self, out: &mut Vec<u8>) {
        let mut array = ArrayWriter::begin(out);
        for item in &self.items {
            array.element().extend_from_slice(item.json.as_bytes());
        }
        array.end();
    }
}

fn is_empty_array(raw: &RawValue) -> bool {
    raw.get().trim_start_matches('[').trim_start().starts_with(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(events: &[&str], response: &str) -> String {
        let mut output = Output::default();
        for event in events {
            let event = format!(r#"{{"type":"response.output_item.done",{}"#, &event[1..]);
            output.note(&Event::parse(event.as_bytes()).unwrap());
        }
        let response: &RawValue = serde_json::from_str(response).unwrap();
        let mut out = Vec::new();
        output.fill(response, "completed", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fills_what_is_empty_null_or_absent_in_order_of_place() {
        let events =
            [r#"{"output_index":1,"item":{"b":12345678901234567890}}"#, r#"{"output_index":0,"item":{"a": 1}}"#];
        let items = r#""output":[{"a": 1},{"b":12345678901234567890}]"#;
        assert_eq!(filled(&events, r#"{"id":"r","output":[ ],"x":1}"#), format!(r#"{{"id":"r",{items},"x":1}}"#));
        assert_eq!(filled(&events, r#"{"output":null}"#), format!("{{{items}}}"));
        assert_eq!(filled(&events, r#"{"id":"r"}"#), format!(r#"{{"id":"r",{items}}}"#));
    }

    #[test]
    fn items_that_claim_one_place_are_told_apart_by_their_ids() {
        let events = [
            r#"{"output_index":0,"item":{"id":"a","v":1}}"#,
            r#"{"output_index":0,"item":{"id":"b"}}"#,
            r#"{"output_index":0,"item":{"id":"a","v":2}}"#,
        ];
        assert_eq!(filled(&events, r#"{"output":[]}"#), r#"{"output":[{"id":"a","v":2},{"id":"b"}]}"#);
    }

    #[test]
    fn leaves_a_full_output_alone() {
        let event = r#"{"output_index":0,"item":{"a":1}}"#;
        let response = r#"{"output": [{"a":2}] }"#;
        assert_eq!(filled(&[event], response), response);
        assert_eq!(filled(&[], r#"{"output":[]}"#), r#"{"output":[]}"#);
    }
}
