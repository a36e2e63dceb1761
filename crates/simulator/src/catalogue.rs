//! The models of the simulated account.
//!
//! * The default is the catalogue of Codex CLI 0.169 without `gpt-5.5`, which the backend has refused since 2026-10-14:
//!   the list of a paying account in November 2026.
//! * A retired model is in no list and is refused; [`SimulatedCatalogue::with_retired`] is the account before the
//!   retirements.
//! * A hidden model is callable but not listed.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::vault::hex;

/// A model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueModel {
    /// The name in requests.
    pub slug: String,
    /// Whether it is listed.
    pub listed: bool,
    /// The efforts listed, lowest first. `ultra` is a client's word: listed, never accepted.
    pub shown_efforts: Vec<&'static str>,
    /// Efforts accepted beyond the listed ones.
    pub hidden_efforts: Vec<&'static str>,
    /// The effort of a request without one.
    pub default_effort: &'static str,
    /// The verbosity of a request without one.
    pub default_verbosity: &'static str,
    /// Tokens of context: the usual window and the largest one.
    pub context_windows: (u64, u64),
    /// The oldest client version that may see it.
    pub minimal_client_version: (u32, u32, u32),
    /// Whether the official client uses its lighter request shape.
    pub lite: bool,
    /// Whether it has the `priority` service tier.
    pub priority_tier: bool,
    /// Whether the catalogue makes `priority` the default tier.
    pub priority_by_default: bool,
    /// Whether it accepts images.
    pub images: bool,
    /// The successor.
    pub upgrade: Option<String>,
}

/// The models of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedCatalogue {
    /// The models, in the order of their priority.
    pub models: Vec<CatalogueModel>,
}

impl Default for SimulatedCatalogue {
    fn default() -> Self {
        Self { models: CURRENT.iter().map(Row::model).collect() }
    }
}

impl SimulatedCatalogue {
    /// Returns the default catalogue before the retirements: the older models are hidden and callable.
    pub fn with_retired() -> Self {
        let retired = RETIRED.iter().map(|row| CatalogueModel { listed: false, ..row.model() });
        Self { models: CURRENT.iter().map(Row::model).chain(retired).collect() }
    }

    /// Returns the model `slug`.
    pub fn model(&self, slug: &str) -> Option<&CatalogueModel> {
        self.models.iter().find(|model| model.slug == slug)
    }

    /// Retires a model. Returns whether it existed.
    pub fn retire(&mut self, slug: &str) -> bool {
        let before = self.models.len();
        self.models.retain(|model| model.slug != slug);
        self.models.len() < before
    }

    /// Returns the document of `GET …/models` for a client of this version.
    pub(super) fn document(&self, client_version: (u32, u32, u32)) -> Value {
        let visible =
            self.models.iter().enumerate().filter(|(_, model)| model.minimal_client_version <= client_version);
        let models: Vec<Value> = visible.map(|(index, model)| model.document(index + 1)).collect();
        json!({ "models": models })
    }

    /// Returns the catalogue's entity tag.
    pub(super) fn etag(&self) -> String {
        let digest = Sha256::digest(self.document((u32::MAX, 0, 0)).to_string());
        format!("W/\"{}\"", hex(&digest[..16]))
    }
}

impl CatalogueModel {
    /// Returns the accepted efforts.
    pub fn accepted_efforts(&self) -> Vec<&'static str> {
        let shown = self.shown_efforts.iter().filter(|effort| **effort != "ultra");
        self.hidden_efforts.iter().chain(shown).copied().collect()
    }

    fn document(&self, priority: usize) -> Value {
        let levels = self.shown_efforts.iter();
        let levels: Vec<Value> =
            levels.map(|effort| json!({ "effort": effort, "description": format!("Simulated {effort}") })).collect();
        let tiers = if self.priority_tier {
            json!([{ "id": "priority", "name": "Fast", "description": "Simulated fast tier" }])
        } else {
            json!([])
        };
        let upgrade = self.upgrade.as_ref().map(|model| {
            let migration = format!("{model} takes the place of {}.", self.slug);
            json!({ "model": model, "migration_markdown": migration, "retirement_at": null })
        });
        let (major, minor, patch) = self.minimal_client_version;
        json!({
            "slug": self.slug,
            "display_name": self.slug,
            "description": "A simulated model: it echoes.",
            "default_reasoning_level": self.default_effort,
            "supported_reasoning_levels": levels,
            "shell_type": "shell_command",
            "visibility": if self.listed { "list" } else { "hide" },
            "supported_in_api": true,
            "priority": priority,
            "service_tiers": tiers,
            "default_service_tier": self.priority_by_default.then_some("priority"),
            "additional_speed_tiers": if self.priority_tier { json!(["fast"]) } else { json!([]) },
            "upgrade": upgrade,
            "availability_nux": null,
            "base_instructions": "",
            "model_messages": { "instructions_template": INSTRUCTIONS, "instructions_variables": null },
            "supports_reasoning_summaries": true,
            "default_reasoning_summary": "none",
            "support_verbosity": true,
            "default_verbosity": self.default_verbosity,
            "apply_patch_tool_type": "freeform",
            "web_search_tool_type": "text_and_image",
            "truncation_policy": { "mode": "tokens", "limit": 10000 },
            "supports_parallel_tool_calls": true,
            "supports_image_detail_original": true,
            "context_window": self.context_windows.0,
            "max_context_window": self.context_windows.1,
            "effective_context_window_percent": 95,
            "experimental_supported_tools": [],
            "input_modalities": if self.images { json!(["text", "image"]) } else { json!(["text"]) },
            "supports_search_tool": true,
            "use_responses_lite": self.lite,
            "prefer_websockets": false,
            "minimal_client_version": format!("{major}.{minor}.{patch}"),
            "available_in_plans": ["plus", "pro", "team", "business", "enterprise"],
        })
    }
}

