//! A Responses stream, passed on as it is.
//!
//! * A frame's bytes are the backend's own: `event` line, key order, unknown events and all.
//! * Left out are events internal to the backend, unless the client is the one they are meant for; rewritten is only a final
//!   event whose `output` is empty.
//! * A failure is an `error` event in two shapes at once: flat, as typed clients want it, and with an `error` object, without
//!   which the official SDKs take the answer for a whole one. The backend's own `response.failed` follows it.

use super::output::Output;
use super::{is_internal, is_preamble, status_at};
use crate::openai::error::ApiError;
use crate::openai::json::{Object, ObjectWriter};
use crate::translate::answerer::Answerer;
use crate::translate::delta::Delta;
use crate::translate::event::{Event, Name, ResponseView, Usage};
use crate::translate::failure::Failure;
use crate::translate::sse::Frame;
use crate::translate::{Answer, Machine, Step};

/// Who reads a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reader {
    /// A library of the public API.
    #[default]
    Library,
    /// A Codex client: it knows the backend's internal events, and of failures only `response.failed`.
    Codex,
}

/// Passes a stream on.
#[derive(Debug, Default)]
pub struct Relay {
    reader: Reader,
    answerer: Answerer,
    output: Output,
    /// The backend's own report of the failure, until it can be passed on behind the error event.
    report: Vec<u8>,
    visible: bool,
    usage: Option<Usage>,
    next_sequence_number: u64,
}

impl Relay {
    /// A stream for `reader`, at its beginning.
    pub fn new(reader: Reader) -> Self {
        Self { reader, ..Self::default() }
    }

    fn count(&mut self, sequence_number: Option<u64>) {
        if let Some(number) = sequence_number {
            self.next_sequence_number = number.saturating_add(1);
        }
    }

    fn complete(
        &mut self,
        frame: &Frame<'_>,
        event: &Event<'_>,
        view: Option<ResponseView<'_>>,
        out: &mut Vec<u8>,
    ) -> Step {
        self.visible = true;
        let Some(response) = event.response else {
            out.extend_from_slice(frame.raw);
            return Step::Complete;
        };
        self.usage = view.and_then(|view| view.usage);
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
            "error" => return untold(Failure::from_error_event(&frame.data)),
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {}
            kind if is_internal(kind) => self.internal(frame, out),
            kind => {
                self.visible |= !is_preamble(kind);
                out.extend_from_slice(frame.raw);
            }
        }
        Step::Continue
    }

    fn internal(&self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        if self.reader == Reader::Codex {
            out.extend_from_slice(frame.raw);
        }
    }

    /// The backend's last word on a failure. Before anything was shown, the failure becomes a status; after that a Codex
    /// client is shown this event, and everybody else first the error event that [`Machine::fail`] writes.
    fn failed(&mut self, event: &Event<'_>, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        let reported = self.visible && self.reader == Reader::Codex;
        if reported {
            out.extend_from_slice(frame.raw);
        } else if self.visible {
            self.report = frame.raw.to_vec();
        }
        Step::Failed { failure: Failure::from_failed_response(event), reported }
    }
}

/// Everything else that the backend says of a failure is told by the error event that [`Machine::fail`] writes.
fn untold(failure: Failure) -> Step {
    Step::Failed { failure, reported: false }
}

impl Machine for Relay {
    fn begin(&mut self, answerer: Answerer) {
        self.answerer = answerer;
    }

    fn answerer(&self) -> &Answerer {
        &self.answerer
    }

    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        if let Some(delta) = Delta::read(&frame.data) {
            self.count(delta.sequence_number);
            self.visible = true;
            self.output.note_delta(&delta);
            out.extend_from_slice(frame.raw);
            return Step::Continue;
        }
        let Some(event) = Event::parse(&frame.data) else { return self.unreadable(frame, out) };
        let view = self.answerer.note(&event);
        if let Some(failure) = self.answerer.refused() {
            return untold(failure);
        }
        match event.kind.as_ref() {
            "error" => return untold(Failure::from_error_event(&frame.data)),
            "response.failed" | "response.cancelled" => return self.failed(&event, frame, out),
            _ => self.count(event.sequence_number),
        }
        match event.kind.as_ref() {
            kind if is_internal(kind) => {
                self.internal(frame, out);
                return Step::Continue;
            }
            "response.completed" | "response.incomplete" => return self.complete(frame, &event, view, out),
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
        write_error(error, self.next_sequence_number, out);
        if self.reader == Reader::Codex {
            write_failed(error, self.next_sequence_number.saturating_add(1), out);
        }
        out.append(&mut self.report);
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn take_answer(&mut self) -> Option<Answer> {
        Some(self.output.take_answer())
    }
}

/// Writes `error` as an event in both shapes.
fn write_error(error: &ApiError, sequence_number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: error\ndata: ");
    let mut event = ObjectWriter::begin(out);
    event.string("type", "error");
    write_code(error, &mut event);
    event.string("message", &error.message);
    match &error.param {
        Some(param) => event.string("param", param),
        None => event.json("param", "null"),
    };
    event.unsigned("sequence_number", sequence_number).json("error", &error.to_json_object());
    event.end();
    out.extend_from_slice(b"\n\n");
}

/// Writes `error` as the one event by which a Codex client learns of a failure (Codex CLI 0.147 ignores `error`).
fn write_failed(error: &ApiError, sequence_number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: response.failed\ndata: ");
    let mut event = ObjectWriter::begin(out);
    event.string("type", "response.failed").unsigned("sequence_number", sequence_number);
    let mut response = ObjectWriter::begin(event.key("response"));
    response.string("object", "response").string("status", "failed");
    let mut failure = ObjectWriter::begin(response.key("error"));
    write_code(error, &mut failure);
    failure.string("message", &error.message);
    failure.end();
    response.end();
    event.end();
    out.extend_from_slice(b"\n\n");
}

fn write_code(error: &ApiError, object: &mut ObjectWriter<'_>) {
    match error.code() {
        Some(code) => object.string("code", code),
        None => object.json("code", "null"),
    };
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
