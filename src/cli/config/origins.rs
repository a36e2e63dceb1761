//! Where the options in force were set, so that an error or the log can name the place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The place where an option was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionOrigin {
    /// A flag of the command line.
    Flag,
    /// The variable of this name.
    Variable(String),
    /// This configuration file.
    File(PathBuf),
}

/// The place of each option that was set, by its long name without the hyphens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, OptionOrigin>);

impl Origins {
    /// Records that `option` was set at `origin`. The first record of an option counts, so the layers record in their order.
    pub fn note(&mut self, option: &str, origin: OptionOrigin) {
        self.0.entry(option.to_owned()).or_insert(origin);
    }

    /// Returns where `option` was set; `None` for a default.
    pub fn of(&self, option: &str) -> Option<&OptionOrigin> {
        self.0.get(option)
    }

    /// Returns the variables that are in force, in order.
    pub fn variables(&self) -> Vec<&str> {
        self.0.values().filter_map(OptionOrigin::variable).collect()
    }

    /// Returns the configuration file, if it sets an option.
    pub fn file(&self) -> Option<&Path> {
        self.0.values().find_map(|origin| match origin {
            OptionOrigin::File(path) => Some(path.as_path()),
            OptionOrigin::Flag | OptionOrigin::Variable(_) => None,
        })
    }

    /// Names `option`, given like `--host`, by the place where it was set: `HOST (environment)`.
    pub fn name(&self, option: &str) -> String {
        match option.strip_prefix("--").and_then(|key| self.of(key)) {
            Some(origin) => origin.name(option),
            None => option.to_owned(),
        }
    }
}

impl OptionOrigin {
    fn variable(&self) -> Option<&str> {
        match self {
            Self::Variable(name) => Some(name),
            Self::Flag | Self::File(_) => None,
        }
    }

    fn name(&self, option: &str) -> String {
        match self {
            Self::Flag => option.to_owned(),
            Self::Variable(name) => format!("{name} (environment)"),
            Self::File(path) => format!("{} in {}", option.trim_start_matches('-'), path.display()),
        }
    }
}

impl fmt::Display for OptionOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => formatter.write_str("command line"),
            Self::Variable(name) => write!(formatter, "{name} (environment)"),
            Self::File(path) => write!(formatter, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_counts_and_names_the_option() {
        let mut origins = Origins::default();
        origins.note("host", OptionOrigin::Variable("HOST".to_owned()));
        origins.note("host", OptionOrigin::File("/c.toml".into()));
        origins.note("port", OptionOrigin::File("/c.toml".into()));
        origins.note("api-key", OptionOrigin::Flag);
        assert_eq!(origins.name("--host"), "HOST (environment)");
        assert_eq!(origins.name("--port"), "port in /c.toml");
        assert_eq!((origins.name("--api-key"), origins.name("--config")), ("--api-key".into(), "--config".into()));
        assert_eq!(origins.variables(), ["HOST"]);
    }
}
