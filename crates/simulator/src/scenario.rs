//! Scenarios of answers, chosen by a test or by a directive in the user's text.
//!
//! * A test queues a [`Play`] for the next accepted request.
//! * A real client writes `[[simulate:NAME]]` or `[[simulate:NAME=VALUE]]` into its prompt. The directive counts while
//!   the user's message is the last item of the input, apart from developer messages behind it. Several may be combined:
//!   one scenario and any number of deliveries. [`Scenario::names`] lists them.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::answer::frame::Delivery;
use crate::answer::substitution::{Substitution, Told};
use crate::fault::{HttpFault, StreamFailure};
use crate::script::ScriptedAnswer;

/// The course of an answer.
#[derive(Debug, Clone, Default)]
pub enum Scenario {
    /// The default answer to the request.
    #[default]
    Default,
    /// Two calls whose argument deltas alternate; they end in reverse order.
    InterleavedCalls,
    /// Calls without deltas: the arguments come in the `done` event.
    ArgumentsOnlyInDone,
    /// Calls with arguments in `response.output_item.done` alone.
    ArgumentsOnlyInItem,
    /// A call whose first delta comes before its item is announced.
    DeltaBeforeItem,
    /// A call beside a delta for an item that never comes.
    StrayDelta,
    /// A call with free text.
    CustomToolCall,
    /// Text without deltas: the text comes in the `done` event.
    TextOnlyInDone,
    /// Text in `response.output_item.done` alone.
    TextOnlyInItem,
    /// The whole text in one delta.
    SingleDelta,
    /// Reasoning, a commentary, more reasoning and a call.
    CommentedCall,
    /// A commentary and two further messages.
    SeveralMessages,
    /// Two reasoning items of two parts each.
    SeveralReasoningItems,
    /// Reasoning as raw text.
    RawReasoning,
    /// The model declines.
    Refusal,
    /// Item ids of 400 characters.
    LongIds,
    /// The last event differs from the usual one.
    Ending(Ending),
    /// Another model answers, named in one place of the answer.
    Substituted(Substitution),
    /// The last event names this service tier.
    ServedTier(String),
    /// A web search with citations.
    WebSearch,
    /// A generated image.
    ImageGeneration,
    /// A generated image of this many bytes in one event.
    HugeImage(usize),
    /// An image endpoint's answer as events, this many of them with an unfinished image.
    ImageStream(usize),
    /// An image endpoint's picture of this width and height, whatever was asked for.
    ImageSize(u32, u32),
    /// `response.incomplete` with this reason.
    Incomplete(IncompleteReason),
    /// The stream fails.
    Fail(StreamFailure, FailureShape, Moment),
    /// The connection breaks.
    Cut(Moment),
    /// The connection breaks inside an event.
    CutMidEvent,
    /// The body ends properly, but without a last event.
    EndWithoutTerminal,
    /// The connection closes without any answer.
    HangUp,
    /// A 200 whose body is empty.
    EmptyBody,
    /// One event is not JSON; the rest is valid.
    MalformedEvent,
    /// Silence for this long.
    Stall(Duration, Stage),
    /// An error in place of a stream.
    Http(HttpFault),
    /// A page with status 200.
    HtmlWithOk,
    /// An error as plain JSON with status 200.
    JsonErrorWithOk,
    /// A redirect with this status and location.
    Redirect(u16, String),
    /// A text of this many numbered deltas, one per interval.
    Paced(u64, Duration),
    /// These bytes as the body, such as a recorded stream.
    Raw(Bytes),
    /// A scripted answer.
    Scripted(ScriptedAnswer),
}

/// Variations of `response.completed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `output` is null.
    NullOutput,
    /// `output` holds the items.
    FullOutput,
    /// `usage` has no details.
    BareUsage,
    /// `usage` is null.
    NoUsage,
}

/// The reason of an incomplete answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncompleteReason {
    /// The tokens ran out.
    MaxOutputTokens,
    /// A filter stepped in.
    ContentFilter,
}

/// The event of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureShape {
    /// `response.failed`.
    Failed,
    /// `error` with its fields inside `error`.
    NestedError,
    /// `error` with its fields at the top.
    FlatError,
    /// A nested `error`, then `response.failed`, as for overload.
    ErrorThenFailed,
    /// `response.cancelled`.
    Cancelled,
}

