//! The encrypted reasoning that led to calls, kept so that the model can have it back on the next turn.
//!
//! A chat client cannot return it itself. It is good only in front of the item it led to, so reasoning that led to a message is
//! not kept.

use super::views::ItemView;
use crate::openai::json::{ArrayWriter, ObjectWriter, Text};

/// Reasoning items and the call they led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReasoning {
    /// The call's id, as the client knows it.
    pub call_id: String,
    /// The items, each a JSON object in the form of the backend's input.
    pub items: Vec<String>,
}

/// Collects the reasoning of one answer.
#[derive(Debug, Default)]
pub(super) struct Thoughts {
    waiting: Vec<String>,
    kept: Vec<KeptReasoning>,
}

impl Thoughts {
    /// A finished reasoning item; one without its encrypted form cannot be given back.
    pub(super) fn add(&mut self, item: &ItemView<'_>) {
        let Some(encrypted) = item.encrypted_content.filter(|raw| Text::of(raw).is_some()) else { return };
        let mut json = Vec::new();
        let mut object = ObjectWriter::begin(&mut json);
        object.string("type", "reasoning");
        let mut summary = ArrayWriter::begin(object.key("summary"));
        for part in item.summary.iter().flatten() {
            summary.element().extend_from_slice(part.get().as_bytes());
        }
        summary.end();
        object.raw("encrypted_content", encrypted);
        object.end();
        self.waiting.extend(String::from_utf8(json));
    }

    /// The reasoning that waits led to the call `id`.
    pub(super) fn led_to_call(&mut self, id: Text<'_>) {
        if !self.waiting.is_empty() {
            let items = std::mem::take(&mut self.waiting);
            self.kept.push(KeptReasoning { call_id: id.decode().into_owned(), items });
        }
    }

    /// The reasoning that waits led to something that does not come back.
    pub(super) fn led_elsewhere(&mut self) {
        self.waiting.clear();
    }

    /// What is worth keeping.
    pub(super) fn take(&mut self) -> Vec<KeptReasoning> {
        std::mem::take(&mut self.kept)
    }
}
