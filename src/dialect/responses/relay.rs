//! A Responses stream, forwarded unchanged.
//!
//! * A frame's bytes are the backend's own, including `event` line, key order and unknown events. A frame that some
//!   clients cannot read, such as an event over several `data` lines, is rewritten on one.
//! * Omitted are events internal to the backend, unless the client is the one they are meant for, and repeated events;
//!   only a final event whose `output` is empty is rewritten. Events are added if the backend told something in one
//!   place only ([`output`](crate::dialect::responses::output)).
//! * A failure is an `error` event in two forms at once: flat, for typed clients, and with an `error` object, without
//!   which the official SDKs take the answer for a complete one. The backend's own `response.failed` follows it.

use std::borrow::Cow;

use crate::backend::answer::verdict::Inconsistency;
use crate::backend::answer::{Answer, Machine, Step};
use crate::backend::event::answerer::{Answerer, is_model_header};
use crate::backend::event::delta::{Delta, DeltaReader};
use crate::backend::event::failure::Failure;
use crate::backend::event::sse::{Frame, on_one_line};
use crate::backend::event::{Event, Name, ResponseEnding, ResponseView, Usage, is_internal};
use crate::dialect::responses::output::{Audience, Output, write_filled};
use crate::dialect::responses::{is_preamble, status_at};
use crate::fault::Fault;
use crate::json::{Object, ObjectWriter};

/// The reader of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reader {
    /// A library of the public API.
    #[default]
    Library,
    /// A Codex client: it knows the backend's internal events, and of failures only `response.failed`.
    Codex,
}

/// Forwards a stream.
#[derive(Debug)]
pub struct Relay {
    reader: Reader,
    /// Whether the client requested the model under another name than the one sent.
    is_renamed: bool,
    deltas: DeltaReader,
    answerer: Answerer,
    output: Output,
    /// The backend's own report of the failure, until it can be forwarded after the error event.
    report: Vec<u8>,
    visible: bool,
    usage: Option<Usage>,
    next_sequence_number: u64,
}

impl Default for Relay {
    fn default() -> Self {
        Self::new(Reader::default())
    }
}

impl Relay {
    /// Creates a new stream for `reader`.
    pub fn new(reader: Reader) -> Self {
        Self {
            reader,
            is_renamed: false,
            deltas: DeltaReader::default(),
            answerer: Answerer::default(),
            output: Output::new(Audience::Stream),
            report: Vec::new(),
            visible: false,
            usage: None,
            next_sequence_number: 0,
        }
    }

    /// Records that the client requested the model as `asked`, which was sent as `sent`.
    ///
    /// A Codex CLI (0.169) takes any name other than the requested one as a reroute, and tells its user that the
    /// account "was flagged". If this proxy changed the name, the headers in the backend's events do not repeat it.
    #[must_use]
    pub fn renamed(self, asked: Option<&str>, sent: &str) -> Self {
        Self { is_renamed: asked.is_some_and(|asked| asked != sent), ..self }
    }

    fn count(&mut self, sequence_number: Option<u64>) {
        if let Some(number) = sequence_number {
            self.next_sequence_number = number.saturating_add(1);
        }
    }

    fn delta(&mut self, delta: &Delta<'_>, frame: &Frame<'_>, out: &mut Vec<u8>) {
        self.count(delta.sequence_number);
        if self.output.delta(delta, out) {
            self.visible = true;
            pass(frame, delta.kind.event(), out);
        }
    }

    fn event(&mut self, event: &Event<'_>, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<Step, Inconsistency> {
        if let Some(delta) = Delta::of(event) {
            self.delta(&delta, frame, out);
            return Ok(Step::Continue);
        }
        let is_new = self.output.count(event, frame.data.len());
        self.answerer.note(event);
        if let Some(failure) = self.answerer.refused() {
            return Ok(untold(failure));
        }
        match event.kind.as_ref() {
            "error" => return Ok(untold(Failure::from_error_event(&frame.data))),
            "response.failed" | "response.cancelled" => return Ok(self.failed(event, frame, out)),
            _ => self.count(event.sequence_number),
        }
        match event.kind.as_ref() {
            kind if is_internal(kind) && self.hides_model(event) => write_without_model(event, frame, out),
            kind if is_internal(kind) => self.internal(frame, kind, out),
            "response.completed" | "response.incomplete" => return self.complete(frame, event, out),
            kind => {
                if is_new && self.output.event(event, out)? {
                    self.visible |= !is_preamble(kind);
                    pass(frame, kind, out);
                }
            }
        }
        Ok(Step::Continue)
    }

    fn complete(&mut self, frame: &Frame<'_>, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Step, Inconsistency> {
        let ending = event.ending().unwrap_or(ResponseEnding::Incomplete);
        if ending == ResponseEnding::Failed {
            // Any client would take an event of this name as a success.
            return Ok(untold(Failure::from_failed_response(event)));
        }
        // Clients take the answer from this object.
        let response = event.response.as_ref().ok_or(Inconsistency::Lost)?;
        self.usage = response.usage;
        let list = self.output.complete(response, status_at(ending), event.sequence_number, out)?;
        self.visible = true;
        match list {
            None => pass(frame, &event.kind, out),
            Some(list) => write_event(event, frame, response, &list, out),
        }
        Ok(Step::Complete)
    }

