//! The built-in table of models, the source for requests, `/v1/models` and the documentation.
//!
//! * The original seven models come first, in their fixed order; newer ones follow in the order of the backend's own
//!   list (Codex CLI 0.169.0, 2026-11-13), then the hidden ones, then the retired ones.
//! * A request's effort is clamped to the model's allowed efforts; `unspecified` is sent if a request asks for no
//!   effort, and is not always the model's own default.
//! * An empty list of efforts means unknown: the requested effort passes unchanged.

use std::borrow::Cow;

use crate::models::effort::Effort;
use crate::models::effort::Effort::{High, Low, Max, Medium, Minimal, None as Off, Xhigh};

/// Whether `/v1/models` lists a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Listed in `/v1/models`.
    Listed,
    /// Callable, but not listed.
    Hidden,
}

/// The generation of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// One of the original seven: `none` counts as `low`, and its range never changes.
    Original,
    /// A later model: the account's own list, if known, overrides the table.
    Newer,
}

/// A model and its capabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The backend's name, in lower case.
    pub id: Cow<'static, str>,
    /// The display name.
    pub display_name: Cow<'static, str>,
    /// The generation.
    pub generation: Generation,
    /// The allowed efforts, lowest first; empty if unknown.
    pub efforts: Cow<'static, [Effort]>,
    /// The model's default effort, if known.
    pub default_effort: Option<Effort>,
    /// The effort sent for a request without one; `None` leaves the choice to the backend.
    pub unspecified: Option<Effort>,
    /// The tokens of input and output together, as the official client budgets them.
    pub context_window: u64,
    /// The most tokens of input and output together.
    pub max_context_window: u64,
    /// The most tokens of one answer.
    pub max_output_tokens: u64,
    /// Whether the model accepts images.
    pub vision: bool,
    /// Whether the model has the `priority` service tier.
    pub priority: bool,
    /// Whether the model is listed.
    pub visibility: Visibility,
    /// The successor that the account's own list names.
    pub upgrade: Option<String>,
    /// The built-in successor.
    pub built_in_upgrade: Option<&'static str>,
    /// Whether the backend refuses it to ChatGPT logins, as far as this table knows.
    pub retired: bool,
}

impl Model {
    /// Clamps the requested effort `asked` to this model.
    pub fn clamp(&self, asked: Option<Effort>) -> Option<Effort> {
        let Some(asked) = asked else { return self.unspecified };
        let wanted = match (self.generation, asked) {
            (Generation::Original, Off) => Low,
            (_, asked) => asked,
        };
        Some(wanted.nearest(&self.efforts))
    }

    /// Returns the successor, if known.
    pub fn successor(&self) -> Option<&str> {
        self.upgrade.as_deref().or(self.built_in_upgrade)
    }

    /// Returns the efforts listed under names of their own, `<id>-<effort>`.
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
        model.max_context_window = CONTEXT_WINDOW;
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
            max_context_window: MAX_CONTEXT_WINDOW,
            max_output_tokens: MAX_OUTPUT_TOKENS,
            vision: true,
            priority: true,
            visibility: Visibility::Listed,
            upgrade: None,
            built_in_upgrade: None,
            retired: false,
        }
    }

    const fn context(mut self, usual: u64, largest: u64) -> Self {
        self.context_window = usual;
        self.max_context_window = largest;
        self
    }

    const fn blind(mut self) -> Self {
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

    const fn followed_by(mut self, successor: &'static str) -> Self {
        self.built_in_upgrade = Some(successor);
        self
    }

    /// Marks the model as retired. An original model stays listed all the same: its names are this program's interface.
    const fn retired(mut self, successor: &'static str) -> Self {
        self.retired = true;
        if matches!(self.generation, Generation::Newer) {
            self.visibility = Visibility::Hidden;
            self.max_context_window = self.context_window;
        }
        self.followed_by(successor)
    }
}

/// Returns the built-in model `id` (lower case).
pub fn built_in(id: &str) -> Option<&'static Model> {
    TABLE.iter().find(|model| model.id == id)
}

/// Returns the model of a request without one while the account's own list is unknown: the newest listed one.
pub fn newest() -> &'static Model {
    TABLE.iter().find(|model| model.visibility == Visibility::Listed && !model.retired).unwrap_or(&TABLE[0])
}

/// The default input and output tokens together.
pub(super) const CONTEXT_WINDOW: u64 = 272_000;
/// The default most input and output tokens together.
pub(super) const MAX_CONTEXT_WINDOW: u64 = 872_000;
/// The default output tokens.
pub(super) const MAX_OUTPUT_TOKENS: u64 = 128_000;

const MINIMAL_TO_HIGH: &[Effort] = &[Minimal, Low, Medium, High];
const TO_HIGH: &[Effort] = &[Low, Medium, High];
const TO_XHIGH: &[Effort] = &[Low, Medium, High, Xhigh];
const TO_MAX: &[Effort] = &[Low, Medium, High, Xhigh, Max];
const OFF_TO_XHIGH: &[Effort] = &[Off, Low, Medium, High, Xhigh];
const OFF_TO_MAX: &[Effort] = &[Off, Low, Medium, High, Xhigh, Max];

