//! The request in JSON, and what both forms of a request come to.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::field::Fields;
use super::picture::{Picture, is_base64};
use super::settings::ImageSettings;
use super::{ImageTask, MOST_SOURCES};
use crate::conversation::ignored::Ignored;
use crate::fault::Fault;
use crate::json;
use crate::json::{Path, Text};

/// A request for images whose fields are valid.
#[derive(Debug)]
pub struct ImageRequest<'a> {
    /// The model's name as the client wrote it.
    pub model: Option<Cow<'a, str>>,
    /// The description of the image, escaped for JSON.
    pub prompt: Cow<'a, str>,
    /// The number of images, from 1 to [`MOST_IMAGES`].
    pub count: usize,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// The settings.
    pub settings: ImageSettings<'a>,
    /// The images to be changed, up to [`MOST_SOURCES`]; none for a generation.
    pub images: Vec<ImageSource<'a>>,
    /// The image whose transparent places may be changed.
    pub mask: Option<ImageSource<'a>>,
    /// The fields without effect.
    pub ignored: Ignored,
}

/// An image that a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageSource<'a> {
    /// An image in base64, from a `data:` address.
    Base64 {
        /// The media type, as the image's beginning tells.
        media_type: &'static str,
        /// The image, escaped for JSON.
        text: &'a str,
    },
    /// A file.
    File {
        /// The media type, as its beginning tells.
        media_type: &'static str,
        /// The contents.
        bytes: &'a [u8],
    },
}

impl<'a> ImageRequest<'a> {
    /// Reads the JSON request in `bytes`.
    pub fn parse(task: ImageTask, bytes: &'a [u8]) -> Result<Self, Fault> {
        let fields = Fields::Json(json::body(bytes)?);
        let mut images = Vec::new();
        for name in ["image", "images"] {
            if let Some(raw) = fields.raw(name) {
                read_sources(raw, &Path::Root.key(name), &mut images)?;
            }
        }
        let mask = fields.raw("mask").map(|raw| read_source(raw, &Path::Root.key("mask"))).transpose()?;
        Self::read(task, &fields, images, mask, "images")
    }

    /// Reads the common fields. `source_field` is the field of the images in an error.
    pub(super) fn read(
        task: ImageTask,
        fields: &Fields<'a>,
        images: Vec<ImageSource<'a>>,
        mask: Option<ImageSource<'a>>,
        source_field: &str,
    ) -> Result<Self, Fault> {
        check_sources(task, &images, mask, source_field)?;
        let prompt = fields.escaped("prompt")?.filter(|prompt| !prompt.is_empty());
        let prompt =
            prompt.ok_or_else(|| Fault::invalid("prompt", "'prompt' is missing; it describes the image in words"))?;
        let stream = fields.switch("stream")?;
        let mut ignored = fields.unknown(&KNOWN);
        let settings = ImageSettings::read(fields, stream, &mut ignored)?;
        let count = fields.number("n", 1..=MOST_IMAGES)?.unwrap_or(1);
        let count = usize::try_from(count).unwrap_or(1);
        Ok(Self { model: fields.string("model")?, prompt, count, stream, settings, images, mask, ignored })
    }
}

/// Checks that an edit has images, and a generation none.
fn check_sources(
    task: ImageTask,
    images: &[ImageSource<'_>],
    mask: Option<ImageSource<'_>>,
    field: &str,
) -> Result<(), Fault> {
    match task {
        ImageTask::Generation if !images.is_empty() || mask.is_some() => {
            let field = if images.is_empty() { "mask" } else { field };
            let message = format!("'{field}' is not for a generation; to change an image, use /v1/images/edits");
            Err(Fault::unsupported(field, message))
        }
        ImageTask::Edit if images.is_empty() => {
            let message = format!("'{field}' is missing; send at least one image to be changed");
            Err(Fault::invalid(field, message))
        }
        ImageTask::Edit if images.len() > MOST_SOURCES => {
            let count = images.len();
            let message = format!("'{field}' has {count} images; the backend takes at most {MOST_SOURCES}");
            Err(Fault::invalid(field, message))
        }
        ImageTask::Generation | ImageTask::Edit => Ok(()),
    }
}

/// Reads one image or a list of them.
fn read_sources<'a>(raw: &'a RawValue, path: &Path<'_>, images: &mut Vec<ImageSource<'a>>) -> Result<(), Fault> {
    if json::kind(raw) != "an array" {
        images.push(read_source(raw, path)?);
        return Ok(());
    }
    for (index, raw) in json::array(raw, path)?.into_iter().enumerate() {
        images.push(read_source(raw, &path.index(index))?);
    }
    Ok(())
}

/// Reads `{"image_url": "data:…"}`, or the address alone.
fn read_source<'a>(raw: &'a RawValue, path: &Path<'_>) -> Result<ImageSource<'a>, Fault> {
    if let Some(text) = Text::of(raw) {
        return address(text, path);
    }
    let object = json::object(raw, path)?;
    if object.find("file_id").is_some() {
        let path = path.key("file_id").to_string();
        let message = format!("'{path}' cannot be used: nothing is stored here; send the image itself in image_url");
        return Err(Fault::unsupported(path, message));
    }
    let url = json::required(&object, "image_url", path)?;
    let path = path.key("image_url");
    address(json::text(url, &path)?, &path)
}

/// Reads a `data:` address of an image. The backend fetches no other (`Error while downloading file`), and neither does
/// this proxy, which would let a client reach into the network around it. The contents tell what it is, as in a form.
fn address<'a>(text: Text<'a>, path: &Path<'_>) -> Result<ImageSource<'a>, Fault> {
    let wrong = |reason: &str| Fault::invalid(path.to_string(), format!("'{path}' {reason}"));
    let escaped = text.escaped();
    if !escaped.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        return Err(wrong("must hold the image itself, as data:image/png;base64,…; no address is fetched"));
    }
    let (head, data) = escaped.split_once(',').unwrap_or((escaped, ""));
    let head = Text::from_escaped(head).decode();
    if !head.rsplit(';').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64")) {
        return Err(wrong("must hold the image in base64, as data:image/png;base64,…"));
    }
    let base64 = Text::from_escaped(data).decode();
    if base64.is_empty() {
        return Err(wrong("is an empty image in base64"));
    }
    if !is_base64(&base64) {
        return Err(wrong("holds an image in broken base64"));
    }
    let media_type = Picture::media_type_of_base64(&base64);
    let media_type = media_type.ok_or_else(|| wrong("is no PNG, JPEG, WebP or GIF image"))?;
    Ok(ImageSource::Base64 { media_type, text: data })
}

/// The most images of one request, OpenAI's.
pub const MOST_IMAGES: u64 = 10;

/// The fields that are read.
pub(super) const KNOWN: [&str; 15] = [
    "background",
    "image",
    "images",
    "mask",
    "model",
    "moderation",
    "n",
    "output_compression",
    "output_format",
    "partial_images",
    "prompt",
    "quality",
    "response_format",
    "size",
    "stream",
];
