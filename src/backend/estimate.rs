//! An estimate of the tokens in a body for the backend, and in a text of its answer.
//!
//! * A tokenizer's ranks would take some megabytes, for a figure that clients use only as a rough guide. So pieces are
//!   counted by their kind, measured against `o200k_base`: words, numbers, runs of punctuation and of white space, and
//!   letters of other scripts. On prose, code and JSON it is within a tenth or so.
//! * Constants account for the backend's framing of an item, a call, a tool and an image.
//! * The estimate is additive and deterministic: clients subtract one count from another.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Estimates the tokens of `body`, a body for the backend.
pub fn tokens(body: &[u8]) -> u64 {
    let Ok(body) = serde_json::from_slice::<Body<'_>>(body) else { return 0 };
    let input = body.input.iter().map(|item| {
        let item: Value = serde_json::from_str(item.get()).unwrap_or_default();
        let around = match item["type"].as_str() {
            Some("function_call" | "function_call_output" | "custom_tool_call" | "custom_tool_call_output") => PER_CALL,
            _ => PER_ITEM,
        };
        around + value(&item)
    });
    let tools = body.tools.iter().map(|tool| PER_TOOL + json(tool));
    let format = body.text.and_then(|text| text.format).map_or(0, json);
    text(&body.instructions) + input.sum::<u64>() + tools.sum::<u64>() + format
}

/// What is counted of a body. One item at a time is parsed, so that the estimate takes little memory.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    instructions: Cow<'a, str>,
    #[serde(borrow, default)]
    input: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    tools: Vec<&'a RawValue>,
    #[serde(borrow)]
    text: Option<TextSettings<'a>>,
}

#[derive(Deserialize)]
struct TextSettings<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
}

/// Estimates the tokens of JSON without the white space between its values.
fn json(value: &RawValue) -> u64 {
    let (mut is_text, mut is_escape) = (false, false);
    letters(value.get().chars().filter(move |letter| {
        if !is_text {
            is_text = *letter == '"';
            return !letter.is_ascii_whitespace();
        }
        is_text = is_escape || *letter != '"';
        is_escape = !is_escape && *letter == '\\';
        true
    }))
}

/// Estimates the tokens of an item's contents, without its keys.
fn value(value: &Value) -> u64 {
    match value {
        Value::Object(object) => object.iter().map(|(key, value)| field(key, value)).sum(),
        Value::Array(values) => values.iter().map(self::value).sum(),
        Value::String(string) => text(string),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn field(key: &str, value: &Value) -> u64 {
    match key {
        "type" | "role" | "call_id" | "status" | "id" | "detail" => 0,
        "image_url" => IMAGE,
        // A page of a PDF takes some 50 KB; the length of a text with a URL is unknown.
        "file_data" => PER_PAGE * (value.as_str().map_or(0, str::len) as u64 / 70_000 + 1),
        "file_url" => PER_PAGE,
        // Encrypted reasoning is longer than its plain text.
        "encrypted_content" => value.as_str().map_or(0, str::len) as u64 / 6,
        _ => self::value(value),
    }
}

/// Estimates the tokens of a text.
pub fn text(text: &str) -> u64 {
    letters(text.chars())
}

fn letters(letters: impl Iterator<Item = char>) -> u64 {
    let mut quarters = 0;
    let mut letters = letters.peekable();
    while let Some(letter) = letters.next() {
        let mut length: u64 = 1;
        let kind = Kind::of(letter);
        while letters.next_if(|next| Kind::of(*next) == kind).is_some() {
            length += 1;
        }
        quarters += kind.quarters(length);
    }
    quarters.div_ceil(4)
}

/// The kind of run to which a letter belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Digits,
    Space,
    Lines,
    Punctuation,
    Ideographs,
    OtherLetters,
}

impl Kind {
    fn of(letter: char) -> Self {
        match letter {
            'a'..='z' | 'A'..='Z' => Self::Word,
            '0'..='9' => Self::Digits,
            '\n' | '\r' => Self::Lines,
            letter if letter.is_whitespace() => Self::Space,
            letter if letter.is_ascii() => Self::Punctuation,
            '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' => Self::Ideographs,
            _ => Self::OtherLetters,
        }
    }

    /// Returns the tokens of a run with this many letters, in quarters.
    const fn quarters(self, length: u64) -> u64 {
        match self {
            // A common word with the space before it is one token, a long one more.
            Self::Word => 4 * (1 + length.saturating_sub(1) / 8),
            Self::Digits => 4 * length.div_ceil(3),
            Self::Space => {
                if length == 1 {
                    0
                } else {
                    3
                }
            }
            Self::Lines => 2,
            Self::Punctuation => 2 + 2 * length.div_ceil(2),
            Self::Ideographs => 3 * length,
            Self::OtherLetters => 4 * length.div_ceil(4),
        }
    }
}

const PER_ITEM: u64 = 5;
const PER_CALL: u64 = 10;
const PER_TOOL: u64 = 12;
const IMAGE: u64 = 1_100;
const PER_PAGE: u64 = 1_500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_about_right_and_adds_up() {
        // The counts of o200k_base.
        for (sample, counted) in [
            ("The quick brown fox jumps over the lazy dog.", 10),
            ("fn main() {\n    println!(\"Hello, {}!\", name);\n}", 15),
            (r#"{"type":"object","properties":{"city":{"type":"string"}}}"#, 16),
            ("Der Tokenizer zerlegt deutsche Wörter in Stücke.", 12),
        ] {
            let estimate = text(sample);
            assert!(estimate.abs_diff(counted) <= 1 + counted / 4, "{sample}: {estimate} for {counted}");
        }
        let count = |input: &str| tokens(format!(r#"{{"instructions":"","input":[{input}]}}"#).as_bytes());
        let item = r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"one two"}]}"#;
        assert_eq!(count(&format!("{item},{item}")), 2 * count(item));
        assert_eq!(count(""), 0);
        let with = |tools: &str| tokens(format!(r#"{{"tools":[{tools}]}}"#).as_bytes());
        assert_eq!(with(r#"{ "name" :  "a\" b" }"#), with(r#"{"name":"a\" b"}"#));
        assert!(with(r#"{"name":"a\"  b"}"#) > with(r#"{"name":"a\" b"}"#));
    }
}
