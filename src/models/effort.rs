//! Reasoning effort: the levels, and the mapping of a level that a model lacks.
//!
//! * Words are parsed without regard to case and hyphens; `ultra` is a client's name for `max` and is never sent.
//! * An unknown word counts as no effort, never as an error.
//! * A level outside a model's range maps to the nearest one inside; of two equally near, to the higher.
//!
//! ```
//! use codex_proxy::models::effort::Effort;
//!
//! assert_eq!(Effort::parse("X-High"), Some(Effort::Xhigh));
//! assert_eq!(Effort::parse("ultra"), Some(Effort::Max));
//! assert_eq!(Effort::parse("enormous"), None);
//! ```

use std::cmp::Reverse;
use std::fmt;

use serde::{Serialize, Serializer};

/// A level of reasoning, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effort {
    /// No reasoning.
    None,
    /// As little as possible.
    Minimal,
    /// Little.
    Low,
    /// The usual amount.
    Medium,
    /// Much.
    High,
    /// More than high.
    Xhigh,
    /// Everything the model has.
    Max,
}

impl Effort {
    /// All levels, lowest first.
    pub const ALL: [Self; 7] = [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Xhigh, Self::Max];

    /// Parses `word`, whatever its case and the spaces, hyphens and underscores in it; `None` for an unknown word.
    pub fn parse(word: &str) -> Option<Self> {
        let is_word = |known: &str| {
            let letters = word.bytes().filter(|byte| !matches!(byte, b' ' | b'\t' | b'-' | b'_'));
            letters.map(|byte| byte.to_ascii_lowercase()).eq(known.bytes())
        };
        let level = Self::ALL.into_iter().find(|level| is_word(level.as_str()));
        level.or_else(|| SYNONYMS.into_iter().find(|(known, _)| is_word(known)).map(|(_, level)| level))
    }

    /// Parses the backend's name of a level.
    pub fn on_the_wire(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| word == level.as_str())
    }

    /// Returns the backend's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// Returns the nearest level of `allowed`, the higher of two equally near; `self` if `allowed` is empty.
    #[must_use]
    pub fn nearest(self, allowed: &[Self]) -> Self {
        let nearest = allowed.iter().copied().min_by_key(|&level| ((level as u8).abs_diff(self as u8), Reverse(level)));
        nearest.unwrap_or(self)
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Effort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Other tools' names of levels.
const SYNONYMS: [(&str, Effort); 10] = [
    ("off", Effort::None),
    ("disabled", Effort::None),
    ("min", Effort::Minimal),
    ("minimum", Effort::Minimal),
    ("med", Effort::Medium),
    ("normal", Effort::Medium),
    ("extrahigh", Effort::Xhigh),
    ("veryhigh", Effort::Xhigh),
    ("maximum", Effort::Max),
    ("ultra", Effort::Max),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::effort::Effort::{High, Low, Max, Medium, Minimal, None as Off, Xhigh};

    #[test]
    fn every_level_reads_back_from_its_own_word_in_any_case() {
        for level in Effort::ALL {
            assert_eq!(Effort::parse(level.as_str()), Some(level));
            assert_eq!(Effort::parse(&format!(" {} ", level.as_str().to_uppercase())), Some(level));
        }
    }

    #[test]
    fn synonyms_mean_a_level_and_other_words_nothing() {
        for (word, level) in [
            ("Ultra", Max),
            ("maximum", Max),
            ("x-high", Xhigh),
            ("Extra High", Xhigh),
            ("extra_high", Xhigh),
            ("off", Off),
            ("Disabled", Off),
            ("min", Minimal),
            ("med", Medium),
        ] {
            assert_eq!(Effort::parse(word), Some(level), "{word}");
        }
        for word in ["", " ", "-", "auto", "default", "extreme", "lowish", "ｈｉｇｈ"] {
            assert_eq!(Effort::parse(word), None, "{word:?}");
        }
    }

    #[test]
    fn nearest_prefers_the_higher_of_two_neighbours() {
        assert_eq!(Minimal.nearest(&[Off, Low, Medium]), Low);
        assert_eq!(Xhigh.nearest(&[Minimal, Low, Medium, High]), High);
        assert_eq!(Low.nearest(&[Medium, High]), Medium);
        assert_eq!(Max.nearest(&[]), Max);
    }
}
