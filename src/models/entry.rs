//! An entry of `/v1/models`.

use serde::Serialize;

use crate::models::catalogue::Model;
use crate::models::effort::Effort;

/// An object of the list. The keys beyond OpenAI's own four are those of other servers for the same facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The name for requests.
    pub id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    /// The display name.
    pub display_name: String,
    /// The tokens of input and output together.
    pub context_window: u64,
    /// The most tokens of one answer.
    pub max_output_tokens: u64,
    /// The allowed efforts, lowest first; empty if unknown.
    pub supported_reasoning_efforts: Vec<Effort>,
    /// The effort of a request without one; null if the backend decides.
    pub default_reasoning_effort: Option<Effort>,
    /// The other capabilities.
    pub capabilities: Capabilities,
}

/// The capabilities of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Takes images.
    pub vision: bool,
    /// Calls tools.
    pub tools: bool,
    /// Answers in a given JSON schema.
    pub structured_outputs: bool,
    /// Answers as a stream.
    pub streaming: bool,
}

impl Entry {
    /// Creates the entry of a model under its own name.
    pub fn of(model: &Model) -> Self {
        Self {
            id: model.id.clone().into_owned(),
            object: "model",
            created: CREATED,
            owned_by: "openai",
            display_name: model.display_name.clone().into_owned(),
            context_window: model.context_window,
            max_output_tokens: model.max_output_tokens,
            supported_reasoning_efforts: model.efforts.to_vec(),
            default_reasoning_effort: model.default_effort,
            capabilities: Capabilities { vision: model.vision, tools: true, structured_outputs: true, streaming: true },
        }
    }

    /// Creates the entry of a model under its name with `effort`.
    pub fn variant(model: &Model, effort: Effort) -> Self {
        let base = Self::of(model);
        Self {
            id: format!("{}-{effort}", base.id),
            display_name: format!("{} ({effort})", base.display_name),
            default_reasoning_effort: Some(effort),
            ..base
        }
    }

    /// Creates the entry of a model, then one for each effort with a name of its own.
    pub fn with_variants(model: &Model) -> Vec<Self> {
        let variants = model.variants().map(|effort| Self::variant(model, effort));
        std::iter::once(Self::of(model)).chain(variants).collect()
    }
}

/// The creation date of all models: the release of the first (2025-08-07). The backend gives no dates.
const CREATED: u64 = 1_754_524_800;
