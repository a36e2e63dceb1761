//! The list of models in the Codex CLI's form: `{"models":[{"slug":…},…]}`.
//!
//! * An entry of the backend is passed on unchanged: it holds the model's instructions, which have no other source.
//! * Until the account's list is known, entries come from the built-in table, with every field that the CLI requires
//!   (`ModelInfo` in openai/codex, `codex-rs/protocol/src/openai_models.rs`) and the classic request shape.
//! * As at the backend, a model is visible to clients of its `minimal_client_version` and newer ones.

use serde_json::{Value, json};

use crate::models::Models;
use crate::models::catalogue::{Generation, Model, TABLE, Visibility};
use crate::models::effort::Effort;
use crate::models::live::RawEntry;

impl Models {
    /// Returns the JSON array for a client with this `client_version`; a malformed version gets every model.
    pub fn codex_list(&self, version: &str) -> String {
        let version = parse_version(version);
        let live = self.live();
        let entries: Vec<String> = if live.is_empty() {
            let known = TABLE.iter().filter(|model| model.generation == Generation::Newer && !model.retired);
            known.zip(1..).map(|(model, priority)| made(model, priority).to_string()).collect()
        } else {
            let is_shown = |entry: &&RawEntry| {
                let since = entry.minimal_client_version.as_deref().and_then(parse_version);
                version.is_none_or(|version| since.is_none_or(|since| since <= version))
            };
            live.raw().iter().filter(is_shown).map(|entry| entry.json.to_string()).collect()
        };
        format!("[{}]", entries.join(","))
    }
}

/// Reads `X.Y.Z` and ignores what follows; missing numbers are 0.
fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.trim().split(['.', '-', '+']).map(str::parse::<u32>);
    let major = numbers.next()?.ok()?;
    let mut rest = || numbers.next().and_then(Result::ok).unwrap_or(0);
    Some((major, rest(), rest()))
}

fn made(model: &Model, priority: usize) -> Value {
    let levels: Vec<Value> = model
        .variants()
        .map(|effort| json!({ "effort": effort, "description": format!("{effort} reasoning effort") }))
        .collect();
    let (tiers, speeds) = match model.priority {
        true => (json!([{ "id": "priority", "name": "Fast", "description": "Faster answers" }]), json!(["fast"])),
        false => (json!([]), json!([])),
    };
    json!({
        "slug": model.id,
        "display_name": model.display_name,
        "description": null,
        "default_reasoning_level": model.default_effort.unwrap_or(Effort::Medium),
        "supported_reasoning_levels": levels,
        "shell_type": "shell_command",
        "visibility": if model.visibility == Visibility::Listed { "list" } else { "hide" },
        "supported_in_api": true,
        "priority": priority,
        "service_tiers": tiers,
        "default_service_tier": null,
        "additional_speed_tiers": speeds,
        "upgrade": null,
        "availability_nux": null,
        "base_instructions": "",
        "supports_reasoning_summaries": true,
        "supports_reasoning_summary_parameter": true,
        "default_reasoning_summary": "none",
        "support_verbosity": true,
        "default_verbosity": "low",
        "apply_patch_tool_type": "freeform",
        "web_search_tool_type": "text_and_image",
        "truncation_policy": { "mode": "tokens", "limit": 10000 },
        "supports_parallel_tool_calls": true,
        "supports_image_detail_original": true,
        "context_window": model.context_window,
        "max_context_window": model.max_context_window,
        "effective_context_window_percent": 95,
        "experimental_supported_tools": [],
        "input_modalities": if model.vision { json!(["text", "image"]) } else { json!(["text"]) },
        "supports_search_tool": true,
        "use_responses_lite": false,
        "prefer_websockets": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::live::LiveCatalogue;

    fn slugs(models: &Models, version: &str) -> Vec<String> {
        let list: Vec<Value> = serde_json::from_str(&models.codex_list(version)).expect("an array");
        list.iter().map(|entry| entry["slug"].as_str().expect("a slug").to_owned()).collect()
    }

    #[test]
    fn the_table_stands_in_without_the_retired() {
        let made = slugs(&Models::default(), "0.169.0");
        assert_eq!(made[..3], ["gpt-6.1-sol", "gpt-6-astra", "gpt-6-sol"]);
        assert!(!made.iter().any(|slug| slug.starts_with("gpt-5.5") || slug == "gpt-5"), "{made:?}");
        let list: Vec<Value> = serde_json::from_str(&Models::default().codex_list("x")).expect("an array");
        assert_eq!((&list[0]["priority"], &list[0]["visibility"]), (&json!(1), &json!("list")));
        let levels: Vec<_> = list[3]["supported_reasoning_levels"].as_array().expect("levels").iter().collect();
        assert_eq!((&list[3]["slug"], levels[0]["effort"].as_str()), (&json!("gpt-6-luna"), Some("low")));
    }

    #[test]
    fn the_backends_entries_are_passed_to_the_byte_to_clients_of_their_version() {
        let models = Models::default();
        let entries = [
            r#"{"slug":"new", "minimal_client_version":"0.155.0","n":1e2, "unheard":{"of":[ ]}}"#,
            r#"{"slug":"old","minimal_client_version":"0.98.0","priority":9}"#,
            r#"{"slug":"any","minimal_client_version":7}"#,
        ];
        let catalogue = format!(r#"{{"models":[{}, 4, {{"name":"x"}}]}}"#, entries.join(" , "));
        models.set_live(LiveCatalogue::parse(catalogue.as_bytes()).expect("a catalogue"));
        assert_eq!(models.codex_list("0.155.0"), format!("[{}]", entries.join(",")));
        assert_eq!(models.codex_list("nightly"), format!("[{}]", entries.join(",")));
        assert_eq!(slugs(&models, "0.154.9-alpha.1"), ["old", "any"]);
        assert_eq!(slugs(&models, "0.0.0"), ["any"]);
    }
}
