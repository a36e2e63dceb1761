//! `keys`: makes, lists and removes keys with names and limits.
//!
//! * The key itself goes to stdout, alone and this once; what else there is to say goes to stderr.
//! * A running server follows the file; nothing is said to it.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::cli::config::Config;
use crate::cli::config::args::{AddKeyArguments, KeysAction};
use crate::cli::error::CliError;
use crate::cli::setup;
use crate::humanize::{instant, rfc3339};
use crate::keys::digest::KeyDigest;
use crate::keys::file;
use crate::keys::named::NamedKey;
use crate::keys::set::KeySet;
use crate::models::effort::Effort;
use crate::platform::unix_now;

/// Does `action`. What is not the result of the command goes to `notes`.
pub(super) fn run(
    config: &Config,
    action: KeysAction,
    output: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), CliError> {
    let path = config.keys_path.clone().ok_or_else(|| {
        let problem = "this user has no home directory, so there is no place for keys".to_owned();
        CliError::Option { option: "HOME".to_owned(), problem }
    })?;
    match action {
        KeysAction::Add(arguments) => add(config, &path, arguments, output, notes),
        KeysAction::List(format) => {
            let set = file::load(&path).map_err(|problem| CliError::Keys { path, problem })?;
            list(&set, format.json, output)
        }
        KeysAction::Remove(arguments) => remove(&path, &arguments.name, notes),
    }
}

fn add(
    config: &Config,
    path: &Path,
    arguments: AddKeyArguments,
    output: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), CliError> {
    check(config, &arguments)?;
    let secret = file::generate().map_err(|error| CliError::Internal(error.to_string()))?;
    let key = NamedKey {
        digest: KeyDigest::of(secret.expose().as_bytes()),
        name: arguments.name,
        models: arguments.models,
        max_effort: arguments.max_effort,
        tokens_per_day: arguments.tokens_per_day,
        requests_per_minute: arguments.requests_per_minute,
        expires_at: arguments.expires,
    };
    let unknown = unknown(config, &key.models)?;
    let is_first = change(path, |set| {
        let is_first = set.is_empty();
        set.add(key.clone()).map(|()| is_first)
    })?;
    if let Err(error) = writeln!(output, "{}", secret.expose()).and_then(|()| output.flush()) {
        // A key that nobody has seen is of no use.
        change(path, |set| Ok(set.remove(key.name.as_str())))?;
        return Err(CliError::Internal(format!("the key could not be shown, so it is removed again: {error}")));
    }
    writeln!(notes, "This is the key of {}. It is shown this once: only its SHA-256 is stored.", key.name)?;
    for name in unknown {
        writeln!(
            notes,
            "⚠️ {name:?} is no model that is known here, so the key opens none by it; see codex-proxy models"
        )?;
    }
    if is_first && !config.has_key {
        writeln!(
            notes,
            "From now on every client needs a key, on this machine too; a running server asks for it within a second, and \
             refuses tools that were set up without one."
        )?;
    }
    let flags = setup::flags(config);
    writeln!(
        notes,
        "To hand it to a tool: CODEX_PROXY_API_KEY=... codex-proxy setup {flags}opencode --write --with-key\n\
         or, for one run: CODEX_PROXY_API_KEY=... codex-proxy run {flags}opencode"
    )?;
    if key.tokens_per_day.is_some() && config.ledger_days == 0 {
        writeln!(notes, "The ledger is off, so a server counts the tokens of a day from its own start.")?;
    }
    Ok(())
}

fn change<T>(path: &Path, edit: impl FnOnce(&mut KeySet) -> Result<T, String>) -> Result<T, CliError> {
    file::change(path, edit).map_err(|problem| CliError::Keys { path: path.to_owned(), problem })
}

