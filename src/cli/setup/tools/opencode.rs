//! OpenCode: a provider in its settings; the whole of them in a variable for one run.

use serde_json::{Map, Value, json};

use crate::cli::setup::change::{Change, Format, Rule, SettingsFile};
use crate::cli::setup::edit;
use crate::cli::setup::facts::Facts;
use crate::cli::setup::places::Places;
use crate::cli::setup::tool::{Launch, Scene, Shown, Start, Tool};
use crate::cli::setup::tools::key;

pub(super) const TOOL: Tool = Tool {
    name: "opencode",
    title: "OpenCode",
    files: |facts, places| vec![file(facts, places)],
    shown: Shown::Nothing,
    then: |_| {
        "Start `opencode`. A project's own opencode.json, and OPENCODE_CONFIG_CONTENT, win over this file.".to_owned()
    },
    start: Some(Start { programs: &["opencode"], install: "npm install -g opencode-ai", launch }),
};

/// The file in `OPENCODE_CONFIG`, else the user's. Where both forms of it are there, OpenCode reads the one with comments last.
fn file(facts: &Facts, places: &Places<'_>) -> SettingsFile {
    let folder = places.xdg().join("opencode");
    let forms = [folder.join("opencode.jsonc"), folder.join("opencode.json")];
    let found = || forms.iter().find(|path| path.symlink_metadata().is_ok()).cloned();
    let path = places.named("OPENCODE_CONFIG").or_else(found).unwrap_or_else(|| folder.join("opencode.json"));
    SettingsFile { path, format: Format::Jsonc, blank: BLANK, changes: changes(facts) }
}

fn changes(facts: &Facts) -> Vec<Change> {
    let models: Map<String, Value> = facts.models.iter().map(|model| {
        let limit = json!({ "context": model.context_window, "output": model.max_output_tokens });
        let entry = json!({
            "name": model.display_name, "reasoning": true, "tool_call": true, "attachment": model.vision, "limit": limit,
        });
        (model.id.clone(), entry)
    }).collect();
    let provider = json!({
        "npm": "@ai-sdk/openai-compatible",
        "name": "codex-proxy",
        "options": { "baseURL": facts.base_url() },
        "models": models,
    });
    vec![
        Change::new(&["model"], format!("codex-proxy/{}", facts.main()), Rule::Preset),
        Change::new(&["small_model"], format!("codex-proxy/{}", facts.small), Rule::Preset),
        Change::new(&["provider", "codex-proxy"], provider, Rule::Own),
        key(&["provider", "codex-proxy", "options", "apiKey"], facts),
    ]
}

/// The variable is merged over every file, so it need not repeat them. One that is set already keeps the rest of itself.
fn launch(facts: &Facts, places: &Places<'_>, _: &Scene<'_>) -> Launch {
    let content = places.text(CONTENT).unwrap_or_default();
    let mut changes = changes(facts);
    for change in changes.iter_mut().filter(|change| change.rule == Rule::Preset) {
        change.rule = Rule::Replace;
    }
    let merged = edit::merge(Format::Jsonc, &content, &changes).or_else(|_| edit::merge(Format::Jsonc, "", &changes));
    let merged = merged.map(|(text, _)| text).unwrap_or_default();
    Launch { variables: vec![(CONTENT, merged)], ..Launch::default() }
}

const CONTENT: &str = "OPENCODE_CONFIG_CONTENT";
const BLANK: &str = "{\n  \"$schema\": \"https://opencode.ai/config.json\"\n}\n";
