//! Values that need parsing: sizes, aliases, lists.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes, parsed from `1048576`, `64MiB`, `64M` or `64MB`; the units are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub usize);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a size; write it like 64MiB");
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(lower.len());
        let (number, unit) = lower.split_at(digits);
        let shift = match unit.trim() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(wrong()),
        };
        let number: usize = number.parse().map_err(|_| wrong())?;
        number.checked_mul(1 << shift).filter(|&bytes| bytes > 0).map(Self).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(usize),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.into_iter().find(|(shift, _)| self.0.trailing_zeros() >= *shift) {
            Some((shift, unit)) => write!(formatter, "{}{unit}", self.0 >> shift),
            None => write!(formatter, "{}", self.0),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Parses a count as `usage` prints them: `1000000`, `500k`, `1.5M`; the units are powers of 1000.
pub fn count(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a count; write it like 1000000, 500k or 1.5M");
    let text = text.trim();
    let power = match text.chars().last().map(|unit| unit.to_ascii_lowercase()) {
        Some('k') => 3,
        Some('m') => 6,
        Some('g') => 9,
        Some('t') => 12,
        _ => 0,
    };
    let number = if power == 0 { text } else { text.get(..text.len() - 1).unwrap_or_default().trim_end() };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let places = part.trim_end_matches('0').len();
    if !is_digits(whole) || !is_digits(part) || places > power {
        return Err(wrong());
    }
    let digits = format!("{whole}{}{}", part.get(..places).unwrap_or_default(), "0".repeat(power - places));
    digits.parse().ok().filter(|&count| count > 0).ok_or_else(wrong)
}

/// A name mapped to a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The client's name.
    pub from: String,
    /// The model.
    pub to: String,
}

impl FromStr for Alias {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=').map(|(from, to)| (from.trim(), to.trim())) {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => {
                Ok(Self { from: from.to_owned(), to: to.to_owned() })
            }
            _ => Err(format!("{text:?} is not an alias; write it like gpt-4o=gpt-6.1-sol")),
        }
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.from, self.to)
    }
}

impl Serialize for Alias {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Aliases in a configuration file: a table, or a list of `FROM=TO`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(in crate::cli) enum Aliases {
    Table(BTreeMap<String, String>),
    List(Vec<String>),
}

impl Aliases {
    pub(in crate::cli) fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Alias>, D::Error> {
        let written = Self::deserialize(deserializer)
            .map_err(|_| D::Error::custom("model-alias must be a table of FROM = \"TO\", or a list of \"FROM=TO\""))?;
        match written {
            Self::Table(table) => Ok(table.into_iter().map(|(from, to)| Alias { from, to }).collect()),
            Self::List(list) => list.iter().map(|alias| alias.parse().map_err(D::Error::custom)).collect(),
        }
    }
}

/// Reads a list in a configuration file; a single text is a list of one.
pub(in crate::cli) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::One(one) => vec![one],
        Written::Many(many) => many,
    })
}

/// Writes a path as text to be read by people: what is not UTF-8 in it is replaced.
#[allow(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(in crate::cli) fn shown_path<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(Path::to_string_lossy).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_as_usage_prints_it() {
        for (text, number) in [
            ("1", 1),
            ("1000000", 1_000_000),
            ("500k", 500_000),
            ("1.5M", 1_500_000),
            ("2 G", 2_000_000_000),
            ("1.0", 1),
        ] {
            assert_eq!(count(text), Ok(number), "{text}");
        }
        for wrong in ["", "k", "0", "0M", "-1", "+1", "1.5", "1.2345k", ".5M", "1.M", "1e6", "1kk", "1é", "20000000T"]
        {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("1", 1), ("64MiB", 64 << 20), ("64 mb", 64 << 20), ("2k", 2048), ("1G", 1 << 30)] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)), "{text}");
        }
        assert_eq!([64 << 20, 1536, 1000].map(|size| ByteSize(size).to_string()), ["64MiB", "1536", "1000"]);
        for text in ["", "0", "MiB", "-1", "1.5MiB", "1 TiB", "99999999999999999999", "99999999999G"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn aliases() {
        let alias: Alias = " gpt-4o = gpt-6.1-sol ".parse().expect("an alias");
        assert_eq!(alias.to_string(), "gpt-4o=gpt-6.1-sol");
        for text in ["", "a", "=b", "a=", " = "] {
            assert!(text.parse::<Alias>().is_err(), "{text}");
        }
    }
}