/// A position in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before any item.
    BeforeOutput,
    /// After the first deltas.
    AfterOutput,
}

/// The position of a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before the head of the answer.
    Head,
    /// After the head, before any item.
    Output,
    /// After the first deltas.
    Middle,
    /// Before the last event.
    Terminal,
}

/// A scenario and its delivery.
#[derive(Debug, Clone, Default)]
pub struct Play {
    /// The scenario.
    pub scenario: Scenario,
    /// The delivery; `None` for the simulator's default.
    pub delivery: Option<Delivery>,
}

impl From<Scenario> for Play {
    fn from(scenario: Scenario) -> Self {
        Self { scenario, delivery: None }
    }
}

impl From<ScriptedAnswer> for Play {
    fn from(answer: ScriptedAnswer) -> Self {
        Scenario::Scripted(answer).into()
    }
}

impl Ending {
    /// Changes the last of the events.
    pub(super) fn change(self, events: &mut [Value]) {
        let is_done = |event: &&Value| event["type"] == "response.output_item.done";
        let items: Vec<Value> = events.iter().filter(is_done).map(|event| event["item"].clone()).collect();
        let Some(response) = events.last_mut().and_then(|event| event.get_mut("response")) else { return };
        match self {
            Self::NullOutput => response["output"] = Value::Null,
            Self::FullOutput => response["output"] = items.into(),
            Self::NoUsage => response["usage"] = Value::Null,
            Self::BareUsage => {
                if let Some(usage) = response["usage"].as_object_mut() {
                    usage.retain(|name, _| !name.ends_with("_details"));
                }
            }
        }
    }
}

impl IncompleteReason {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::MaxOutputTokens => "max_output_tokens",
            Self::ContentFilter => "content_filter",
        }
    }
}

impl Scenario {
    /// Plays this scenario with `delivery`.
    pub fn delivered(self, delivery: Delivery) -> Play {
        Play { scenario: self, delivery: Some(delivery) }
    }

    /// Returns the names of all directives, those of deliveries last.
    pub fn names() -> Vec<String> {
        let faults = HttpFault::NAMED.iter().map(|(name, _)| format!("http-{name}"));
        let named = NAMES.iter().map(|(name, _)| (*name).to_owned());
        named.chain(faults).chain(DELIVERIES.iter().map(|name| (*name).to_owned())).collect()
    }

    fn named(name: &str, value: Option<&str>) -> Option<Self> {
        if let Some(fault) = name.strip_prefix("http-") {
            return http_fault(fault, value).map(Self::Http);
        }
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, make)| make(value))
    }
}

impl Play {
    /// Parses the directives in a text; `None` without a known one.
    pub(super) fn directed(text: &str) -> Option<Self> {
        let mut play = Self::default();
        let mut found = false;
        for directive in text.split("[[simulate:").skip(1).filter_map(|rest| rest.split_once("]]")) {
            let (name, value) = match directive.0.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim())),
                None => (directive.0.trim(), None),
            };
            if let Some(scenario) = Scenario::named(name, value) {
                play.scenario = scenario;
                found = true;
            } else {
                found |= deliver(play.delivery.get_or_insert_default(), name, value);
            }
        }
        found.then_some(play)
    }
}

fn http_fault(name: &str, value: Option<&str>) -> Option<HttpFault> {
    let (_, fault) = HttpFault::NAMED.iter().find(|(known, _)| *known == name)?;
    match (fault, value.and_then(|value| value.parse().ok())) {
        (HttpFault::UsageLimit(_), Some(seconds)) => Some(HttpFault::UsageLimit(seconds)),
        (HttpFault::ReserveLeft(_), Some(seconds)) => Some(HttpFault::ReserveLeft(seconds)),
        (other, _) => Some(*other),
    }
}

