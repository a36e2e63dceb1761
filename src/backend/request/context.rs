//! What both APIs' requests become.

use std::sync::Arc;

use crate::backend::answer::reasoning::KeptReasoning;
use crate::backend::request::body::{Provenance, Reasoning};
use crate::backend::request::names::ToolNames;
use crate::json::{Object, ObjectWriter, Text};
use crate::models::Resolution;
use crate::models::effort::Effort;

/// A body the backend accepts, and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendRequest {
    /// The JSON body.
    pub body: Vec<u8>,
    /// The conversation's cache key, sent in the body and as a header.
    pub session_key: String,
    /// Parameters of the client's that change nothing.
    pub ignored: Vec<String>,
    /// Names of tools that the backend knows by others; none for most.
    pub names: Option<Arc<ToolNames>>,
    /// The encrypted reasoning in the body, in its order: the backend may refuse the request for that alone.
    pub reasoning: Vec<Reasoning>,
    /// Remembered reasoning of the conversation was left out, because another model thought it or it has been refused.
    pub reasoning_left_out: bool,
    /// The references of the client's input, in their order.
    pub references: Vec<Reference>,
}

/// What a translation needs beside the client's body.
#[derive(Clone, Copy)]
pub struct Context<'c> {
    /// The model and effort to send.
    pub model: &'c Resolution,
    /// The session id in the client's headers.
    pub session_header: Option<&'c str>,
    /// The operator's own instructions, sent in place of the client's.
    pub instructions: Option<&'c str>,
    /// The client is a Codex CLI, which knows parameters that nobody else does.
    pub is_codex: bool,
    /// The reasoning that led to the call with an id.
    pub reasoning: Recall<'c, Arc<RememberedReasoning>>,
    /// The item of an earlier answer with an id.
    pub answered: Recall<'c, RememberedItem>,
    /// For each item that an earlier turn put before the client's input, the answer it stood in; none where it was input.
    pub remembered: &'c [Option<Arc<Provenance>>],
}

/// What is remembered by an id; nothing for most.
pub type Recall<'c, T> = &'c dyn Fn(&str) -> Option<T>;

impl<'c> Context<'c> {
    /// `model`, and nothing beside it.
    pub fn new(model: &'c Resolution) -> Self {
        Self {
            model,
            session_header: None,
            instructions: None,
            is_codex: false,
            reasoning: &nothing,
            answered: &nothing,
            remembered: &[],
        }
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Context").field("model", self.model).finish_non_exhaustive()
    }
}

fn nothing<T>(_id: &str) -> Option<T> {
    None
}

impl Context<'_> {
    /// Whether the service tier that a client asks for is sent, as the one tier that there is.
    pub fn is_priority(&self, asked: Option<&str>) -> bool {
        self.service_tier(asked) == ServiceTier::Priority
    }

    /// Whether the client's service tier can be had, and by which name: only one is ever accepted.
    pub(crate) fn service_tier(&self, asked: Option<&str>) -> ServiceTier {
        match asked {
            None => ServiceTier::Unasked,
            Some("priority" | "fast") if self.model.supports_priority => ServiceTier::Priority,
            Some(_) => ServiceTier::Ignored,
        }
    }
}

/// What becomes of a service tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceTier {
    /// The client named none.
    Unasked,
    /// Sent as `priority`.
    Priority,
    /// Not to be had for this model or at all.
    Ignored,
}

/// The summary to ask for where the client shows reasoning: summaries come only when asked for, and a chat client does not
/// know to ask.
pub(crate) fn shown_summary<'a>(model: &Resolution, asked: Option<Text<'a>>) -> Option<Text<'a>> {
    if model.effort == Some(Effort::None) {
        return None;
    }
    Some(asked.unwrap_or(Text::from_escaped("auto"))).filter(|summary| summary.escaped() != "none")
}

/// Writes `reasoning` with the effort to send and the other keys of the client's own object.
pub(crate) fn write_reasoning(
    model: &Resolution,
    summary: Option<Text<'_>>,
    others: Option<&Object<'_>>,
    body: &mut ObjectWriter<'_>,
) {
    let others = || others.into_iter().flat_map(Object::iter).filter(|(key, _)| !matches!(*key, "effort" | "summary"));
    if model.effort.is_none() && summary.is_none() && others().next().is_none() {
        return;
    }
    let mut reasoning = ObjectWriter::begin(body.key("reasoning"));
    if let Some(effort) = model.effort {
        reasoning.string("effort", effort.as_str());
    }
    if let Some(summary) = summary {
        reasoning.text("summary", summary);
    }
    for (key, value) in others() {
        reasoning.raw(key, value);
    }
    reasoning.end();
}

/// An item of an earlier answer.
#[derive(Debug, Clone)]
pub struct RememberedItem {
    /// The item as the backend gave it, a JSON object.
    pub json: String,
    /// The answer it stood in.
    pub provenance: Arc<Provenance>,
}

/// What became of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its place in the client's input.
    pub index: usize,
    /// The item that took its place, unless it was left out.
    pub item: Option<String>,
}

/// Reasoning of an earlier answer.
#[derive(Debug)]
pub struct RememberedReasoning {
    /// The items and their call.
    pub kept: KeptReasoning,
    /// The answer they stood in.
    pub provenance: Arc<Provenance>,
}
