//! Blocks: the parts of messages.
//!
//! * Parts of OpenAI's APIs, whose names no block has, are read by chat's parser.
//! * An unknown block is forwarded as the text of its JSON and is listed, so that nothing is lost.

use serde_json::value::RawValue;

use crate::backend::request::names::sent_name;
use crate::conversation::call::{Call, CallReference, Payload};
use crate::conversation::content::{Content, Part, Source};
use crate::conversation::ignored::Ignored;
use crate::dialect::chat::content;
use crate::fault::Fault;
use crate::json::{self, Object, Path, Text, escape};

/// Reads `{"type":"tool_use","id","name","input"}`.
pub(in crate::dialect) fn tool_use<'a>(
    block: &Object<'a>,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Call<'a>, Fault> {
    ignored.add_unknown(block, &["type", "id", "name", "input", "cache_control", "caller", "toolset_name"], path);
    let id = json::text(json::required(block, "id", path)?, &path.key("id"))?;
    let name = json::text(json::required(block, "name", path)?, &path.key("name"))?;
    let input = block.find("input").filter(|value| value.get() != "null");
    let payload = input.map_or(Payload::Text(Text::from_escaped("{}")), Payload::Json);
    Ok(Call { id: Some(id), custom: false, name, payload, forgets_reasoning: false })
}

/// Reads `{"type":"tool_result","tool_use_id","content","is_error"}`; an error is marked in its first part, unless its
/// text tells it. `read` reads the tool's output.
pub(in crate::dialect) fn tool_result<'a>(
    block: &Object<'a>,
    path: &Path<'_>,
    ignored: &mut Ignored,
    read: impl FnOnce(&'a RawValue, &Path<'_>, &mut Ignored) -> Result<Content<'a>, Fault>,
) -> Result<(CallReference<'a>, Content<'a>), Fault> {
    let known = ["type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"];
    ignored.add_unknown(block, &known, path);
    let id = json::text(json::required(block, "tool_use_id", path)?, &path.key("tool_use_id"))?;
    let content = match block.find("content").filter(|value| value.get() != "null") {
        Some(value) => read(value, &path.key("content"), ignored)?,
        None => Content::Absent,
    };
    let failed = block.find("is_error").filter(|value| value.get() != "null");
    let failed = failed.map(|flag| json::boolean(flag, &path.key("is_error"))).transpose()?.unwrap_or(false);
    let heading = (failed && !says_error(&content)).then_some(Part::Text(Text::from_escaped(TOOL_ERROR)));
    Ok((CallReference::Id(id), content.between(heading, Vec::new())))
}

/// Returns whether a content tells of an error by itself.
fn says_error(content: &Content<'_>) -> bool {
    let first = match content {
        Content::Absent => return false,
        Content::Text(text) => *text,
        Content::Parts(parts) => match parts.first() {
            Some(Part::Text(text)) => *text,
            _ => return false,
        },
    };
    ["Error", "<tool_use_error>", TOOL_ERROR].iter().any(|beginning| first.begins_with(beginning))
}

/// Reads the content of a tool's result: a string, or blocks.
pub(super) fn output<'a>(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<Content<'a>, Fault> {
    if let Some(text) = Text::of(value) {
        return Ok(Content::Text(text));
    }
    let mut parts = Vec::new();
    for (index, value) in json::array(value, path)?.into_iter().enumerate() {
        let path = path.index(index);
        let block = json::object(value, &path)?;
        shown(value, &block, &path, &mut parts, ignored)?;
    }
    Ok(match parts.as_slice() {
        [] => Content::Text(Text::EMPTY),
        [Part::Text(text)] => Content::Text(*text),
        _ => Content::Parts(parts),
    })
}

