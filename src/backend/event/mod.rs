//! The backend's events, seen through the few fields that matter.
//!
//! * An event is read in one pass that decodes nothing but its `type`: every other field of interest is a raw slice, and
//!   fields of no interest are skipped. The keys may come in any order.
//! * The large objects (`response`, `item`) are raw slices too and are looked into only by the events that need them.
//! * [`sse`] cuts bytes into frames; [`delta`] reads the events that come most; [`failure`] is what went wrong; [`answerer`] is
//!   which model answers, wherever the backend says so; [`usage`] writes the tokens used.

pub mod answerer;
pub mod delta;
pub mod failure;
pub mod sse;
pub(crate) mod usage;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::Text;

/// One event. Which fields are present depends on `kind`.
#[derive(Debug, Deserialize)]
pub struct Event<'a> {
    /// The event's name, such as `response.output_text.delta`.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// The event's number in its stream.
    #[serde(default)]
    pub sequence_number: Option<u64>,
    /// The item a delta belongs to.
    #[serde(borrow, default)]
    pub item_id: Option<&'a RawValue>,
    /// The item's place in the answer.
    #[serde(default)]
    pub output_index: Option<u64>,
    /// The part of a message, or of raw reasoning.
    #[serde(default)]
    pub content_index: Option<u64>,
    /// The part of a reasoning summary.
    #[serde(default)]
    pub summary_index: Option<u64>,
    /// New characters.
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
    /// The whole answer, as far as it goes.
    #[serde(borrow, default)]
    pub response: Option<&'a RawValue>,
    /// Headers that the backend would have sent in its answer's head, had it known them then.
    #[serde(borrow, default)]
    pub headers: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    /// The event in a frame's data; `None` for anything that is not a JSON object with a `type`.
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(data).ok()
    }

    /// The new characters of a delta.
    pub fn delta(&self) -> Option<Text<'a>> {
        self.delta.and_then(Text::of)
    }
}

/// Just the name of an event: what can be read of one whose other fields are not what they should be.
#[derive(Debug, Deserialize)]
pub struct Name<'a> {
    /// The event's name.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
}

impl<'a> Name<'a> {
    /// The name of the event in a frame's data; `None` for anything that is not a JSON object with a `type`.
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(data).ok()
    }
}

/// What is read of a `response` object.
#[derive(Debug, Default, Deserialize)]
pub struct ResponseView<'a> {
    /// The backend's id of the answer.
    #[serde(borrow, default)]
    pub id: Option<Cow<'a, str>>,
    /// Tokens used.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// Why an answer is incomplete.
    #[serde(default)]
    pub incomplete_details: Option<IncompleteDetails>,
    /// The items, usually empty.
    #[serde(borrow, default)]
    pub output: Option<&'a RawValue>,
    /// The model's name; often an echo of the request's.
    #[serde(borrow, default)]
    pub model: Option<&'a RawValue>,
    /// The service tier; often an echo of the request's.
    #[serde(borrow, default)]
    pub service_tier: Option<&'a RawValue>,
    /// Headers, as of an event.
    #[serde(borrow, default)]
    pub headers: Option<&'a RawValue>,
}

impl<'a> ResponseView<'a> {
    /// The view of `raw`; fields that cannot be read count as absent.
    pub fn parse(raw: &'a RawValue) -> Self {
        serde_json::from_str(raw.get()).unwrap_or_default()
    }

    /// Why an answer is incomplete: `max_output_tokens`, `content_filter`, …
    pub fn incomplete_reason(&self) -> Option<&str> {
        self.incomplete_details.as_ref()?.reason.as_deref()
    }
}

/// Why an answer is incomplete.
#[derive(Debug, Default, Deserialize)]
pub struct IncompleteDetails {
    /// `max_output_tokens`, `content_filter`, …
    #[serde(default)]
    pub reason: Option<String>,
}

/// The backend's token counts. Input includes what was cached, output includes reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    #[serde(default)]
    pub input_tokens: u64,
    /// Parts of the prompt's tokens.
    #[serde(default)]
    pub input_tokens_details: Option<InputDetails>,
    /// Tokens of the answer.
    #[serde(default)]
    pub output_tokens: u64,
    /// Parts of the answer's tokens.
    #[serde(default)]
    pub output_tokens_details: Option<OutputDetails>,
    /// Both together, as the backend counts them.
    #[serde(default)]
    pub total_tokens: Option<u64>,
}

impl Usage {
    /// Prompt and answer together.
    pub fn total(&self) -> u64 {
        self.total_tokens.unwrap_or_else(|| self.input_tokens.saturating_add(self.output_tokens))
    }

    /// How much of the prompt came from the cache.
    pub fn cached_tokens(&self) -> u64 {
        self.input_tokens_details.and_then(|details| details.cached_tokens).unwrap_or_default()
    }

    /// How much of the prompt was written to the cache, where the backend says so.
    pub fn cache_write_tokens(&self) -> Option<u64> {
        self.input_tokens_details.and_then(|details| details.cache_write_tokens)
    }

    /// How much of the answer was reasoning.
    pub fn reasoning_tokens(&self) -> u64 {
        self.output_tokens_details.and_then(|details| details.reasoning_tokens).unwrap_or_default()
    }
}

/// Parts of a prompt's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct InputDetails {
    /// Read from the cache.
    #[serde(default)]
    pub cached_tokens: Option<u64>,
    /// Written to the cache.
    #[serde(default)]
    pub cache_write_tokens: Option<u64>,
}

/// Parts of an answer's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct OutputDetails {
    /// Spent on reasoning.
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
