//! Untrusted text, made safe for a log line or a terminal.
//!
//! * Control characters are escaped: a line break would forge a log line, an escape sequence would control the
//!   terminal. So are the characters that reorder text (<https://www.unicode.org/reports/tr9/>) and the two other line
//!   breaks.
//! * A long text is truncated, and its length appended.
//!
//! ```
//! use codex_proxy::excerpt::Excerpt;
//!
//! assert_eq!(Excerpt::of("a\nb").to_string(), r"a\nb");
//! assert_eq!(Excerpt::up_to(4, "a long name").to_string(), "a lo… (11 bytes)");
//! ```

use std::borrow::Cow;
use std::fmt::{self, Write};

/// The beginning of a text, escaped.
#[derive(Debug, Clone, Copy)]
pub struct Excerpt<'a> {
    text: &'a str,
    /// The most bytes.
    limit: usize,
}

impl<'a> Excerpt<'a> {
    /// Excerpts the first [`NAME`] bytes of `text`.
    pub const fn of(text: &'a str) -> Self {
        Self::up_to(NAME, text)
    }

    /// Excerpts the first `limit` bytes of `text`.
    pub const fn up_to(limit: usize, text: &'a str) -> Self {
        Self { text, limit }
    }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.len() <= self.limit {
            return escape_into(formatter, self.text);
        }
        escape_into(formatter, beginning(self.text, self.limit))?;
        write!(formatter, "… ({} bytes)", self.text.len())
    }
}

/// Truncates `text` to `limit` bytes and appends its length if it was longer. Nothing is escaped: for a log field that
/// is written as a string.
pub fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return text.into();
    }
    format!("{}… ({} bytes)", beginning(text, limit), text.len()).into()
}

/// Truncates `text` to at most `limit` bytes, at a character boundary.
pub fn beginning(text: &str, limit: usize) -> &str {
    // `str::floor_char_boundary` needs Rust 1.91.
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

/// The most bytes of a name: more than any model, route, host or field has.
pub const NAME: usize = 256;
/// The most bytes of a message: some sentences.
pub const MESSAGE: usize = 2048;

/// Writes `text`, and escapes every character for which [`is_unsafe`] holds.
pub fn escape_into(writer: &mut dyn Write, text: &str) -> fmt::Result {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return writer.write_str(text);
    }
    let mut written = 0;
    for (position, character) in text.char_indices().filter(|(_, character)| is_unsafe(*character)) {
        writer.write_str(text.get(written..position).unwrap_or_default())?;
        write!(writer, "{}", character.escape_default())?;
        written = position + character.len_utf8();
    }
    writer.write_str(text.get(written..).unwrap_or_default())
}

/// Returns whether `character` would leave or reorder its line, or control the terminal.
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line_and_a_terminal_in_peace() {
        for (text, shown) in [
            ("gpt-6.1-sol", "gpt-6.1-sol"),
            ("a\nb\r\tc", r"a\nb\r\tc"),
            ("\u{1b}[2Jx\u{7}\u{9b}y\u{7f}", r"\u{1b}[2Jx\u{7}\u{9b}y\u{7f}"),
            ("\u{202e}evil\u{2066}\u{2028}", r"\u{202e}evil\u{2066}\u{2028}"),
            ("größer 密钥 👍🏽 \\n", "größer 密钥 👍🏽 \\n"),
            ("", ""),
        ] {
            assert_eq!(Excerpt::of(text).to_string(), shown);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(Excerpt::up_to(4, "密钥密").to_string(), "密… (9 bytes)");
        assert_eq!(Excerpt::up_to(9, "密钥密").to_string(), "密钥密");
        assert_eq!(Excerpt::up_to(0, "x").to_string(), "… (1 bytes)");
        assert_eq!((cut("密钥", 5), cut("密钥", 6)), ("密… (6 bytes)".into(), "密钥".into()));
    }
}
