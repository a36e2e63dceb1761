//! The delta, nine events in ten, read without a JSON parser.
//!
//! * [`Delta::read`] knows one form: a flat object without white space, of strings, plain numbers and empty lists. It
//!   gives up on anything else, and on anything a parser would reject; [`Delta::of`] then uses the parsed event.
//! * If both return a delta, it is the same.
//! * The deltas of one text differ in a few values alone. So a [`DeltaReader`] compares what stands around these values with
//!   the delta before, and reads only the values.

use std::ops::Range;

use memchr::memchr;

use crate::event::Event;
use crate::event::scanner::{Scanner, once};
use crate::json::{Raw, Text};

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
        Fields::read(&mut scanner_of(data)?, |_, _| {})?.delta()
    }

    /// Reads the delta in a parsed event, if it is a delta.
    pub fn of(event: &Event<'a>) -> Option<Self> {
        Some(Self {
            kind: DeltaKind::of(&event.kind)?,
            item_id: event.item_id.map(Raw::get),
            output_index: event.output_index,
            content_index: event.content_index,
            summary_index: event.summary_index,
            sequence_number: event.sequence_number,
            text: event.delta()?,
        })
    }
}

/// Reads the deltas of one answer.
#[derive(Debug, Default)]
pub struct DeltaReader {
    form: Form,
}

impl DeltaReader {
    /// Reads the delta in a frame's data, as [`Delta::read`] does.
    pub fn read<'a>(&mut self, data: &'a [u8]) -> Option<Delta<'a>> {
        let mut scanner = scanner_of(data)?;
        if let Some(fields) = self.form.read(&mut scanner) {
            return fields.delta();
        }
        scanner.return_to(0);
        let fields = self.form.learn(&mut scanner)?;
        fields.delta()
    }
}

/// A delta as an example for others: its bytes, and the values that may differ.
#[derive(Debug, Default)]
struct Form {
    event: Vec<u8>,
    values: Vec<(Field, Range<usize>)>,
    /// The fields outside of `values`.
    others: Fields<'static>,
}

impl Form {
    /// Reads a delta that differs in the values alone.
    fn read<'a>(&self, scanner: &mut Scanner<'a>) -> Option<Fields<'a>> {
        let (mut fields, mut compared) = (self.others, 0);
        for (field, value) in &self.values {
            scanner.take(self.event.get(compared..value.start)?).then_some(())?;
            fields.take(*field, scanner)?;
            compared = value.end;
        }
        (scanner.take(self.event.get(compared..)?) && scanner.peek().is_none()).then_some(fields)
    }

    /// Reads a delta of any form, and remembers it as the example.
    fn learn<'a>(&mut self, scanner: &mut Scanner<'a>) -> Option<Fields<'a>> {
        self.event.clear();
        self.values.clear();
        let fields = Fields::read(scanner, |field, value| {
            if field.differs() {
                self.values.push((field, value));
            }
        })?;
        self.event.extend_from_slice(scanner.bytes(..)?);
        let Fields { kind, output_index, content_index, summary_index, .. } = fields;
        self.others = Fields { kind, output_index, content_index, summary_index, ..Fields::default() };
        Some(fields)
    }
}

/// Begins to read an event that may be a delta.
fn scanner_of(data: &[u8]) -> Option<Scanner<'_>> {
    if data.len() > LONGEST || is_named_otherwise(data) {
        return None;
    }
    Scanner::of(data)
}

/// Returns whether an event begins with the name of another kind.
fn is_named_otherwise(data: &[u8]) -> bool {
    let Some(rest) = data.strip_prefix(b"{\"type\":\"") else { return false };
    let name = memchr(b'"', rest).and_then(|end| rest.get(..end));
    name.is_none_or(|name| !name.ends_with(b".delta"))
}

