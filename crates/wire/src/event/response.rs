//! The answer itself in an event: the fields read of a `response` object.
//!
//! * The backend repeats the request's instructions and tools in it, tens of kilobytes in each of three events. So it is
//!   read with its event, in one walk, and nobody looks into it again.
//! * A response with a field of the wrong type counts as one without fields.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Deserializer};

use crate::event::scanner::{Scanner, once};
use crate::event::{count, whole};
use crate::json::{Raw, Text};

/// The fields read of a `response` object.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ResponseView<'a> {
    /// The object, as JSON.
    #[serde(skip)]
    pub json: &'a [u8],
    /// The backend's id of the answer.
    #[serde(borrow, default)]
    pub id: Option<Cow<'a, str>>,
    /// The status: `completed`, `incomplete`, `failed`, …
    #[serde(borrow, default)]
    pub status: Option<Raw<'a>>,
    /// Tokens used.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// The details of an incomplete answer.
    #[serde(default)]
    pub incomplete_details: Option<IncompleteDetails>,
    /// Whether the model has finished its turn; `false` if it wants to go on.
    #[serde(borrow, default)]
    pub end_turn: Option<Raw<'a>>,
    /// The items; usually empty.
    #[serde(borrow, default)]
    pub output: Option<Raw<'a>>,
    /// The model's name; often an echo of the request's.
    #[serde(borrow, default)]
    pub model: Option<Raw<'a>>,
    /// The service tier; often an echo of the request's.
    #[serde(borrow, default)]
    pub service_tier: Option<Raw<'a>>,
    /// Headers, as in an event.
    #[serde(borrow, default)]
    pub headers: Option<Raw<'a>>,
    /// The object around `output`, if the object has been scanned and has one.
    #[serde(skip)]
    pub around_output: Option<Around<'a>>,
}

/// The bytes of a text around one of its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around<'a> {
    /// The bytes before the value.
    pub before: &'a [u8],
    /// The bytes after it.
    pub after: &'a [u8],
}

impl<'a> ResponseView<'a> {
    /// Parses `raw`; unreadable fields count as absent.
    #[inline]
    pub fn parse(raw: Raw<'a>) -> Self {
        Self { json: raw.get().as_bytes(), ..serde_json::from_str(raw.get()).unwrap_or_default() }
    }

    /// Scans the object that follows; `None` if it has to be parsed.
    pub(super) fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        let begin = scanner.position();
        let mut fields = Fields::default();
        scanner.object(|key, scanner| fields.take(key, scanner))?;
        let json = scanner.bytes(begin..scanner.position())?;
        let around = |output: &Range<usize>| {
            let (before, after) = (begin..output.start, output.end..scanner.position());
            Some(Around { before: scanner.bytes(before)?, after: scanner.bytes(after)? })
        };
        let around_output = fields.output.as_ref().and_then(|(_, range)| around(range));
        fields.view(json, around_output)
    }

    /// Returns the items; none if `output` is no list.
    #[inline]
    pub fn items(&self) -> Vec<Raw<'a>> {
        let items = |raw: Raw<'a>| Scanner::of_raw(raw).array().or_else(|| serde_json::from_str(raw.get()).ok());
        self.output.and_then(items).unwrap_or_default()
    }

    /// Returns whether the status is one of `names`.
    pub(super) fn has_status(&self, names: &[&str]) -> bool {
        self.status.and_then(Raw::text).is_some_and(|status| names.contains(&status.escaped()))
    }

    /// Returns the reason of an incomplete answer: `max_output_tokens`, `content_filter`, …
    pub fn incomplete_reason(&self) -> Option<&str> {
        self.incomplete_details.as_ref()?.reason.as_deref()
    }
}

/// Parses the response of an event that could not be scanned.
pub(super) fn parse_optional<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ResponseView<'a>>, D::Error> {
    Ok(Option::<Raw<'a>>::deserialize(deserializer)?.map(ResponseView::parse))
}

