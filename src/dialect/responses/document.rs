//! A Responses answer as one JSON document: the final `response` object, its `output` filled.

use crate::backend::answer::verdict::Inconsistency;
use crate::backend::answer::{Answer, Machine, Step};
use crate::backend::event::answerer::Answerer;
use crate::backend::event::delta::{Delta, DeltaReader};
use crate::backend::event::failure::Failure;
use crate::backend::event::sse::Frame;
use crate::backend::event::{Event, Name, ResponseEnding, Usage, is_internal};
use crate::dialect::responses::output::{Audience, Output, write_filled};
use crate::dialect::responses::{is_preamble, status_at};
use crate::fault::Fault;

/// Waits for the complete answer and writes it. An incomplete answer is an answer too: its `status` tells so.
#[derive(Debug)]
pub struct Collect {
    deltas: DeltaReader,
    answerer: Answerer,
    output: Output,
    visible: bool,
    usage: Option<Usage>,
}

impl Default for Collect {
    fn default() -> Self {
        Self {
            deltas: DeltaReader::default(),
            answerer: Answerer::default(),
            output: Output::new(Audience::Document),
            visible: false,
            usage: None,
        }
    }
}

impl Collect {
    fn event(&mut self, event: &Event<'_>, data: &[u8], out: &mut Vec<u8>) -> Result<Step, Inconsistency> {
        if let Some(delta) = Delta::of(event) {
            self.output.delta(&delta, out);
        } else {
            let is_new = self.output.count(event, data.len());
            self.answerer.note(event);
            if let Some(failure) = self.answerer.refused() {
                return Ok(Step::Failed { failure, reported: false });
            }
            if let Some(ending) = event.ending() {
                return self.end(ending, event, out);
            }
            match event.kind.as_ref() {
                "error" => return Ok(Step::Failed { failure: Failure::from_error_event(data), reported: false }),
                _ if is_new => drop(self.output.event(event, &mut Vec::new())?),
                _ => {}
            }
        }
        self.saw(&event.kind);
        Ok(Step::Continue)
    }

    /// Takes the event that ends the answer.
    fn end(&mut self, ending: ResponseEnding, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Step, Inconsistency> {
        if ending == ResponseEnding::Failed {
            return Ok(Step::Failed { failure: Failure::from_failed_response(event), reported: false });
        }
        let response = event.response.as_ref().ok_or(Inconsistency::Lost)?;
        self.usage = response.usage;
        match self.output.complete(response, status_at(ending), event.sequence_number, &mut Vec::new())? {
            Some(list) => write_filled(response, &list, out),
            None => out.extend_from_slice(response.json),
        }
        Ok(Step::Complete)
    }

    /// Takes an event of which only the name is readable.
    fn unreadable(&mut self, data: &[u8]) -> Step {
        let Some(Name { kind }) = Name::parse(data) else { return Step::Continue };
        match kind.as_ref() {
            "response.completed" | "response.incomplete" => {}
            "response.failed" | "response.cancelled" => {
                return Step::Failed { failure: Failure::default(), reported: false };
            }
            "error" => return Step::Failed { failure: Failure::from_error_event(data), reported: false },
            kind => self.saw(kind),
        }
        Step::Continue
    }

    fn saw(&mut self, kind: &str) {
        self.visible |= !is_preamble(kind) && !is_internal(kind);
    }
}

impl Machine for Collect {
    fn begin(&mut self, answerer: Answerer) {
        self.answerer = answerer;
    }

    fn answerer(&self) -> &Answerer {
        &self.answerer
    }

    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        if let Some(delta) = self.deltas.read(&frame.data) {
            self.visible = true;
            self.output.delta(&delta, out);
            return Step::Continue;
        }
        match Event::read(&frame.data) {
            Some(event) => {
                let step = self.event(&event, &frame.data, out);
                let failed =
                    |inconsistency: Inconsistency| Step::Failed { failure: inconsistency.into(), reported: false };
                step.unwrap_or_else(failed)
            }
            None => self.unreadable(&frame.data),
        }
    }

    fn visible(&self) -> bool {
        self.visible
    }

    /// The client has received nothing, so the failure becomes a status instead.
    fn fail(&mut self, _error: &Fault, _out: &mut Vec<u8>) {}

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn take_answer(&mut self) -> Option<Answer> {
        Some(self.output.take_answer())
    }
}
