//! A chat client's settings for its answer.

use crate::backend::answer::stop::StopSequences;

/// The form in which a client sees the model's reasoning. The comments of the variants are the help text of
/// `--reasoning-format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum ReasoningFormat {
    /// In the field `reasoning_content`
    #[default]
    #[cfg_attr(not(target_arch = "wasm32"), value(name = "reasoning_content"))]
    #[serde(rename = "reasoning_content")]
    ReasoningContent,
    /// In the field `reasoning`
    Reasoning,
    /// In the text, between `<think>` and `</think>`
    ThinkTags,
    /// Not at all
    None,
}

impl ReasoningFormat {
    /// Returns the field that carries reasoning, if there is one.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Reasoning => "reasoning",
            Self::ReasoningContent | Self::ThinkTags | Self::None => "reasoning_content",
        }
    }
}

/// The constant facts of an answer, and the client's settings for it.
#[derive(Debug, Clone)]
pub struct AnswerMeta {
    /// The time of the request, in Unix seconds.
    pub created: u64,
    /// The requested backend model; the sink is told the answering one.
    pub model: String,
    /// The id of the answer if the backend gives none.
    pub fallback_id: String,
    /// Whether the client wants a usage chunk (`stream_options.include_usage`).
    pub include_usage: bool,
    /// Whether the request used `functions`, so that the answer uses `function_call`.
    pub legacy_functions: bool,
    /// The form in which reasoning is shown.
    pub reasoning: ReasoningFormat,
    /// The sequences that end the answer's text although the backend goes on.
    pub stop: Option<StopSequences>,
}

impl AnswerMeta {
    /// Returns whether texts, reasoning and calls share one order. In fields of their own they need none, but reasoning
    /// may be a part of the text, and a stop sequence ends the calls too.
    pub(super) const fn has_one_order(&self) -> bool {
        self.stop.is_some() || matches!(self.reasoning, ReasoningFormat::ThinkTags)
    }
}
