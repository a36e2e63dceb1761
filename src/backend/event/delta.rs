//! The delta, nine events in ten, read without a JSON parser.
//!
//! * [`Delta::read`] knows one form: a flat object without white space, of strings, plain numbers and empty lists. It
//!   gives up on anything else, and on anything a parser would reject; [`Delta::of`] then uses the parsed event.
//! * If both return a delta, it is the same.

use memchr::memchr2;
use serde_json::value::RawValue;

use crate::backend::event::Event;
use crate::json::Text;

/// New characters of one text of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta<'a> {
    /// The kind of text.
    pub kind: DeltaKind,
    /// The id of its item, as JSON.
    pub item_id: Option<&'a str>,
    /// The item's place in the answer.
    pub output_index: Option<u64>,
    /// The index of the part in a message, or in raw reasoning.
    pub content_index: Option<u64>,
    /// The index of the part in a reasoning summary.
    pub summary_index: Option<u64>,
    /// The event's number in the stream.
    pub sequence_number: Option<u64>,
    /// The new characters.
    pub text: Text<'a>,
}

/// The kind of text in a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeltaKind {
    /// Text of a message.
    Text,
    /// Refusal of a message.
    Refusal,
    /// Summary of reasoning.
    Summary,
    /// Raw reasoning.
    Reasoning,
    /// Arguments of a function call.
    Arguments,
    /// Input of a custom tool call.
    Input,
}

impl DeltaKind {
    /// Returns the kind for the event of this name.
    pub fn of(event: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.event() == event)
    }

    /// Returns the name of the event.
    pub const fn event(self) -> &'static str {
        match self {
            Self::Text => "response.output_text.delta",
            Self::Refusal => "response.refusal.delta",
            Self::Summary => "response.reasoning_summary_text.delta",
            Self::Reasoning => "response.reasoning_text.delta",
            Self::Arguments => "response.function_call_arguments.delta",
            Self::Input => "response.custom_tool_call_input.delta",
        }
    }

    const ALL: [Self; 6] = [Self::Text, Self::Refusal, Self::Summary, Self::Reasoning, Self::Arguments, Self::Input];
}

impl<'a> Delta<'a> {
    /// Returns the index of its part, among the parts of its kind.
    pub fn part_index(&self) -> u64 {
        match self.kind {
            DeltaKind::Text | DeltaKind::Refusal | DeltaKind::Reasoning => self.content_index.unwrap_or_default(),
            DeltaKind::Summary => self.summary_index.unwrap_or_default(),
            DeltaKind::Arguments | DeltaKind::Input => 0,
        }
    }

    /// Reads the delta in a frame's data, if it has the known form.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        Fields::read(data)?.delta()
    }

    /// Reads the delta in a parsed event, if it is a delta.
    pub fn of(event: &Event<'a>) -> Option<Self> {
        Some(Self {
            kind: DeltaKind::of(&event.kind)?,
            item_id: event.item_id.map(RawValue::get),
            output_index: event.output_index,
            content_index: event.content_index,
            summary_index: event.summary_index,
            sequence_number: event.sequence_number,
            text: event.delta()?,
        })
    }
}

/// The fields read so far.
#[derive(Debug, Default)]
struct Fields<'a> {
    kind: Option<DeltaKind>,
    item_id: Option<&'a str>,
    output_index: Option<u64>,
    content_index: Option<u64>,
    summary_index: Option<u64>,
    sequence_number: Option<u64>,
    text: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        if data.len() > LONGEST {
            return None;
        }
        let text = std::str::from_utf8(data).ok()?;
        if holds_control_characters(data) {
            return None;
        }
        let mut scanner = Scanner { text, position: 0 };
        let mut fields = Self::default();
        scanner.expect(b'{')?;
        let mut expected = 0;
        loop {
            let field = match scanner.field_near(expected) {
                Some(place) => {
                    expected = place + 1;
                    USUAL_FIELDS[place % USUAL_FIELDS.len()].1
                }
                None => Field::named(scanner.key()?)?,
            };
            fields.take(field, &mut scanner)?;
            match scanner.next()? {
                b',' => {}
                b'}' if scanner.position == text.len() => return Some(fields),
                _ => return None,
            }
        }
    }

    /// Takes the value of `field`. A parser rejects a repeated field, so a repetition gives up here.
    fn take(&mut self, field: Field, scanner: &mut Scanner<'a>) -> Option<()> {
        match field {
            Field::Kind => once(&mut self.kind, DeltaKind::of(scanner.string()?)?),
            Field::Delta => once(&mut self.text, scanner.string()?),
            Field::ItemId => {
                let begin = scanner.position;
                scanner.string()?;
                once(&mut self.item_id, scanner.text.get(begin..scanner.position)?)
            }
            Field::OutputIndex => once(&mut self.output_index, scanner.number()?),
            Field::ContentIndex => once(&mut self.content_index, scanner.number()?),
            Field::SummaryIndex => once(&mut self.summary_index, scanner.number()?),
            Field::SequenceNumber => once(&mut self.sequence_number, scanner.number()?),
            Field::Other => scanner.skip(),
        }
    }

    fn delta(self) -> Option<Delta<'a>> {
        Some(Delta {
            kind: self.kind?,
            item_id: self.item_id,
            output_index: self.output_index,
            content_index: self.content_index,
            summary_index: self.summary_index,
            sequence_number: self.sequence_number,
            text: Text::from_escaped(self.text?),
        })
    }
}

