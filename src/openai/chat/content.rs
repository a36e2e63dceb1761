//! What a message holds: a text, or parts of several kinds.

use serde_json::value::RawValue;

use super::blocks;
use super::call::{Call, CallReference};
use crate::openai::error::ApiError;
use crate::openai::ignored::Ignored;
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
    /// The name of the participant who speaks, before everything that is said.
    Name(Text<'a>),
    /// A refusal of the assistant's.
    Refusal(Text<'a>),
    /// An image.
    Image {
        /// Where it is.
        source: ImageSource<'a>,
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

/// Where an image is.
#[derive(Debug, Clone, Copy)]
pub enum ImageSource<'a> {
    /// Behind a URL, often a data URL.
    Url(Text<'a>),
    /// Here, in base64.
    Base64 {
        /// `image/png` and the like.
        media_type: Text<'a>,
        /// The bytes.
        data: Text<'a>,
    },
}

/// What was found under `content`.
#[derive(Debug, Default)]
pub(super) struct Parsed<'a> {
    pub(super) content: Content<'a>,
    /// Calls that stand among the parts, as Anthropic's API has them.
    pub(super) calls: Vec<Call<'a>>,
    /// Outputs that stand among the parts, as Anthropic's API has them.
    pub(super) outputs: Vec<(CallReference<'a>, Content<'a>)>,
}

impl<'a> Parsed<'a> {
    /// The content under `content` of a message of `role` at `path`.
    pub(super) fn of_message(
        message: &Object<'a>,
        role: &str,
        path: &Path<'_>,
        ignored: &mut Ignored,
    ) -> Result<Self, ApiError> {
        match message.find("content") {
            None => Ok(Self::default()),
            Some(value) => Self::of_value(value, role, &path.key("content"), ignored),
        }
    }

    /// The content in `value`, which stands at `path` in a message of `role`.
    pub(super) fn of_value(
        value: &'a RawValue,
        role: &str,
        path: &Path<'_>,
        ignored: &mut Ignored,
    ) -> Result<Self, ApiError> {
        if let Some(text) = Text::of(value) {
            return Ok(Self { content: Content::Text(text), ..Self::default() });
        }
        if json::kind(value) != "an array" {
            let found = json::kind(value);
            return Err(ApiError::invalid(
                path.to_string(),
                format!("'{path}' must be a string or an array of parts, but is {found}"),
            ));
        }
        let (mut parsed, mut parts) = (Self::default(), Vec::new());
        for (index, value) in json::array(value, path)?.into_iter().enumerate() {
            parsed.part(value, role, &path.index(index), &mut parts, ignored)?;
        }
        parsed.content = Content::Parts(parts);
        Ok(parsed)
    }

    fn part(
        &mut self,
        value: &'a RawValue,
        role: &str,
        path: &Path<'_>,
        parts: &mut Vec<Part<'a>>,
        ignored: &mut Ignored,
    ) -> Result<(), ApiError> {
        // A bare string among the parts is what some clients make of several texts.
        if let Some(text) = Text::of(value) {
            parts.push(Part::Text(text));
            return Ok(());
        }
        let part = json::object(value, path)?;
        let kind_path = path.key("type");
        let kind = json::string(json::required(&part, "type", path)?, &kind_path)?;
        match (kind.as_ref(), role) {
            ("tool_use", "assistant") => self.calls.push(blocks::tool_use(&part, path, ignored)?),
            ("tool_result", "user") => self.outputs.push(blocks::tool_result(&part, path, ignored)?),
            ("thinking" | "redacted_thinking", "assistant") => ignored.add(path),
            (kind, _) => parts.push(Part::of_object(&part, kind, path, ignored)?),
        }
        Ok(())
    }
}

impl<'a> Content<'a> {
    /// The parts; none of a plain text.
    pub fn parts(&self) -> &[Part<'a>] {
        match self {
            Self::Absent | Self::Text(_) => &[],
            Self::Parts(parts) => parts,
        }
    }

    /// Whether a text in it has the word "json".
    pub fn mentions_json(&self) -> bool {
        let text_of = |part: &Part<'a>| match part {
            Part::Text(text) | Part::Refusal(text) | Part::Name(text) => Some(*text),
            Part::Image { .. } | Part::File { .. } => None,
        };
        match self {
            Self::Absent => false,
            Self::Text(text) => text.mentions_json(),
            Self::Parts(parts) => parts.iter().filter_map(text_of).any(Text::mentions_json),
        }
    }

    /// Whether there is neither a text nor a part.
    pub(super) fn is_missing(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Text(_) => false,
            Self::Parts(parts) => parts.is_empty(),
        }
    }

    /// The same content with `first` before and `last` behind it.
    pub(super) fn between(self, first: Option<Part<'a>>, last: Vec<Part<'a>>) -> Self {
        if first.is_none() && last.is_empty() {
            return self;
        }
        let parts = match self {
            Self::Absent => Vec::new(),
            Self::Text(text) => vec![Part::Text(text)],
            Self::Parts(parts) => parts,
        };
        Self::Parts(first.into_iter().chain(parts).chain(last).collect())
    }
}

