//! The models of the simulated account.
//!
//! * The default is a recent account's catalogue plus the older models that clients are configured with most, so that
//!   they are answered too; [`Catalogue::retire_older`] takes those away again, as the real backend has.
//! * A hidden model is callable, it only is not shown.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::vault::hex;

/// One model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueModel {
    /// The name requests use.
    pub slug: String,
    /// Whether it is shown to people.
    pub listed: bool,
    /// Effort words the catalogue shows, lowest first. `ultra` is a client's word: shown, never accepted.
    pub shown_efforts: Vec<&'static str>,
    /// Effort words accepted beyond those shown.
    pub hidden_efforts: Vec<&'static str>,
    /// The effort used when a request names none.
    pub default_effort: &'static str,
    /// Tokens of context: the usual window and the largest one.
    pub context_windows: (u64, u64),
    /// The oldest client version it is shown to.
    pub minimal_client_version: (u32, u32, u32),
    /// Whether the official client uses its lighter request shape for it.
    pub lite: bool,
    /// Whether the `priority` service tier exists for it.
    pub priority_tier: bool,
    /// Whether it reads images.
    pub images: bool,
}

/// The models of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// In the order of their priority.
    pub models: Vec<CatalogueModel>,
}

impl Default for Catalogue {
    fn default() -> Self {
        let current = CURRENT.iter().map(Row::model);
        let older = OLDER.iter().map(|(slug, efforts, default)| CatalogueModel {
            listed: false,
            ..Row(slug, efforts, default, (272_000, 272_000), (0, 0, 1), false, false).model()
        });
        Self { models: current.chain(older).collect() }
    }
}

impl Catalogue {
    /// Removes the older generations, which the real backend refuses by now.
    pub fn retire_older(&mut self) {
        self.models.retain(|model| !OLDER.iter().any(|(slug, _, _)| *slug == model.slug));
    }

    /// The model of that name.
    pub fn model(&self, slug: &str) -> Option<&CatalogueModel> {
        self.models.iter().find(|model| model.slug == slug)
    }

    /// What `GET …/models` answers to a client of this version.
    pub(super) fn document(&self, client_version: (u32, u32, u32)) -> Value {
        let visible =
            self.models.iter().enumerate().filter(|(_, model)| model.minimal_client_version <= client_version);
        let models: Vec<Value> = visible.map(|(priority, model)| model.document(priority)).collect();
        json!({ "models": models })
    }

    /// The entity tag of the catalogue.
    pub(super) fn etag(&self) -> String {
        let digest = Sha256::digest(self.document((u32::MAX, 0, 0)).to_string());
        format!("W/\"{}\"", hex(&digest[..16]))
    }
}

impl CatalogueModel {
    /// The effort words a request may use.
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
            "additional_speed_tiers": [],
            "upgrade": null,
            "availability_nux": null,
            "base_instructions": "",
            "model_messages": { "instructions_template": INSTRUCTIONS, "instructions_variables": null },
            "supports_reasoning_summaries": true,
            "default_reasoning_summary": "none",
            "support_verbosity": true,
            "default_verbosity": "low",
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

/// slug, shown efforts, default effort, context windows, minimal client version, lite, priority tier
struct Row(&'static str, &'static [&'static str], &'static str, (u64, u64), (u32, u32, u32), bool, bool);

impl Row {
    fn model(&self) -> CatalogueModel {
        let Self(slug, efforts, default_effort, context_windows, minimal_client_version, lite, priority_tier) = *self;
        CatalogueModel {
            slug: slug.to_owned(),
            listed: !matches!(slug, "codex-auto-review"),
            shown_efforts: efforts.to_vec(),
            hidden_efforts: if OLDER.iter().any(|(older, _, _)| *older == slug) { Vec::new() } else { vec!["none"] },
            default_effort,
            context_windows,
            minimal_client_version,
            lite,
            priority_tier,
            images: slug != "gpt-5.3-codex-spark",
        }
    }
}

/// Without a text here the official client sends no instructions at all, which the backend then refuses.
const INSTRUCTIONS: &str = "You are a simulated coding agent.";

const TO_XHIGH: &[&str] = &["low", "medium", "high", "xhigh"];
const TO_MAX: &[&str] = &["low", "medium", "high", "xhigh", "max"];
const TO_ULTRA: &[&str] = &["low", "medium", "high", "xhigh", "max", "ultra"];

const CURRENT: &[Row] = &[
    Row("gpt-6-sol", TO_ULTRA, "medium", (272_000, 872_000), (0, 155, 0), true, true),
    Row("gpt-6-luna", TO_MAX, "medium", (272_000, 872_000), (0, 155, 0), true, true),
    Row("gpt-6-astra", TO_ULTRA, "medium", (272_000, 872_000), (0, 153, 0), true, true),
    Row("gpt-5.6-sol", TO_ULTRA, "low", (272_000, 921_000), (0, 144, 0), true, true),
    Row("gpt-5.6-terra", TO_ULTRA, "medium", (272_000, 921_000), (0, 144, 0), true, true),
    Row("gpt-5.6-luna", TO_MAX, "medium", (272_000, 921_000), (0, 144, 0), true, true),
    Row("gpt-5.5", TO_XHIGH, "medium", (272_000, 272_000), (0, 124, 0), false, true),
    Row("gpt-5.3-codex-spark", TO_XHIGH, "high", (128_000, 128_000), (0, 100, 0), false, false),
    Row("codex-auto-review", TO_XHIGH, "medium", (272_000, 921_000), (0, 98, 0), false, false),
];

const OLDER: &[(&str, &[&str], &str)] = &[
    ("gpt-5", &["minimal", "low", "medium", "high"], "medium"),
    ("gpt-5-codex", &["minimal", "low", "medium", "high"], "medium"),
    ("gpt-5.1", &["none", "low", "medium", "high"], "medium"),
    ("gpt-5.1-codex", &["low", "medium", "high"], "medium"),
    ("gpt-5.1-codex-max", &["low", "medium", "high", "xhigh"], "medium"),
    ("gpt-5-codex-mini", &["medium", "high"], "medium"),
    ("gpt-5.1-codex-mini", &["medium", "high"], "medium"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_clients_see_less() {
        let catalogue = Catalogue::default();
        let slugs = |version| {
            let document = catalogue.document(version);
            let models = document["models"].as_array().unwrap().clone();
            models.iter().map(|model| model["slug"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert!(!slugs((0, 128, 0)).contains(&"gpt-5.6-sol".to_owned()));
        assert!(slugs((0, 144, 0)).contains(&"gpt-5.6-sol".to_owned()));
        assert!(slugs((0, 155, 0)).contains(&"gpt-6-sol".to_owned()));
        assert_eq!(parse_version("0.159.2-alpha.1"), Some((0, 159, 2)));
        assert_eq!(parse_version("new"), None);
    }

    #[test]
    fn retiring_changes_the_tag() {
        let mut catalogue = Catalogue::default();
        let before = catalogue.etag();
        assert!(catalogue.model("gpt-5").is_some());
        catalogue.retire_older();
        assert!(catalogue.model("gpt-5").is_none() && catalogue.model("gpt-5.5").is_some());
        assert_ne!(catalogue.etag(), before);
    }
}
