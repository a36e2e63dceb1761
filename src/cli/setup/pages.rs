//! The pages in `docs/clients`: what they say of settings comes from the table.
//!
//! * In a page the text between two comments is made; the rest of it is written by hand.
//! * `just client-pages` writes it anew. The pages show the places of Linux, so they are checked there.

#![allow(clippy::expect_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use crate::cli::setup::edit;
use crate::cli::setup::facts::{ClientKey, Facts};
use crate::cli::setup::places::{Places, shown};
use crate::cli::setup::tool::Tool;
use crate::cli::setup::tools;
use crate::models::Models;

/// The facts of a machine on which nothing was changed, with two of the newest models: the usual one and the one for small tasks.
fn facts() -> Facts {
    let config = crate::cli::config::Config::resolve(crate::cli::config::args::Options::default(), |name| {
        (name == "HOME").then(|| "/home/you".into())
    });
    let mut facts = Facts::new(&config.expect("a configuration"), ClientKey::Any, &Models::default());
    let (main, small) = (facts.main().to_owned(), facts.small.clone());
    facts.models.retain(|model| model.id == main || model.id == small);
    facts
}

/// The made part of a tool's page.
fn part(tool: &Tool, facts: &Facts) -> String {
    let home = |name: &str| (name == "HOME").then(|| "/home/you".into());
    let places = Places::new(&home);
    let files = (tool.files)(facts, &places);
    let name = tool.name;
    let mut commands =
        vec![(format!("setup {name}"), "shows what follows, with this machine's address and the account's models")];
    if !files.is_empty() {
        commands.push((format!("setup {name} --write"), "puts it into the file"));
        commands.push((format!("setup {name} --remove"), "takes it out again"));
    }
    if let Some(start) = &tool.start {
        let program = if start.programs.is_empty() { " PROGRAM" } else { "" };
        commands.push((format!("run {name}{program}"), "starts it with these settings, and changes none of its files"));
    }
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    let mut text = "```bash\n".to_owned();
    for (command, comment) in commands {
        text += &format!("codex-proxy {command:width$}   # {comment}\n");
    }
    text += "```\n";
    for file in &files {
        let inside = edit::shown(file.format, file.blank, &file.changes).expect("a file");
        let path = shown(&file.path, &places.home).replace('\\', "/");
        text += &format!("\n`{path}`:\n\n```{}\n{inside}```\n", file.format.language());
    }
    text += &snippets(tool, facts, &places);
    let then = (tool.then)(facts);
    if then.is_empty() { text } else { format!("{text}\n{then}\n") }
}

fn snippets(tool: &Tool, facts: &Facts, places: &Places<'_>) -> String {
    let snippets = tool.shown.snippets(facts, places);
    snippets
        .iter()
        .map(|one| format!("\n{}:\n\n```{}\n{}```\n", one.place.replace('\\', "/"), one.language, one.text))
        .collect()
}

/// Every page with the text that is made for it: one a tool, and one for all that are only shown.
fn pages() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join("clients");
    let facts = facts();
    let (own, recipes): (Vec<_>, Vec<_>) = tools::all().partition(|tool| {
        tool.start.is_some() || !(tool.files)(&facts, &Places::new(&|_| None)).is_empty() || tool.name == "cline"
    });
    let mut pages: Vec<_> =
        own.iter().map(|tool| (folder.join(format!("{}.md", tool.name)), part(tool, &facts))).collect();
    let recipes = recipes.iter().map(|tool| format!("## {}\n\n{}", tool.title, part(tool, &facts)));
    pages.push((folder.join("recipes.md"), recipes.collect::<Vec<_>>().join("\n")));
    pages
}

/// The page `text` with `part` in its place.
fn with_part(text: &str, part: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{part}\n{END}{after}"))
}

#[test]
fn the_pages_say_what_the_table_says() {
    for (path, part) in pages() {
        let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let page = page.replace("\r\n", "\n");
        let made = with_part(&page, &part).unwrap_or_else(|| panic!("{} lacks {BEGIN} and {END}", path.display()));
        if std::env::var_os("WRITE_CLIENT_PAGES").is_some() {
            std::fs::write(&path, &made).expect("written");
        } else {
            assert_eq!(page, made, "{}: `just client-pages` writes it anew", path.display());
        }
    }
}

#[test]
fn every_tool_says_what_it_needs() {
    let facts = facts();
    let places = Places::new(&|_| None);
    let mut names: Vec<_> = tools::all().map(|tool| tool.name).collect();
    for tool in tools::all() {
        let text = part(tool, &facts);
        assert!(text.contains("localhost:9879"), "{}: {text}", tool.name);
        let is_open = text.contains('<')
            && ["<base>", "<key>", "<model>", "<root>", "<small>"].iter().any(|open| text.contains(open));
        assert!(!is_open, "{}: {text}", tool.name);
        for file in (tool.files)(&facts, &places) {
            assert!(file.path.starts_with("~"), "{}", file.path.display());
        }
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), tools::all().count());
}

const BEGIN: &str = "<!-- made from the table of tools: just client-pages -->";
const END: &str = "<!-- to here -->";
