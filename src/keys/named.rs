//! A key with a name, and what it allows.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::keys::digest::KeyDigest;
use crate::keys::expiry;
use crate::models::effort::Effort;

/// One client's key. A limit that is absent does not limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedKey {
    /// The name, which is unique.
    pub name: KeyName,
    /// The SHA-256 of the key.
    #[serde(rename = "sha256")]
    pub digest: KeyDigest,
    /// The names of the models that it may use; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// The highest effort.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "effort")]
    pub max_effort: Option<Effort>,
    /// The tokens of a day in UTC, input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// The requests of any sixty seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// The end, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "expiry")]
    pub expires_at: Option<u64>,
}

impl NamedKey {
    /// The most requests of a minute that a key can be limited to. The time of each is kept for a minute.
    pub const MOST_REQUESTS: u32 = 10_000;

    /// Creates a key without limits and without an end.
    pub const fn unlimited(name: KeyName, digest: KeyDigest) -> Self {
        Self {
            name,
            digest,
            models: Vec::new(),
            max_effort: None,
            tokens_per_day: None,
            requests_per_minute: None,
            expires_at: None,
        }
    }

    /// Checks the limits. The error is a clause that names the field.
    pub fn check(&self) -> Result<(), String> {
        if let Some(model) = self.models.iter().find(|model| model.trim().is_empty() || model.len() > LONGEST_MODEL) {
            return Err(format!("models: {model:?} is no model's name"));
        }
        if self.tokens_per_day == Some(0) {
            return Err("tokens_per_day: 0 allows nothing; remove the key instead".to_owned());
        }
        match self.requests_per_minute {
            Some(0) => Err("requests_per_minute: 0 allows nothing; remove the key instead".to_owned()),
            Some(count) if count > Self::MOST_REQUESTS => {
                Err(format!("requests_per_minute: {count} is more than {}", Self::MOST_REQUESTS))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Returns whether the key has ended at `now`, in Unix seconds.
    pub fn has_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// The name of a key: letters, digits, `-`, `_` and `.`, at most 64, of which the first is a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName(Arc<str>);

impl KeyName {
    /// The name of keys that were given without one.
    pub const DEFAULT: &str = "default";

    /// Parses a name. The error is a clause.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_letter = |letter: u8| letter.is_ascii_alphanumeric();
        let is_name = (1..=LONGEST_NAME).contains(&text.len())
            && text.bytes().next().is_some_and(is_letter)
            && text.bytes().all(|letter| is_letter(letter) || b"-_.".contains(&letter));
        if !is_name {
            return Err(format!(
                "{text:?} is no name of a key; it has at most {LONGEST_NAME} letters, digits, '-', '_' and '.', and \
                 begins with a letter or digit"
            ));
        }
        if text.eq_ignore_ascii_case(Self::DEFAULT) {
            return Err(format!("the name {text:?} is that of the keys of --api-key"));
        }
        Ok(Self(text.into()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether `other` differs at most in case, which would be hard to tell apart.
    pub fn is_like(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Borrow<str> for KeyName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for KeyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn effort<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Effort>, D::Error> {
    let Some(word) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let unknown = || de::Error::custom(format!("max_effort: {word:?} is no effort"));
    Effort::on_the_wire(&word).map(Some).ok_or_else(unknown)
}

const LONGEST_NAME: usize = 64;
const LONGEST_MODEL: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_mistaken_are_refused() {
        for name in ["a", "laptop", "ci.2026-11_b", "0", &"x".repeat(LONGEST_NAME)] {
            assert_eq!(KeyName::parse(name).expect(name).as_str(), name);
        }
        for name in
            ["", " a", "a b", "-a", ".a", "_a", "a,b", "a\n", "é", "default", "Default", &"x".repeat(LONGEST_NAME + 1)]
        {
            assert!(KeyName::parse(name).is_err(), "{name:?}");
        }
    }
}
