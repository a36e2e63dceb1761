//! Shapes of other APIs that clients put into chat messages: Anthropic's blocks and Ollama's list of images.

use serde_json::value::RawValue;

use super::call::{Call, CallReference, Payload};
use super::content::{Content, ImageSource, Parsed, Part};
use crate::openai::error::ApiError;
use crate::openai::ignored::Ignored;
use crate::openai::json::{self, Object, Path, Text};

/// `{"type":"tool_use","id","name","input"}`.
pub(super) fn tool_use<'a>(block: &Object<'a>, path: &Path<'_>, ignored: &mut Ignored) -> Result<Call<'a>, ApiError> {
    ignored.add_unknown(block, &["type", "id", "name", "input"], path);
    let id = json::text(json::required(block, "id", path)?, &path.key("id"))?;
    let name = json::text(json::required(block, "name", path)?, &path.key("name"))?;
    let payload = block.find("input").map_or(Payload::Text(Text::from_escaped("{}")), Payload::Json);
    Ok(Call { id: Some(id), custom: false, name, payload })
}

/// `{"type":"tool_result","tool_use_id","content","is_error"}`; an error says so in its first part.
pub(super) fn tool_result<'a>(
    block: &Object<'a>,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<(CallReference<'a>, Content<'a>), ApiError> {
    ignored.add_unknown(block, &["type", "tool_use_id", "content", "is_error"], path);
    let id = json::text(json::required(block, "tool_use_id", path)?, &path.key("tool_use_id"))?;
    let content = Parsed::of_message(block, "tool", path, ignored)?.content;
    let failed = block.find("is_error").map(|flag| json::boolean(flag, &path.key("is_error"))).transpose()?;
    let heading = failed.unwrap_or(false).then_some(Part::Text(Text::from_escaped("[tool error]")));
    Ok((CallReference::Id(id), content.between(heading, Vec::new())))
}

/// `{"type":"image","source":{"type":"base64","media_type","data"}}`, or a source with a `url`.
pub(super) fn image<'a>(block: &Object<'a>, path: &Path<'_>, ignored: &mut Ignored) -> Result<Part<'a>, ApiError> {
    ignored.add_unknown(block, &["type", "source"], path);
    let (source, path) = (json::required(block, "source", path)?, &path.key("source"));
    let source = json::object(source, path)?;
    let text = |key: &str| json::text(json::required(&source, key, path)?, &path.key(key));
    let source = match text("type")?.escaped() {
        "base64" => {
            ignored.add_unknown(&source, &["type", "media_type", "data"], path);
            ImageSource::Base64 { media_type: text("media_type")?, data: text("data")? }
        }
        "url" => {
            ignored.add_unknown(&source, &["type", "url"], path);
            ImageSource::Url(text("url")?)
        }
        other => {
            let path = path.key("type");
            let message = format!("'{path}' must be base64 or url, but is '{other}'");
            return Err(ApiError::invalid(path.to_string(), message));
        }
    };
    Ok(Part::Image { source, detail: None })
}

/// The images in a message's `images`: bare base64 as Ollama has it, URLs, or parts as answers have them. Whatever is not
/// plainly an image is ignored.
pub(super) fn images<'a>(message: &Object<'a>, path: &Path<'_>, ignored: &mut Ignored) -> Vec<Part<'a>> {
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
        return Part::image(&json::object(value, path).ok()?, path, ignored).ok();
    };
    let is_url = ["data:image/", "https://", "http://"].iter().any(|scheme| text.escaped().starts_with(scheme));
    let source = if is_url {
        ImageSource::Url(text)
    } else {
        // A slash may be escaped, and in base64 nothing else is.
        let beginning: String = text.escaped().chars().take(16).filter(|character| *character != '\\').collect();
        let (_, media_type) = BEGINNINGS.iter().find(|(known, _)| beginning.starts_with(known))?;
        ImageSource::Base64 { media_type: Text::from_escaped(media_type), data: text }
    };
    Some(Part::Image { source, detail: None })
}

/// How the formats that the backend reads begin in base64.
const BEGINNINGS: [(&str, &str); 4] =
    [("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];
