//! The backend's events, reduced to the few fields that matter.
//!
//! * An event is read in one pass that decodes only its `type`: every other field of interest is a raw slice, and the
//!   other fields are skipped. The keys may come in any order.
//! * The large objects (`response`, `item`) are raw slices too, and are read only for the events that need them.
//! * [`sse`] cuts bytes into frames; [`delta`] reads the most frequent events; [`failure`] reads failures; [`answerer`]
//!   collects the answering model from all of the backend's fields.

pub mod answerer;
pub mod delta;
pub mod failure;
pub mod sse;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::Text;

/// One event. Its fields depend on `kind`.
#[derive(Debug, Deserialize)]
pub struct Event<'a> {
    /// The event's name, such as `response.output_text.delta`.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// The event's number in the stream.
    #[serde(default)]
    pub sequence_number: Option<u64>,
    /// The id of a delta's item.
    #[serde(borrow, default)]
    pub item_id: Option<&'a RawValue>,
    /// The item's place in the answer.
    #[serde(default)]
    pub output_index: Option<u64>,
    /// The index of the part in a message, or in raw reasoning.
    #[serde(default)]
    pub content_index: Option<u64>,
    /// The index of the part in a reasoning summary.
    #[serde(default)]
    pub summary_index: Option<u64>,
    /// The new characters.
    #[serde(borrow, default)]
    pub delta: Option<&'a RawValue>,
    /// A finished text.
    #[serde(borrow, default)]
    pub text: Option<&'a RawValue>,
    /// A finished refusal.
    #[serde(borrow, default)]
    pub refusal: Option<&'a RawValue>,
    /// A finished function call's arguments.
    #[serde(borrow, default)]
    pub arguments: Option<&'a RawValue>,
    /// A finished custom tool call's input.
    #[serde(borrow, default)]
    pub input: Option<&'a RawValue>,
    /// A citation.
    #[serde(borrow, default)]
    pub annotation: Option<&'a RawValue>,
    /// The citation's place among those of its part.
    #[serde(default)]
    pub annotation_index: Option<u64>,
    /// A finished message part.
    #[serde(borrow, default)]
    pub part: Option<&'a RawValue>,
    /// The item that begins or ends.
    #[serde(borrow, default)]
    pub item: Option<&'a RawValue>,
    /// The answer so far.
    #[serde(borrow, default)]
    pub response: Option<&'a RawValue>,
    /// Headers that the backend did not know yet when it sent its answer's head.
    #[serde(borrow, default)]
    pub headers: Option<&'a RawValue>,
    /// The check for which the backend holds the answer back.
    #[serde(borrow, default)]
    pub safety_buffering: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    /// Reads the event in a frame's data; `None` for anything but a JSON object with a `type`.
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(data).ok()
    }

    /// Returns the new characters of a delta.
    pub fn delta(&self) -> Option<Text<'a>> {
        self.delta.and_then(Text::of)
    }
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
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(data).ok()
    }
}

/// The fields read of a `response` object.
#[derive(Debug, Default, Deserialize)]
pub struct ResponseView<'a> {
    /// The backend's id of the answer.
    #[serde(borrow, default)]
    pub id: Option<Cow<'a, str>>,
    /// Tokens used.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// The details of an incomplete answer.
    #[serde(default)]
    pub incomplete_details: Option<IncompleteDetails>,
    /// The items; usually empty.
    #[serde(borrow, default)]
    pub output: Option<&'a RawValue>,
    /// The model's name; often an echo of the request's.
    #[serde(borrow, default)]
    pub model: Option<&'a RawValue>,
    /// The service tier; often an echo of the request's.
    #[serde(borrow, default)]
    pub service_tier: Option<&'a RawValue>,
    /// Headers, as in an event.
    #[serde(borrow, default)]
    pub headers: Option<&'a RawValue>,
}

impl<'a> ResponseView<'a> {
    /// Reads `raw`; unreadable fields count as absent.
    pub fn parse(raw: &'a RawValue) -> Self {
        serde_json::from_str(raw.get()).unwrap_or_default()
    }

    /// Returns the reason of an incomplete answer: `max_output_tokens`, `content_filter`, …
    pub fn incomplete_reason(&self) -> Option<&str> {
        self.incomplete_details.as_ref()?.reason.as_deref()
    }
}

/// The details of an incomplete answer.
#[derive(Debug, Default, Deserialize)]
pub struct IncompleteDetails {
    /// The reason: `max_output_tokens`, `content_filter`, …
    #[serde(default)]
    pub reason: Option<String>,
}

/// The backend's token counts. Input includes cached tokens, output includes reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    #[serde(default)]
    pub input_tokens: u64,
    /// A breakdown of the prompt's tokens.
    #[serde(default)]
    pub input_tokens_details: Option<InputDetails>,
    /// Tokens of the answer.
    #[serde(default)]
    pub output_tokens: u64,
    /// A breakdown of the answer's tokens.
    #[serde(default)]
    pub output_tokens_details: Option<OutputDetails>,
    /// The sum of both, as the backend counts it.
    #[serde(default)]
    pub total_tokens: Option<u64>,
}

impl Usage {
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
    #[serde(default)]
    pub cached_tokens: Option<u64>,
    /// Tokens written to the cache.
    #[serde(default)]
    pub cache_write_tokens: Option<u64>,
}

/// A breakdown of an answer's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct OutputDetails {
    /// Tokens spent on reasoning.
    #[serde(default)]
    pub reasoning_tokens: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_any_key_order_and_ignores_the_rest() {
        let event =
            Event::parse(br#"{"obfuscation":"xx","delta":"a\nb","logprobs":[],"item_id":"m","type":"t"}"#).unwrap();
        assert_eq!(event.kind, "t");
        assert_eq!(event.delta().unwrap().escaped(), r"a\nb");
        assert_eq!(event.item_id.unwrap().get(), r#""m""#);
    }

    #[test]
    fn what_is_no_event_is_none() {
        for data in ["", "[DONE]", "{", "{}", "[]", r#"{"type":1}"#] {
            assert!(Event::parse(data.as_bytes()).is_none(), "{data}");
        }
    }

    #[test]
    fn usage_tolerates_missing_details() {
        let raw: &RawValue =
            serde_json::from_str(r#"{"usage":{"input_tokens":3,"input_tokens_details":null,"output_tokens":4}}"#)
                .unwrap();
        let usage = ResponseView::parse(raw).usage.unwrap();
        assert_eq!((usage.total(), usage.cached_tokens(), usage.reasoning_tokens()), (7, 0, 0));
    }
}