impl<'a> Part<'a> {
    /// The part in an object of type `kind` at `path`.
    pub(super) fn of_object(
        part: &Object<'a>,
        kind: &str,
        path: &Path<'_>,
        ignored: &mut Ignored,
    ) -> Result<Self, ApiError> {
        match kind {
            "text" | "input_text" | "output_text" => {
                ignored.add_unknown(part, &["type", "text"], path);
                Ok(Self::Text(json::text(json::required(part, "text", path)?, &path.key("text"))?))
            }
            "refusal" => {
                ignored.add_unknown(part, &["type", "refusal"], path);
                Ok(Self::Refusal(json::text(json::required(part, "refusal", path)?, &path.key("refusal"))?))
            }
            "image_url" | "input_image" => Self::image(part, path, ignored),
            "image" => blocks::image(part, path, ignored),
            "file" | "input_file" => Self::file(part, path, ignored),
            "input_audio" => {
                Err(ApiError::unsupported(path.to_string(), format!("'{path}': audio input is not available")))
            }
            other => {
                let path = path.key("type");
                Err(ApiError::invalid(path.to_string(), format!("'{path}': unknown part type '{other}'")))
            }
        }
    }

    /// `{"image_url":{"url","detail"}}`, or flat with the URL as a string.
    pub(super) fn image(part: &Object<'a>, path: &Path<'_>, ignored: &mut Ignored) -> Result<Self, ApiError> {
        ignored.add_unknown(part, &["type", "image_url", "detail"], path);
        let url_path = path.key("image_url");
        let location = json::required(part, "image_url", path)?;
        let (url, detail) = match Text::of(location) {
            Some(url) => (url, part.find("detail")),
            None => {
                let location = json::object(location, &url_path)?;
                ignored.add_unknown(&location, &["url", "detail"], &url_path);
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
            ignored.add(&url_path.key("detail"));
        }
        Ok(Self::Image { source: ImageSource::Url(url), detail: known })
    }

    /// `{"file":{"file_data","filename"}}`, or the same fields flat.
    fn file(part: &Object<'a>, path: &Path<'_>, ignored: &mut Ignored) -> Result<Self, ApiError> {
        let file_path = path.key("file");
        let inner = part.find("file").map(|file| json::object(file, &file_path)).transpose()?;
        let (file, path) = match &inner {
            Some(inner) => {
                ignored.add_unknown(part, &["type", "file"], path);
                (inner, &file_path)
            }
            None => (part, path),
        };
        let field = |name: &str| file.find(name).map(|value| json::text(value, &path.key(name))).transpose();
        let (data, name, url) = (field("file_data")?, field("filename")?, field("file_url")?);
        if data.is_some() || url.is_some() {
            ignored.add_unknown(file, &["type", "file_data", "filename", "file_url"], path);
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
