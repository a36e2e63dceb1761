//! Keys of other APIs in messages and outputs that have this API's own form otherwise.
//!
//! * A participant's `name` becomes a text before the message, as in chat, and a `refusal` a text of it.
//! * All others have no effect and are listed: the backend refuses some of them, and knows none.
//! * Unknown keys pass: the backend may know them.

use serde_json::value::RawValue;

use crate::backend::request::write_turn;
use crate::conversation::content::{Content, Part};
use crate::conversation::ignored::Ignored;
use crate::conversation::turn::Turn;
use crate::dialect::responses::message::text_kind;
use crate::json::{self, ArrayWriter, Object, ObjectWriter, Path, Text};

/// Returns the items for the message at `path`; `None` if it has no such keys. A message with nothing else is left out.
pub(super) fn of_message(message: &Object<'_>, path: &Path<'_>, ignored: &mut Ignored) -> Option<Vec<Box<RawValue>>> {
    let content = message.find("content");
    let has_keys = message.iter().any(|(key, _)| KEYS.contains(&key) || matches!(key, "name" | "refusal"));
    if !has_keys && !content.is_some_and(has_part_keys) {
        return None;
    }
    ignored.add_foreign(message, &KEYS, path);
    let role = message.find("role").and_then(Text::of).map(Text::decode).unwrap_or_default();
    let refusal = message.find("refusal").and_then(Text::of).filter(|text| role == "assistant" && !text.is_empty());
    let name = message.find("name").and_then(Text::of).filter(|_| content.is_some());
    if name.is_none() {
        ignored.add_foreign(message, &["name"], path);
    }
    if refusal.is_none() {
        ignored.add_foreign(message, &["refusal"], path);
    }
    let name = name.filter(|name| !name.is_empty());
    let mut json = Vec::new();
    let mut items = ArrayWriter::begin(&mut json);
    // The model would imitate a name inside its own text.
    let author = name.filter(|_| role == "assistant");
    if let Some(name) = author {
        let content = Content::Parts(vec![Part::Name(name)]);
        write_turn(&Turn::Assistant { content, refusal: None, calls: Vec::new() }, &mut items);
    }
    if content.is_some() || refusal.is_some() {
        let speaker = name.filter(|_| author.is_none());
        let mut object = items.object();
        for (key, value) in message.iter() {
            if !KEYS.contains(&key) && !matches!(key, "name" | "refusal" | "content") {
                object.raw(key, value);
            }
        }
        let parts = Parts { speaker, content, refusal, role: &role };
        parts.write(&path.key("content"), object.key("content"), ignored);
        object.end();
    }
    items.end();
    serde_json::from_slice(&json).ok()
}

/// Returns the item for the output of a tool at `path`; `None` if its parts have no such keys.
pub(super) fn of_output(output: &Object<'_>, path: &Path<'_>, ignored: &mut Ignored) -> Option<Vec<Box<RawValue>>> {
    output.find("output").filter(|content| has_part_keys(content))?;
    let mut json = Vec::new();
    let mut object = ObjectWriter::begin(&mut json);
    for (key, value) in output.iter() {
        if key == "output" {
            let mut parts = ArrayWriter::begin(object.key(key));
            write_parts(value, &path.key(key), &mut parts, ignored);
            parts.end();
        } else {
            object.raw(key, value);
        }
    }
    object.end();
    Some(vec![serde_json::from_slice(&json).ok()?])
}

/// The content of a message.
struct Parts<'m> {
    /// The participant, named in a part before the others.
    speaker: Option<Text<'m>>,
    content: Option<&'m RawValue>,
    refusal: Option<Text<'m>>,
    role: &'m str,
}

impl Parts<'_> {
    fn write(&self, path: &Path<'_>, out: &mut Vec<u8>, ignored: &mut Ignored) {
        let content = self.content.filter(|content| self.refusal.is_none() || content.get() != "\"\"");
        let is_list = content.is_none_or(|content| json::kind(content) == "an array");
        if let (Some(content), None, None, false) = (content, self.speaker, self.refusal, is_list) {
            out.extend_from_slice(content.get().as_bytes());
            return;
        }
        let mut parts = ArrayWriter::begin(out);
        let write_text = |text: Text<'_>, parts: &mut ArrayWriter<'_>| {
            let mut part = parts.object();
            part.string("type", text_kind(self.role)).text("text", text);
            part.end();
        };
        if let Some(name) = self.speaker {
            // Parts of a message may be joined without a separator.
            write_text(Text::from_escaped(&format!(r"{}:\n", name.escaped())), &mut parts);
        }
        match content.map(|content| (content, Text::of(content))) {
            Some((_, Some(text))) => write_text(text, &mut parts),
            Some((content, None)) => write_parts(content, path, &mut parts, ignored),
            None => {}
        }
        if let Some(refusal) = self.refusal {
            write_text(refusal, &mut parts);
        }
        parts.end();
    }
}

/// Writes the parts in `content` without the keys that have no effect. What is no list is one part.
fn write_parts(content: &RawValue, path: &Path<'_>, parts: &mut ArrayWriter<'_>, ignored: &mut Ignored) {
    let values = serde_json::from_str::<Vec<&RawValue>>(content.get()).unwrap_or_else(|_| vec![content]);
    for (index, value) in values.into_iter().enumerate() {
        match serde_json::from_str::<Object<'_>>(value.get()) {
            Ok(part) if part.iter().any(|(key, _)| PART_KEYS.contains(&key)) => {
                ignored.add_foreign(&part, &PART_KEYS, &path.index(index));
                let mut object = parts.object();
                for (key, value) in part.iter().filter(|(key, _)| !PART_KEYS.contains(key)) {
                    object.raw(key, value);
                }
                object.end();
            }
            Ok(_) | Err(_) => parts.element().extend_from_slice(value.get().as_bytes()),
        }
    }
}

/// Returns whether a part in `content` has a key without effect.
fn has_part_keys(content: &RawValue) -> bool {
    let json = content.get();
    if !json.starts_with('[') || !json::may_have(json, &QUOTED_PART_KEYS) {
        return false;
    }
    let parts = serde_json::from_str::<Vec<&RawValue>>(json).unwrap_or_default();
    let objects = parts.into_iter().filter_map(|part| serde_json::from_str::<Object<'_>>(part.get()).ok());
    objects.into_iter().any(|part| part.iter().any(|(key, _)| PART_KEYS.contains(&key)))
}

/// The keys of messages in other APIs, and in the answers of other programs that clients keep.
const KEYS: [&str; 11] = [
    "annotations",
    "audio",
    "cache_control",
    "function_call",
    "provider_specific_fields",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking_blocks",
    "tool_call_id",
    "tool_calls",
];

/// The keys of parts, of which the backend is known to refuse the first.
const PART_KEYS: [&str; 2] = ["prompt_cache_breakpoint", "cache_control"];
const QUOTED_PART_KEYS: [&str; 2] = ["\"prompt_cache_breakpoint\"", "\"cache_control\""];
