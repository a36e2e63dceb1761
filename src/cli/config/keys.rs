//! API keys from a file or from standard input.
//!
//! * One key per line; blank lines and lines that begin with `#` are skipped.

use std::io::Read as _;
use std::path::Path;

use crate::cli::error::CliError;
use crate::files::{read, trust};

/// Reads the keys in the file at `path`, or in standard input if `path` is `-`. Returns at least one.
pub(in crate::cli) fn read(path: &Path) -> Result<Vec<String>, CliError> {
    let text = if path == Path::new("-") { read_input() } else { read_file(path) };
    let text = text.map_err(|problem| CliError::Option { option: OPTION.to_owned(), problem })?;
    let keys = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<_> = keys.map(str::to_owned).collect();
    if keys.is_empty() {
        let problem = format!("there is no key in {}", path.display());
        return Err(CliError::Option { option: OPTION.to_owned(), problem });
    }
    Ok(keys)
}

fn read_input() -> Result<String, String> {
    let mut text = String::new();
    let read = std::io::stdin().take(LARGEST).read_to_string(&mut text);
    read.map(|_| text).map_err(|error| format!("cannot read standard input: {error}"))
}

fn read_file(path: &Path) -> Result<String, String> {
    trust::check_owner(path).map_err(|problem| format!("{} {problem}", path.display()))?;
    let text = read::named_text(path, LARGEST).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if let Some(warning) = trust::exposure(path) {
        tracing::warn!("{warning}");
    }
    Ok(text)
}

const OPTION: &str = "--api-key-file";
/// More bytes than any list of keys has.
const LARGEST: u64 = 1 << 20;