/// Every built-in model: the original seven in their order, then the newer ones.
///
/// * Order, defaults, contexts, tiers and the successors of the 5.6 models and gpt-5.5 are those of the catalogue in
///   Codex CLI 0.169.0. It lists `none` for no model: this table has it only where the platform's documentation names
///   it and no report contradicts. gpt-6-astra refuses it (NousResearch/hermes-agent#103696, Wei-Shaw/sub2api#6622), so
///   does gpt-6.1-sol; reports on gpt-6-sol differ.
/// * The original seven have been refused since 2026-04-14, 5.2 and 5.3-codex since 2026-06-02, 5.4 since 2026-09-08,
///   5.3-codex-spark since about 2026-10-03, gpt-5.5 since 2026-10-14. The successors of the original seven, of the 5.2
///   and 5.3 models and of spark are this program's choice: the end of the backend's own chain, and the small model for
///   small ones.
pub static TABLE: [Model; 26] = [
    Model::original("gpt-5", "GPT-5", MINIMAL_TO_HIGH, None).retired(SOL),
    Model::original("gpt-5-codex", "GPT-5 Codex", MINIMAL_TO_HIGH, None).retired(SOL),
    Model::original("gpt-5.1", "GPT-5.1", TO_HIGH, Some(Low)).retired(SOL),
    Model::original("gpt-5.1-codex", "GPT-5.1 Codex", TO_HIGH, Some(Low)).retired(SOL),
    Model::original("gpt-5.1-codex-max", "GPT-5.1 Codex Max", TO_XHIGH, Some(Low)).retired(SOL),
    Model::original("gpt-5-codex-mini", "GPT-5 Codex Mini", &[Medium, High], Some(Medium)).retired(LUNA),
    Model::original("gpt-5.1-codex-mini", "GPT-5.1 Codex Mini", &[Medium, High], Some(Medium)).retired(LUNA),
    Model::newer("gpt-6.1-sol", "GPT-6.1 Sol", TO_MAX, Some(Low)),
    Model::newer("gpt-6-astra", "GPT-6 Astra", TO_MAX, Some(Low)),
    Model::newer(SOL, "GPT-6 Sol", TO_MAX, Some(Medium)),
    Model::newer(LUNA, "GPT-6 Luna", OFF_TO_MAX, Some(Medium)),
    Model::newer("gpt-5.6-sol", "GPT-5.6 Sol", OFF_TO_MAX, Some(Low)).followed_by(SOL),
    Model::newer("gpt-6.1-terra", "GPT-6.1 Terra", OFF_TO_MAX, Some(Low)).context(500_000, MAX_CONTEXT_WINDOW),
    Model::newer("gpt-5.6-terra", "GPT-5.6 Terra", OFF_TO_MAX, Some(Medium)).followed_by(SOL),
    Model::newer("gpt-5.6-luna", "GPT-5.6 Luna", OFF_TO_MAX, Some(Medium)).followed_by(LUNA),
    Model::newer("gpt-daybreak-blue-latest", "GPT Daybreak Blue", TO_MAX, Some(Low)).without_priority().hidden(),
    Model::newer("gpt-daybreak-red-latest", "GPT Daybreak Red", TO_MAX, Some(Medium))
        .context(372_000, 372_000)
        .without_priority()
        .hidden(),
    Model::newer("codex-auto-review", "Codex Auto Review", TO_MAX, Some(Medium)).hidden(),
    Model::newer("gpt-reserve", "GPT Reserve", &[], None).without_priority().hidden(),
    Model::newer("gpt-5.5", "GPT-5.5", OFF_TO_XHIGH, Some(Medium)).retired(SOL),
    Model::newer("gpt-5.4", "GPT-5.4", OFF_TO_XHIGH, Some(Medium)).retired("gpt-5.6-terra"),
    Model::newer("gpt-5.4-mini", "GPT-5.4 Mini", OFF_TO_XHIGH, Some(Medium)).without_priority().retired("gpt-5.6-luna"),
    Model::newer("gpt-5.3-codex-spark", "GPT-5.3 Codex Spark", OFF_TO_XHIGH, Some(High))
        .context(128_000, 128_000)
        .blind()
        .without_priority()
        .retired(LUNA),
    Model::newer("gpt-5.3-codex", "GPT-5.3 Codex", TO_XHIGH, Some(Medium)).without_priority().retired(SOL),
    Model::newer("gpt-5.2-codex", "GPT-5.2 Codex", TO_XHIGH, Some(Medium)).without_priority().retired(SOL),
    Model::newer("gpt-5.2", "GPT-5.2", OFF_TO_XHIGH, Some(Medium)).without_priority().retired("gpt-5.6-terra"),
];

/// The end of the backend's own chain of successors.
const SOL: &str = "gpt-6-sol";
/// The same for small models.
const LUNA: &str = "gpt-6-luna";
