//! llm: a list of models in a YAML file of its own; for one run, the variables of OpenAI's library under it.

use serde_json::{Value, json};

use crate::cli::setup::change::{Change, Format, Rule, SettingsFile};
use crate::cli::setup::facts::{ClientKey, Facts, KnownModel};
use crate::cli::setup::places::Places;
use crate::cli::setup::tool::{Launch, Shown, Start, Tool};

pub(super) const TOOL: Tool = Tool {
    name: "llm",
    title: "llm",
    files: |facts, places| vec![file(facts, places)],
    shown: Shown::Nothing,
    then: |facts| {
        let key = match facts.key {
            ClientKey::Any => "",
            ClientKey::Unknown | ClientKey::Given(_) => "`llm keys set codex-proxy` asks for the key. ",
        };
        format!("{key}`llm -m codex-proxy \"Hello!\"`; `llm models default codex-proxy` saves the `-m`.")
    },
    start: Some(Start {
        programs: &["llm"],
        install: "pipx install llm",
        launch: |facts, _, _| {
            // llm knows this name, and no list of models but its own; the proxy answers it with the account's usual model.
            let variables = vec![
                ("OPENAI_BASE_URL", facts.base_url()),
                ("OPENAI_API_KEY", facts.key_text().to_owned()),
                ("LLM_MODEL", "gpt-4o-mini".to_owned()),
            ];
            Launch { variables, ..Launch::default() }
        },
    }),
};

fn file(facts: &Facts, places: &Places<'_>) -> SettingsFile {
    let folder = places.named("LLM_USER_PATH").unwrap_or_else(|| places.application_data().join("io.datasette.llm"));
    let items: Vec<_> = facts.models.iter().enumerate().map(|(index, model)| item(facts, model, index == 0)).collect();
    SettingsFile {
        path: folder.join("extra-openai-models.yaml"),
        format: Format::Yaml,
        blank: "",
        changes: vec![Change::new(&[], items, Rule::Own)],
    }
}

fn item(facts: &Facts, model: &KnownModel, is_usual: bool) -> Value {
    let mut item = json!({
        "model_id": format!("codex-proxy/{}", model.id),
        "model_name": model.id,
        "api_base": facts.base_url(),
        "supports_tools": true,
        "supports_schema": true,
        "vision": model.vision,
    });
    if let Some(members) = item.as_object_mut() {
        if is_usual {
            members.insert("aliases".to_owned(), json!(["codex-proxy"]));
        }
        if facts.key != ClientKey::Any {
            members.insert("api_key_name".to_owned(), json!("codex-proxy"));
        }
    }
    item
}
