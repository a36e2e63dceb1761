//! API keys from a file or from standard input.
//!
//! * One key per line; blank lines and lines that begin with `#` are skipped.

use std::io::Read as _;
use std::path::Path;

use crate::cli::error::CliError;
use crate::files::{read, trust};

/// Reads the keys in the file at `path`, or in standard input if `path` is `-`. Returns at least one.
pub(in crate::cli) fn read(path: &Path) -> Result<Vec<String>, CliError> {
    let text = if path == Path::new("-") { read_input() } else { read_file(path) }?;
    let keys =
        read::without_mark(&text).lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<_> = keys.map(str::to_owned).collect();
    if keys.is_empty() {
        let problem = format!("there is no key in {}", path.display());
        return Err(CliError::Option { option: OPTION.to_owned(), problem });
    }
    Ok(keys)
}

fn read_input() -> Result<String, CliError> {
    let mut text = String::new();
    match std::io::stdin().take(LARGEST).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(unreadable(Path::new("standard input"), error)),
    }
}

fn read_file(path: &Path) -> Result<String, CliError> {
    let not_trusted =
        |problem| CliError::Option { option: OPTION.to_owned(), problem: format!("{} {problem}", path.display()) };
    trust::check_owner(path).map_err(not_trusted)?;
    let text = read::named_text(path, LARGEST).map_err(|error| unreadable(path, error))?;
    if let Some(warning) = trust::exposure(path) {
        tracing::warn!("{warning}");
    }
    Ok(text)
}

fn unreadable(path: &Path, error: std::io::Error) -> CliError {
    CliError::File { option: OPTION.to_owned(), path: path.to_owned(), error }
}

const OPTION: &str = "--api-key-file";
/// More bytes than any list of keys has.
const LARGEST: u64 = 1 << 20;
