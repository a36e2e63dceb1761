//! The one table of models: what requests, `/v1/models` and the documentation are made from.
//!
//! * The original seven models come first, in their fixed order; newer ones follow, newest generation first.
//! * A model's allowed efforts are what a request is clamped to; `unspecified` is what is sent when a request asks for
//!   no effort, which is not always the default the model itself would take.
//! * An empty list of efforts means that nobody has said: whatever is asked for passes unchanged.

use std::borrow::Cow;

use super::effort::Effort::{self, High, Low, Max, Medium, Minimal, None as Off, Xhigh};

/// Whether a model is shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Stands in `/v1/models`.
    Listed,
    /// Can be called, but is not listed.
    Hidden,
}

/// Which of the tables an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// One of the original seven: `none` counts as `low`, and its range never changes.
    Original,
    /// A later model: the account's own catalogue, where known, has the last word.
    Newer,
}

/// One model and what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The name on the wire, in lower case.
    pub id: Cow<'static, str>,
    /// The name for people.
    pub display_name: Cow<'static, str>,
    /// Which table it belongs to.
    pub generation: Generation,
    /// The efforts a request may carry, lowest first; empty where unknown.
    pub efforts: Cow<'static, [Effort]>,
    /// The effort the model works at by default, where known.
    pub default_effort: Option<Effort>,
    /// The effort sent for a request that asks for none; `None` leaves the choice to the backend.
    pub unspecified: Option<Effort>,
    /// Tokens of input and output together.
    pub context_window: u64,
    /// Tokens of one answer at most.
    pub max_output_tokens: u64,
    /// Whether images may be sent.
    pub vision: bool,
    /// Whether the `priority` service tier may be asked for.
    pub priority: bool,
    /// Whether it is listed.
    pub visibility: Visibility,
    /// The model that takes its place, where the account's catalogue names one; [`successor`] knows more.
    pub upgrade: Option<String>,
}

impl Model {
    /// The effort to send when a request asked for `asked`, made to fit this model.
    pub fn clamp(&self, asked: Option<Effort>) -> Option<Effort> {
        let Some(asked) = asked else { return self.unspecified };
        let wanted = match (self.generation, asked) {
            (Generation::Original, Off) => Low,
            (_, asked) => asked,
        };
        Some(wanted.nearest(&self.efforts))
    }

    /// The efforts that have a name of their own, `<id>-<effort>`, in lists.
    pub fn variants(&self) -> impl Iterator<Item = Effort> + '_ {
        self.efforts.iter().copied().filter(|&effort| effort != Off)
    }

    const fn original(
        id: &'static str,
        display_name: &'static str,
        efforts: &'static [Effort],
        unspecified: Option<Effort>,
    ) -> Self {
        let mut model = Self::newer(id, display_name, efforts, unspecified);
        model.generation = Generation::Original;
        model.unspecified = unspecified;
        model.priority = false;
        model
    }

    const fn newer(
        id: &'static str,
        display_name: &'static str,
        efforts: &'static [Effort],
        default_effort: Option<Effort>,
    ) -> Self {
        Self {
            id: Cow::Borrowed(id),
            display_name: Cow::Borrowed(display_name),
            generation: Generation::Newer,
            efforts: Cow::Borrowed(efforts),
            default_effort,
            unspecified: None,
            context_window: CONTEXT_WINDOW,
            max_output_tokens: MAX_OUTPUT_TOKENS,
            vision: true,
            priority: true,
            visibility: Visibility::Listed,
            upgrade: None,
        }
    }

    const fn small_and_blind(mut self) -> Self {
        self.context_window = 128_000;
        self.vision = false;
        self
    }

    const fn without_priority(mut self) -> Self {
        self.priority = false;
        self
    }

    const fn hidden(mut self) -> Self {
        self.visibility = Visibility::Hidden;
        self
    }
}

/// The built-in entry called `id` (lower case).
pub fn built_in(id: &str) -> Option<&'static Model> {
    TABLE.iter().find(|model| model.id == id)
}

