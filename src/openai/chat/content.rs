//! What a message holds: a text, or parts of several kinds.

use serde_json::value::RawValue;

use crate::openai::error::ApiError;
use crate::openai::json::{self, Object, Path, Text};

/// The content of a message.
#[derive(Debug, Clone, Default)]
pub enum Content<'a> {
    /// `null`, or none at all.
    #[default]
    Absent,
    /// One text.
    Text(Text<'a>),
    /// Parts, in order.
    Parts(Vec<Part<'a>>),
}

/// One part of a message.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// Text.
    Text(Text<'a>),
    /// A refusal of the assistant's.
    Refusal(Text<'a>),
    /// An image by URL, often a data URL.
    Image {
        /// Where it is.
        url: Text<'a>,
        /// How closely it is looked at: `auto`, `low`, `high` or `original`.
        detail: Option<Text<'a>>,
    },
    /// A file, inline or by URL.
    File {
        /// The file itself, as a data URL.
        data: Option<Text<'a>>,
        /// Its name.
        name: Option<Text<'a>>,
        /// Where it is.
        url: Option<Text<'a>>,
    },
}

impl<'a> Content<'a> {
    /// The content under `content` of a message at `path`.
    pub(super) fn parse(message: &Object<'a>, path: &Path<'_>, ignored: &mut Vec<String>) -> Result<Self, ApiError> {
        let Some(value) = message.find("content") else { return Ok(Self::Absent) };
        let path = &path.key("content");
        if let Some(text) = Text::of(value) {
            return Ok(Self::Text(text));
        }
        if json::kind(value) != "an array" {
            let found = json::kind(value);
            return Err(ApiError::invalid(
                path.to_string(),
                format!("'{path}' must be a string or an array of parts, but is {found}"),
            ));
        }
        let parts = json::array(value, path)?;
        let parse = |(index, part): (usize, &&'a RawValue)| Part::parse(part, &path.index(index), ignored);
        parts.iter().enumerate().map(parse).collect::<Result<_, _>>().map(Self::Parts)
    }

    /// The parts, a plain text being one.
    pub fn parts(&self) -> &[Part<'a>] {
        match self {
            Self::Absent | Self::Text(_) => &[],
            Self::Parts(parts) => parts,
        }
    }
}

impl<'a> Part<'a> {
    fn parse(value: &'a RawValue, path: &Path<'_>, ignored: &mut Vec<String>) -> Result<Self, ApiError> {
        // A bare string among the parts is what some clients make of several texts.
        if let Some(text) = Text::of(value) {
            return Ok(Self::Text(text));
        }
        let part = json::object(value, path)?;
        let type_path = path.key("type");
        let kind = json::string(json::required(&part, "type", path)?, &type_path)?;
        match kind.as_ref() {
            "text" | "input_text" | "output_text" => {
                Ok(Self::Text(json::text(json::required(&part, "text", path)?, &path.key("text"))?))
            }
            "refusal" => Ok(Self::Refusal(json::text(json::required(&part, "refusal", path)?, &path.key("refusal"))?)),
            "image_url" | "input_image" => Self::image(&part, path, ignored),
            "file" | "input_file" => Self::file(&part, path),
            "input_audio" => {
                Err(ApiError::unsupported(path.to_string(), format!("'{path}': audio input is not available")))
            }
            other => {
                Err(ApiError::invalid(type_path.to_string(), format!("'{type_path}': unknown part type '{other}'")))
            }
        }
    }

    /// `{"image_url":{"url","detail"}}`, or flat with the URL as a string.
    fn image(part: &Object<'a>, path: &Path<'_>, ignored: &mut Vec<String>) -> Result<Self, ApiError> {
        let url_path = path.key("image_url");
        let location = json::required(part, "image_url", path)?;
        let (url, detail) = match Text::of(location) {
            Some(url) => (url, part.find("detail")),
            None => {
                let location = json::object(location, &url_path)?;
                let url = json::required(&location, "url", &url_path)?;
                (json::text(url, &url_path.key("url"))?, location.find("detail").or_else(|| part.find("detail")))
            }
        };
        if url.is_empty() {
            return Err(ApiError::invalid(url_path.to_string(), format!("'{url_path}' is empty")));
        }
        let detail = detail.and_then(Text::of);
        let known = detail.filter(|detail| DETAILS.contains(&detail.escaped()));
        if detail.is_some() && known.is_none() {
            ignored.push(url_path.key("detail").to_string());
        }
        Ok(Self::Image { url, detail: known })
    }

    /// `{"file":{"file_data","filename"}}`, or the same fields flat.
    fn file(part: &Object<'a>, path: &Path<'_>) -> Result<Self, ApiError> {
        let file_path = path.key("file");
        let inner = part.find("file").map(|file| json::object(file, &file_path)).transpose()?;
        let (file, path) = match &inner {
            Some(inner) => (inner, &file_path),
            None => (part, path),
        };
        let field = |name: &str| file.find(name).map(|value| json::text(value, &path.key(name))).transpose();
        let (data, name, url) = (field("file_data")?, field("filename")?, field("file_url")?);
        if data.is_some() || url.is_some() {
            return Ok(Self::File { data, name, url });
        }
        match file.find("file_id") {
            Some(_) => Err(ApiError::unsupported(
                path.key("file_id").to_string(),
                format!("'{path}.file_id': uploaded files cannot be reached with a ChatGPT login; send 'file_data'"),
            )),
            None => Err(ApiError::invalid(path.key("file_data").to_string(), format!("'{path}.file_data' is missing"))),
        }
    }
}

const DETAILS: [&str; 4] = ["auto", "low", "high", "original"];