fn parse_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    count(Raw::deserialize(deserializer)?)
}

/// The fields scanned so far, `null` included.
#[derive(Debug, Default)]
struct Fields<'a> {
    id: Option<Raw<'a>>,
    status: Option<Raw<'a>>,
    usage: Option<Raw<'a>>,
    incomplete_details: Option<Raw<'a>>,
    end_turn: Option<Raw<'a>>,
    output: Option<(Raw<'a>, Range<usize>)>,
    model: Option<Raw<'a>>,
    service_tier: Option<Raw<'a>>,
    headers: Option<Raw<'a>>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, key: &[u8], scanner: &mut Scanner<'a>) -> Option<()> {
        let field = match key {
            b"id" => &mut self.id,
            b"status" => &mut self.status,
            b"usage" => &mut self.usage,
            b"incomplete_details" => &mut self.incomplete_details,
            b"end_turn" => &mut self.end_turn,
            b"model" => &mut self.model,
            b"service_tier" => &mut self.service_tier,
            b"headers" => &mut self.headers,
            b"output" => {
                let begin = scanner.position();
                let raw = scanner.raw()?;
                return once(&mut self.output, (raw, begin..scanner.position()));
            }
            _ => return scanner.skip(),
        };
        once(field, scanner.raw()?)
    }

    /// Returns the view, if the fields have the types that a parser takes.
    fn view(self, json: &'a [u8], around_output: Option<Around<'a>>) -> Option<ResponseView<'a>> {
        let told = |field: Option<Raw<'a>>| field.filter(|raw| !raw.is_null());
        let id = told(self.id).map(|raw| raw.text().map(Text::escaped));
        if id.is_some_and(|id| id.is_none_or(|id| id.contains('\\'))) {
            return None;
        }
        Some(ResponseView {
            json,
            id: id.flatten().map(Cow::Borrowed),
            status: told(self.status),
            usage: all(told(self.usage), Usage::scan)?,
            incomplete_details: all(told(self.incomplete_details), IncompleteDetails::scan)?,
            end_turn: told(self.end_turn),
            output: told(self.output.map(|(raw, _)| raw)),
            model: told(self.model),
            service_tier: told(self.service_tier),
            headers: told(self.headers),
            around_output,
        })
    }
}

/// Scans an optional field; `None` if it has to be parsed.
fn all<'a, T>(raw: Option<Raw<'a>>, scan: impl FnOnce(Raw<'a>) -> Option<T>) -> Option<Option<T>> {
    match raw {
        None => Some(None),
        Some(raw) => scan(raw).map(Some),
    }
}

/// The details of an incomplete answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct IncompleteDetails {
    /// The reason: `max_output_tokens`, `content_filter`, …
    #[serde(default)]
    pub reason: Option<String>,
}

impl IncompleteDetails {
    /// Scans `raw`; `None` if it has to be parsed.
    fn scan(raw: Raw<'_>) -> Option<Self> {
        let mut reason = None;
        Scanner::of_raw(raw).object(|key, scanner| match key {
            b"reason" => once(&mut reason, scanner.raw()?),
            _ => scanner.skip(),
        })?;
        let reason = match reason.filter(|raw| !raw.is_null()) {
            None => None,
            Some(raw) => Some(raw.text().map(Text::escaped).filter(|text| !text.contains('\\'))?.to_owned()),
        };
        Some(Self { reason })
    }
}

/// The backend's token counts. Input includes cached tokens, output includes reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    #[serde(default, deserialize_with = "parse_count")]
    pub input_tokens: u64,
    /// A breakdown of the prompt's tokens.
    #[serde(default)]
    pub input_tokens_details: Option<InputDetails>,
    /// Tokens of the answer.
    #[serde(default, deserialize_with = "parse_count")]
    pub output_tokens: u64,
    /// A breakdown of the answer's tokens.
    #[serde(default)]
    pub output_tokens_details: Option<OutputDetails>,
    /// The sum of both, as the backend counts it.
    #[serde(default, deserialize_with = "whole")]
    pub total_tokens: Option<u64>,
    /// Whether the counts are this program's own, for an answer that it ended.
    #[serde(skip)]
    pub is_estimate: bool,
}

