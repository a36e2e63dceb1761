//! What the page says of tools: the same as `setup` shows of each, from the table.

use crate::cli::config::Config;
use crate::cli::setup::facts::{ANY_KEY, ClientKey, Facts};
use crate::cli::setup::places::Places;
use crate::cli::setup::snippets;
use crate::cli::setup::tool::Tool;
use crate::cli::setup::tools;
use crate::cli::variable;
use crate::models::Models;
use crate::page::view::{GuideText, Guides, ToolGuide};
use crate::server::GuideMaker;

/// Returns what tells how tools are pointed at the proxy of `config`, which listens on `port`. A key of the proxy's is never
/// told.
pub(in crate::cli) fn guides(config: &Config, port: u16) -> GuideMaker {
    let config = Config { port, ..config.clone() };
    let key = if config.has_key { ClientKey::Unknown } else { ClientKey::Any };
    GuideMaker::new(move |models| made(&config, key.clone(), models))
}

fn made(config: &Config, key: ClientKey, models: &Models) -> Guides {
    let any_key = (key == ClientKey::Any).then_some(ANY_KEY);
    let facts = Facts::new(config, key, models);
    let places = Places::new(&variable);
    Guides {
        tools: tools::all().map(|tool| guide(tool, &facts, &places)).collect(),
        base_url: facts.base_url(),
        root: facts.root,
        any_key,
    }
}

fn guide(tool: &'static Tool, facts: &Facts, places: &Places<'_>) -> ToolGuide {
    let (name, flags) = (tool.name, &facts.flags);
    let files = (tool.files)(facts, places);
    let command = |place: &str, text: String| GuideText { place: place.to_owned(), text };
    let mut commands = Vec::new();
    if !files.is_empty() {
        commands.push(command("Puts it into the tool's file", format!("codex-proxy setup {flags}{name} --write")));
    }
    if let Some(start) = &tool.start {
        let program = if start.programs.is_empty() { " PROGRAM" } else { "" };
        let text = format!("codex-proxy run {flags}{name}{program}");
        commands.push(command("Starts it, and changes none of its files", text));
    }
    // What cannot be shown as a file is left to the command.
    let settings = snippets(tool, facts, places, &files).unwrap_or_default();
    let settings = settings.into_iter().map(|snippet| GuideText { place: snippet.place, text: snippet.text });
    ToolGuide { name, title: tool.title, commands, settings: settings.collect(), then: (tool.then)(facts) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::DEFAULT_PORT;
    use crate::cli::config::args::Options;

    fn guides_of(key: ClientKey, port: u16) -> Guides {
        let config = Config::resolve(Options::default(), |name| (name == "HOME").then(|| "/home/you".into()));
        let config = config.expect("a configuration");
        made(&Config { port, ..config }, key, &Models::default())
    }

    #[test]
    fn every_tool_has_something_to_copy_with_this_proxys_address() {
        let guides = guides_of(ClientKey::Any, 4321);
        assert_eq!(
            (guides.root.as_str(), guides.base_url.as_str()),
            ("http://localhost:4321", "http://localhost:4321/v1")
        );
        assert_eq!(guides.tools.len(), tools::all().count());
        for tool in &guides.tools {
            let texts: Vec<_> = tool.commands.iter().chain(&tool.settings).map(|text| text.text.as_str()).collect();
            assert!(texts.iter().any(|text| text.contains("localhost:4321")), "{}: {texts:?}", tool.name);
            assert!(tool.commands.iter().all(|command| command.text.contains(" --port 4321 ")), "{:?}", tool.commands);
        }
        let usual = guides_of(ClientKey::Any, DEFAULT_PORT);
        assert_eq!(usual.tools[0].commands[0].text, "codex-proxy setup opencode --write");
    }

    #[test]
    fn no_key_is_told() {
        let guides = guides_of(ClientKey::Unknown, 9879);
        assert_eq!(guides.any_key, None);
        let keyed = guides.tools.iter().flat_map(|tool| &tool.settings).any(|text| text.text.contains("YOUR_API_KEY"));
        assert!(keyed);
        assert_eq!(guides_of(ClientKey::Any, 9879).any_key, Some("any"));
    }
}
