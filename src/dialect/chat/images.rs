//! Ollama's list of images next to the content of a message.

use serde_json::value::RawValue;

use crate::conversation::content::{Part, Source};
use crate::conversation::ignored::Ignored;
use crate::dialect::chat::content;
use crate::json;
use crate::json::{Object, Path, Text};

/// Reads the images in a message's `images`: bare base64 as in Ollama, URLs, or parts as in answers. A value of any
/// other form is ignored.
pub(super) fn of_message<'a>(message: &Object<'a>, path: &Path<'_>, ignored: &mut Ignored) -> Vec<Part<'a>> {
    let path = path.key("images");
    let Some(value) = message.find("images") else { return Vec::new() };
    let Ok(values) = json::array(value, &path) else {
        ignored.add(&path);
        return Vec::new();
    };
    let mut parts = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let path = path.index(index);
        match listed(value, &path, ignored) {
            Some(part) => parts.push(part),
            None => ignored.add(&path),
        }
    }
    parts
}

fn listed<'a>(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Option<Part<'a>> {
    let Some(text) = Text::of(value) else {
        return content::image(&json::object(value, path).ok()?, path, ignored).ok();
    };
    let is_url = ["data:image/", "https://", "http://"].iter().any(|scheme| text.begins_with(scheme));
    let source = if is_url {
        Source::Url(text)
    } else {
        // A slash may be escaped, and in base64 nothing else is.
        let beginning: String = text.escaped().chars().take(16).filter(|character| *character != '\\').collect();
        let (_, media_type) = BEGINNINGS.iter().find(|(known, _)| beginning.starts_with(known))?;
        Source::Base64 { media_type: Text::from_escaped(media_type), data: text }
    };
    Some(Part::Image { source, detail: None })
}

/// The base64 beginnings of the formats that the backend reads.
const BEGINNINGS: [(&str, &str); 4] =
    [("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];
