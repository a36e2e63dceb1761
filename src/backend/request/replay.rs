//! Remembered reasoning, put back in front of the calls it led to.
//!
//! * Each item is put back once: a history that repeats a call does not multiply it.
//! * Reasoning that the client returns itself comes first: an answer with any gets none of what is remembered.

use std::collections::HashSet;
use std::sync::Arc;

use crate::backend::answer::reasoning::CallDigest;
use crate::backend::request::body::{Origin, Provenance, Reasoning};
use crate::backend::request::context::{Context, RememberedReasoning};
use crate::backend::request::history::Item;
use crate::conversation::call::Payload;
use crate::conversation::turn::SealedReasoning;
use crate::json::{ArrayWriter, ObjectWriter, Text};

/// Writes reasoning while a history is written.
pub(super) struct Replay<'c> {
    context: &'c Context<'c>,
    used: HashSet<String>,
    /// The reasoning of the next call, if the message before the call has looked it up already.
    ahead: Option<Arc<RememberedReasoning>>,
    reasoning: Vec<Reasoning>,
    /// Whether reasoning by the client was left out because it belongs to another model.
    left_out: bool,
    /// Whether the client has returned reasoning of the answer that is being written.
    has_sealed: bool,
}

/// The reasoning put back into a body.
#[derive(Debug)]
pub(super) struct Replayed {
    /// The positions of the reasoning.
    pub(super) reasoning: Vec<Reasoning>,
    /// Whether reasoning by the client belongs to another model and is not sent.
    pub(super) left_out: bool,
}

impl<'c> Replay<'c> {
    pub(super) fn new(context: &'c Context<'c>) -> Self {
        Self { context, used: HashSet::new(), ahead: None, reasoning: Vec::new(), left_out: false, has_sealed: false }
    }

    /// Writes the reasoning that belongs in front of `item`, which `next` follows.
    pub(super) fn before(&mut self, item: &Item<'_, '_>, next: Option<&Item<'_, '_>>, input: &mut ArrayWriter<'_>) {
        match (item, next) {
            (Item::Call { .. }, _) => {
                let Some(found) = self.ahead.take().or_else(|| self.find(item, input)) else { return };
                self.write(&found.kept.before_call, &found.provenance, input);
            }
            (Item::Assistant { .. }, Some(call @ Item::Call { .. })) => self.ahead = self.find(call, input),
            (
                Item::User(_)
                | Item::Developer(_)
                | Item::Output { .. }
                | Item::MissingOutput { .. }
                | Item::Orphan { .. },
                _,
            ) => self.has_sealed = false,
            (Item::Author(_) | Item::Assistant { .. } | Item::Reasoning(_) | Item::Served { .. } | Item::Raw(_), _) => {
            }
        }
    }

    /// Returns the positions of all reasoning written.
    pub(super) fn finish(self) -> Replayed {
        Replayed { reasoning: self.reasoning, left_out: self.left_out }
    }

    /// Writes reasoning that the client has returned, if it belongs to this model. Its account is checked when the body
    /// is sent.
    pub(super) fn sealed(&mut self, sealed: &SealedReasoning, input: &mut ArrayWriter<'_>) {
        self.has_sealed = true;
        if sealed.model != self.context.model.model {
            self.left_out = true;
            return;
        }
        let out = input.element();
        let start = out.len();
        let mut item = ObjectWriter::begin(out);
        item.string("type", "reasoning");
        let mut summary = ArrayWriter::begin(item.key("summary"));
        for text in &sealed.summary {
            let mut part = summary.object();
            part.string("type", "summary_text").string("text", text);
            part.end();
        }
        summary.end();
        item.string("encrypted_content", &sealed.encrypted);
        item.end();
        self.reasoning.push(Reasoning { range: start..out.len(), origin: Origin::Sealed(sealed.account) });
    }

    /// Finds the reasoning of `call`. The part before the message is written at once.
    fn find(&mut self, call: &Item<'_, '_>, input: &mut ArrayWriter<'_>) -> Option<Arc<RememberedReasoning>> {
        let Item::Call { original_id: Some(id), name, payload, .. } = call else { return None };
        if self.has_sealed {
            return None;
        }
        let id = id.decode();
        let found = (self.context.reasoning)(&id)?;
        if !found.provenance.serves(&self.context.model.model) || found.kept.call != digest(*name, *payload) {
            return None;
        }
        if !self.used.insert(id.into_owned()) {
            return None;
        }
        self.write(&found.kept.before_message, &found.provenance, input);
        Some(found)
    }

    fn write(&mut self, items: &[String], provenance: &Arc<Provenance>, input: &mut ArrayWriter<'_>) {
        for item in items {
            let out = input.element();
            let start = out.len();
            out.extend_from_slice(item.as_bytes());
            let origin = Origin::Memory(Arc::clone(provenance));
            self.reasoning.push(Reasoning { range: start..out.len(), origin });
        }
    }
}

fn digest(name: Text<'_>, payload: Payload<'_>) -> CallDigest {
    match payload {
        Payload::Text(text) => CallDigest::of(&name.decode(), &text.decode()),
        Payload::Json(raw) => CallDigest::of(&name.decode(), raw.get()),
    }
}