/// Appends the parts by a user or a tool in `block`, which is `value` at `path`.
pub(super) fn shown<'a>(
    value: &'a RawValue,
    block: &Object<'a>,
    path: &Path<'_>,
    parts: &mut Vec<Part<'a>>,
    ignored: &mut Ignored,
) -> Result<(), Fault> {
    match kind(block, path)?.decode().as_ref() {
        "text" => {
            ignored.add_unknown(block, &["type", "text", "cache_control", "citations"], path);
            let text = json::text(json::required(block, "text", path)?, &path.key("text"))?;
            parts.extend((!text.is_empty()).then_some(Part::Text(text)));
        }
        "image" => parts.push(image(block, path, ignored)?),
        "document" => document(block, path, parts, ignored)?,
        "search_result" => parts.push(search_result(block, path)?),
        "tool_reference" => {
            let name = block.find("tool_name").or_else(|| block.find("name")).and_then(Text::of);
            let name = name.map(sent_name).unwrap_or_default();
            parts.push(Part::Composed(format!("Tool loaded: {name}")));
        }
        "container_upload" => return Err(no_files(path)),
        kind if OPENAI_PARTS.contains(&kind) => {
            let part = content::part_of(block, kind, path, ignored)?;
            parts.extend(Some(part).filter(|part| !matches!(part, Part::Text(text) if text.is_empty())));
        }
        _ => unknown(value, path, parts, ignored),
    }
    Ok(())
}

/// Appends a block that is not understood, as the text of its JSON.
fn unknown<'a>(value: &'a RawValue, path: &Path<'_>, parts: &mut Vec<Part<'a>>, ignored: &mut Ignored) {
    ignored.add(path);
    parts.push(Part::Composed(escape(value.get())));
}

/// Returns the `type` of a block.
pub(super) fn kind<'a>(block: &Object<'a>, path: &Path<'_>) -> Result<Text<'a>, Fault> {
    json::text(json::required(block, "type", path)?, &path.key("type"))
}

/// Reads `{"type":"image","source":{"type":"base64","media_type","data"}}`, or a source with a `url`.
pub(in crate::dialect) fn image<'a>(
    block: &Object<'a>,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Part<'a>, Fault> {
    ignored.add_unknown(block, &["type", "source", "cache_control"], path);
    let source = source(block, path)?;
    let path = path.key("source");
    let source = match source.kind.decode().as_ref() {
        "base64" => {
            let data = source.text("data", &path)?;
            if !is_base64(data) {
                // Claude Code removes the image from the conversation on this message.
                return Err(
                    Fault::invalid(path.key("data").to_string(), "Could not process image").with_code("invalid_image")
                );
            }
            Source::Base64 { media_type: source.text("media_type", &path)?, data }
        }
        "url" => Source::Url(source.text("url", &path)?),
        "file" => return Err(no_files(&path)),
        other => return Err(unknown_source(other, "base64 or url", &path)),
    };
    Ok(Part::Image { source, detail: None })
}

/// Reads a document: a PDF or a file with a URL as a file, anything else as its texts and images after title and
/// context.
fn document<'a>(
    block: &Object<'a>,
    path: &Path<'_>,
    parts: &mut Vec<Part<'a>>,
    ignored: &mut Ignored,
) -> Result<(), Fault> {
    ignored.add_unknown(block, &["type", "source", "title", "context", "citations", "cache_control"], path);
    let source = source(block, path)?;
    let path = path.key("source");
    let text = |key: &str| block.find(key).and_then(Text::of).filter(|text| !text.is_empty());
    let (title, context) = (text("title"), text("context"));
    let context_part = context.map(Part::Text);
    let heading = title.map(Part::Text);
    match source.kind.decode().as_ref() {
        "base64" => {
            let (media_type, data) = (source.text("media_type", &path)?, source.text("data", &path)?);
            if !is_base64(data) {
                return Err(
                    Fault::invalid(path.key("data").to_string(), "Could not process PDF").with_code("invalid_file")
                );
            }
            parts.extend(context_part);
            let name = Some(title.unwrap_or(Text::from_escaped("document.pdf")));
            parts.push(Part::File { data: Some(Source::Base64 { media_type, data }), name, url: None });
        }
        "url" => {
            parts.extend(heading.into_iter().chain(context_part));
            parts.push(Part::File { data: None, name: None, url: Some(source.text("url", &path)?) });
        }
        "text" => {
            parts.extend(heading.into_iter().chain(context_part));
            let data = source.text("data", &path)?;
            parts.extend((!data.is_empty()).then_some(Part::Text(data)));
        }
        "content" => {
            parts.extend(heading.into_iter().chain(context_part));
            let content = json::required(&source.object, "content", &path)?;
            document_blocks(content, &path.key("content"), parts, ignored)?;
        }
        "file" => return Err(no_files(&path)),
        other => return Err(unknown_source(other, "base64, text, content or url", &path)),
    }
    Ok(())
}

