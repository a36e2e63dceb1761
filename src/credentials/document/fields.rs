//! A JSON object whose values keep their source text.
//!
//! * A value is decoded only on request. An unchanged value is written back byte for byte: the digits of its numbers,
//!   its escapes and its layout stay.
//! * A duplicate key keeps its first position and its last value.
//! * Replaced and dropped values are wiped.

use indexmap::IndexMap;
use zeroize::Zeroizing;

use crate::json::{Object, push_string};

/// Maps each key to the JSON text of its value, in source order.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(IndexMap<String, Zeroizing<String>>);

impl Fields {
    /// Parses `text`, which must be a JSON object.
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let object: Object<'_> = serde_json::from_str(text)?;
        let members = object.iter().map(|(name, value)| (name.to_owned(), Zeroizing::new(value.get().to_owned())));
        Ok(Self(members.collect()))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns whether `name` is present, even as `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns whether `name` has a value other than `null`.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value.as_str() != NULL)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.0.get(name)?).ok()
    }

    pub(super) fn unsigned(&self, name: &str) -> Option<u64> {
        serde_json::from_str(self.0.get(name)?).ok()
    }

    pub(super) fn object(&self, name: &str) -> Option<Self> {
        Self::parse(self.0.get(name)?).ok()
    }

    pub(super) fn set_text(&mut self, name: &str, text: &str) {
        self.set(name, quoted(text));
    }

    pub(super) fn set_unsigned(&mut self, name: &str, number: u64) {
        self.set(name, Zeroizing::new(number.to_string()));
    }

    pub(super) fn set_null(&mut self, name: &str) {
        self.set(name, Zeroizing::new(NULL.to_owned()));
    }

    /// Sets `name` to `object`, indented for its depth.
    pub(super) fn set_object(&mut self, name: &str, object: &Self) {
        self.set(name, object.laid_out(1));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.shift_remove(name);
    }

    /// Formats the object as JSON: one line per member and a final newline.
    pub(super) fn to_text(&self) -> Zeroizing<String> {
        let mut text = self.laid_out(0);
        text.push('\n');
        text
    }

    fn set(&mut self, name: &str, value: Zeroizing<String>) {
        self.0.insert(name.to_owned(), value);
    }

    /// Formats the object with the indentation of nesting level `depth`.
    fn laid_out(&self, depth: usize) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.room(depth)));
        text.push('{');
        for (index, (name, value)) in self.0.iter().enumerate() {
            text.push_str(if index == 0 { "\n" } else { ",\n" });
            text.extend(std::iter::repeat_n(INDENT, depth + 1));
            text.push_str(&quoted(name));
            text.push_str(": ");
            text.push_str(value);
        }
        if !self.0.is_empty() {
            text.push('\n');
            text.extend(std::iter::repeat_n(INDENT, depth));
        }
        text.push('}');
        text
    }

    /// Returns an upper bound of the formatted size. A buffer that grows would leave unwiped copies behind.
    fn room(&self, depth: usize) -> usize {
        let members = self.0.iter().map(|(name, value)| 6 * name.len() + value.len() + 2 * depth + 8);
        members.sum::<usize>() + 2 * depth + 4
    }
}

fn quoted(text: &str) -> Zeroizing<String> {
    let mut json = Vec::with_capacity(text.len() + 2);
    push_string(&mut json, text);
    Zeroizing::new(String::from_utf8(json).unwrap_or_else(|_| NULL.to_owned()))
}

const INDENT: &str = "  ";
const NULL: &str = "null";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_written_back_byte_for_byte() {
        let text = r#"{"a":[1,12345678901234567890123, 1.50e+400],"b\u0041":"\u00fc\/\ud800","c":{"d":-0.0}}"#;
        let mut fields = Fields::parse(text).unwrap();
        fields.set_text("e", "x\"y");
        fields.set_object("c", &Fields::parse(r#"{"d":{},"f":0}"#).unwrap());
        assert_eq!(
            *fields.to_text(),
            r#"{
  "a": [1,12345678901234567890123, 1.50e+400],
  "bA": "\u00fc\/\ud800",
  "c": {
    "d": {},
    "f": 0
  },
  "e": "x\"y"
}
"#
        );
        assert_eq!(Fields::parse(&fields.to_text()).unwrap().to_text(), fields.to_text());
        assert_eq!(*Fields::default().to_text(), "{}\n");
    }

    #[test]
    fn there_is_room_for_the_whole_text() {
        let mut fields = Fields::default();
        for name in ["access_token", "\u{1}\"", "ü"] {
            fields.set_text(name, "t\"\u{2}");
        }
        for depth in 0..3 {
            assert!(fields.laid_out(depth).len() < fields.room(depth));
        }
    }
}
