//! The settings of the answer's text: the client's `text`, and chat's `response_format` and `verbosity` in its place.

use serde_json::value::RawValue;

use crate::backend::request::write_format;
use crate::conversation::ignored::Ignored;
use crate::conversation::settings::ResponseFormat;
use crate::dialect::chat::request::response_format;
use crate::fault::Fault;
use crate::json::{self, Object, ObjectWriter, Path, Text};

/// The settings of the answer's text.
#[derive(Debug)]
pub(super) struct TextSettings<'a> {
    own: Option<&'a RawValue>,
    /// The keys of `own`.
    object: Object<'a>,
    verbosity: Option<Text<'a>>,
    format: Option<ResponseFormat<'a>>,
}

impl<'a> TextSettings<'a> {
    /// Reads the settings in `body`. Chat's are listed where the client's own have the same.
    pub(super) fn read(body: &Object<'a>, ignored: &mut Ignored) -> Result<Self, Fault> {
        let own = body.find("text");
        let object = own.map(|own| serde_json::from_str::<Object<'_>>(own.get()));
        let is_broken = object.as_ref().is_some_and(Result::is_err);
        let object = object.and_then(Result::ok).unwrap_or_default();
        let mut read = Self { own, object, verbosity: None, format: None };
        for (key, counterpart) in [("verbosity", "verbosity"), ("response_format", "format")] {
            let Some(value) = body.find(key) else { continue };
            let path = Path::Root.key(key);
            if is_broken || read.object.find(counterpart).is_some() {
                ignored.add(&path);
            } else if key == "verbosity" {
                read.verbosity = Some(json::text(value, &path)?);
            } else {
                read.format = Some(response_format(value, &path, ignored)?);
            }
        }
        Ok(read)
    }

    /// Returns whether the answer has to be any JSON object.
    pub(super) fn wants_json(&self) -> bool {
        let format =
            self.object.find("format").and_then(|format| serde_json::from_str::<Object<'_>>(format.get()).ok());
        let kind = format.and_then(|format| format.find("type")).and_then(Text::of);
        matches!(self.format, Some(ResponseFormat::JsonObject)) || kind.is_some_and(|kind| kind.is("json_object"))
    }

    /// Writes the settings.
    pub(super) fn write(&self, body: &mut ObjectWriter<'_>) {
        if self.verbosity.is_none() && self.format.is_none() {
            if let Some(own) = self.own {
                body.raw("text", own);
            }
            return;
        }
        let mut text = ObjectWriter::begin(body.key("text"));
        for (key, value) in self.object.iter().filter(|(_, value)| value.get() != "null") {
            text.raw(key, value);
        }
        if let Some(verbosity) = self.verbosity {
            text.text("verbosity", verbosity);
        }
        if let Some(format) = &self.format {
            write_format(format, ObjectWriter::begin(text.key("format")));
        }
        text.end();
    }
}