fn deliver(delivery: &mut Delivery, name: &str, value: Option<&str>) -> bool {
    match name {
        "split" => delivery.chunk_sizes = value.map_or(vec![1], |value| numbers(value, ',')),
        "crlf" => delivery.crlf = true,
        "multi-line" => delivery.multi_line = true,
        "no-space" => delivery.no_space = true,
        "no-event-lines" => delivery.no_event_lines = true,
        "content-type" => delivery.content_type = true,
        "done-marker" => delivery.done_marker = true,
        "hold-open" => delivery.hold_open = true,
        "pace" => delivery.pace = duration(value, 20),
        _ => return false,
    }
    true
}

fn numbers(text: &str, separator: char) -> Vec<usize> {
    text.split(separator).filter_map(|number| number.trim().parse().ok()).collect()
}

/// Parses `250ms`, `2s` or bare seconds; defaults to `or` milliseconds.
fn duration(value: Option<&str>, or: u64) -> Duration {
    let parsed = value.and_then(|value| match value.strip_suffix("ms") {
        Some(milliseconds) => milliseconds.parse().ok().map(Duration::from_millis),
        None => value.trim_end_matches('s').parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    });
    parsed.unwrap_or(Duration::from_millis(or))
}

fn substituted(value: Option<&str>, told: Told) -> Scenario {
    Scenario::Substituted(Substitution::new(value.unwrap_or("gpt-6-luna"), told))
}

fn failure(value: Option<&str>) -> StreamFailure {
    match value.and_then(|value| value.parse::<f64>().ok()) {
        Some(seconds) => StreamFailure::rate_limit(seconds),
        None => StreamFailure::of(value.unwrap_or("server_error")),
    }
}

/// Parses `COUNT` or `COUNTxINTERVAL`, as in `1000x10ms`.
fn paced(value: Option<&str>) -> Scenario {
    let (count, interval) = value.unwrap_or("100x20ms").split_once('x').unwrap_or((value.unwrap_or_default(), "0ms"));
    Scenario::Paced(count.parse().unwrap_or(100), duration(Some(interval), 20))
}

/// Creates a scenario from its directive's value.
type Make = fn(Option<&str>) -> Scenario;

