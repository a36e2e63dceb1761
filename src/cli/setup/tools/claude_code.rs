//! Claude Code: variables, in its settings or for one run.
//!
//! * It takes any model that it does not know for one with a window of 1,000,000 tokens, asks for tiers of Anthropic's, and
//!   learns nothing of either from a server: its environment has to say.

use serde_json::json;

use crate::cli::setup::apply::LARGEST;
use crate::cli::setup::change::{Change, Format, Rule, SettingsFile};
use crate::cli::setup::edit;
use crate::cli::setup::facts::Facts;
use crate::cli::setup::places::Places;
use crate::cli::setup::tool::{Launch, Scene, Shown, Start, Tool};
use crate::cli::setup::tools::key;
use crate::files::read;

pub(super) const TOOL: Tool = Tool {
    name: "claude-code",
    title: "Claude Code",
    files: |facts, places| vec![file(facts, places)],
    shown: Shown::Nothing,
    then: |_| {
        "Start `claude`. In VS Code, put the same variables into `claudeCode.environmentVariables` too.".to_owned()
    },
    start: Some(Start { programs: &["claude"], install: "npm install -g @anthropic-ai/claude-code", launch }),
};

/// The user's settings, in `CLAUDE_CONFIG_DIR` or `~/.claude`.
pub(in crate::cli::setup) fn path(places: &Places<'_>) -> std::path::PathBuf {
    places.named("CLAUDE_CONFIG_DIR").unwrap_or_else(|| places.home.join(".claude")).join("settings.json")
}

fn file(facts: &Facts, places: &Places<'_>) -> SettingsFile {
    let variables = variables(facts);
    let mut changes: Vec<_> =
        variables.iter().map(|(name, text)| Change::new(&["env", name], text.clone(), Rule::Replace)).collect();
    changes.insert(1, key(&["env", TOKEN], facts));
    SettingsFile { path: path(places), format: Format::Json, blank: "", changes }
}

/// All variables but the key.
fn variables(facts: &Facts) -> Vec<(&'static str, String)> {
    let window = facts.window();
    vec![
        (BASE_URL, facts.root.clone()),
        (MODEL, facts.main().to_owned()),
        ("ANTHROPIC_DEFAULT_HAIKU_MODEL", facts.small.clone()),
        (WINDOWS[0], window.to_string()),
        (WINDOWS[1], (window / 100 * FILLED_PERCENT).to_string()),
    ]
}

/// Variables in the user's settings win over those of the environment, and the argument `--settings` wins over both. It is
/// used only where it is needed: it holds no key, since others can read arguments.
fn launch(facts: &Facts, places: &Places<'_>, _: &Scene<'_>) -> Launch {
    let variables = variables(facts);
    let settings = read::regular_text(&path(places), LARGEST).unwrap_or_default();
    let differs = |(name, text): &(&str, String)| {
        edit::value_in(&settings, &["env", name]).is_some_and(|value| value != json!(text))
    };
    let arguments = if variables.iter().any(differs) {
        let env: serde_json::Map<_, _> =
            variables.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
        vec!["--settings".to_owned(), json!({ "env": env }).to_string()]
    } else {
        Vec::new()
    };
    let token = std::iter::once((TOKEN, facts.key_text().to_owned()));
    Launch {
        arguments,
        variables: variables.into_iter().chain(token).collect(),
        unset: &["ANTHROPIC_API_KEY"],
        ..Launch::default()
    }
}

pub(in crate::cli::setup) const BASE_URL: &str = "ANTHROPIC_BASE_URL";
pub(in crate::cli::setup) const TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
pub(in crate::cli::setup) const MODEL: &str = "ANTHROPIC_MODEL";
/// How large the window is, and from where on the conversation is summed up.
pub(in crate::cli::setup) const WINDOWS: [&str; 2] =
    ["CLAUDE_CODE_MAX_CONTEXT_TOKENS", "CLAUDE_CODE_AUTO_COMPACT_WINDOW"];
/// How full the window gets before that: the summary itself needs room.
const FILLED_PERCENT: u64 = 92;