/// Reads `X.Y.Z`, ignoring what follows; missing numbers are 0.
pub(super) fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.split(['.', '-', '+']).map(str::parse::<u32>);
    let major = numbers.next()?.ok()?;
    let mut rest = || numbers.next().and_then(Result::ok).unwrap_or(0);
    Some((major, rest(), rest()))
}

/// A row of the tables below.
struct Row {
    slug: &'static str,
    efforts: &'static [&'static str],
    /// Whether `none` is accepted, though not listed.
    off: bool,
    default_effort: &'static str,
    /// In thousands.
    context_windows: (u64, u64),
    /// The minor number; the major one is 0.
    client: (u32, u32),
    lite: bool,
    priority: Priority,
    upgrade: Option<&'static str>,
}

/// The `priority` tier of a model.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Priority {
    Absent,
    Offered,
    /// The official client sends it by default.
    Default,
}

impl Row {
    const fn new(
        slug: &'static str,
        efforts: &'static [&'static str],
        default_effort: &'static str,
        client: (u32, u32),
    ) -> Self {
        Self {
            slug,
            efforts,
            off: false,
            default_effort,
            context_windows: (272, 872),
            client,
            lite: true,
            priority: Priority::Offered,
            upgrade: None,
        }
    }

    /// An older model, with the classic request shape and one size of context.
    const fn classic(slug: &'static str, efforts: &'static [&'static str]) -> Self {
        let mut row = Self::new(slug, efforts, "medium", (0, 1));
        row.context_windows = (272, 272);
        row.lite = false;
        row.priority = Priority::Absent;
        row
    }

    const fn or_off(mut self) -> Self {
        self.off = true;
        self
    }

    const fn context(mut self, usual: u64, largest: u64) -> Self {
        self.context_windows = (usual, largest);
        self
    }

    const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    const fn upgrade(mut self, successor: &'static str) -> Self {
        self.upgrade = Some(successor);
        self
    }

    fn model(&self) -> CatalogueModel {
        let (minor, patch) = self.client;
        let (usual, largest) = self.context_windows;
        CatalogueModel {
            slug: self.slug.to_owned(),
            listed: !self.slug.contains("daybreak") && self.slug != "codex-auto-review",
            shown_efforts: self.efforts.to_vec(),
            hidden_efforts: if self.off { vec!["none"] } else { Vec::new() },
            default_effort: self.default_effort,
            default_verbosity: if self.slug == "gpt-daybreak-red-latest" { "high" } else { "low" },
            context_windows: (usual * 1000, largest * 1000),
            minimal_client_version: (0, minor, patch),
            lite: self.lite,
            priority_tier: self.priority != Priority::Absent,
            priority_by_default: self.priority == Priority::Default,
            images: self.slug != "gpt-5.3-codex-spark",
            upgrade: self.upgrade.map(str::to_owned),
        }
    }
}

/// If this is empty the official client sends no instructions at all, which the backend then refuses.
const INSTRUCTIONS: &str = "You are a simulated coding agent.";

const TO_HIGH: &[&str] = &["low", "medium", "high"];
const TO_XHIGH: &[&str] = &["low", "medium", "high", "xhigh"];
const TO_MAX: &[&str] = &["low", "medium", "high", "xhigh", "max"];
const TO_ULTRA: &[&str] = &["low", "medium", "high", "xhigh", "max", "ultra"];
const FROM_MINIMAL: &[&str] = &["minimal", "low", "medium", "high"];

