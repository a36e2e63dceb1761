//! The settings of the image that a client wants.
//!
//! * Words and ranges are those of OpenAI's API; a value outside them is an error that names the field.
//! * What DALL·E calls `standard` and `hd` is said in the words of the newer models.

use std::borrow::Cow;

use super::field::{Fields, quoted};
use crate::conversation::ignored::Ignored;
use crate::fault::Fault;
use crate::json::Path;

/// The settings of an image. They are wishes: the backend decides.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ImageSettings<'a> {
    /// `auto`, or width and height in pixels, such as `1024x1024`.
    pub size: Option<Cow<'a, str>>,
    /// The quality.
    pub quality: Option<&'static str>,
    /// `transparent`, `opaque` or `auto`.
    pub background: Option<&'static str>,
    /// `png`, `jpeg` or `webp`.
    pub output_format: Option<&'static str>,
    /// The compression of a JPEG or WebP image, in percent.
    pub output_compression: Option<u64>,
    /// `auto` or `low`.
    pub moderation: Option<&'static str>,
    /// The number of unfinished images to be sent meanwhile.
    pub partial_images: Option<u64>,
}

impl<'a> ImageSettings<'a> {
    /// Reads the settings; those without effect are added to `ignored`.
    pub(super) fn read(fields: &Fields<'a>, stream: bool, ignored: &mut Ignored) -> Result<Self, Fault> {
        let partial_images = fields.number("partial_images", 0..=3)?;
        if !stream && partial_images.is_some_and(|count| count > 0) {
            ignored.add(&Path::Root.key("partial_images"));
        }
        refuse_address(fields)?;
        let quality = fields.word("quality", &QUALITIES)?.map(|word| match word {
            "standard" => "auto",
            "hd" => "high",
            word => word,
        });
        Ok(Self {
            size: fields.string("size")?.map(size).transpose()?,
            quality,
            background: fields.word("background", &["transparent", "opaque", "auto"])?,
            output_format: fields.word("output_format", &["png", "jpeg", "webp"])?,
            output_compression: fields.number("output_compression", 0..=100)?,
            moderation: fields.word("moderation", &["auto", "low"])?,
            partial_images: partial_images.filter(|_| stream),
        })
    }
}

/// Checks the form of a size.
fn size(text: Cow<'_, str>) -> Result<Cow<'_, str>, Fault> {
    let is_number = |side: &str| (1..=5).contains(&side.len()) && side.bytes().all(|byte| byte.is_ascii_digit());
    if text == "auto" || text.split_once('x').is_some_and(|(width, height)| is_number(width) && is_number(height)) {
        return Ok(text);
    }
    let found = quoted(&text);
    Err(Fault::invalid("size", format!("'size' must be auto or a size such as 1024x1024, but is {found}")))
}

/// Refuses a request for an address: its client would look for one in vain.
fn refuse_address(fields: &Fields<'_>) -> Result<(), Fault> {
    if fields.word("response_format", &["b64_json", "url"])? != Some("url") {
        return Ok(());
    }
    let message = "'response_format' cannot be url: this proxy hosts no images, and the backend sends them as base64; \
                   leave the field out, or set it to b64_json";
    Err(Fault::unsupported("response_format", message))
}

const QUALITIES: [&str; 8] = ["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"];
