//! Blocks: the parts of messages.

use serde_json::value::RawValue;

use crate::conversation::call::{Call, CallReference, Payload};
use crate::conversation::content::{Content, Part, Source};
use crate::conversation::ignored::Ignored;
use crate::fault::ApiError;
use crate::json;
use crate::json::{Object, Path, Text};

/// `{"type":"tool_use","id","name","input"}`.
pub(in crate::dialect) fn tool_use<'a>(
    block: &Object<'a>,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Call<'a>, ApiError> {
    ignored.add_unknown(block, &["type", "id", "name", "input"], path);
    let id = json::text(json::required(block, "id", path)?, &path.key("id"))?;
    let name = json::text(json::required(block, "name", path)?, &path.key("name"))?;
    let payload = block.find("input").map_or(Payload::Text(Text::from_escaped("{}")), Payload::Json);
    Ok(Call { id: Some(id), custom: false, name, payload })
}

/// `{"type":"tool_result","tool_use_id","content","is_error"}`; an error says so in its first part. `content` reads what
/// the tool returned.
pub(in crate::dialect) fn tool_result<'a>(
    block: &Object<'a>,
    path: &Path<'_>,
    ignored: &mut Ignored,
    content: impl FnOnce(&'a RawValue, &Path<'_>, &mut Ignored) -> Result<Content<'a>, ApiError>,
) -> Result<(CallReference<'a>, Content<'a>), ApiError> {
    ignored.add_unknown(block, &["type", "tool_use_id", "content", "is_error"], path);
    let id = json::text(json::required(block, "tool_use_id", path)?, &path.key("tool_use_id"))?;
    let content = match block.find("content") {
        Some(value) => content(value, &path.key("content"), ignored)?,
        None => Content::Absent,
    };
    let failed = block.find("is_error").map(|flag| json::boolean(flag, &path.key("is_error"))).transpose()?;
    let heading = failed.unwrap_or(false).then_some(Part::Text(Text::from_escaped("[tool error]")));
    Ok((CallReference::Id(id), content.between(heading, Vec::new())))
}

/// `{"type":"image","source":{"type":"base64","media_type","data"}}`, or a source with a `url`.
pub(in crate::dialect) fn image<'a>(
    block: &Object<'a>,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Part<'a>, ApiError> {
    ignored.add_unknown(block, &["type", "source"], path);
    let (source, path) = (json::required(block, "source", path)?, &path.key("source"));
    let source = json::object(source, path)?;
    let text = |key: &str| json::text(json::required(&source, key, path)?, &path.key(key));
    let source = match text("type")?.escaped() {
        "base64" => {
            ignored.add_unknown(&source, &["type", "media_type", "data"], path);
            Source::Base64 { media_type: text("media_type")?, data: text("data")? }
        }
        "url" => {
            ignored.add_unknown(&source, &["type", "url"], path);
            Source::Url(text("url")?)
        }
        other => {
            let path = path.key("type");
            let message = format!("'{path}' must be base64 or url, but is '{other}'");
            return Err(ApiError::invalid(path.to_string(), message));
        }
    };
    Ok(Part::Image { source, detail: None })
}
