//! A Responses stream, passed on as it is.
//!
//! * A frame's bytes are the backend's own: `event` line, key order, unknown events and all.
//! * Left out are events internal to the backend; rewritten is only a final event whose `output` is empty.

use super::output::Output;
use super::{is_internal, is_preamble, status_at};
use crate::openai::error::ApiError;
use crate::openai::json::{Object, ObjectWriter};
use crate::translate::delta::Delta;
use crate::translate::event::{Event, Name, ResponseView, Usage};
use crate::translate::failure::Failure;
use crate::translate::sse::Frame;
use crate::translate::{Answer, Machine, Step};

/// Passes a stream on.
#[derive(Debug, Default)]
pub struct Relay {
    output: Output,
    visible: bool,
    usage: Option<Usage>,
    next_sequence_number: u64,
}

impl Relay {
    fn count(&mut self, sequence_number: Option<u64>) {
        if let Some(number) = sequence_number {
            self.next_sequence_number = number.saturating_add(1);
        }
    }

    fn complete(&mut self, frame: &Frame<'_>, event: &Event<'_>, out: &mut Vec<u8>) -> Step {
        self.visible = true;
        let Some(response) = event.response else {
            out.extend_from_slice(frame.raw);
            return Step::Complete;
        };
        self.usage = ResponseView::parse(response).usage;
        let mut filled = Vec::new();
        self.output.fill(response, status_at(&event.kind), &mut filled);
        if filled == response.get().as_bytes() {
            out.extend_from_slice(frame.raw);
        } else {
            write_event(event, frame, &filled, out);
        }
        Step::Complete
    }

    /// An event of which nothing but its name can be read is passed on, unless it would have to be acted on.
    fn unreadable(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        let Some(Name { kind }) = Name::parse(&frame.data) else { return Step::Continue };
        match kind.as_ref() {
            "error" => return self.failed(Failure::from_error_event(&frame.data), frame, out),
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {}
            kind if is_internal(kind) => {}
            kind => {
                self.visible |= !is_preamble(kind);
                out.extend_from_slice(frame.raw);
            }
        }
        Step::Continue
    }

    /// A failure is shown in the backend's own event once something was; before that it becomes a status.
    fn failed(&self, failure: Failure, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        if self.visible {
            out.extend_from_slice(frame.raw);
        }
        Step::Failed { failure, reported: self.visible }
    }
}

impl Machine for Relay {
    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        if let Some(delta) = Delta::read(&frame.data) {
            self.count(delta.sequence_number);
            self.visible = true;
            self.output.note_delta(&delta);
            out.extend_from_slice(frame.raw);
            return Step::Continue;
        }
        let Some(event) = Event::parse(&frame.data) else { return self.unreadable(frame, out) };
        self.count(event.sequence_number);
        match event.kind.as_ref() {
            kind if is_internal(kind) => return Step::Continue,
            "response.completed" | "response.incomplete" => return self.complete(frame, &event, out),
            "response.failed" | "response.cancelled" => {
                return self.failed(Failure::from_failed_response(&event), frame, out);
            }
            "error" => return self.failed(Failure::from_error_event(&frame.data), frame, out),
            kind => self.visible |= !is_preamble(kind),
        }
        self.output.note(&event);
        out.extend_from_slice(frame.raw);
        Step::Continue
    }

    fn visible(&self) -> bool {
        self.visible
    }

    fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: error\ndata: ");
        let mut event = ObjectWriter::begin(out);
        event.string("type", "error");
        match error.code() {
            Some(code) => event.string("code", code),
            None => event.json("code", "null"),
        };
        event.string("message", &error.message);
        match &error.param {
            Some(param) => event.string("param", param),
            None => event.json("param", "null"),
        };
        event.unsigned("sequence_number", self.next_sequence_number);
        event.end();
        out.extend_from_slice(b"\n\n");
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn take_answer(&mut self) -> Option<Answer> {
        Some(self.output.take_answer())
    }
}

/// Writes the event anew, everything but its `response` as it was.
fn write_event(event: &Event<'_>, frame: &Frame<'_>, response: &[u8], out: &mut Vec<u8>) {
    let object = serde_json::from_slice::<Object<'_>>(&frame.data).unwrap_or_default();
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let mut writer = ObjectWriter::begin(out);
    for (key, value) in object.iter() {
        if key == "response" {
            writer.key(key).extend_from_slice(&on_one_line(response));
        } else {
            writer.key(key).extend_from_slice(&on_one_line(value.get().as_bytes()));
        }
    }
    writer.end();
    out.extend_from_slice(b"\n\n");
}

/// A line break inside JSON is white space, and would end the `data` line.
fn on_one_line(json: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if memchr::memchr2(b'\n', b'\r', json).is_none() {
        return json.into();
    }
    json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect::<Vec<u8>>().into()
}
