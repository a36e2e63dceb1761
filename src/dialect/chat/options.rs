//! How a chat client wants its answer.

use crate::backend::answer::stop::StopSequences;

/// How a client wants to see the model's reasoning. The comments of the variants are the help text of `--reasoning-format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
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
    /// The field that carries reasoning, where one does.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Reasoning => "reasoning",
            Self::ReasoningContent | Self::ThinkTags | Self::None => "reasoning_content",
        }
    }
}

/// What is the same in every chunk of an answer, and how the client asked for it.
#[derive(Debug, Clone)]
pub struct AnswerMeta {
    /// Unix seconds.
    pub created: u64,
    /// The backend model that was asked for; the sink is told which one answers.
    pub model: String,
    /// The id of the answer should the backend not give one.
    pub fallback_id: String,
    /// The client asked for a usage chunk (`stream_options.include_usage`).
    pub include_usage: bool,
    /// The request used `functions`, so the answer uses `function_call`.
    pub legacy_functions: bool,
    /// How reasoning is shown.
    pub reasoning: ReasoningFormat,
    /// Where the answer's text ends although the backend goes on.
    pub stop: Option<StopSequences>,
}
