//! The backend's events, reduced to the few fields that matter.
//!
//! * An event is read in one pass that decodes only its `type`: every other field of interest is a raw slice, and the
//!   other fields are skipped. The keys may come in any order. A [`scanner`] does it, and a parser wherever the scanner
//!   gives up; what both read is the same.
//! * An `item` and a `part` are raw slices too, and are read only for the events that need them. The answer's own object
//!   is read at once ([`response`]), as it is too long to be walked twice.
//! * [`sse`] cuts bytes into frames; [`delta`] reads the most frequent events.

mod blocks;
pub mod delta;
mod reader;
mod response;
pub mod scanner;
pub mod sse;

use std::borrow::Cow;

pub use reader::EventReader;
pub use response::{Around, IncompleteDetails, InputDetails, OutputDetails, ResponseView, Usage};
use scanner::{Scanner, once};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use crate::json::{Raw, Text};

/// One event. Its fields depend on `kind`.
#[derive(Debug, Default, Deserialize)]
pub struct Event<'a> {
    /// The event's name, such as `response.output_text.delta`.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// The event's number in the stream.
    #[serde(default, deserialize_with = "whole")]
    pub sequence_number: Option<u64>,
    /// The id of a delta's item.
    #[serde(borrow, default)]
    pub item_id: Option<Raw<'a>>,
    /// The item's place in the answer.
    #[serde(default, deserialize_with = "whole")]
    pub output_index: Option<u64>,
    /// The index of the part in a message, or in raw reasoning.
    #[serde(default, deserialize_with = "whole")]
    pub content_index: Option<u64>,
    /// The index of the part in a reasoning summary.
    #[serde(default, deserialize_with = "whole")]
    pub summary_index: Option<u64>,
    /// The new characters.
    #[serde(borrow, default)]
    pub delta: Option<Raw<'a>>,
    /// A finished text.
    #[serde(borrow, default)]
    pub text: Option<Raw<'a>>,
    /// A finished refusal.
    #[serde(borrow, default)]
    pub refusal: Option<Raw<'a>>,
    /// A finished function call's arguments.
    #[serde(borrow, default)]
    pub arguments: Option<Raw<'a>>,
    /// A finished custom tool call's input.
    #[serde(borrow, default)]
    pub input: Option<Raw<'a>>,
    /// A citation.
    #[serde(borrow, default)]
    pub annotation: Option<&'a RawValue>,
    /// The citation's place among those of its part.
    #[serde(default, deserialize_with = "whole")]
    pub annotation_index: Option<u64>,
    /// A finished message part.
    #[serde(borrow, default)]
    pub part: Option<Raw<'a>>,
    /// The item that begins or ends.
    #[serde(borrow, default)]
    pub item: Option<Raw<'a>>,
    /// The answer so far.
    #[serde(borrow, default, deserialize_with = "response::parse_optional")]
    pub response: Option<ResponseView<'a>>,
    /// Headers that the backend did not know yet when it sent its answer's head.
    #[serde(borrow, default)]
    pub headers: Option<Raw<'a>>,
    /// The check for which the backend holds the answer back.
    #[serde(borrow, default)]
    pub safety_buffering: Option<Raw<'a>>,
    /// The event around `response`, if the event has been scanned and has one.
    #[serde(skip)]
    pub around_response: Option<Around<'a>>,
}

/// Returns whether an event is internal to the backend: it says nothing of the answer, only Codex clients know it, and some
/// libraries crash on it.
pub fn is_internal(kind: &str) -> bool {
    matches!(kind, "keepalive" | "response.metadata") || kind.starts_with("codex.") || kind.starts_with("responsesapi.")
}

impl<'a> Event<'a> {
    /// Reads the event in a frame's data; `None` for anything but a JSON object with a `type`.
    #[inline]
    pub fn read(data: &'a [u8]) -> Option<Self> {
        Self::scan(data).or_else(|| Self::parse(data))
    }

