//! The table of tools: what is shown, written, taken out, started and documented comes from here.
//!
//! * A file for each tool with settings of its own; [`recipes`] has those whose settings are only shown.
//! * Where a tool keeps its files, and what it makes of a key, is what its own documentation and source say; the conformance
//!   suite runs those that it has.

mod aider;
pub(in crate::cli::setup) mod claude_code;
mod cline;
mod codex;
mod continue_dev;
mod llm;
mod opencode;
mod pi;
mod recipes;
mod sdk;
mod zed;

use serde_json::Value;

use crate::cli::setup::change::{Change, Rule};
use crate::cli::setup::facts::{ClientKey, Facts};
use crate::cli::setup::tool::Tool;

/// Every tool, in the order in which they are listed.
pub(in crate::cli) fn all() -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().chain(recipes::RECIPES)
}

/// The tool called `name`; some have a second name.
pub(in crate::cli) fn find(name: &str) -> Option<&'static Tool> {
    let name = match name {
        "claude" => "claude-code",
        "cn" => "continue",
        name => name,
    };
    all().find(|tool| tool.name == name)
}

/// The key that a tool sends, at `path` of its settings.
fn key(path: &[&str], facts: &Facts) -> Change {
    let rule = match facts.key {
        ClientKey::Any | ClientKey::Unknown => Rule::Key,
        ClientKey::Given(_) => Rule::Secret,
    };
    Change::new(path, facts.key_text(), rule)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

const TOOLS: &[Tool] = &[
    opencode::TOOL,
    claude_code::TOOL,
    codex::TOOL,
    aider::TOOL,
    continue_dev::TOOL,
    cline::TOOL,
    zed::TOOL,
    llm::TOOL,
    pi::TOOL,
    sdk::ENVIRONMENT,
    sdk::POWERSHELL,
    sdk::PYTHON,
    sdk::NODE,
];
