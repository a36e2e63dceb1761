//! Aider: lines of its configuration, and the windows of the models in a file beside it.

use serde_json::{Value, json};

use crate::cli::setup::change::{Change, Format, Rule, SettingsFile};
use crate::cli::setup::facts::{Facts, KnownModel};
use crate::cli::setup::places::Places;
use crate::cli::setup::tool::{Launch, Scene, Shown, Start, Tool};
use crate::cli::setup::tools::{key, pretty};

pub(super) const TOOL: Tool = Tool {
    name: "aider",
    title: "Aider",
    files: |facts, places| vec![configuration(facts, places), metadata(facts, places)],
    shown: Shown::Nothing,
    then: |_| {
        "Start `aider`. A file of the same name in a repository or in the current directory wins over the one at home."
            .to_owned()
    },
    start: Some(Start {
        programs: &["aider"],
        install: "python3 -m pip install aider-install && aider-install",
        launch,
    }),
};

fn configuration(facts: &Facts, places: &Places<'_>) -> SettingsFile {
    let changes = vec![
        Change::new(&["openai-api-base"], facts.base_url(), Rule::Replace),
        key(&["openai-api-key"], facts),
        Change::new(&["model"], format!("openai/{}", facts.main()), Rule::Preset),
        Change::new(&["weak-model"], format!("openai/{}", facts.small), Rule::Preset),
    ];
    SettingsFile { path: places.home.join(".aider.conf.yml"), format: Format::Yaml, blank: "", changes }
}

/// Without it Aider warns of every model of an unknown window, and asks whether to open a page about that.
fn metadata(facts: &Facts, places: &Places<'_>) -> SettingsFile {
    let changes =
        facts.models.iter().map(|model| Change::new(&[&format!("openai/{}", model.id)], entry(model), Rule::Own));
    SettingsFile {
        path: places.home.join(".aider.model.metadata.json"),
        format: Format::Json,
        blank: "",
        changes: changes.collect(),
    }
}

fn entry(model: &KnownModel) -> Value {
    json!({
        "max_tokens": model.max_output_tokens,
        "max_input_tokens": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "litellm_provider": "openai",
        "mode": "chat",
        "supports_vision": model.vision,
    })
}

/// Its own variables win over its files.
fn launch(facts: &Facts, _: &Places<'_>, scene: &Scene<'_>) -> Launch {
    let windows: serde_json::Map<_, _> =
        facts.models.iter().map(|model| (format!("openai/{}", model.id), entry(model))).collect();
    let variables = vec![
        ("AIDER_OPENAI_API_BASE", facts.base_url()),
        ("AIDER_OPENAI_API_KEY", facts.key_text().to_owned()),
        ("AIDER_MODEL", format!("openai/{}", facts.main())),
        ("AIDER_WEAK_MODEL", format!("openai/{}", facts.small)),
        ("AIDER_MODEL_METADATA_FILE", scene.profiles.join(PROFILE).display().to_string()),
    ];
    Launch { variables, profiles: vec![(PROFILE, pretty(&windows.into()))], ..Launch::default() }
}

const PROFILE: &str = "aider-models.json";
