//! What an installed service was told, which need not be what this command line says.
//!
//! * Its flags stand in its file; variables of this shell are not the service's. A drop-in of the user's is not read.

use std::ffi::OsString;
use std::net::SocketAddr;

use crate::cli::config::args::Options;
use crate::cli::config::help::Given;
use crate::cli::config::layers::FileChoice;
use crate::cli::config::{Config, config_file};
use crate::cli::error::CliError;
use crate::cli::service::definition::VARIABLES;
use crate::cli::service::manager::ServiceManager;
use crate::cli::variable;

/// Resolves `flags` as the service will, with its configuration file and its keys.
pub(super) fn config_of(config: &Config, flags: &[OsString]) -> Result<Config, CliError> {
    let words: Vec<_> = ["codex-proxy", "serve"].into_iter().map(OsString::from).chain(flags.iter().cloned()).collect();
    let given = Given::parse(&words).map_err(|error| CliError::Internal(error.to_string()))?;
    let named =
        given.line.config.or_else(|| variable("CODEX_PROXY_CONFIG").filter(|path| !path.is_empty()).map(Into::into));
    let choice = if named.is_some() { FileChoice::Named } else { FileChoice::Usual };
    let mut origins = given.origins;
    let file = config_file(named, &config.environment);
    let file = file.map(|path| Options::from_file(&path, choice, &mut origins)).transpose()?.unwrap_or_default();
    let own = |name: &str| if name == "HOME" || VARIABLES.contains(&name) { variable(name) } else { None };
    let seen = Config::resolve(given.line.options.or(file), own)?;
    Config { origins, ..seen }.with_named_keys()
}

/// Returns the flags in `text`, a file that starts the program for `manager`.
pub(super) fn flags(manager: ServiceManager, text: &str) -> Vec<String> {
    let words = match manager {
        ServiceManager::Systemd => text.lines().find_map(|line| line.strip_prefix("ExecStart=")).map(words),
        ServiceManager::Launchd => {
            let element = |line: &str| Some(plain(line.trim().strip_prefix("<string>")?.strip_suffix("</string>")?));
            Some(text.lines().filter_map(element).collect())
        }
        ServiceManager::TaskScheduler => {
            let arguments = text.lines().find_map(|line| line.trim().strip_prefix("<Arguments>"));
            arguments.map(|line| plain(line).split('"').map(str::to_owned).collect())
        }
    };
    let is_flag = |word: &String| word.starts_with("--") && word.contains('=');
    words.unwrap_or_default().into_iter().filter(is_flag).collect()
}

/// Returns the first address in `text`, a unit of a socket.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    text.lines().find_map(|line| line.strip_prefix("ListenStream=")?.parse().ok())
}

/// Splits a command line of systemd's, as `quoted` wrote its words.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
            '\\' => word.extend(letters.next()),
            '%' | '$' if letters.peek() == Some(&letter) => word.extend(letters.next()),
            letter => word.push(letter),
        }
    }
    words.push(word);
    words
}

/// Reads what `escaped` wrote.
fn plain(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
}