    /// Parses the event in a frame's data.
    #[inline]
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(data).ok()
    }

    /// Scans the event in a frame's data; `None` if it has to be parsed.
    pub fn scan(data: &'a [u8]) -> Option<Self> {
        let mut scanner = Scanner::of(data)?;
        let (mut event, mut kind) = (Self::default(), None);
        scanner.object(|key, scanner| match key {
            b"type" => once(&mut kind, scanner.plain_string()?),
            _ => event.take(key, scanner),
        })?;
        event.kind = kind?.into();
        scanner.is_at_end().then_some(event)
    }

    fn take(&mut self, key: &[u8], scanner: &mut Scanner<'a>) -> Option<()> {
        if let Some(number) = self.number(key) {
            return once(number, scanner.number()?);
        }
        if let Some(field) = self.raw(key) {
            return once(field, told(scanner)?);
        }
        match key {
            b"response" => self.scan_response(scanner),
            b"annotation" => once(&mut self.annotation, told(scanner)?.value()?),
            _ => scanner.skip(),
        }
    }

    fn raw(&mut self, key: &[u8]) -> Option<&mut Option<Raw<'a>>> {
        match key {
            b"item_id" => Some(&mut self.item_id),
            b"delta" => Some(&mut self.delta),
            b"text" => Some(&mut self.text),
            b"refusal" => Some(&mut self.refusal),
            b"arguments" => Some(&mut self.arguments),
            b"input" => Some(&mut self.input),
            b"part" => Some(&mut self.part),
            b"item" => Some(&mut self.item),
            b"headers" => Some(&mut self.headers),
            b"safety_buffering" => Some(&mut self.safety_buffering),
            _ => None,
        }
    }

    fn number(&mut self, key: &[u8]) -> Option<&mut Option<u64>> {
        match key {
            b"sequence_number" => Some(&mut self.sequence_number),
            b"output_index" => Some(&mut self.output_index),
            b"content_index" => Some(&mut self.content_index),
            b"summary_index" => Some(&mut self.summary_index),
            b"annotation_index" => Some(&mut self.annotation_index),
            _ => None,
        }
    }

    fn scan_response(&mut self, scanner: &mut Scanner<'a>) -> Option<()> {
        let begin = scanner.position();
        let view = ResponseView::scan(scanner)?;
        let (before, after) = (scanner.bytes(..begin)?, scanner.bytes(scanner.position()..)?);
        self.around_response = Some(Around { before, after });
        once(&mut self.response, view)
    }

    /// Returns the end of the answer that this event is, if it is one. The status of the response itself decides whether
    /// a finished answer is one.
    pub fn ending(&self) -> Option<ResponseEnding> {
        let has_status = |names: &[&str]| self.response.as_ref().is_some_and(|response| response.has_status(names));
        match self.kind.as_ref() {
            "response.failed" | "response.cancelled" => Some(ResponseEnding::Failed),
            "response.completed" | "response.incomplete" if has_status(&["failed", "cancelled"]) => {
                Some(ResponseEnding::Failed)
            }
            "response.incomplete" => Some(ResponseEnding::Incomplete),
            "response.completed" if has_status(&["incomplete"]) => Some(ResponseEnding::Incomplete),
            "response.completed" => Some(ResponseEnding::Completed),
            _ => None,
        }
    }

    /// Returns the new characters of a delta.
    pub fn delta(&self) -> Option<Text<'a>> {
        self.delta.and_then(Raw::text)
    }
}

/// The end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseEnding {
    /// The answer is complete.
    Completed,
    /// The answer was cut.
    Incomplete,
    /// The backend gave up.
    Failed,
}

/// Reads the value of a known field; `null`, which the backend does not send there, is left to the parser.
fn told<'a>(scanner: &mut Scanner<'a>) -> Option<Raw<'a>> {
    scanner.raw().filter(|raw| !raw.is_null())
}

/// Parses a whole number: without the parser's code for fractions, which is large.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::<Raw<'de>>::deserialize(deserializer)?.map(count).transpose()
}

/// Reads a whole number; an error for any other value.
fn count<E: de::Error>(raw: Raw<'_>) -> Result<u64, E> {
    raw.get().parse().map_err(|_| E::custom("no whole number"))
}

/// Only the name of an event, which is readable even if other fields are malformed.
#[derive(Debug, Deserialize)]
pub struct Name<'a> {
    /// The event's name.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
}

impl<'a> Name<'a> {
    /// Reads the name of the event in a frame's data; `None` for anything but a JSON object with a `type`.
    #[inline]
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(data).ok()
    }
}

#[cfg(test)]
mod tests;