    /// Forwards an event of which only the name is readable, unless it requires a reaction.
    fn unreadable(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        let Some(Name { kind }) = Name::parse(&frame.data) else { return Step::Continue };
        match kind.as_ref() {
            "error" => return untold(Failure::from_error_event(&frame.data)),
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {}
            kind if is_internal(kind) => self.internal(frame, kind, out),
            kind => {
                self.visible |= !is_preamble(kind);
                pass(frame, kind, out);
            }
        }
        Step::Continue
    }

    fn hides_model(&self, event: &Event<'_>) -> bool {
        let is_shown = self.reader == Reader::Codex && self.is_renamed && event.headers.is_some();
        is_shown && self.answerer.substitute().is_none()
    }

    fn internal(&self, frame: &Frame<'_>, kind: &str, out: &mut Vec<u8>) {
        if self.reader == Reader::Codex {
            pass(frame, kind, out);
        }
    }

    /// Takes the backend's last event on a failure. Before anything was shown, the failure becomes a status; after that
    /// a Codex client receives this event, and any other client first the error event by [`Machine::fail`].
    fn failed(&mut self, event: &Event<'_>, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        let reported = self.visible && self.reader == Reader::Codex;
        if reported {
            pass(frame, &event.kind, out);
        } else if self.visible {
            pass(frame, &event.kind, &mut self.report);
        }
        Step::Failed { failure: Failure::from_failed_response(event), reported }
    }
}

/// Reports a failure only through the error event by [`Machine::fail`].
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
        if let Some(delta) = self.deltas.read(&frame.data) {
            self.delta(&delta, frame, out);
            return Step::Continue;
        }
        match Event::read(&frame.data) {
            Some(event) => {
                let step = self.event(&event, frame, out);
                step.unwrap_or_else(|inconsistency| untold(inconsistency.into()))
            }
            None => self.unreadable(frame, out),
        }
    }

    fn visible(&self) -> bool {
        self.visible
    }

    fn fail(&mut self, error: &Fault, out: &mut Vec<u8>) {
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

/// Writes `error` as an event in both forms.
fn write_error(error: &Fault, sequence_number: u64, out: &mut Vec<u8>) {
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

/// Writes `error` as the only event by which a Codex client learns of a failure (Codex CLI 0.147 ignores `error`).
fn write_failed(error: &Fault, sequence_number: u64, out: &mut Vec<u8>) {
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

fn write_code(error: &Fault, object: &mut ObjectWriter<'_>) {
    match error.code() {
        Some(code) => object.string("code", code),
        None => object.json("code", "null"),
    };
}

/// Forwards a frame whose event has this name.
fn pass(frame: &Frame<'_>, kind: &str, out: &mut Vec<u8>) {
    match String::from_utf8_lossy(&frame.data) {
        Cow::Borrowed(_) if frame.is_plain() => out.extend_from_slice(frame.raw),
        data => {
            write_name(kind, out);
            out.extend_from_slice(on_one_line(&data).as_bytes());
            out.extend_from_slice(b"\n\n");
        }
    }
}

/// Rewrites the event with `list` as the `output` of its `response`, and everything else unchanged.
fn write_event(event: &Event<'_>, frame: &Frame<'_>, response: &ResponseView<'_>, list: &str, out: &mut Vec<u8>) {
    let list = on_one_line(list);
    // Room for all of it, and for its name: an event of this length should not move while it is written.
    out.reserve(frame.data.len() + list.len() + event.kind.len() + 20);
    write_name(&event.kind, out);
    if let (Some(around), Some(_)) = (event.around_response, response.around_output) {
        out.extend_from_slice(around.before);
        write_filled(response, &list, out);
        out.extend_from_slice(around.after);
    } else {
        let mut filled = Vec::new();
        write_filled(response, &list, &mut filled);
        let object = serde_json::from_slice::<Object<'_>>(&frame.data).unwrap_or_default();
        let mut writer = ObjectWriter::begin(out);
        for (key, value) in object.iter() {
            let value = if key == "response" { String::from_utf8_lossy(&filled) } else { value.get().into() };
            writer.json(key, &on_one_line(&value));
        }
        writer.end();
    }
    out.extend_from_slice(b"\n\n");
}

/// Rewrites the event without the headers that name the model.
fn write_without_model(event: &Event<'_>, frame: &Frame<'_>, out: &mut Vec<u8>) {
    let object = serde_json::from_slice::<Object<'_>>(&frame.data).unwrap_or_default();
    write_name(&event.kind, out);
    let mut writer = ObjectWriter::begin(out);
    for (key, value) in object.iter() {
        let headers = if key == "headers" { serde_json::from_str::<Object<'_>>(value.get()).ok() } else { None };
        let Some(headers) = headers else {
            writer.json(key, &on_one_line(value.get()));
            continue;
        };
        let mut kept = ObjectWriter::begin(writer.key(key));
        for (name, value) in headers.iter().filter(|(name, _)| !is_model_header(name)) {
            kept.json(name, &on_one_line(value.get()));
        }
        kept.end();
    }
    writer.end();
    out.extend_from_slice(b"\n\n");
}

/// Writes the `event` line, unless the name contains a character that would end it, and the beginning of the `data`
/// line.
fn write_name(kind: &str, out: &mut Vec<u8>) {
    if !kind.contains(char::is_control) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
}