/// Refuses what would make a key of no use.
fn check(config: &Config, arguments: &AddKeyArguments) -> Result<(), CliError> {
    let wrong = |option: &str, problem| CliError::Option { option: option.to_owned(), problem };
    let models = config.models();
    if arguments.models.iter().any(|name| name.trim().is_empty()) {
        return Err(wrong("--models", "a name in it is empty; leave the option out to allow all models".to_owned()));
    }
    if let Some(name) = arguments.models.iter().find(|name| !models.is_known(name)) {
        let problem = format!("{name:?} is no model of this backend and no --model-alias; see codex-proxy models");
        return Err(wrong("--models", problem));
    }
    match arguments.expires.filter(|end| *end <= unix_now().as_secs()) {
        Some(end) => Err(wrong("--expires", format!("{} has passed", instant(end).unwrap_or_default()))),
        None => Ok(()),
    }
}

/// The names among `models` that a request may have, but that mean no model of the account's list as it was last known, or of
/// the built-in one: models that are not out yet, or slips.
fn unknown<'m>(config: &Config, models: &'m [String]) -> Result<Vec<&'m String>, CliError> {
    if models.is_empty() {
        return Ok(Vec::new());
    }
    let known = setup::last_known(config)?;
    let is_known = |name: &&String| {
        known.find(&known.resolve(Some(name), None).model).is_some() || !known.resolve_image(Some(name)).foreign
    };
    Ok(models.iter().filter(|name| !is_known(name)).collect())
}

fn remove(path: &Path, name: &str, notes: &mut impl Write) -> Result<(), CliError> {
    let was_last = change(path, |set| match set.remove(name) {
        true => Ok(set.is_empty()),
        false => Err(format!("there is no key {name:?}; see codex-proxy keys list")),
    })?;
    writeln!(notes, "Removed. A running server refuses the key within a second; answers under way may end.")?;
    if was_last {
        writeln!(
            notes,
            "It was the last one. A running server stays closed until it is restarted; one that starts now asks for a \
             key only if it has one of CODEX_PROXY_API_KEY or --api-key."
        )?;
    }
    Ok(())
}

fn list(set: &KeySet, json: bool, output: &mut impl Write) -> Result<(), CliError> {
    let now = unix_now().as_secs();
    let rows: Vec<_> = set.iter().map(|key| ListedKey::of(key, now)).collect();
    if json {
        let text = serde_json::to_string_pretty(&rows).map_err(|error| CliError::Internal(error.to_string()))?;
        writeln!(output, "{text}")?;
        return Ok(());
    }
    if rows.is_empty() {
        writeln!(output, "There are no named keys; codex-proxy keys add NAME makes one.")?;
        return Ok(());
    }
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default().max("name".len());
    writeln!(
        output,
        "{:width$}  {:7}  {:>10}  {:>8}  {:20}  models",
        "name", "effort", "tokens/day", "reqs/min", "expires"
    )?;
    for row in rows {
        let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let effort = row.max_effort.map_or("-", Effort::as_str);
        let (tokens, requests) = (count(row.tokens_per_day), count(row.requests_per_minute.map(u64::from)));
        let expires = match (row.expired, row.end) {
            (true, _) => "expired".to_owned(),
            (false, end) => end.and_then(instant).unwrap_or_else(|| "-".to_owned()),
        };
        let models = row.models.map_or_else(|| "all".to_owned(), |models| models.join(" "));
        writeln!(output, "{:width$}  {effort:7}  {tokens:>10}  {requests:>8}  {expires:20}  {models}", row.name)?;
    }
    Ok(())
}

/// A key as `--json` lists it: what is `null` is not limited.
#[derive(Serialize)]
struct ListedKey<'k> {
    name: &'k str,
    models: Option<&'k [String]>,
    max_effort: Option<Effort>,
    tokens_per_day: Option<u64>,
    requests_per_minute: Option<u32>,
    expires_at: Option<String>,
    expired: bool,
    #[serde(skip)]
    end: Option<u64>,
}

impl<'k> ListedKey<'k> {
    fn of(key: &'k NamedKey, now: u64) -> Self {
        Self {
            name: key.name.as_str(),
            models: Some(key.models.as_slice()).filter(|models| !models.is_empty()),
            max_effort: key.max_effort,
            tokens_per_day: key.tokens_per_day,
            requests_per_minute: key.requests_per_minute,
            expires_at: key.expires_at.and_then(rfc3339),
            expired: key.has_expired(now),
            end: key.expires_at,
        }
    }
}
