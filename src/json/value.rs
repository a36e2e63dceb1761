//! Typed values read from raw JSON, with errors that name the field.

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;
use memchr::memmem;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::fault::{Fault, FaultKind};
use crate::json::{Path, Text, depth};

/// One level of a JSON object: its keys in order, each with its raw value.
///
/// A history has as many objects as items, and nearly all have few keys, for which a walk is faster than a hash.
#[derive(Debug, Default)]
pub struct Object<'a> {
    /// The entries, up to [`FEW`].
    few: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// All entries, if there are more.
    many: IndexMap<Cow<'a, str>, &'a RawValue>,
}

impl<'a> Object<'a> {
    /// Returns the value under `name`; `null` counts as absent.
    pub fn find(&self, name: &str) -> Option<&'a RawValue> {
        let entry = || self.few.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
        let value = if self.many.is_empty() { entry() } else { self.many.get(name).copied() };
        value.filter(|value| !is_null(value))
    }

    /// Iterates over the keys and values, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        let few = self.few.iter().map(|(key, value)| (key.as_ref(), *value));
        few.chain(self.many.iter().map(|(key, value)| (key.as_ref(), *value)))
    }

    fn insert(&mut self, key: Cow<'a, str>, value: &'a RawValue) {
        if !self.many.is_empty() {
            self.many.insert(key, value);
        } else if let Some((_, earlier)) = self.few.iter_mut().find(|(known, _)| *known == key) {
            *earlier = value;
        } else if self.few.len() < FEW {
            self.few.push((key, value));
        } else {
            self.many.extend(self.few.drain(..).chain([(key, value)]));
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object::default();
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            object.insert(key, value);
        }
        Ok(object)
    }
}

/// A key that is borrowed if it has no escapes; a bare `Cow` would always be copied.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a request body as an object, nested at most [`DEEPEST`] levels deep.
pub fn body(bytes: &[u8]) -> Result<Object<'_>, Fault> {
    let bytes = without_mark(bytes);
    let object = serde_json::from_slice(bytes).map_err(|error| {
        let message = match error.classify() {
            serde_json::error::Category::Data => "the request body must be a JSON object".to_owned(),
            _ if bytes.is_empty() => "the request body is empty; it must be a JSON object".to_owned(),
            _ => format!("the request body is not valid JSON: {error}"),
        };
        Fault::new(FaultKind::InvalidRequest, message)
    })?;
    if depth::is_within(bytes, DEEPEST) {
        return Ok(object);
    }
    let message = format!("the request body is nested more than {DEEPEST} levels deep");
    Err(Fault::new(FaultKind::InvalidRequest, message))
}

/// Returns `bytes` without the byte order mark that some Windows tools put before UTF-8.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Returns the required value under `name` of `object`, which has the given `path`.
pub fn required<'a>(object: &Object<'a>, name: &str, path: &Path<'_>) -> Result<&'a RawValue, Fault> {
    object.find(name).ok_or_else(|| {
        let path = path.key(name);
        Fault::invalid(path.to_string(), format!("'{path}' is missing"))
    })
}

/// Reads the object in `raw`.
pub fn object<'a>(raw: &'a RawValue, path: &Path<'_>) -> Result<Object<'a>, Fault> {
    serde_json::from_str(raw.get()).map_err(|_| mismatch(raw, path, "an object"))
}

/// Reads the elements of the array in `raw`.
pub fn array<'a>(raw: &'a RawValue, path: &Path<'_>) -> Result<Vec<&'a RawValue>, Fault> {
    serde_json::from_str(raw.get()).map_err(|_| mismatch(raw, path, "an array"))
}

/// Reads the string in `raw`, not decoded.
pub fn text<'a>(raw: &'a RawValue, path: &Path<'_>) -> Result<Text<'a>, Fault> {
    Text::of(raw).ok_or_else(|| mismatch(raw, path, "a string"))
}

/// Reads the string in `raw`, decoded.
pub fn string<'a>(raw: &'a RawValue, path: &Path<'_>) -> Result<Cow<'a, str>, Fault> {
    text(raw, path).map(Text::decode)
}

