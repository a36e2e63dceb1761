//! Validation of the parts of messages and tool outputs.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value};

use crate::settings::RefusedFiles;
use crate::validate::{Rejection, only_words, required_text};

/// Checks the content of a message of `role`: a text or a list of parts.
pub(super) fn check_message(
    content: Option<&Value>,
    role: &str,
    path: &str,
    refused: RefusedFiles,
) -> Result<(), Rejection> {
    let path = format!("{path}.content");
    let supported = if role == "assistant" { ASSISTANT_PARTS } else { USER_PARTS };
    match content {
        Some(Value::String(_)) => Ok(()),
        Some(Value::Array(parts)) => check_parts(parts, supported, &path, refused),
        None | Some(Value::Null) => Err(Rejection::missing(&path)),
        Some(other) => Err(Rejection::wrong_type(&path, "an array of objects or a string", other)),
    }
}

/// Checks the output of a tool: a text or a list of parts.
pub(super) fn check_output(output: Option<&Value>, path: &str, refused: RefusedFiles) -> Result<(), Rejection> {
    let path = format!("{path}.output");
    match output {
        Some(Value::String(_)) => Ok(()),
        Some(Value::Array(parts)) => {
            let supported = if refused.in_outputs { OUTPUT_PARTS_WITHOUT_FILES } else { OUTPUT_PARTS };
            check_parts(parts, supported, &path, refused)
        }
        None | Some(Value::Null) => Err(Rejection::missing(&path)),
        Some(other) => Err(Rejection::wrong_type(&path, "an array of objects or a string", other)),
    }
}

/// Checks parts, whose types must be among `supported`.
pub(super) fn check_parts(
    parts: &[Value],
    supported: &[&str],
    path: &str,
    refused: RefusedFiles,
) -> Result<(), Rejection> {
    for (index, part) in parts.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(part) = part.as_object() else { return Err(Rejection::wrong_type(&path, "an object", part)) };
        let kind = required_text(part, "type", &path)?;
        if !supported.contains(&kind) {
            return Err(Rejection::unsupported(&path, &Value::from(kind), supported));
        }
        check_part(part, kind, &path)?;
        if refused.at_urls && part.contains_key("file_url") {
            return Err(Rejection::unknown(&format!("{path}.file_url")));
        }
    }
    Ok(())
}

fn check_part(part: &Map<String, Value>, kind: &str, path: &str) -> Result<(), Rejection> {
    let allowed: &[&str] = match kind {
        "output_text" => &["text", "annotations", "logprobs"],
        "refusal" => &["refusal"],
        "input_image" => &["image_url", "detail"],
        "input_file" => &["file_data", "filename", "file_url"],
        "input_audio" => &["audio_url"],
        "encrypted_content" => &["encrypted_content"],
        _ => &["text"],
    };
    if let Some(key) = part.keys().find(|key| *key != "type" && !allowed.contains(&key.as_str())) {
        return Err(match key.as_str() {
            "prompt_cache_breakpoint" => Rejection::detail(format!("Unsupported parameter: {key}")),
            _ => Rejection::unknown(&format!("{path}.{key}")),
        });
    }
    match kind {
        "input_image" => check_image(part, path),
        "input_file" => check_file(part, path),
        other => {
            let key = allowed.first().copied().unwrap_or(other);
            required_text(part, key, path).map(drop)
        }
    }
}

fn check_image(part: &Map<String, Value>, path: &str) -> Result<(), Rejection> {
    only_words(part.get("detail"), &["low", "high", "auto", "original"], &format!("{path}.detail"))?;
    let path = format!("{path}.image_url");
    let url = match part.get("image_url") {
        Some(Value::String(url)) => url,
        None | Some(Value::Null) => return Err(Rejection::missing(&path)),
        Some(other) => return Err(Rejection::wrong_type(&path, "an image URL", other)),
    };
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    let Some((media_type, data)) = data_url(url) else {
        let message = format!("Invalid '{path}'. Expected a valid URL, but got a value with an invalid format.");
        return Err(Rejection::error(Some("invalid_value"), Some(&path), message));
    };
    let known = matches!(media_type, "image/png" | "image/jpeg" | "image/jpg" | "image/gif" | "image/webp");
    if known && data.is_some_and(|data| is_image(&data)) {
        return Ok(());
    }
    Err(Rejection::error(
        Some("invalid_image"),
        Some(&path),
        "The image data you provided does not represent a valid image. Please check your input and try again with one of \
         the supported image formats: ['image/jpeg', 'image/png', 'image/gif', 'image/webp'].",
    ))
}

fn check_file(part: &Map<String, Value>, path: &str) -> Result<(), Rejection> {
    if part.contains_key("file_url") {
        return required_text(part, "file_url", path).map(drop);
    }
    let data = required_text(part, "file_data", path)?;
    required_text(part, "filename", path)?;
    if matches!(data_url(data), Some((_, Some(_)))) {
        return Ok(());
    }
    let path = format!("{path}.file_data");
    let message =
        format!("Invalid '{path}'. Expected a base64-encoded data URL with a MIME type, but got a value without one.");
    Err(Rejection::error(Some("invalid_value"), Some(&path), message))
}

/// Splits a base64 data URL into media type and bytes; no bytes if they do not decode.
fn data_url(url: &str) -> Option<(&str, Option<Vec<u8>>)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    let bytes = STANDARD.decode(data).or_else(|_| STANDARD_NO_PAD.decode(data)).ok();
    Some((media_type.split(';').next().unwrap_or_default(), bytes.filter(|bytes| !bytes.is_empty())))
}

/// Returns whether the bytes begin like one of the backend's image formats.
fn is_image(bytes: &[u8]) -> bool {
    const MAGIC: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF"];
    MAGIC.iter().any(|magic| bytes.starts_with(magic))
}

const ASSISTANT_PARTS: &[&str] = &["output_text", "refusal"];
const USER_PARTS: &[&str] = &["input_text", "input_image", "input_file", "input_audio"];
const OUTPUT_PARTS_WITHOUT_FILES: &[&str] = &["input_text", "input_image"];
const OUTPUT_PARTS: &[&str] = &["input_text", "input_image", "input_file", "input_audio", "encrypted_content"];