/// The fields read so far.
#[derive(Debug, Clone, Copy, Default)]
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
    /// Reads a whole event, and gives `note` each field that has been read with the place of its value.
    fn read(scanner: &mut Scanner<'a>, mut note: impl FnMut(Field, Range<usize>)) -> Option<Self> {
        let mut fields = Self::default();
        scanner.expect(b'{')?;
        let mut expected = 0;
        loop {
            let field = match field_near(expected, scanner) {
                Some(place) => {
                    expected = place + 1;
                    USUAL_FIELDS[place % USUAL_FIELDS.len()].1
                }
                None => Field::named(scanner.key()?)?,
            };
            let begin = scanner.position();
            fields.take(field, scanner)?;
            note(field, begin..scanner.position());
            match scanner.byte()? {
                b',' => {}
                b'}' if scanner.peek().is_none() => return Some(fields),
                _ => return None,
            }
        }
    }

    /// Takes the value of `field`. A parser rejects a repeated field, so a repetition gives up here.
    fn take(&mut self, field: Field, scanner: &mut Scanner<'a>) -> Option<()> {
        match field {
            Field::Kind => once(&mut self.kind, DeltaKind::of(scanner.string()?)?),
            Field::Delta => once(&mut self.text, scanner.string()?),
            Field::ItemId => once(&mut self.item_id, scanner.raw().filter(|raw| raw.text().is_some())?.get()),
            Field::OutputIndex => once(&mut self.output_index, scanner.number()?),
            Field::ContentIndex => once(&mut self.content_index, scanner.number()?),
            Field::SummaryIndex => once(&mut self.summary_index, scanner.number()?),
            Field::SequenceNumber => once(&mut self.sequence_number, scanner.number()?),
            Field::Obfuscation => scanner.string().map(drop),
            Field::Other => skip(scanner),
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
    /// Characters at random, which hide the length of the others.
    Obfuscation,
    Other,
}

impl Field {
    /// Returns whether the value is another one in each delta of a text, or may be.
    const fn differs(self) -> bool {
        match self {
            Self::Delta | Self::ItemId | Self::SequenceNumber | Self::Obfuscation => true,
            Self::Kind | Self::OutputIndex | Self::ContentIndex | Self::SummaryIndex | Self::Other => false,
        }
    }

    /// Returns the field of this name; `None` for a field of other events that only the parser reads.
    fn named(key: &[u8]) -> Option<Self> {
        if READ_BY_THE_PARSER.iter().any(|name| name.as_bytes() == key) {
            return None;
        }
        let usual = USUAL_FIELDS.iter().find(|(name, _)| name.as_bytes().get(1..name.len() - 2) == Some(key));
        Some(usual.map_or(Self::Other, |(_, field)| *field))
    }
}

/// Skips an unused value of a kind that deltas have.
fn skip(scanner: &mut Scanner<'_>) -> Option<()> {
    match scanner.peek()? {
        b'"' => scanner.string().map(drop),
        b'0'..=b'9' => scanner.number().map(drop),
        b'[' => (scanner.take("[]")).then_some(()),
        _ => None,
    }
}

/// Skips the next field name and its colon, and returns its index in [`USUAL_FIELDS`]; the search starts at `expected`.
fn field_near(expected: usize, scanner: &mut Scanner<'_>) -> Option<usize> {
    let mut places = expected..expected + USUAL_FIELDS.len();
    places.find(|place| scanner.take(USUAL_FIELDS[place % USUAL_FIELDS.len()].0))
}

/// The fields in the order in which the backend sends them.
const USUAL_FIELDS: [(&str, Field); 9] = [
    ("\"type\":", Field::Kind),
    ("\"content_index\":", Field::ContentIndex),
    ("\"delta\":", Field::Delta),
    ("\"item_id\":", Field::ItemId),
    ("\"logprobs\":", Field::Other),
    ("\"obfuscation\":", Field::Obfuscation),
    ("\"output_index\":", Field::OutputIndex),
    ("\"sequence_number\":", Field::SequenceNumber),
    ("\"summary_index\":", Field::SummaryIndex),
];

/// The fields of other events that [`Event`] reads.
const READ_BY_THE_PARSER: [&str; 10] =
    ["text", "refusal", "arguments", "input", "annotation", "annotation_index", "part", "item", "response", "headers"];

/// The longest event in bytes to read here; a longer one is rare enough for a parser.
const LONGEST: usize = 4096;

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
    fn deltas_of_one_form_are_read_like_any_other() {
        let today = TODAY.as_bytes();
        for place in 0..today.len() {
            for byte in 0..=255 {
                let mut changed = today.to_vec();
                changed[place] = byte;
                let mut reader = DeltaReader::default();
                assert!(reader.read(today).is_some());
                assert_eq!(reader.read(&changed), Delta::read(&changed), "{}", String::from_utf8_lossy(&changed));
                assert_eq!(reader.read(today), Delta::read(today));
            }
        }
        let mut reader = DeltaReader::default();
        for (from, to) in [
            (" a", r#"\"b\\ \u00e9"#),
            ("\"x\"", "\"\""),
            ("\"sequence_number\":3", "\"sequence_number\":12345"),
            ("msg_1", "msg_22"),
            ("\"output_index\":12", "\"output_index\":1"),
            ("output_text", "refusal"),
            (",\"obfuscation\":\"x\"", ""),
            ("}", ",\"more\":1}"),
            ("}", ""),
            ("}", "}}"),
            ("\"x\"", "7"),
        ] {
            let changed = TODAY.replacen(from, to, 1);
            assert_ne!(changed, TODAY);
            for event in [TODAY, &changed, &changed, TODAY] {
                assert_eq!(reader.read(event.as_bytes()), Delta::read(event.as_bytes()), "{event}");
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
            let mut reader = DeltaReader::default();
            for event in [json.as_str(), TODAY, &json, &json] {
                prop_assert_eq!(reader.read(event.as_bytes()), Delta::read(event.as_bytes()), "{}", event);
            }
        }
    }
}