/// The fields of a delta.
#[derive(Debug, Clone, Copy)]
enum Field {
    Kind,
    Delta,
    ItemId,
    OutputIndex,
    ContentIndex,
    SummaryIndex,
    SequenceNumber,
    Other,
}

impl Field {
    /// Returns the field of this name; `None` for a field of other events that only the parser reads.
    fn named(key: &str) -> Option<Self> {
        if READ_BY_THE_PARSER.contains(&key) {
            return None;
        }
        let usual = USUAL_FIELDS.iter().find(|(name, _)| name.get(1..name.len() - 2) == Some(key));
        Some(usual.map_or(Self::Other, |(_, field)| *field))
    }
}

fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

/// Tests eight bytes at a time: a byte below 32 borrows from its own highest bit, which was not set before.
fn holds_control_characters(data: &[u8]) -> bool {
    let (words, rest) = data.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| {
        let word = u64::from_ne_bytes(*word);
        found | (word.wrapping_sub(SPACES) & !word)
    });
    found & HIGHEST_BITS != 0 || rest.iter().any(|byte| *byte < b' ')
}

/// Scans a text without control characters.
#[derive(Debug)]
struct Scanner<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.position += 1;
        Some(next)
    }

    fn expect(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    /// Skips the next field name, and returns its index in [`USUAL_FIELDS`]; the search starts at `expected`.
    fn field_near(&mut self, expected: usize) -> Option<usize> {
        let rest = self.text.as_bytes().get(self.position..)?;
        let mut places = expected..expected + USUAL_FIELDS.len();
        let place = places.find(|place| rest.starts_with(USUAL_FIELDS[place % USUAL_FIELDS.len()].0.as_bytes()))?;
        self.position += USUAL_FIELDS[place % USUAL_FIELDS.len()].0.len();
        Some(place)
    }

    /// Reads a field's name and the colon after it.
    fn key(&mut self) -> Option<&'a str> {
        let rest = self.text.as_bytes().get(self.position..)?.strip_prefix(b"\"")?;
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let key = self.text.get(self.position + 1..)?.get(..length)?;
        self.position += 1 + length;
        self.expect(b'"')?;
        self.expect(b':')?;
        Some(key)
    }

    /// Reads the inside of a string.
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let begin = self.position;
        loop {
            self.position += memchr2(b'"', b'\\', self.text.as_bytes().get(self.position..)?)? + 1;
            if self.text.as_bytes().get(self.position - 1) == Some(&b'"') {
                return self.text.get(begin..self.position - 1);
            }
            self.escape()?;
        }
    }

    /// Skips the rest of an escape after the backslash.
    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => (0..4).try_for_each(|_| self.next()?.is_ascii_hexdigit().then_some(())),
            _ => None,
        }
    }

    /// Reads a number without sign, fraction or exponent, with few enough digits to fit.
    fn number(&mut self) -> Option<u64> {
        let begin = self.position;
        let mut number = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if self.position - begin == MOST_DIGITS || (number == 0 && self.position > begin) {
                return None;
            }
            number = number * 10 + u64::from(digit - b'0');
            self.position += 1;
        }
        (self.position > begin).then_some(number)
    }

    /// Skips an unused value.
    fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'0'..=b'9' => self.number().map(drop),
            b'[' => {
                self.position += 1;
                self.expect(b']')
            }
            _ => None,
        }
    }
}

/// The fields in the order in which the backend sends them.
const USUAL_FIELDS: [(&str, Field); 9] = [
    ("\"type\":", Field::Kind),
    ("\"content_index\":", Field::ContentIndex),
    ("\"delta\":", Field::Delta),
    ("\"item_id\":", Field::ItemId),
    ("\"logprobs\":", Field::Other),
    ("\"obfuscation\":", Field::Other),
    ("\"output_index\":", Field::OutputIndex),
    ("\"sequence_number\":", Field::SequenceNumber),
    ("\"summary_index\":", Field::SummaryIndex),
];

/// The fields of other events that [`Event`] reads.
const READ_BY_THE_PARSER: [&str; 10] =
    ["text", "refusal", "arguments", "input", "annotation", "annotation_index", "part", "item", "response", "headers"];

const SPACES: u64 = u64::from_ne_bytes([b' '; 8]);
const HIGHEST_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// The longest event in bytes to read here; a longer one is rare enough for a parser.
const LONGEST: usize = 4096;

