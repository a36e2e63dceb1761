//! What the table of tools says of each.

use std::path::Path;

use crate::cli::setup::change::SettingsFile;
use crate::cli::setup::facts::Facts;
use crate::cli::setup::places::Places;

/// A tool that can be pointed at the proxy.
pub(in crate::cli) struct Tool {
    /// Its name on the command line.
    pub(in crate::cli) name: &'static str,
    /// Its name for people.
    pub(in crate::cli) title: &'static str,
    /// The settings that can be written.
    pub(in crate::cli) files: fn(&Facts, &Places<'_>) -> Vec<SettingsFile>,
    /// What is only shown.
    pub(in crate::cli) shown: Shown,
    /// What the user does then, as sentences.
    pub(in crate::cli) then: fn(&Facts) -> String,
    /// How it is started without a change of its files.
    pub(in crate::cli) start: Option<Start>,
}

/// What is shown of a tool, beside the files that can be written.
pub(in crate::cli) enum Shown {
    /// Nothing.
    Nothing,
    /// Snippets that are made of the facts.
    Made(fn(&Facts, &Places<'_>) -> Vec<Snippet>),
    /// Texts in which `<base>`, `<root>`, `<key>`, `<model>`, `<small>`, `<window>` and `<output>` stand for the facts: each
    /// with its place and its language.
    Templates(&'static [(&'static str, &'static str, &'static str)]),
}

impl Shown {
    /// Returns whether a model is named in what is shown.
    pub(in crate::cli) fn names_a_model(&self) -> bool {
        let names = |text: &str| ["<model>", "<small>", "<window>", "<output>"].iter().any(|mark| text.contains(mark));
        match self {
            Self::Nothing => false,
            Self::Made(_) => true,
            Self::Templates(templates) => templates.iter().any(|(_, _, text)| names(text)),
        }
    }

    /// The snippets for these facts.
    pub(in crate::cli) fn snippets(&self, facts: &Facts, places: &Places<'_>) -> Vec<Snippet> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Made(make) => make(facts, places),
            Self::Templates(templates) => templates
                .iter()
                .map(|(place, language, text)| Snippet::new(*place, language, &facts.fill(text, language)))
                .collect(),
        }
    }
}

/// How a tool is started.
pub(in crate::cli) struct Start {
    /// The programs that may be the tool; the first that is found is started. None: the user names it.
    pub(in crate::cli) programs: &'static [&'static str],
    /// How it is installed.
    pub(in crate::cli) install: &'static str,
    /// What it is started with.
    pub(in crate::cli) launch: fn(&Facts, &Places<'_>, &Scene<'_>) -> Launch,
}

/// What a start has to know beside the facts.
pub(in crate::cli) struct Scene<'a> {
    /// The user's arguments for the tool.
    pub(in crate::cli) arguments: &'a [String],
    /// The directory for files that this program gives the tool.
    pub(in crate::cli) profiles: &'a Path,
}

/// Settings for one run of a tool.
#[derive(Debug, Default)]
pub(in crate::cli) struct Launch {
    /// Arguments that come before the user's.
    pub(in crate::cli) arguments: Vec<String>,
    /// Variables that are set.
    pub(in crate::cli) variables: Vec<(&'static str, String)>,
    /// Variables that are taken away.
    pub(in crate::cli) unset: &'static [&'static str],
    /// Files of this program's own, by their names in the directory for these, for tools that take settings from files only.
    pub(in crate::cli) profiles: Vec<(&'static str, String)>,
}

/// A text to be copied.
pub(in crate::cli) struct Snippet {
    /// Where it belongs, or what it does.
    pub(in crate::cli) place: String,
    /// Its language.
    pub(in crate::cli) language: &'static str,
    /// The text, with a line break at its end.
    pub(in crate::cli) text: String,
}

impl Snippet {
    /// Creates a snippet of `lines`.
    pub(in crate::cli) fn new(place: impl Into<String>, language: &'static str, lines: &str) -> Self {
        Self { place: place.into(), language, text: format!("{}\n", lines.trim_end()) }
    }
}

/// No files, for tools whose settings are only shown.
pub(in crate::cli) fn no_files(_: &Facts, _: &Places<'_>) -> Vec<SettingsFile> {
    Vec::new()
}