impl Usage {
    /// Scans `raw`; `None` if it has to be parsed.
    fn scan(raw: Raw<'_>) -> Option<Self> {
        let (mut input, mut output, mut total) = (None, None, None);
        let (mut of_input, mut of_output) = (None, None);
        Scanner::of_raw(raw).object(|key, scanner| match key {
            b"input_tokens" => once(&mut input, scanner.number()?),
            b"input_tokens_details" => once(&mut of_input, InputDetails::scan(scanner)?),
            b"output_tokens" => once(&mut output, scanner.number()?),
            b"output_tokens_details" => once(&mut of_output, OutputDetails::scan(scanner)?),
            b"total_tokens" => once(&mut total, scanner.number()?),
            _ => scanner.skip(),
        })?;
        Some(Self {
            input_tokens: input.unwrap_or_default(),
            input_tokens_details: of_input,
            output_tokens: output.unwrap_or_default(),
            output_tokens_details: of_output,
            total_tokens: total,
            is_estimate: false,
        })
    }

    /// Returns the tokens of prompt and answer together.
    pub fn total(&self) -> u64 {
        self.total_tokens.unwrap_or_else(|| self.input_tokens.saturating_add(self.output_tokens))
    }

    /// Returns the prompt's tokens read from the cache.
    pub fn cached_tokens(&self) -> u64 {
        self.input_tokens_details.and_then(|details| details.cached_tokens).unwrap_or_default()
    }

    /// Returns the prompt's tokens written to the cache, if the backend tells them.
    pub fn cache_write_tokens(&self) -> Option<u64> {
        self.input_tokens_details.and_then(|details| details.cache_write_tokens)
    }

    /// Returns the answer's tokens spent on reasoning.
    pub fn reasoning_tokens(&self) -> u64 {
        self.output_tokens_details.and_then(|details| details.reasoning_tokens).unwrap_or_default()
    }
}

/// A breakdown of a prompt's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct InputDetails {
    /// Tokens read from the cache.
    #[serde(default, deserialize_with = "whole")]
    pub cached_tokens: Option<u64>,
    /// Tokens written to the cache.
    #[serde(default, deserialize_with = "whole")]
    pub cache_write_tokens: Option<u64>,
}

impl InputDetails {
    fn scan(scanner: &mut Scanner<'_>) -> Option<Self> {
        let mut details = Self::default();
        scanner.object(|key, scanner| match key {
            b"cached_tokens" => once(&mut details.cached_tokens, scanner.number()?),
            b"cache_write_tokens" => once(&mut details.cache_write_tokens, scanner.number()?),
            _ => scanner.skip(),
        })?;
        Some(details)
    }
}

/// A breakdown of an answer's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct OutputDetails {
    /// Tokens spent on reasoning.
    #[serde(default, deserialize_with = "whole")]
    pub reasoning_tokens: Option<u64>,
}

impl OutputDetails {
    fn scan(scanner: &mut Scanner<'_>) -> Option<Self> {
        let mut details = Self::default();
        scanner.object(|key, scanner| match key {
            b"reasoning_tokens" => once(&mut details.reasoning_tokens, scanner.number()?),
            _ => scanner.skip(),
        })?;
        Some(details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_tolerates_missing_details() {
        let json = r#"{"usage":{"input_tokens":3,"input_tokens_details":null,"output_tokens":4}}"#;
        let usage = ResponseView::parse(Raw::of_valid(json)).usage.unwrap();
        assert_eq!((usage.total(), usage.cached_tokens(), usage.reasoning_tokens()), (7, 0, 0));
    }
}
