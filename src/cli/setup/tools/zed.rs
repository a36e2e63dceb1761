//! Zed: a provider in its settings. The key is a variable of the editor's environment, or typed into its panel.

use serde_json::{Value, json};

use crate::cli::setup::change::{Change, Format, Rule, SettingsFile};
use crate::cli::setup::facts::{Facts, KnownModel};
use crate::cli::setup::places::Places;
use crate::cli::setup::tool::{Shown, Tool};

pub(super) const TOOL: Tool = Tool {
    name: "zed",
    title: "Zed",
    files: |facts, places| vec![file(facts, places)],
    shown: Shown::Nothing,
    then: |facts| {
        format!(
            "Zed keeps no key in this file: start it with CODEX_PROXY_API_KEY={}, or type the key into its panel for the provider \
             codex-proxy, which keeps it in the keychain. Then choose a model of codex-proxy in the panel.",
            facts.key_text()
        )
    },
    start: None,
};

/// `%APPDATA%\Zed` on Windows, `~/.config/zed` elsewhere; `XDG_CONFIG_HOME` counts on Linux alone.
fn file(facts: &Facts, places: &Places<'_>) -> SettingsFile {
    let folder = if cfg!(windows) {
        places.application_data().join("Zed")
    } else if cfg!(target_os = "macos") {
        places.home.join(".config").join("zed")
    } else {
        places.xdg().join("zed")
    };
    let models: Vec<_> = facts.models.iter().map(entry).collect();
    let provider = json!({ "api_url": facts.base_url(), "available_models": models });
    let changes = vec![Change::new(&["language_models", "openai_compatible", "codex-proxy"], provider, Rule::Own)];
    SettingsFile { path: folder.join("settings.json"), format: Format::Jsonc, blank: "", changes }
}

fn entry(model: &KnownModel) -> Value {
    json!({
        "name": model.id,
        "display_name": model.display_name,
        "max_tokens": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "capabilities": { "tools": true, "images": model.vision, "parallel_tool_calls": true, "prompt_cache_key": true },
    })
}