/// The digits of the longest number that always fits.
const MOST_DIGITS: usize = 19;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TODAY: &str = r#"{"type":"response.output_text.delta","content_index":0,"delta":" a\n\u00e4é","item_id":"msg_1","logprobs":[],"obfuscation":"x","output_index":12,"sequence_number":3}"#;

    fn parsed(data: &[u8]) -> Option<Delta<'_>> {
        Event::parse(data).and_then(|event| Delta::of(&event))
    }

    #[test]
    fn what_the_backend_sends_today_needs_no_parser() {
        let delta = Delta::read(TODAY.as_bytes()).unwrap();
        assert_eq!(delta.kind, DeltaKind::Text);
        assert_eq!((delta.item_id, delta.output_index), (Some("\"msg_1\""), Some(12)));
        assert_eq!((delta.content_index, delta.summary_index, delta.sequence_number), (Some(0), None, Some(3)));
        assert_eq!(delta.text.escaped(), r" a\n\u00e4é");
        assert_eq!(Some(delta), parsed(TODAY.as_bytes()));
    }

    #[test]
    fn every_cut_and_every_changed_byte_gives_what_a_parser_gives() {
        let today = TODAY.as_bytes();
        for place in 0..today.len() {
            assert_eq!(Delta::read(&today[..place]), None);
            for byte in 0..=255 {
                let mut changed = today.to_vec();
                changed[place] = byte;
                if let Some(delta) = Delta::read(&changed) {
                    assert_eq!(Some(delta), parsed(&changed), "{}", String::from_utf8_lossy(&changed));
                }
            }
        }
    }

    #[test]
    fn other_forms_are_left_to_the_parser() {
        for json in [
            r#"{ "type":"response.output_text.delta","delta":"a"}"#,
            r#"{"type":"response.output_text.delta","delta":"a"} "#,
            r#"{"type":"response.output_text.delta","delta":"a","item_id":null}"#,
            r#"{"type":"response.output_text.delta","delta":"a","output_index":01}"#,
            r#"{"type":"response.output_text.delta","delta":"a","output_index":1.0}"#,
            r#"{"type":"response.output_text.delta","delta":"a","output_index":18446744073709551616}"#,
            r#"{"type":"response.output_text.delta","delta":"a","delta":"b"}"#,
            r#"{"type":"response.output_text.delta","delta":"a","response":"b"}"#,
            r#"{"type":"response.output_text.delta","d\u0065lta":"a"}"#,
            r#"{"type":"response.output_text.delta","delta":"\x"}"#,
            r#"{"type":"response.output_text.delta","delta":"\u12g4"}"#,
            r#"{"type":"response.output_text.delta","delta":"a","logprobs":[{}]}"#,
            r#"{"type":"response.output_text.delta"}"#,
            r#"{"type":"response.output_text.done","delta":"a"}"#,
            "{}",
            "[DONE]",
            "",
        ] {
            assert_eq!(Delta::read(json.as_bytes()), None, "{json}");
        }
    }

    fn field() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec![
            "type",
            "delta",
            "item_id",
            "output_index",
            "content_index",
            "summary_index",
            "sequence_number",
            "logprobs",
            "obfuscation",
            "text",
            "annotation_index",
            "item",
            "d\\u0065lta",
            "",
        ]);
        let value = prop::sample::select(vec![
            r#""response.output_text.delta""#,
            r#""response.refusal.delta""#,
            r#""response.completed""#,
            r#""response.reasoning_summary_text.delta""#,
            r#""response.reasoning_text.delta""#,
            r#""response.function_call_arguments.delta""#,
            r#""response.custom_tool_call_input.delta""#,
            r#""a\"\\""#,
            r#""\ud83d""#,
            r#""\q""#,
            r#""é{[,:""#,
            r#""""#,
            "0",
            "7",
            "007",
            "-1",
            "1e2",
            "9999999999999999999",
            "99999999999999999999",
            "[]",
            "[1]",
            "{}",
            "null",
            "true",
            " 1",
            "\"a\tb\"",
        ]);
        (key, value).prop_map(|(key, value)| format!("\"{key}\":{value}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_parser_gives_the_same(
            kind in prop::sample::select(vec!["response.output_text.delta", "response.refusal.delta"]),
            fields in prop::collection::vec(field(), 0..6),
            place in 0usize..6,
        ) {
            let mut fields = fields;
            fields.insert(place.min(fields.len()), format!("\"type\":\"{kind}\""));
            fields.insert((place / 2).min(fields.len()), "\"delta\":\"a\"".to_owned());
            let json = format!("{{{}}}", fields.join(","));
            if let Some(delta) = Delta::read(json.as_bytes()) {
                prop_assert_eq!(Some(delta), parsed(json.as_bytes()), "{}", json);
            }
        }
    }
}