/// Reads the boolean in `raw`.
pub fn boolean(raw: &RawValue, path: &Path<'_>) -> Result<bool, Fault> {
    serde_json::from_str(raw.get()).map_err(|_| mismatch(raw, path, "a boolean"))
}

/// Reads the non-negative whole number in `raw`.
pub fn unsigned(raw: &RawValue, path: &Path<'_>) -> Result<u64, Fault> {
    serde_json::from_str(raw.get()).map_err(|_| mismatch(raw, path, "a non-negative whole number"))
}

/// Returns the elements of an array; `None` for any other JSON.
pub(super) fn elements(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok()
}

/// Returns one JSON value; `None` for any other text.
pub(super) fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

/// Returns whether `json` may have one of `words`, quoted and of small letters, as a key or a string: a search, where a
/// parse would be slow. Letters may be written by their numbers.
pub(crate) fn may_have(json: &str, words: &[&str]) -> bool {
    words.iter().any(|word| json.contains(word))
        || memmem::find_iter(json.as_bytes(), ESCAPE).any(|at| {
            let digit = json.as_bytes().get(at + ESCAPE.len());
            matches!(digit, Some(b'5'..=b'7'))
        })
}

/// Names the JSON type of `raw` in words.
pub fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

fn mismatch(raw: &RawValue, path: &Path<'_>, expected: &str) -> Fault {
    Fault::invalid(path.to_string(), format!("'{path}' must be {expected}, but is {}", kind(raw)))
}

/// The beginning of a letter by its number. A 5, 6 or 7 follows for small letters and the underscore.
const ESCAPE: &[u8] = br"\u00";

/// The largest number of entries that are walked rather than hashed.
const FEW: usize = 12;

/// The deepest nesting of a request body, equal to the limit of common JSON parsers.
const DEEPEST: usize = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_order_mark_is_skipped() {
        assert_eq!(body(b"\xef\xbb\xbf{\"a\":1}").unwrap().find("a").unwrap().get(), "1");
        assert!(body(b"\xef\xbb\xbf\xef\xbb\xbf{}").is_err());
        assert!(body(b"\xef\xbb\xbf").unwrap_err().message.contains("empty"));
    }

    #[test]
    fn keeps_order_and_raw_text() {
        let object: Object<'_> = serde_json::from_str(r#"{"b": 12345678901234567890123, "a\u0041": [1 , 2]}"#).unwrap();
        let entries: Vec<_> = object.iter().map(|(key, value)| (key.to_owned(), value.get())).collect();
        assert_eq!(entries, [("b".to_owned(), "12345678901234567890123"), ("aA".to_owned(), "[1 , 2]")]);
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let object: Object<'_> = serde_json::from_str(r#"{"a":1,"a":2}"#).unwrap();
        assert_eq!(object.find("a").unwrap().get(), "2");
        assert_eq!(object.iter().count(), 1);
    }

    #[test]
    fn many_keys_keep_order_and_last_values_too() {
        for count in [FEW - 1, FEW, FEW + 1, 100] {
            let mut json: Vec<String> = (0..count).map(|number| format!(r#""k{number}":{number}"#)).collect();
            json.extend([r#""k3":"last""#.to_owned(), r#""k1":null"#.to_owned()]);
            let json = format!("{{{}}}", json.join(","));
            let object: Object<'_> = serde_json::from_str(&json).unwrap();
            assert_eq!(object.find("k3").unwrap().get(), "\"last\"");
            assert!(object.find("k1").is_none() && object.find("k100").is_none());
            let keys: Vec<_> = object.iter().map(|(key, _)| key.to_owned()).collect();
            assert_eq!(keys, (0..count).map(|number| format!("k{number}")).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_mismatch_names_the_field_and_both_kinds() {
        let raw: &RawValue = serde_json::from_str("[1]").unwrap();
        let error = string(raw, &Path::Root.key("model")).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("model"));
        assert_eq!(error.message, "'model' must be a string, but is an array");
    }
}
