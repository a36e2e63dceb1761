//! The input and result of a translation, for both APIs.

use std::sync::Arc;

use crate::backend::answer::reasoning::KeptReasoning;
use crate::backend::request::body::{Provenance, Reasoning};
use crate::backend::request::names::ToolNames;
use crate::json::{Object, ObjectWriter, Text};
use crate::models::Resolution;
use crate::models::effort::Effort;

/// A body that the backend accepts, with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendRequest {
    /// The JSON body.
    pub body: Vec<u8>,
    /// The conversation's cache key, sent in the body and as a header.
    pub session_key: String,
    /// The client's parameters without effect.
    pub ignored: Vec<String>,
    /// The tools' names changed for the backend; none for most requests.
    pub names: Option<Arc<ToolNames>>,
    /// The encrypted reasoning in the body, in order: the backend may refuse the request only because of it.
    pub reasoning: Vec<Reasoning>,
    /// Whether remembered reasoning of the conversation was left out, because it belongs to another model or was
    /// refused.
    pub reasoning_left_out: bool,
    /// The references in the client's input, in order.
    pub references: Vec<Reference>,
    /// Where the parts of the prompt are in the body.
    pub outline: Outline,
    /// Whether files that the backend refuses may be sent in another form; a body of the Responses API stays the
    /// client's.
    pub may_move_files: bool,
}

/// Where the parts of the prompt are in a body, in the order in which the model gets them: model and instructions stand
/// before the first item, tools behind the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// The beginning of each item of `input`.
    pub items: Vec<usize>,
    /// The end of `input`.
    pub input_end: usize,
    /// The end of the tools, which follow `input`.
    pub tools_end: usize,
}

/// The input of a translation besides the client's body.
#[derive(Clone, Copy)]
pub struct Context<'c> {
    /// The model and effort to send.
    pub model: &'c Resolution,
    /// The session id in the client's headers.
    pub session_header: Option<&'c str>,
    /// The operator's own instructions, sent in place of the client's.
    pub instructions: Option<&'c str>,
    /// Whether the client is a Codex CLI, which has parameters of its own.
    pub is_codex: bool,
    /// The bytes of the client's body. The backend's is about as long.
    pub size: usize,
    /// The bytes to ask for, of which not all may be used, if the system promises them; what `size` needs, if that is more.
    pub room: usize,
    /// Looks up the reasoning that led to the call with an id.
    pub reasoning: Recall<'c, Arc<RememberedReasoning>>,
    /// Looks up the item of an earlier answer by its id.
    pub answered: Recall<'c, RememberedItem>,
    /// For each item that an earlier turn put before the client's input, its answer; none for an input item.
    pub remembered: &'c [Option<Arc<Provenance>>],
}

/// A lookup by id in the memory; most ids have no entry.
pub type Recall<'c, T> = &'c dyn Fn(&str) -> Option<T>;

impl<'c> Context<'c> {
    /// Creates a context for `model` with no other input.
    pub fn new(model: &'c Resolution) -> Self {
        Self {
            model,
            session_header: None,
            instructions: None,
            is_codex: false,
            size: 0,
            room: 0,
            reasoning: &nothing,
            answered: &nothing,
            remembered: &[],
        }
    }
}

impl Context<'_> {
    /// Creates a buffer for the backend's body, so that writing a large one does not copy it as it grows.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        let needed = self.size + self.size / 16 + ROOM;
        let mut buffer = Vec::new();
        if self.room <= needed || buffer.try_reserve_exact(self.room).is_err() {
            buffer.reserve_exact(needed);
        }
        buffer
    }
}

/// What every body has beside the client's texts, in bytes. With a short text it makes a block that glibc's allocator keeps at hand
/// for each thread, which it does up to 1,032 bytes.
const ROOM: usize = 896;

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Context").field("model", self.model).finish_non_exhaustive()
    }
}

fn nothing<T>(_id: &str) -> Option<T> {
    None
}

impl Context<'_> {
    /// Returns whether the client's service tier is sent, as the only available tier.
    pub fn is_priority(&self, asked: Option<&str>) -> bool {
        self.service_tier(asked) == ServiceTier::Priority
    }

    /// Returns the handling of the client's service tier, with the name to send: the backend accepts only one.
    pub(crate) fn service_tier(&self, asked: Option<&str>) -> ServiceTier {
        match asked {
            None => ServiceTier::Unasked,
            Some("priority" | "fast") if self.model.supports_priority => ServiceTier::Priority,
            Some(_) => ServiceTier::Ignored,
        }
    }
}

/// The handling of a service tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceTier {
    /// The client requested no tier.
    Unasked,
    /// The tier is sent as `priority`.
    Priority,
    /// The tier is not available for this model, or not at all.
    Ignored,
}

/// Returns the summary to request if the client shows reasoning: the backend sends summaries only on request, and a
/// chat client cannot request them.
pub(crate) fn shown_summary<'a>(model: &Resolution, asked: Option<Text<'a>>) -> Option<Text<'a>> {
    if model.effort == Some(Effort::None) {
        return None;
    }
    Some(asked.unwrap_or(Text::from_escaped("auto"))).filter(|summary| !summary.is("none"))
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
    /// The item, in the backend's own form, as a JSON object.
    pub json: String,
    /// The answer that contained it.
    pub provenance: Arc<Provenance>,
}

/// The resolution of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The index in the client's input.
    pub index: usize,
    /// The item that replaces it, unless it was left out.
    pub item: Option<String>,
}

/// Reasoning of an earlier answer.
#[derive(Debug)]
pub struct RememberedReasoning {
    /// The reasoning items and their call.
    pub kept: KeptReasoning,
    /// The answer that contained them.
    pub provenance: Arc<Provenance>,
}