/// The catalogue of Codex CLI 0.169.0 (2026-11-13), in its order. It lists `none` for no model; the backend accepts it
/// from the models that the platform's documentation names, and refuses it from gpt-6-astra and gpt-6.1-sol
/// (NousResearch/hermes-agent#103696, 2026-09; minimal alike, aebrer/dreb#508). Where reports differ or are missing, it
/// is refused here.
const CURRENT: &[Row] = &[
    Row::new("gpt-6.1-sol", TO_ULTRA, "low", (153, 0)),
    Row::new("gpt-6-astra", TO_ULTRA, "low", (153, 0)),
    Row::new("gpt-6-sol", TO_ULTRA, "medium", (155, 0)).priority(Priority::Default),
    Row::new("gpt-6-luna", TO_MAX, "medium", (155, 0)).or_off().priority(Priority::Default),
    Row::new("gpt-5.6-sol", TO_ULTRA, "low", (144, 0)).or_off().upgrade("gpt-6-sol"),
    Row::new("gpt-6.1-terra", TO_ULTRA, "low", (153, 0)).or_off().context(500, 872),
    Row::new("gpt-5.6-terra", TO_ULTRA, "medium", (144, 0)).or_off().upgrade("gpt-6-sol"),
    Row::new("gpt-5.6-luna", TO_MAX, "medium", (144, 0)).or_off().upgrade("gpt-6-luna"),
    Row::new("gpt-daybreak-blue-latest", TO_ULTRA, "low", (142, 2)).priority(Priority::Absent),
    Row::new("gpt-daybreak-red-latest", TO_ULTRA, "medium", (142, 2)).context(372, 372).priority(Priority::Absent),
    Row::new("codex-auto-review", TO_MAX, "medium", (98, 0)),
];

/// Models that the backend now refuses to ChatGPT logins.
const RETIRED: &[Row] = &[
    Row::classic("gpt-5.5", TO_XHIGH).or_off().priority(Priority::Offered).upgrade("gpt-6-sol"),
    Row::classic("gpt-5.3-codex-spark", TO_XHIGH).or_off().context(128, 128),
    Row::classic("gpt-5.4", TO_XHIGH).or_off().priority(Priority::Offered).upgrade("gpt-5.6-terra"),
    Row::classic("gpt-5.4-mini", TO_XHIGH).or_off().upgrade("gpt-5.6-luna"),
    Row::classic("gpt-5.2", TO_XHIGH).or_off(),
    Row::classic("gpt-5", FROM_MINIMAL),
    Row::classic("gpt-5-codex", FROM_MINIMAL),
    Row::classic("gpt-5.1", TO_HIGH).or_off(),
    Row::classic("gpt-5.1-codex", TO_HIGH),
    Row::classic("gpt-5.1-codex-max", TO_XHIGH),
    Row::classic("gpt-5-codex-mini", &["medium", "high"]),
    Row::classic("gpt-5.1-codex-mini", &["medium", "high"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_clients_see_less() {
        let catalogue = SimulatedCatalogue::default();
        let slugs = |version| {
            let document = catalogue.document(version);
            let models = document["models"].as_array().unwrap().clone();
            models.iter().map(|model| model["slug"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(slugs((0, 128, 0)), ["codex-auto-review"]);
        assert_eq!(slugs((0, 144, 0))[..2], ["gpt-5.6-sol", "gpt-5.6-terra"]);
        assert_eq!(slugs((0, 153, 0))[..3], ["gpt-6.1-sol", "gpt-6-astra", "gpt-5.6-sol"]);
        assert_eq!(slugs((0, 155, 0))[2], "gpt-6-sol");
        assert_eq!(parse_version("0.159.2-alpha.1"), Some((0, 159, 2)));
        assert_eq!(parse_version("new"), None);
    }

    #[test]
    fn retiring_changes_the_tag() {
        let mut catalogue = SimulatedCatalogue::with_retired();
        let before = catalogue.etag();
        assert!(catalogue.model("gpt-5").is_some());
        assert!(catalogue.retire("gpt-5") && !catalogue.retire("gpt-5"));
        assert!(catalogue.model("gpt-5").is_none() && catalogue.model("gpt-5.5").is_some());
        assert_ne!(catalogue.etag(), before);
        assert!(SimulatedCatalogue::default().model("gpt-5.5").is_none());
    }

    #[test]
    fn an_upgrade_is_an_object() {
        let document = SimulatedCatalogue::default().document((1, 0, 0));
        let of = |slug: &str| {
            let models = document["models"].as_array().unwrap();
            models.iter().find(|model| model["slug"] == slug).unwrap().clone()
        };
        assert_eq!(of("gpt-5.6-luna")["upgrade"]["model"], "gpt-6-luna");
        assert_eq!(of("gpt-5.6-luna")["upgrade"]["retirement_at"], Value::Null);
        assert_eq!(of("gpt-6-luna")["default_service_tier"], "priority");
        assert_eq!(of("gpt-6.1-sol")["default_service_tier"], Value::Null);
        assert_eq!(
            (&of("gpt-6.1-terra")["context_window"], &of("gpt-6.1-sol")["priority"]),
            (&json!(500_000), &json!(1))
        );
    }
}
