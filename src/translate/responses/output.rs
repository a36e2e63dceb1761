//! The finished items of an answer, kept to fill the final object's `output`.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::openai::json::{ArrayWriter, Object, ObjectWriter};

/// The items of an answer, each as the backend's own JSON.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Place in the answer and JSON text.
    items: Vec<(u64, String)>,
}

impl Output {
    /// Keeps the item of an `output_item.done` event.
    pub(super) fn keep(&mut self, event: &[u8]) {
        #[derive(Deserialize)]
        struct Done<'a> {
            #[serde(default)]
            output_index: Option<u64>,
            #[serde(borrow)]
            item: &'a RawValue,
        }
        let Ok(done) = serde_json::from_slice::<Done<'_>>(event) else { return };
        let place = done.output_index.unwrap_or(self.items.len() as u64);
        let item = done.item.get().to_owned();
        match self.items.iter_mut().find(|(known, _)| *known == place) {
            Some(entry) => entry.1 = item,
            None => self.items.push((place, item)),
        }
    }

    /// Writes `response` with its `output` filled, if it is empty and there is something to fill it with.
    pub(super) fn fill(&mut self, response: &RawValue, out: &mut Vec<u8>) {
        let object = serde_json::from_str::<Object<'_>>(response.get()).unwrap_or_default();
        if self.items.is_empty() || !object.find("output").is_none_or(is_empty_array) {
            out.extend_from_slice(response.get().as_bytes());
            return;
        }
        self.items.sort_by_key(|(place, _)| *place);
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

    fn write_items(&self, out: &mut Vec<u8>) {
        let mut array = ArrayWriter::begin(out);
        for (_, item) in &self.items {
            array.element().extend_from_slice(item.as_bytes());
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
            output.keep(event.as_bytes());
        }
        let response: &RawValue = serde_json::from_str(response).unwrap();
        let mut out = Vec::new();
        output.fill(response, &mut out);
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
    fn leaves_a_full_output_alone() {
        let event = r#"{"output_index":0,"item":{"a":1}}"#;
        let response = r#"{"output": [{"a":2}] }"#;
        assert_eq!(filled(&[event], response), response);
        assert_eq!(filled(&[], r#"{"output":[]}"#), r#"{"output":[]}"#);
    }
}
