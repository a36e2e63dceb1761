//! Where tools keep their settings, on each system.

use std::ffi::OsString;
use std::path::PathBuf;

/// The directories and variables of one user.
pub(in crate::cli) struct Places<'a> {
    /// The home directory; `~` where there is none, which is good for showing alone.
    pub(in crate::cli) home: PathBuf,
    /// Whether `home` is a real directory.
    pub(in crate::cli) has_home: bool,
    variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl<'a> Places<'a> {
    /// Reads variables through `variable`.
    pub(in crate::cli) fn new(variable: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = set("HOME").or_else(|| set("USERPROFILE"));
        Self { has_home: home.is_some(), home: home.unwrap_or_else(|| PathBuf::from("~")), variable }
    }

    /// The path in the variable `name`, if it is set.
    pub(in crate::cli) fn named(&self, name: &str) -> Option<PathBuf> {
        (self.variable)(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// The text in the variable `name`, if it is set to one.
    pub(in crate::cli) fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty()).and_then(|value| value.into_string().ok())
    }

    /// `$XDG_CONFIG_HOME`, else `~/.config`, on every system.
    pub(in crate::cli) fn xdg(&self) -> PathBuf {
        self.named("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).unwrap_or_else(|| self.home.join(".config"))
    }

    /// The directory for programs' data that users do not look into: `~/Library/Application Support` on macOS, `%APPDATA%`
    /// on Windows, that of XDG elsewhere.
    pub(in crate::cli) fn application_data(&self) -> PathBuf {
        if cfg!(target_os = "macos") {
            self.home.join("Library").join("Application Support")
        } else if cfg!(windows) {
            self.named("APPDATA").unwrap_or_else(|| self.home.join("AppData").join("Roaming"))
        } else {
            self.xdg()
        }
    }
}

/// Shows `path` with `~` for the home directory.
pub(in crate::cli) fn shown(path: &std::path::Path, home: &std::path::Path) -> String {
    match path.strip_prefix(home) {
        Ok(rest) => PathBuf::from("~").join(rest).display().to_string(),
        Err(_) => path.display().to_string(),
    }
}
