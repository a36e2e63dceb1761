//! pi: a provider in its list of models; for one run, the same as an extension of its own.

use serde_json::{Value, json};

use crate::cli::setup::change::{Change, Format, Rule, SettingsFile};
use crate::cli::setup::facts::{Facts, KnownModel};
use crate::cli::setup::places::Places;
use crate::cli::setup::tool::{Launch, Scene, Shown, Start, Tool};
use crate::cli::setup::tools::key;

pub(super) const TOOL: Tool = Tool {
    name: "pi",
    title: "pi",
    files: |facts, places| vec![file(facts, places)],
    shown: Shown::Nothing,
    then: |facts| format!("Start `pi --model codex-proxy/{}`, or choose it with /model.", facts.main()),
    start: Some(Start { programs: &["pi"], install: "npm install -g @mariozechner/pi-coding-agent", launch }),
};

fn file(facts: &Facts, places: &Places<'_>) -> SettingsFile {
    let folder = places.named("PI_CODING_AGENT_DIR").unwrap_or_else(|| places.home.join(".pi").join("agent"));
    let changes = vec![
        Change::new(&["providers", "codex-proxy"], provider(facts), Rule::Own),
        key(&["providers", "codex-proxy", "apiKey"], facts),
    ];
    SettingsFile { path: folder.join("models.json"), format: Format::Jsonc, blank: "", changes }
}

fn provider(facts: &Facts) -> Value {
    let models: Vec<_> = facts.models.iter().map(entry).collect();
    json!({ "baseUrl": facts.base_url(), "api": "openai-completions", "models": models })
}

fn entry(model: &KnownModel) -> Value {
    let input: &[&str] = if model.vision { &["text", "image"] } else { &["text"] };
    json!({
        "id": model.id,
        "name": model.display_name,
        "reasoning": true,
        "input": input,
        "contextWindow": model.context_window,
        "maxTokens": model.max_output_tokens,
    })
}

/// Its commands for extensions, such as `install`, stand at the beginning or are none.
fn launch(facts: &Facts, _: &Places<'_>, scene: &Scene<'_>) -> Launch {
    if scene.arguments.first().is_some_and(|first| COMMANDS.contains(&first.as_str())) {
        return Launch::default();
    }
    let mut provider = provider(facts);
    if let Some(members) = provider.as_object_mut() {
        members.insert("apiKey".to_owned(), json!(KEY));
        let models = members.get_mut("models").and_then(Value::as_array_mut).into_iter().flatten();
        for model in models.filter_map(Value::as_object_mut) {
            model.insert("cost".to_owned(), json!({ "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0 }));
        }
    }
    let extension =
        format!("export default function (pi) {{\n  pi.registerProvider(\"codex-proxy\", {provider});\n}}\n");
    let path = scene.profiles.join(PROFILE).display().to_string();
    let model = format!("codex-proxy/{}", facts.main());
    Launch {
        arguments: vec!["--extension".to_owned(), path, "--model".to_owned(), model],
        variables: vec![(KEY, facts.key_text().to_owned())],
        profiles: vec![(PROFILE, extension)],
        ..Launch::default()
    }
}

const COMMANDS: [&str; 6] = ["install", "remove", "uninstall", "update", "list", "config"];
const KEY: &str = "CODEX_PROXY_API_KEY";
const PROFILE: &str = "pi.js";
