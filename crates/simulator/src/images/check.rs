//! Validation of requests for images.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::ImageEndpoint;
use crate::validate::Rejection;

/// Checks a request.
pub(super) fn request(body: &Map<String, Value>, endpoint: ImageEndpoint) -> Result<(), Rejection> {
    if text(body, "prompt")?.is_none_or(str::is_empty) {
        return Err(Rejection::missing("prompt"));
    }
    for name in ["model", "size", "quality", "output_format", "moderation"] {
        text(body, name)?;
    }
    if let Some(word) = text(body, "background")?
        && !BACKGROUNDS.contains(&word)
    {
        return Err(Rejection::unsupported("background", &word.into(), &BACKGROUNDS));
    }
    match endpoint {
        ImageEndpoint::Generations => Ok(()),
        ImageEndpoint::Edits => sources(body),
    }
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Rejection> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Rejection::wrong_type(name, "a string", other)),
    }
}

fn sources(body: &Map<String, Value>) -> Result<(), Rejection> {
    let images = match body.get("images") {
        None | Some(Value::Null) => return Err(Rejection::missing("images")),
        Some(Value::Array(images)) if images.is_empty() => return Err(Rejection::missing("images")),
        Some(Value::Array(images)) => images,
        Some(other) => return Err(Rejection::wrong_type("images", "an array of objects", other)),
    };
    if images.len() > MOST {
        let message = format!(
            "Invalid 'images': array too long. Expected an array with maximum length {MOST}, but got an array with \
             length {} instead.",
            images.len()
        );
        return Err(Rejection::error(Some("array_above_max_length"), Some("images"), message));
    }
    for (index, image) in images.iter().enumerate() {
        source(image, &format!("images[{index}]"))?;
    }
    match body.get("mask") {
        None | Some(Value::Null) => Ok(()),
        Some(mask) => source(mask, "mask"),
    }
}

fn source(image: &Value, path: &str) -> Result<(), Rejection> {
    let Some(object) = image.as_object() else { return Err(Rejection::wrong_type(path, "an object", image)) };
    let path = format!("{path}.image_url");
    let url = match object.get("image_url") {
        None | Some(Value::Null) => return Err(Rejection::missing(&path)),
        Some(Value::String(url)) => url,
        Some(other) => return Err(Rejection::wrong_type(&path, "a string", other)),
    };
    let Some(data) = url.strip_prefix("data:") else {
        return Err(Rejection::error(None, Some(&path), "Error while downloading file."));
    };
    let bytes = data.split_once(";base64,").and_then(|(_, data)| STANDARD.decode(data).ok());
    let is_image = |bytes: &Vec<u8>| {
        bytes.starts_with(b"\x89PNG\r\n\x1a\n")
            || bytes.starts_with(b"\xff\xd8\xff")
            || bytes.starts_with(b"GIF8")
            || (bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"))
    };
    if bytes.is_some_and(|bytes| is_image(&bytes)) {
        return Ok(());
    }
    let message =
        "The image data you provided does not represent a valid image. Please check your input and try again.";
    Err(Rejection::error(Some("invalid_image"), Some(&path), message))
}

const BACKGROUNDS: [&str; 3] = ["transparent", "opaque", "auto"];
const MOST: usize = 5;
