//! A JSON value that has been read once and is not decoded.

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::json::Text;

/// One JSON value as it stands in a text, without the white space around it.
///
/// It is a [`RawValue`] without a parser: whoever has scanned a value already need not have it parsed to keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// Wraps `json`, which must be one valid JSON value.
    pub const fn of_valid(json: &'a str) -> Self {
        Self(json)
    }

    /// Returns the JSON.
    pub const fn get(self) -> &'a str {
        self.0
    }

    /// Returns the inside of a string, or `None` for any other value.
    pub fn text(self) -> Option<Text<'a>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        Some(Text::from_escaped(inner))
    }

    /// Returns whether the value is `null`.
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// Returns the value as one of `serde_json`'s, which parses it.
    pub fn value(self) -> Option<&'a RawValue> {
        serde_json::from_str(self.0).ok()
    }
}

impl<'a> From<&'a RawValue> for Raw<'a> {
    fn from(value: &'a RawValue) -> Self {
        Self(value.get())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Self::from)
    }
}
