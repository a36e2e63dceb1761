//! The request for the backend.
//!
//! * As the Codex CLI does (0.155), it always names model, size, quality and background; `auto` where the client does not.
//! * Each call makes one image, so `n` is never sent.
//! * `output_format`, `output_compression`, `moderation`, `stream` and `partial_images` are passed on as the client has them:
//!   the backend takes them, whether or not it heeds them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::request::{ImageRequest, ImageSource};
use crate::json::{ArrayWriter, ObjectWriter, Text};

/// Writes the body of one call for `request`, addressed to `model`.
pub fn write(request: &ImageRequest<'_>, model: &str) -> Vec<u8> {
    let settings = &request.settings;
    let sources = request.images.iter().chain(&request.mask).map(length).sum::<usize>();
    let mut out = Vec::with_capacity(sources + request.prompt.len() + ROOM);
    let mut object = ObjectWriter::begin(&mut out);
    object.string("model", model).text("prompt", Text::from_escaped(&request.prompt));
    object.string("size", settings.size.as_deref().unwrap_or("auto"));
    object.string("quality", settings.quality.unwrap_or("auto"));
    object.string("background", settings.background.unwrap_or("auto"));
    for (name, word) in [("output_format", settings.output_format), ("moderation", settings.moderation)] {
        if let Some(word) = word {
            object.string(name, word);
        }
    }
    for (name, number) in
        [("output_compression", settings.output_compression), ("partial_images", settings.partial_images)]
    {
        if let Some(number) = number {
            object.unsigned(name, number);
        }
    }
    if request.stream {
        object.boolean("stream", true);
    }
    if !request.images.is_empty() {
        let mut images = ArrayWriter::begin(object.key("images"));
        for image in &request.images {
            write_source(image, images.element());
        }
        images.end();
    }
    if let Some(mask) = &request.mask {
        write_source(mask, object.key("mask"));
    }
    object.end();
    out
}

fn write_source(source: &ImageSource<'_>, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::begin(out);
    match source {
        ImageSource::Base64 { media_type, text } => {
            write_address(media_type, object.key("image_url"), |out| out.extend_from_slice(text.as_bytes()));
        }
        ImageSource::File { media_type, bytes } => {
            write_address(media_type, object.key("image_url"), |out| encode(bytes, out));
        }
    }
    object.end();
}

/// Writes the `data:` address of an image, whose base64 `write` appends.
fn write_address(media_type: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"\"data:");
    out.extend_from_slice(media_type.as_bytes());
    out.extend_from_slice(b";base64,");
    write(out);
    out.push(b'"');
}

/// Appends `bytes` in base64, without a copy in between.
fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + encoded(bytes.len()), 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let written = STANDARD.encode_slice(bytes, room).unwrap_or_default();
    out.truncate(start + written);
}

/// The bytes of a source in the body.
fn length(source: &ImageSource<'_>) -> usize {
    let address = match source {
        ImageSource::Base64 { text, .. } => text.len(),
        ImageSource::File { bytes, .. } => encoded(bytes.len()),
    };
    address + ROOM
}

const fn encoded(length: usize) -> usize {
    length.div_ceil(3) * 4
}

/// Enough for the keys around a long value.
const ROOM: usize = 256;