const NAMES: &[(&str, Make)] = &[
    ("default", |_| Scenario::Default),
    ("interleaved-calls", |_| Scenario::InterleavedCalls),
    ("arguments-only-in-done", |_| Scenario::ArgumentsOnlyInDone),
    ("arguments-only-in-item", |_| Scenario::ArgumentsOnlyInItem),
    ("delta-before-item", |_| Scenario::DeltaBeforeItem),
    ("stray-delta", |_| Scenario::StrayDelta),
    ("custom-tool-call", |_| Scenario::CustomToolCall),
    ("text-only-in-done", |_| Scenario::TextOnlyInDone),
    ("text-only-in-item", |_| Scenario::TextOnlyInItem),
    ("single-delta", |_| Scenario::SingleDelta),
    ("commented-call", |_| Scenario::CommentedCall),
    ("several-messages", |_| Scenario::SeveralMessages),
    ("several-reasoning-items", |_| Scenario::SeveralReasoningItems),
    ("raw-reasoning", |_| Scenario::RawReasoning),
    ("refusal", |_| Scenario::Refusal),
    ("long-ids", |_| Scenario::LongIds),
    ("null-output", |_| Scenario::Ending(Ending::NullOutput)),
    ("full-output", |_| Scenario::Ending(Ending::FullOutput)),
    ("bare-usage", |_| Scenario::Ending(Ending::BareUsage)),
    ("no-usage", |_| Scenario::Ending(Ending::NoUsage)),
    ("model-everywhere", |value| substituted(value, Told::Everywhere)),
    ("model-in-head", |value| substituted(value, Told::Head)),
    ("model-in-created", |value| substituted(value, Told::Created)),
    ("model-in-event-headers", |value| substituted(value, Told::EventHeaders)),
    ("model-in-metadata", |value| substituted(value, Told::Metadata)),
    ("model-in-late-metadata", |value| substituted(value, Told::LateMetadata)),
    ("model-in-completed", |value| substituted(value, Told::Completed)),
    ("served-tier", |value| Scenario::ServedTier(value.unwrap_or("default").to_owned())),
    ("web-search", |_| Scenario::WebSearch),
    ("image-generation", |_| Scenario::ImageGeneration),
    ("huge-image", |value| Scenario::HugeImage(value.and_then(|value| value.parse().ok()).unwrap_or(5 << 20))),
    ("image-stream", |value| Scenario::ImageStream(value.and_then(|value| value.parse().ok()).unwrap_or(2))),
    ("image-size", |value| {
        let (width, height) = value.and_then(|value| value.split_once('x')).unwrap_or(("941", "1672"));
        Scenario::ImageSize(width.parse().unwrap_or(941), height.parse().unwrap_or(1672))
    }),
    ("incomplete", |value| {
        let filtered = value == Some("content_filter");
        Scenario::Incomplete(if filtered { IncompleteReason::ContentFilter } else { IncompleteReason::MaxOutputTokens })
    }),
    ("fail-before-output", |value| Scenario::Fail(failure(value), FailureShape::Failed, Moment::BeforeOutput)),
    ("fail-after-output", |value| Scenario::Fail(failure(value), FailureShape::Failed, Moment::AfterOutput)),
    ("error-before-output", |value| Scenario::Fail(failure(value), FailureShape::NestedError, Moment::BeforeOutput)),
    ("error-after-output", |value| Scenario::Fail(failure(value), FailureShape::NestedError, Moment::AfterOutput)),
    ("flat-error-before-output", |value| Scenario::Fail(failure(value), FailureShape::FlatError, Moment::BeforeOutput)),
    ("flat-error-after-output", |value| Scenario::Fail(failure(value), FailureShape::FlatError, Moment::AfterOutput)),
    ("rate-limit", |value| Scenario::Fail(failure(value.or(Some("1.5"))), FailureShape::Failed, Moment::BeforeOutput)),
    ("overloaded", |_| {
        Scenario::Fail(StreamFailure::of("server_is_overloaded"), FailureShape::ErrorThenFailed, Moment::BeforeOutput)
    }),
    ("cut-before-output", |_| Scenario::Cut(Moment::BeforeOutput)),
    ("cut-after-output", |_| Scenario::Cut(Moment::AfterOutput)),
    ("cut-mid-event", |_| Scenario::CutMidEvent),
    ("end-without-terminal", |_| Scenario::EndWithoutTerminal),
    ("hang-up", |_| Scenario::HangUp),
    ("empty-body", |_| Scenario::EmptyBody),
    ("malformed-event", |_| Scenario::MalformedEvent),
    ("stall-before-head", |value| Scenario::Stall(duration(value, 5000), Stage::Head)),
    ("stall-before-output", |value| Scenario::Stall(duration(value, 5000), Stage::Output)),
    ("stall-mid-stream", |value| Scenario::Stall(duration(value, 5000), Stage::Middle)),
    ("silence-before-end", |value| Scenario::Stall(duration(value, 5000), Stage::Terminal)),
    ("html-with-200", |_| Scenario::HtmlWithOk),
    ("json-error-with-200", |_| Scenario::JsonErrorWithOk),
    ("redirect", |value| Scenario::Redirect(307, value.unwrap_or("/elsewhere").to_owned())),
    ("paced", paced),
];

const DELIVERIES: &[&str] =
    &["split", "crlf", "multi-line", "no-space", "no-event-lines", "content-type", "done-marker", "hold-open", "pace"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_understood() {
        for name in Scenario::names() {
            assert!(Play::directed(&format!("please [[simulate:{name}]] now")).is_some(), "{name}");
        }
        assert!(Play::directed("[[simulate:no-such-thing]] or [[simulate:cut").is_none());
    }

    #[test]
    fn values_and_combinations() {
        let play = Play::directed("[[simulate:rate-limit=2.5]] [[simulate:split=3,1]] [[simulate:crlf]]").unwrap();
        let Scenario::Fail(failure, _, _) = play.scenario else { panic!("{:?}", play.scenario) };
        assert!(failure.message.contains("try again in 2.5s"));
        let delivery = play.delivery.unwrap();
        assert_eq!((delivery.chunk_sizes, delivery.crlf), (vec![3, 1], true));
        let Some(Scenario::Paced(7, interval)) = Play::directed("[[simulate:paced=7x5ms]]").map(|play| play.scenario)
        else {
            panic!("not paced")
        };
        assert_eq!(interval, Duration::from_millis(5));
    }
}
