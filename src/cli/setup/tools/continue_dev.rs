//! Continue: a list of models inside a YAML file, which is only shown; a configuration of its own for one run.

use crate::cli::setup::facts::Facts;
use crate::cli::setup::places::{Places, shown};
use crate::cli::setup::tool::{Launch, Scene, Shown, Snippet, Start, Tool, no_files};

pub(super) const TOOL: Tool = Tool {
    name: "continue",
    title: "Continue",
    files: no_files,
    shown: Shown::Made(|facts, places| {
        let folder = places.named("CONTINUE_GLOBAL_DIR").unwrap_or_else(|| places.home.join(".continue"));
        let place = format!("{}, or only its items of `models`", shown(&folder.join("config.yaml"), &places.home));
        vec![Snippet::new(place, "yaml", &configuration(facts))]
    }),
    then: |_| {
        "Nothing is written here: the file is YAML with a list that Continue fills itself, and a program cannot add to it and \
         be sure to keep its comments. An older config.json beside it is not read then."
            .to_owned()
    },
    start: Some(Start { programs: &["cn"], install: "npm install -g @continuedev/cli", launch }),
};

fn configuration(facts: &Facts) -> String {
    let mut text = "name: codex-proxy\nversion: 1.0.0\nschema: v1\nmodels:\n".to_owned();
    for model in &facts.models {
        let image = if model.vision { ", image_input" } else { "" };
        text += &format!(
            "  - name: {id}\n    provider: openai\n    model: {id}\n    apiBase: {base}\n    apiKey: {key}\n    \
             roles: [chat, edit, apply]\n    capabilities: [tool_use{image}]\n    defaultCompletionOptions:\n      \
             contextLength: {context}\n      maxTokens: {output}\n",
            id = yaml_word(&model.id),
            base = facts.base_url(),
            key = yaml_word(facts.key_text()),
            context = model.context_window,
            output = model.max_output_tokens,
        );
    }
    text
}

/// Quoted, unless it cannot be anything but a text.
fn yaml_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let is_text = text.starts_with(|letter: char| letter.is_ascii_alphabetic()) && text.chars().all(is_plain);
    let is_word =
        ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if is_text && !is_word { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn launch(facts: &Facts, _: &Places<'_>, scene: &Scene<'_>) -> Launch {
    let path = scene.profiles.join(PROFILE).display().to_string();
    Launch {
        arguments: vec!["--config".to_owned(), path],
        profiles: vec![(PROFILE, configuration(facts))],
        ..Launch::default()
    }
}

const PROFILE: &str = "continue.yaml";
