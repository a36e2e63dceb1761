//! The common part of an answer's events and its document: its id, its model, and its ending.

use super::blocks::Ending;
use crate::dialect::Occasion;
use crate::json::{ObjectWriter, Text};

/// The facts that an answer tells about itself.
#[derive(Debug)]
pub(super) struct Face {
    id: String,
    model: String,
    /// The client's stop sequences.
    stop: Vec<String>,
}

impl Face {
    pub(super) fn new(occasion: &Occasion, stop: Vec<String>) -> Self {
        let id = occasion.request_id.strip_prefix("req_").unwrap_or(&occasion.request_id);
        Self { id: format!("msg_{id}"), model: occasion.model.clone(), stop }
    }

    /// Takes the backend's id. The id must be unique: Claude Code joins blocks by it.
    pub(super) fn identify(&mut self, id: &str) {
        self.id = format!("msg_{}", id.strip_prefix("resp_").unwrap_or(id));
    }

    pub(super) fn model(&mut self, name: &str) {
        if self.model != name {
            name.clone_into(&mut self.model);
        }
    }

    /// Writes the keys before `content`.
    pub(super) fn write(&self, message: &mut ObjectWriter<'_>) {
        message
            .string("id", &self.id)
            .string("type", "message")
            .string("role", "assistant")
            .string("model", &self.model);
    }

    /// Writes the answer's ending.
    pub(super) fn write_ending(&self, ending: &Ending, object: &mut ObjectWriter<'_>) {
        object.string("stop_reason", ending.reason);
        match ending.hit.and_then(|number| self.stop.get(number)) {
            Some(sequence) => object.string("stop_sequence", sequence),
            None => object.json("stop_sequence", "null"),
        };
        if ending.reason == "refusal" {
            let mut details = ObjectWriter::begin(object.key("stop_details"));
            details.string("type", "refusal").json("category", "null");
            match &ending.refusal {
                Some(said) => details.text("explanation", Text::from_escaped(said)),
                None => details.json("explanation", "null"),
            };
            details.end();
        }
    }
}
