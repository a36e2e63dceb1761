//! The fields of a request, from JSON or from a form, read alike.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::conversation::ignored::Ignored;
use crate::fault::Fault;
use crate::json;
use crate::json::{Object, Path, Text, escape};

/// The fields of one request, each value as its client wrote it.
#[derive(Debug)]
pub(super) enum Fields<'a> {
    /// The keys of a JSON object.
    Json(Object<'a>),
    /// The text fields of a form; only names that are unknown may stand twice.
    Form(Vec<(&'a str, &'a str)>),
}

/// The value of one field.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Json(&'a RawValue),
    Form(&'a str),
}

impl<'a> Fields<'a> {
    /// Returns the string under `name`.
    pub(super) fn string(&self, name: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        match self.find(name) {
            None => Ok(None),
            Some(Value::Json(raw)) => json::string(raw, &Path::Root.key(name)).map(Some),
            Some(Value::Form(text)) => Ok(Some(text.into())),
        }
    }

    /// Returns the string under `name`, escaped for JSON.
    pub(super) fn escaped(&self, name: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        match self.find(name) {
            None => Ok(None),
            Some(Value::Json(raw)) => {
                json::text(raw, &Path::Root.key(name)).map(Text::escaped).map(Cow::from).map(Some)
            }
            Some(Value::Form(text)) => Ok(Some(escape(text).into())),
        }
    }

    /// Returns the whole number under `name`, which must be in `range`.
    pub(super) fn number(&self, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, Fault> {
        let (least, most) = (range.start(), range.end());
        let wrong = |found: &str| {
            Fault::invalid(name, format!("'{name}' must be a whole number from {least} to {most}, but is {found}"))
        };
        let number = match self.find(name) {
            None => return Ok(None),
            Some(Value::Json(raw)) => json::unsigned(raw, &Path::Root.key(name))?,
            Some(Value::Form(text)) => text.trim().parse().map_err(|_| wrong(&quoted(text)))?,
        };
        if range.contains(&number) { Ok(Some(number)) } else { Err(wrong(&number.to_string())) }
    }

    /// Returns whether `name` is set.
    pub(super) fn switch(&self, name: &str) -> Result<bool, Fault> {
        match self.find(name) {
            None => Ok(false),
            Some(Value::Json(raw)) => json::boolean(raw, &Path::Root.key(name)),
            Some(Value::Form(text)) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(Fault::invalid(name, format!("'{name}' must be true or false, but is {}", quoted(text)))),
            },
        }
    }

    /// Returns the word under `name`, which must be one of `words`.
    pub(super) fn word(&self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>, Fault> {
        let Some(given) = self.string(name)? else { return Ok(None) };
        let known = words.iter().find(|word| given.trim().eq_ignore_ascii_case(word));
        known.copied().map(Some).ok_or_else(|| {
            let words = words.join(", ");
            Fault::invalid(name, format!("'{name}' must be one of {words}, but is {}", quoted(&given)))
        })
    }

    /// Returns the JSON value under `name`; a form has none.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        match self.find(name)? {
            Value::Json(raw) => Some(raw),
            Value::Form(_) => None,
        }
    }

    /// Names each field that is not in `known` and says something.
    pub(super) fn unknown(&self, known: &[&str]) -> Ignored {
        let mut ignored = Ignored::default();
        match self {
            Self::Json(object) => ignored.add_unknown(object, known, &Path::Root),
            Self::Form(fields) => {
                for (name, _) in fields.iter().filter(|(name, text)| !known.contains(name) && !text.is_empty()) {
                    ignored.add(&Path::Root.key(name));
                }
            }
        }
        ignored
    }

    fn find(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Json(object) => object.find(name).map(Value::Json),
            // A form cannot say null, so that an empty field says nothing.
            Self::Form(fields) => {
                let found = fields.iter().rev().find(|(known, _)| *known == name);
                found.map(|(_, text)| *text).filter(|text| !text.is_empty()).map(Value::Form)
            }
        }
    }
}

/// Quotes the beginning of a client's text.
pub(super) fn quoted(text: &str) -> String {
    let beginning: String = text.chars().take(LONGEST_QUOTE).collect();
    format!("{beginning:?}")
}

const LONGEST_QUOTE: usize = 64;
