//! The content of a chat message: a text, or parts of several kinds.

use serde_json::value::RawValue;

use crate::conversation::call::{Call, CallReference};
use crate::conversation::content::{Content, Part, Source};
use crate::conversation::ignored::Ignored;
use crate::dialect::messages::block;
use crate::fault::Fault;
use crate::json;
use crate::json::{Object, Path, Text};

/// The content found under `content`.
#[derive(Debug, Default)]
pub(super) struct Parsed<'a> {
    pub(super) content: Content<'a>,
    /// Calls among the parts, as in Anthropic's API.
    pub(super) calls: Vec<Call<'a>>,
    /// Outputs among the parts, as in Anthropic's API.
    pub(super) outputs: Vec<(CallReference<'a>, Content<'a>)>,
}

impl<'a> Parsed<'a> {
    /// Reads the content under `content` of a message of `role` at `path`.
    pub(super) fn of_message(
        message: &Object<'a>,
        role: &str,
        path: &Path<'_>,
        ignored: &mut Ignored,
    ) -> Result<Self, Fault> {
        match message.find("content") {
            None => Ok(Self::default()),
            Some(value) => Self::of_value(value, role, &path.key("content"), ignored),
        }
    }

    /// Reads the content in `value`, at `path` in a message of `role`.
    pub(super) fn of_value(
        value: &'a RawValue,
        role: &str,
        path: &Path<'_>,
        ignored: &mut Ignored,
    ) -> Result<Self, Fault> {
        if let Some(text) = Text::of(value) {
            return Ok(Self { content: Content::Text(text), ..Self::default() });
        }
        if json::kind(value) != "an array" {
            let found = json::kind(value);
            return Err(Fault::invalid(
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
    ) -> Result<(), Fault> {
        // Some clients join several texts as bare strings among the parts.
        if let Some(text) = Text::of(value) {
            parts.push(Part::Text(text));
            return Ok(());
        }
        let part = json::object(value, path)?;
        let kind_path = path.key("type");
        let kind = json::string(json::required(&part, "type", path)?, &kind_path)?;
        match (kind.as_ref(), role) {
            ("tool_use", "assistant") => self.calls.push(block::tool_use(&part, path, ignored)?),
            ("tool_result", "user") => self.outputs.push(block::tool_result(&part, path, ignored, output)?),
            ("thinking" | "redacted_thinking", "assistant") => ignored.add(path),
            (kind, _) => parts.push(part_of(&part, kind, path, ignored)?),
        }
        Ok(())
    }
}

/// Reads a tool's output in the content of an Anthropic block.
fn output<'a>(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<Content<'a>, Fault> {
    Parsed::of_value(value, "tool", path, ignored).map(|parsed| parsed.content)
}

/// Reads the part in an object of type `kind` at `path`.
pub(in crate::dialect) fn part_of<'a>(
    part: &Object<'a>,
    kind: &str,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Part<'a>, Fault> {
    match kind {
        "text" | "input_text" | "output_text" => {
            ignored.add_unknown(part, &["type", "text"], path);
            Ok(Part::Text(json::text(json::required(part, "text", path)?, &path.key("text"))?))
        }
        "refusal" => {
            ignored.add_unknown(part, &["type", "refusal"], path);
            Ok(Part::Refusal(json::text(json::required(part, "refusal", path)?, &path.key("refusal"))?))
        }
        "image_url" | "input_image" => image(part, path, ignored),
        "image" => block::image(part, path, ignored),
        "file" | "input_file" => file(part, path, ignored),
        "input_audio" => Err(Fault::unsupported(path.to_string(), format!("'{path}': audio input is not available"))),
        other => {
            let path = path.key("type");
            Err(Fault::invalid(path.to_string(), format!("'{path}': unknown part type '{other}'")))
        }
    }
}

/// Reads `{"image_url":{"url","detail"}}`, or the flat form with the URL as a string.
pub(super) fn image<'a>(part: &Object<'a>, path: &Path<'_>, ignored: &mut Ignored) -> Result<Part<'a>, Fault> {
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
        return Err(Fault::invalid(url_path.to_string(), format!("'{url_path}' is empty")));
    }
    let detail = detail.and_then(Text::of);
    let known = detail.filter(|detail| DETAILS.iter().any(|known| detail.is(known)));
    if detail.is_some() && known.is_none() {
        ignored.add(&url_path.key("detail"));
    }
    Ok(Part::Image { source: Source::Url(url), detail: known })
}

/// Reads `{"file":{"file_data","filename"}}`, or the same fields flat.
fn file<'a>(part: &Object<'a>, path: &Path<'_>, ignored: &mut Ignored) -> Result<Part<'a>, Fault> {
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
        return Ok(Part::File { data: data.map(Source::Url), name, url });
    }
    match file.find("file_id") {
        Some(_) => Err(Fault::unsupported(
            path.key("file_id").to_string(),
            format!("'{path}.file_id': uploaded files cannot be reached with a ChatGPT login; send 'file_data'"),
        )),
        None => Err(Fault::invalid(path.key("file_data").to_string(), format!("'{path}.file_data' is missing"))),
    }
}

const DETAILS: [&str; 4] = ["auto", "low", "high", "original"];
