//! Events as bytes: numbering, SSE framing, and chunking.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use crate::script::ScriptStep;

/// The wire format of a stream. The default is the backend's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Whether lines end with CR LF.
    pub crlf: bool,
    /// Whether the JSON of each event is spread over several `data:` lines.
    pub multi_line: bool,
    /// Whether to omit the space after a field's colon.
    pub no_space: bool,
    /// Whether to omit `event:` lines.
    pub no_event_lines: bool,
    /// The chunk sizes, repeated; empty for one chunk per event.
    pub chunk_sizes: Vec<usize>,
    /// Whether the stream has the content type `text/event-stream`.
    pub content_type: bool,
    /// Whether `data: [DONE]` follows the last event.
    pub done_marker: bool,
    /// Whether the connection stays open after the last event.
    pub hold_open: bool,
    /// The pause before each event.
    pub pace: Duration,
}

impl Delivery {
    /// Chunks of one size.
    pub fn split(size: usize) -> Self {
        Self { chunk_sizes: vec![size], ..Self::default() }
    }

    /// Frames an event. The event line repeats the type, as the backend's does.
    pub(crate) fn frame(&self, event: &Value) -> Bytes {
        let end = if self.crlf { "\r\n" } else { "\n" };
        let space = if self.no_space { "" } else { " " };
        let mut frame = String::new();
        if !self.no_event_lines {
            frame.push_str(&format!("event:{space}{}{end}", event["type"].as_str().unwrap_or("message")));
        }
        let compact = || event.to_string();
        let data =
            if self.multi_line { serde_json::to_string_pretty(event).unwrap_or_else(|_| compact()) } else { compact() };
        for line in data.lines() {
            frame.push_str("data:");
            frame.push_str(space);
            frame.push_str(line);
            frame.push_str(end);
        }
        frame.push_str(end);
        frame.into()
    }

    /// Cuts the bytes of `steps` into chunks; pauses and faults stay between the same bytes.
    pub(crate) fn cut(&self, steps: Vec<ScriptStep>) -> Vec<ScriptStep> {
        if self.chunk_sizes.is_empty() {
            return steps;
        }
        let mut sizes = self.chunk_sizes.iter().map(|size| (*size).max(1)).cycle();
        let mut cut = Vec::new();
        let mut pending = BytesMut::new();
        for step in steps {
            match step {
                ScriptStep::Bytes(bytes) => pending.extend_from_slice(&bytes),
                other @ (ScriptStep::Wait(_) | ScriptStep::Cut | ScriptStep::Hold) => {
                    drain(&mut pending, &mut sizes, &mut cut);
                    cut.push(other);
                }
            }
        }
        drain(&mut pending, &mut sizes, &mut cut);
        cut
    }
}

fn drain(pending: &mut BytesMut, sizes: &mut impl Iterator<Item = usize>, steps: &mut Vec<ScriptStep>) {
    while !pending.is_empty() {
        let size = sizes.next().unwrap_or(1).min(pending.len());
        steps.push(ScriptStep::Bytes(pending.split_to(size).freeze()));
    }
}

/// Numbers the events; the backend's internal events have no number.
pub(crate) fn number(events: &mut [Value]) {
    let mut next = 0_u64;
    for event in events {
        let internal =
            event["type"].as_str().is_some_and(|kind| kind.starts_with("codex.") || kind == "response.metadata");
        if !internal {
            event["sequence_number"] = next.into();
            next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn frames_in_every_shape() {
        let event = json!({ "type": "a.b", "n": 1 });
        let frame = |delivery: Delivery| String::from_utf8(delivery.frame(&event).to_vec()).unwrap();
        assert_eq!(frame(Delivery::default()), "event: a.b\ndata: {\"type\":\"a.b\",\"n\":1}\n\n");
        let terse = Delivery { no_space: true, no_event_lines: true, crlf: true, ..Delivery::default() };
        assert_eq!(frame(terse), "data:{\"type\":\"a.b\",\"n\":1}\r\n\r\n");
        let spread = frame(Delivery { multi_line: true, ..Delivery::default() });
        assert_eq!(spread.matches("data: ").count(), 4);
    }

    #[test]
    fn cutting_keeps_bytes_and_order() {
        let steps = vec![ScriptStep::Bytes("abcde".into()), ScriptStep::Cut, ScriptStep::Bytes("f".into())];
        let sizes = Delivery { chunk_sizes: vec![2, 1], ..Delivery::default() };
        let bytes = |text: &'static str| ScriptStep::Bytes(text.into());
        let expected = vec![bytes("ab"), bytes("c"), bytes("de"), ScriptStep::Cut, bytes("f")];
        assert_eq!(sizes.cut(steps), expected);
    }
}