/// The model that took the place of `id` (lower case) when it was retired.
pub fn successor(id: &str) -> Option<&'static str> {
    SUCCESSORS.iter().find(|(retired, _)| *retired == id).map(|(_, successor)| *successor)
}

/// Input and output tokens together, of every model that has not said otherwise.
pub(super) const CONTEXT_WINDOW: u64 = 272_000;
/// Output tokens of every model.
pub(super) const MAX_OUTPUT_TOKENS: u64 = 128_000;

const TO_HIGH: &[Effort] = &[Low, Medium, High];
const TO_XHIGH: &[Effort] = &[Low, Medium, High, Xhigh];
const OFF_TO_XHIGH: &[Effort] = &[Off, Low, Medium, High, Xhigh];
const OFF_TO_MAX: &[Effort] = &[Off, Low, Medium, High, Xhigh, Max];

/// Retired models whose successor the backend has named.
const SUCCESSORS: [(&str, &str); 2] = [("gpt-5.4", "gpt-5.6-terra"), ("gpt-5.4-mini", "gpt-5.6-luna")];

/// Every built-in model: the original seven in their order, then the newer ones.
pub static TABLE: [Model; 22] = [
    Model::original("gpt-5", "GPT-5", &[Minimal, Low, Medium, High], None),
    Model::original("gpt-5-codex", "GPT-5 Codex", &[Minimal, Low, Medium, High], None),
    Model::original("gpt-5.1", "GPT-5.1", TO_HIGH, Some(Low)),
    Model::original("gpt-5.1-codex", "GPT-5.1 Codex", TO_HIGH, Some(Low)),
    Model::original("gpt-5.1-codex-max", "GPT-5.1 Codex Max", TO_XHIGH, Some(Low)),
    Model::original("gpt-5-codex-mini", "GPT-5 Codex Mini", &[Medium, High], Some(Medium)),
    Model::original("gpt-5.1-codex-mini", "GPT-5.1 Codex Mini", &[Medium, High], Some(Medium)),
    Model::newer("gpt-6-sol", "GPT-6 Sol", OFF_TO_MAX, None),
    Model::newer("gpt-6-luna", "GPT-6 Luna", OFF_TO_MAX, None).without_priority(),
    Model::newer("gpt-6-astra", "GPT-6 Astra", OFF_TO_MAX, None),
    Model::newer("gpt-5.6-sol", "GPT-5.6 Sol", OFF_TO_MAX, Some(Low)),
    Model::newer("gpt-5.6-terra", "GPT-5.6 Terra", OFF_TO_MAX, Some(Medium)),
    Model::newer("gpt-5.6-luna", "GPT-5.6 Luna", OFF_TO_MAX, Some(Medium)),
    Model::newer("gpt-5.5", "GPT-5.5", OFF_TO_XHIGH, Some(Medium)),
    Model::newer("gpt-5.3-codex-spark", "GPT-5.3 Codex Spark", OFF_TO_XHIGH, Some(High))
        .small_and_blind()
        .without_priority(),
    Model::newer("gpt-5.4", "GPT-5.4", OFF_TO_XHIGH, Some(Medium)).hidden(),
    Model::newer("gpt-5.4-mini", "GPT-5.4 Mini", OFF_TO_XHIGH, Some(Medium)).without_priority().hidden(),
    Model::newer("gpt-5.2", "GPT-5.2", OFF_TO_XHIGH, Some(Medium)).without_priority().hidden(),
    Model::newer("codex-auto-review", "Codex Auto Review", OFF_TO_XHIGH, Some(Medium)).without_priority().hidden(),
    Model::newer("gpt-reserve", "GPT Reserve", &[], None).without_priority().hidden(),
    Model::newer("gpt-daybreak-blue-latest", "GPT Daybreak Blue", &[], None).without_priority().hidden(),
    Model::newer("gpt-daybreak-red-latest", "GPT Daybreak Red", &[], None).without_priority().hidden(),
];
