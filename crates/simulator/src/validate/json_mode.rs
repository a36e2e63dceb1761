//! Validation of JSON mode, which requires the word "json" in the conversation.

use serde_json::{Map, Value};

use crate::validate::{Rejection, items};

/// Refuses `text.format` of type `json_object` unless a message of `input` has the word "json" in it, in any case.
///
/// `instructions` do not count (miracodeai/mira#267, 2026-08-24, on a Codex backend). Tools' arguments and outputs do
/// not count here; the backend's rule for them is unknown.
pub(super) fn check(body: &Map<String, Value>, input: &[Value]) -> Result<(), Rejection> {
    let kind = body.get("text").and_then(|text| text.get("format")).and_then(|format| format.get("type"));
    if kind != Some(&Value::from("json_object")) || input.iter().any(says_json) {
        return Ok(());
    }
    let message = "Response input messages must contain the word 'json' in some form to use 'text.format' of type \
                   'json_object'.";
    Err(Rejection::error(None, Some("input"), message))
}

fn says_json(item: &Value) -> bool {
    let Some(message) = item.as_object().filter(|item| items::kind(item) == Some("message")) else { return false };
    match message.get("content") {
        Some(Value::String(text)) => has_word(text),
        Some(Value::Array(parts)) => {
            parts.iter().any(|part| part.get("text").and_then(Value::as_str).is_some_and(has_word))
        }
        _ => false,
    }
}

fn has_word(text: &str) -> bool {
    text.to_ascii_lowercase().contains("json")
}
