//! The Codex CLI: a profile in a file of its own, which leaves `config.toml` and `auth.json` alone; overrides for one run.

use serde_json::{Map, Value, json};

use crate::cli::setup::change::{Change, Format, Rule, SettingsFile};
use crate::cli::setup::facts::{ClientKey, Facts};
use crate::cli::setup::places::Places;
use crate::cli::setup::tool::{Launch, Scene, Shown, Start, Tool};

pub(super) const TOOL: Tool = Tool {
    name: "codex",
    title: "Codex CLI",
    files: |facts, places| vec![file(facts, places)],
    shown: Shown::Nothing,
    then,
    start: Some(Start { programs: &["codex"], install: "npm install -g @openai/codex", launch }),
};

fn file(facts: &Facts, places: &Places<'_>) -> SettingsFile {
    let folder = places.named("CODEX_HOME").unwrap_or_else(|| places.home.join(".codex"));
    let changes = vec![
        Change::new(&["model"], facts.main(), Rule::Preset),
        Change::new(&["model_provider"], "codex-proxy", Rule::Replace),
        Change::new(&["model_providers", "codex-proxy"], provider(facts), Rule::Own),
    ];
    SettingsFile { path: folder.join("codex-proxy.config.toml"), format: Format::Toml, blank: "", changes }
}

/// The provider is called `OpenAI` because by that name alone the CLI lets the backend compact long conversations, which keeps
/// the model's reasoning.
fn provider(facts: &Facts) -> Map<String, Value> {
    let mut provider = Map::from_iter([
        ("name".to_owned(), json!("OpenAI")),
        ("base_url".to_owned(), json!(facts.base_url())),
        ("wire_api".to_owned(), json!("responses")),
        // One WebSocket for a conversation, on which only what is new is sent.
        ("supports_websockets".to_owned(), json!(true)),
    ]);
    if facts.key != ClientKey::Any {
        provider.insert("env_key".to_owned(), json!(KEY));
    }
    provider
}

fn then(facts: &Facts) -> String {
    let key = match facts.key {
        ClientKey::Any => "",
        ClientKey::Unknown | ClientKey::Given(_) => {
            " Its key is the variable CODEX_PROXY_API_KEY; none is in the file."
        }
    };
    format!("Start `codex --profile codex-proxy`; the option goes before a command such as `resume`.{key}")
}

/// Later overrides win, so the user's own `-c` and `-m` do.
fn launch(facts: &Facts, _: &Places<'_>, _: &Scene<'_>) -> Launch {
    let overrides = [("model".to_owned(), json!(facts.main())), ("model_provider".to_owned(), json!("codex-proxy"))];
    let provider =
        provider(facts).into_iter().map(|(key, value)| (format!("model_providers.codex-proxy.{key}"), value));
    let arguments =
        overrides.into_iter().chain(provider).flat_map(|(key, value)| ["-c".to_owned(), format!("{key}={value}")]);
    let variables = match facts.key {
        ClientKey::Any => Vec::new(),
        ClientKey::Unknown | ClientKey::Given(_) => vec![(KEY, facts.key_text().to_owned())],
    };
    Launch { arguments: arguments.collect(), variables, ..Launch::default() }
}

const KEY: &str = "CODEX_PROXY_API_KEY";
