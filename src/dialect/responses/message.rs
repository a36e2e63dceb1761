//! Messages in the form that the backend accepts.
//!
//! * A text as content becomes a part, and the role `system` becomes `developer`.
//! * Parts under chat's names (`text`, `image_url`), which some clients send, get this API's names. All other parts
//!   pass byte for byte.

use serde_json::value::RawValue;

use crate::json::{ArrayWriter, Object, ObjectWriter, Text};

/// Writes a message of one text.
pub(super) fn write_plain_message(role: &str, text: Text<'_>, mut message: ObjectWriter<'_>) {
    message.string("type", "message").string("role", role);
    write_text_content(role, text, &mut message);
    message.end();
}

fn write_text_content(role: &str, text: Text<'_>, message: &mut ObjectWriter<'_>) {
    let mut parts = ArrayWriter::begin(message.key("content"));
    let mut part = parts.object();
    part.string("type", text_kind(role)).text("text", text);
    part.end();
    parts.end();
}

/// Returns the type of a text in a message of `role`.
pub(super) fn text_kind(role: &str) -> &'static str {
    if role == "assistant" { "output_text" } else { "input_text" }
}

/// Writes a message in the form that the backend accepts.
pub(super) fn write_message(item: &Object<'_>, mut message: ObjectWriter<'_>) {
    let role = item.find("role").and_then(Text::of).map(Text::decode);
    let role = role.as_deref().map(|role| if role == "system" { "developer" } else { role });
    message.string("type", "message");
    for (key, value) in item.iter().filter(|(key, _)| !matches!(*key, "type" | "id")) {
        match (key, role, Text::of(value)) {
            ("role", Some(role), _) => {
                message.string("role", role);
            }
            ("content", _, Some(text)) => write_text_content(role.unwrap_or_default(), text, &mut message),
            ("content", _, None) => write_parts(role.unwrap_or_default(), value, message.key(key)),
            _ => {
                message.raw(key, value);
            }
        }
    }
    message.end();
}

fn write_parts(role: &str, content: &RawValue, out: &mut Vec<u8>) {
    let parts = serde_json::from_str::<Vec<&RawValue>>(content.get()).unwrap_or_default();
    let parts: Vec<_> = parts.into_iter().map(|part| (part, chat_part(part))).collect();
    if parts.iter().all(|(_, part)| part.is_none()) {
        out.extend_from_slice(content.get().as_bytes());
        return;
    }
    let mut array = ArrayWriter::begin(out);
    for (raw, part) in parts {
        match part {
            None => array.element().extend_from_slice(raw.get().as_bytes()),
            Some((ChatPart::Text, part)) => write_chat_text(text_kind(role), &part, array.object()),
            Some((ChatPart::Image, part)) => write_chat_image(&part, array.object()),
        }
    }
    array.end();
}

/// A part under chat's name.
#[derive(Debug, Clone, Copy)]
enum ChatPart {
    Text,
    Image,
}

fn chat_part(raw: &RawValue) -> Option<(ChatPart, Object<'_>)> {
    let part = serde_json::from_str::<Object<'_>>(raw.get()).ok()?;
    let kind = match part.find("type").and_then(Text::of)?.decode().as_ref() {
        "text" => ChatPart::Text,
        "image_url" => ChatPart::Image,
        _ => return None,
    };
    Some((kind, part))
}

fn write_chat_text(kind: &str, part: &Object<'_>, mut object: ObjectWriter<'_>) {
    object.string("type", kind);
    for (key, value) in part.iter().filter(|(key, _)| *key != "type") {
        object.raw(key, value);
    }
    object.end();
}

/// Writes an image, whose URL and detail chat nests one level deeper.
fn write_chat_image(part: &Object<'_>, mut object: ObjectWriter<'_>) {
    object.string("type", "input_image");
    for (key, value) in part.iter().filter(|(key, _)| *key != "type") {
        match serde_json::from_str::<Object<'_>>(value.get()) {
            Ok(location) if key == "image_url" => {
                for (key, value) in location.iter() {
                    object.raw(if key == "url" { "image_url" } else { key }, value);
                }
            }
            Ok(_) | Err(_) => {
                object.raw(key, value);
            }
        }
    }
    object.end();
}