/// Appends the texts and images of a document. The API has no other blocks in one: documents in documents would be read
/// once for each level.
fn document_blocks<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    parts: &mut Vec<Part<'a>>,
    ignored: &mut Ignored,
) -> Result<(), Fault> {
    if let Some(text) = Text::of(value) {
        parts.extend((!text.is_empty()).then_some(Part::Text(text)));
        return Ok(());
    }
    for (index, value) in json::array(value, path)?.into_iter().enumerate() {
        let path = path.index(index);
        let block = json::object(value, &path)?;
        match kind(&block, &path)?.decode().as_ref() {
            "text" | "image" => shown(value, &block, &path, parts, ignored)?,
            _ => unknown(value, &path, parts, ignored),
        }
    }
    Ok(())
}

/// Reads a result of the client's own search: title, source and texts, as one text.
fn search_result<'a>(block: &Object<'a>, path: &Path<'_>) -> Result<Part<'a>, Fault> {
    let text = |key: &str| block.find(key).and_then(Text::of).map(Text::escaped);
    let mut lines: Vec<&str> = [text("title"), text("source")].into_iter().flatten().collect();
    let content_path = path.key("content");
    let blocks = block.find("content").map(|value| json::array(value, &content_path)).transpose()?.unwrap_or_default();
    for (index, value) in blocks.into_iter().enumerate() {
        let block = json::object(value, &content_path.index(index))?;
        lines.extend(block.find("text").and_then(Text::of).map(Text::escaped));
    }
    Ok(Part::Composed(lines.join(r"\n")))
}

/// The source of an image or a document.
struct Place<'a> {
    kind: Text<'a>,
    object: Object<'a>,
}

fn source<'a>(block: &Object<'a>, path: &Path<'_>) -> Result<Place<'a>, Fault> {
    let (value, path) = (json::required(block, "source", path)?, path.key("source"));
    let object = json::object(value, &path)?;
    let kind = json::text(json::required(&object, "type", &path)?, &path.key("type"))?;
    Ok(Place { kind, object })
}

impl<'a> Place<'a> {
    fn text(&self, key: &str, path: &Path<'_>) -> Result<Text<'a>, Fault> {
        json::text(json::required(&self.object, key, path)?, &path.key(key))
    }
}

/// Returns whether a text is readable base64, with or without its padding. Only a slash is ever escaped in it.
fn is_base64(data: Text<'_>) -> bool {
    let text = data.decode();
    let digits = text.trim_end_matches('=');
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    !digits.is_empty()
        && text.len() - digits.len() <= 2
        && digits.len() % 4 != 1
        && digits.as_bytes().iter().all(is_digit)
}

fn no_files(path: &Path<'_>) -> Fault {
    let message = format!("'{path}': file sources are not available; send the file itself, in base64");
    Fault::unsupported(path.to_string(), message)
}

fn unknown_source(found: &str, known: &str, path: &Path<'_>) -> Fault {
    let path = path.key("type");
    Fault::invalid(path.to_string(), format!("'{path}' must be {known}, but is '{found}'"))
}

/// The parts of chat and of the Responses API, other than `text`.
const OPENAI_PARTS: [&str; 8] =
    ["input_text", "output_text", "refusal", "image_url", "input_image", "file", "input_file", "input_audio"];

/// The beginning of a failed output, for which the backend has no flag.
const TOOL_ERROR: &str = "[tool error]";
