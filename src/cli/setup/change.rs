//! What the settings of a tool have to say, and how much of it may be changed.

use std::path::PathBuf;

use serde_json::Value;

/// A settings file of a tool, with what has to stand in it.
#[derive(Debug, Clone)]
pub(in crate::cli) struct SettingsFile {
    /// Where the file is, or would be. It begins with `~` for a user without a home directory.
    pub(in crate::cli) path: PathBuf,
    /// Its language.
    pub(in crate::cli) format: Format,
    /// The text of a new file, before the changes.
    pub(in crate::cli) blank: &'static str,
    /// The changes, in the order in which they are shown.
    pub(in crate::cli) changes: Vec<Change>,
}

/// The language of a settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Format {
    /// JSON without comments.
    Json,
    /// JSON with comments and commas at the end.
    Jsonc,
    /// TOML.
    Toml,
    /// YAML, to which a block is added.
    Yaml,
}

impl Format {
    /// The name of the language for a block of code.
    pub(in crate::cli) const fn language(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Jsonc => "jsonc",
            Self::Toml => "toml",
            Self::Yaml => "yaml",
        }
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Change {
    /// The keys from the root down. Empty for items of the list that a YAML file is.
    pub(in crate::cli) path: Vec<String>,
    /// The value. An object is merged with the one that is there, key by key.
    pub(in crate::cli) value: Value,
    /// What happens to a value that is there already.
    pub(in crate::cli) rule: Rule,
}

impl Change {
    /// Creates a change at `path`.
    pub(in crate::cli) fn new(path: &[&str], value: impl Into<Value>, rule: Rule) -> Self {
        Self { path: path.iter().map(|key| (*key).to_owned()).collect(), value: value.into(), rule }
    }
}

/// What happens to a value that is there already, and on removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Rule {
    /// The place has this program's name: it is changed, and taken out with everything in it if this program wrote it.
    Own,
    /// A value that is there stays. On removal, only this one or a name of this program's models is taken out.
    Preset,
    /// A value that is there is changed, and put back on removal.
    Replace,
    /// A key that clients send: one that is there stays unless it is a placeholder.
    Key,
    /// A key that the user asked to have written: it is changed, and its text is not shown.
    Secret,
}
