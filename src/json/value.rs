//! Typed values read from raw JSON, with errors that name the field.

use std::borrow::Cow;

use codex_proxy_wire::json::{Object, Text, elements, is_nested_within};
use memchr::memmem;
use serde_json::value::RawValue;

use crate::fault::{Fault, FaultKind};
use crate::json::Path;

/// Reads a request body as an object, nested at most [`DEEPEST`] levels deep.
pub fn body(bytes: &[u8]) -> Result<Object<'_>, Fault> {
    let bytes = without_mark(bytes);
    let object = Object::of_bytes(bytes).map_err(|error| {
        let message = match error.classify() {
            serde_json::error::Category::Data => "the request body must be a JSON object".to_owned(),
            _ if bytes.is_empty() => "the request body is empty; it must be a JSON object".to_owned(),
            _ => format!("the request body is not valid JSON: {error}"),
        };
        Fault::new(FaultKind::InvalidRequest, message)
    })?;
    if is_nested_within(bytes, DEEPEST) {
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
    Object::of(raw.get()).map_err(|_| mismatch(raw, path, "an object"))
}

/// Reads the elements of the array in `raw`.
pub fn array<'a>(raw: &'a RawValue, path: &Path<'_>) -> Result<Vec<&'a RawValue>, Fault> {
    elements(raw.get()).ok_or_else(|| mismatch(raw, path, "an array"))
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

fn mismatch(raw: &RawValue, path: &Path<'_>, expected: &str) -> Fault {
    Fault::invalid(path.to_string(), format!("'{path}' must be {expected}, but is {}", kind(raw)))
}

/// The beginning of a letter by its number. A 5, 6 or 7 follows for small letters and the underscore.
const ESCAPE: &[u8] = br"\u00";

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
    fn a_mismatch_names_the_field_and_both_kinds() {
        let raw: &RawValue = serde_json::from_str("[1]").unwrap();
        let error = string(raw, &Path::Root.key("model")).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("model"));
        assert_eq!(error.message, "'model' must be a string, but is an array");
    }
}
