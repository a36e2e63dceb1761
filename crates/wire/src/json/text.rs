//! A JSON string that has not been decoded.

use std::borrow::Cow;

use memchr::{memchr, memchr2_iter};
use serde_json::value::RawValue;

/// The characters between the quotes of a JSON string, still escaped.
///
/// Two texts can be joined without decoding either: the inside of one JSON string may follow the inside of another. A
/// surrogate pair split over two strings becomes whole again that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// The text without characters.
    pub const EMPTY: Self = Self("");

    /// Wraps an already escaped text: joined from other texts, or a constant.
    pub const fn from_escaped(escaped: &'a str) -> Self {
        Self(escaped)
    }

    /// Returns the inside of `raw`, or `None` if it is no string.
    pub fn of(raw: &'a RawValue) -> Option<Self> {
        let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
        Some(Self(inner))
    }

    /// Returns the escaped characters.
    pub const fn escaped(self) -> &'a str {
        self.0
    }

    /// Returns whether the text has no characters.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the text is `word`, however its letters are written. Only a text with escapes is decoded.
    pub fn is(self, word: &str) -> bool {
        self.0 == word || (self.has_escapes() && self.decode() == word)
    }

    /// Returns whether the text begins with `words`, which have fewer than 100 bytes, however its letters are written.
    /// Only the beginning of the text is decoded.
    pub fn begins_with(self, words: &str) -> bool {
        self.0.starts_with(words) || (self.has_escapes() && self.beginning().decode().starts_with(words))
    }

    fn has_escapes(self) -> bool {
        memchr(b'\\', self.0.as_bytes()).is_some()
    }

    /// Returns the beginning of the text, cut between two characters.
    fn beginning(self) -> Self {
        let mut at = 0;
        while at < LONGEST_BEGINNING {
            let Some(rest) = self.0.get(at..).filter(|rest| !rest.is_empty()) else { return self };
            at += match rest.as_bytes() {
                [b'\\', b'u', ..] => 6,
                [b'\\', ..] => 2,
                _ => rest.chars().next().map_or(1, char::len_utf8),
            };
        }
        Self(self.0.get(..at).unwrap_or(self.0))
    }

    /// Counts the characters.
    pub fn length(self) -> usize {
        if !self.has_escapes() {
            return self.0.chars().count();
        }
        let (mut count, mut bytes) = (0, self.0.bytes());
        while let Some(byte) = bytes.next() {
            count += usize::from(byte & 0b1100_0000 != 0b1000_0000);
            if byte == b'\\' && bytes.next() == Some(b'u') {
                // Two halves of a surrogate pair are one character, and an unpaired half is a special case: decode.
                if matches!(bytes.next(), Some(b'd' | b'D')) {
                    return self.decode().chars().count();
                }
                bytes.nth(2);
            }
        }
        count
    }

    /// Returns whether the text contains the word "json", in any case.
    pub fn mentions_json(self) -> bool {
        let contains = |text: &str| {
            let text = text.as_bytes();
            memchr2_iter(b'j', b'J', text)
                .any(|start| text.get(start..start + 4).is_some_and(|word| word.eq_ignore_ascii_case(b"json")))
        };
        // Letters may be escaped by their number; no other escape can produce one.
        contains(self.0) || (self.0.contains("\\u") && contains(&self.decode()))
    }

    /// Decodes the characters. An unpaired surrogate, which no Rust string can hold, becomes U+FFFD; so the result is
    /// for reading, never for forwarding.
    #[inline]
    pub fn decode(self) -> Cow<'a, str> {
        if !self.has_escapes() {
            return Cow::Borrowed(self.0);
        }
        let quoted = format!("\"{}\"", self.0);
        match serde_json::from_str(&quoted) {
            Ok(text) => Cow::Owned(text),
            Err(_) => Cow::Owned(decode_lossy(&quoted)),
        }
    }
}

/// The bytes of a beginning: those of 100 letters by their numbers.
const LONGEST_BEGINNING: usize = 600;

/// Decodes a string through bytes, since `serde_json` decodes unpaired surrogates only into bytes.
#[inline]
fn decode_lossy(quoted: &str) -> String {
    struct Bytes(Vec<u8>);
    impl<'de> serde::Deserialize<'de> for Bytes {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl serde::de::Visitor<'_> for Visitor {
                type Value = Bytes;
                fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str("a string")
                }
                fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                    Ok(Bytes(bytes.to_vec()))
                }
            }
            deserializer.deserialize_bytes(Visitor)
        }
    }
    let bytes = serde_json::from_str::<Bytes>(quoted).map(|bytes| bytes.0).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn keeps_the_escapes() {
        let value = raw(r#""a\u2028\"b""#);
        let text = Text::of(&value).unwrap();
        assert_eq!(text.escaped(), r#"a\u2028\"b"#);
        assert_eq!(text.decode(), "a\u{2028}\"b");
    }

    #[test]
    fn a_length_counts_characters() {
        for escaped in
            ["", "aé\u{1f600}", r"\n\u00e4\\\\\u0041", r"\ud83d\ude00x", r"\ud83dx", r"\uD7FFx\ud7ff", r#"\"\/\t"#]
        {
            let text = Text::from_escaped(escaped);
            assert_eq!(text.length(), text.decode().chars().count(), "{escaped}");
        }
    }

    #[test]
    fn a_word_is_found_in_any_case_and_escape() {
        for escaped in ["json", "a JSON b", r"\u006aSon", r"x\njson", "aJsOn"] {
            assert!(Text::from_escaped(escaped).mentions_json(), "{escaped}");
        }
        for escaped in ["", "jso", r"js\non", r"js\\u006fn"] {
            assert!(!Text::from_escaped(escaped).mentions_json(), "{escaped}");
        }
    }

    #[test]
    fn a_word_is_the_same_in_every_spelling() {
        for (escaped, is) in [("auto", true), (r"aut\u006f", true), (r"\u0061\u0075to", true), ("aut", false)] {
            assert_eq!(Text::from_escaped(escaped).is("auto"), is, "{escaped}");
        }
        assert!(!Text::from_escaped(r"aut\\u006f").is("auto"));
        let long = r"\u00e9\n".repeat(200);
        for (escaped, begins) in
            [("https://x", true), (r"https:\/\/x", true), (r"\u0068ttps:\/\/x\n", true), (r"\n", false)]
        {
            for escaped in [escaped.to_owned(), format!("{escaped}{long}")] {
                assert_eq!(Text::from_escaped(&escaped).begins_with("https://"), begins, "{escaped}");
            }
        }
        assert!(!Text::from_escaped("").begins_with("a") && !Text::from_escaped(&long).begins_with("a"));
    }

    #[test]
    fn half_a_surrogate_pair_decodes_to_the_replacement_character() {
        let value = raw(r#""x\ud83d""#);
        assert!(Text::of(&value).unwrap().decode().starts_with('x'));
    }

    #[test]
    fn other_values_are_no_text() {
        for json in ["1", "null", "[\"a\"]", "{}"] {
            assert_eq!(Text::of(&raw(json)), None, "{json}");
        }
    }
}
