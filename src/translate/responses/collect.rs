//! A Responses answer as one JSON document: the final `response` object, its `output` filled.

use super::output::Output;
use super::{is_internal, is_preamble, status_at};
use crate::openai::error::ApiError;
use crate::translate::answerer::Answerer;
use crate::translate::delta::Delta;
use crate::translate::event::{Event, Name, Usage};
use crate::translate::failure::Failure;
use crate::translate::sse::Frame;
use crate::translate::{Answer, Machine, Step};

/// Waits for the whole answer and writes it. An incomplete answer is an answer: its `status` says so.
#[derive(Debug, Default)]
pub struct Collect {
    answerer: Answerer,
    output: Output,
    visible: bool,
    usage: Option<Usage>,
}

impl Machine for Collect {
    fn begin(&mut self, answerer: Answerer) {
        self.answerer = answerer;
    }

    fn answerer(&self) -> &Answerer {
        &self.answerer
    }

    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        if let Some(delta) = Delta::read(&frame.data) {
            self.visible = true;
            self.output.note_delta(&delta);
            return Step::Continue;
        }
        let Some(name) = Name::parse(&frame.data) else { return Step::Continue };
        let kind = name.kind.as_ref();
        let event = Event::parse(&frame.data);
        let view = event.as_ref().and_then(|event| self.answerer.note(event));
        if let Some(failure) = self.answerer.refused() {
            return Step::Failed { failure, reported: false };
        }
        match kind {
            "response.completed" | "response.incomplete" => {
                let Some(response) = event.and_then(|event| event.response) else { return Step::Continue };
                self.usage = view.and_then(|view| view.usage);
                self.output.fill(response, status_at(kind), out);
                return Step::Complete;
            }
            "response.failed" | "response.cancelled" => {
                let failure = event.as_ref().map(Failure::from_failed_response).unwrap_or_default();
                return Step::Failed { failure, reported: false };
            }
            "error" => return Step::Failed { failure: Failure::from_error_event(&frame.data), reported: false },
            _ => {
                if let Some(event) = event {
                    self.output.note(&event);
                }
            }
        }
        self.visible |= !is_preamble(kind) && !is_internal(kind);
        Step::Continue
    }

    fn visible(&self) -> bool {
        self.visible
    }

    /// Nothing was sent, so the failure is answered with a status instead.
    fn fail(&mut self, _error: &ApiError, _out: &mut Vec<u8>) {}

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn take_answer(&mut self) -> Option<Answer> {
        Some(self.output.take_answer())
    }
}
