//! Writing a tool's settings, and taking them out again.
//!
//! * The file as it was before the first write is kept beside it, as `FILE.codex-proxy-backup`, until a removal has restored it.
//!   Where there was none, the backup says so: otherwise a second write would take the first one's text for the user's.
//! * A link is followed, and stays one. Nothing is written into a file that is read-only, or a link to nothing.
//! * Nothing is written unless something changes.
//! * A value in a place with this program's name that leads elsewhere is the user's, and stays.
//! * A byte order mark, which some editors of Windows put there, stays.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::setup::change::{Rule, SettingsFile};
use crate::cli::setup::edit::{self, Difference};
use crate::files::read;
use crate::files::replace::{Readers, is_read_only, replace};

/// What became of a file.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// Nothing had to be done. With values that were left as they are.
    Same(Vec<Difference>),
    /// It was written.
    Written {
        /// What changed.
        differences: Vec<Difference>,
        /// The path of the file as it was before the first write, if there was one.
        backup: Option<PathBuf>,
    },
    /// There was nothing to take out.
    Absent,
    /// The place with this program's name, of which this is the path, has a value that was not written by it: it stays.
    Foreign(String),
    /// What was added is taken out; the backup, if one with other contents is left.
    TakenOut(Option<PathBuf>),
    /// What was added was all there was: the file is gone.
    Deleted,
}

/// Puts the changes of `file` into it. The error is a predicate, with the file as its subject. `is_own` tells an address of this
/// proxy; its second argument is whether a backup says that one was written before, perhaps with another port.
pub(super) fn write(file: &SettingsFile, is_own: impl Fn(&Value, bool) -> bool) -> Result<Outcome, String> {
    let path = real_path(&file.path)?;
    let found = read(&path)?;
    let (mark, before) = unmarked(found.as_deref().unwrap_or(file.blank));
    let (after, differences) = edit::merge(file.format, before, &file.changes).map_err(untouched)?;
    let after = format!("{mark}{after}");
    if found.as_deref() == Some(after.as_str()) {
        return Ok(Outcome::Same(differences));
    }
    let backup = backup_of(&path);
    if let Some(text) = &found {
        check_writable(&path)?;
        // One that is there is older, and as good: unless everything was taken out by hand since.
        let has_backup = backup.exists();
        let is_new = !edit::holds(file.format, before, &file.changes, |value| is_own(value, has_backup))
            || !edit::foreign(file.format, before, &file.changes, has_backup, |value| is_own(value, true)).is_empty();
        if is_new || !has_backup {
            copy(&path, &backup, text)?;
        }
    } else if !backup.exists() {
        replace(&backup, NONE_BEFORE, Readers::Owner).map_err(|error| unkept(&backup, &error))?;
    }
    let kept = read(&backup)?.is_some_and(|kept| kept != NONE_BEFORE).then_some(backup);
    let has_key = file.changes.iter().any(|change| change.rule == Rule::Secret);
    let readers = if has_key { Readers::Owner } else { Readers::AsBefore };
    replace(&path, &after, readers).map_err(|error| unwritable(&error))?;
    Ok(Outcome::Written { differences, backup: kept })
}

/// Takes the changes of `file` out of it. The error is a predicate, with the file as its subject.
pub(super) fn take_out(file: &SettingsFile, is_own: impl Fn(&Value, bool) -> bool) -> Result<Outcome, String> {
    let path = real_path(&file.path)?;
    let backup = backup_of(&path);
    let (saved, was_made) = match read(&backup)? {
        Some(text) if text == NONE_BEFORE => (None, true),
        saved => (saved, false),
    };
    let Some(text) = read(&path)? else {
        forget(&backup, was_made)?;
        return Ok(Outcome::Absent);
    };
    let (mark, text) = unmarked(&text);
    edit::check(file.format, text).map_err(untouched)?;
    let was_written = was_made || saved.is_some();
    let foreign = edit::foreign(file.format, text, &file.changes, was_written, |value| is_own(value, true));
    // What names a provider belongs to it.
    if let Some(first) = foreign.first().filter(|_| edit::leads_to(&foreign, |value| is_own(value, true))) {
        return Ok(Outcome::Foreign(first.path.join(".")));
    }
    let changes: Vec<_> = file
        .changes
        .iter()
        .filter(|change| !foreign.iter().any(|foreign| foreign.path == change.path))
        .cloned()
        .collect();
    if !edit::holds(file.format, text, &changes, |value| is_own(value, was_written)) {
        if let Some(first) = foreign.first() {
            return Ok(Outcome::Foreign(first.path.join(".")));
        }
        forget(&backup, was_made)?;
        return Ok(Outcome::Absent);
    }
    // One that leads to this very address says nothing of how it was before. Another server's is the user's, on this machine
    // too.
    let is_of_user = |saved: &&str| !edit::is_ours(file.format, saved, &changes, |value| is_own(value, false));
    let original = saved.as_deref().map(|saved| unmarked(saved).1).filter(is_of_user);
    let original = if was_made { Some("") } else { original };
    let after = edit::take_out(file.format, text, &changes, original).map_err(untouched)?;
    check_writable(&path)?;
    let is_all = ["", "{}", file.blank.trim()].contains(&after.trim());
    if saved.is_none() && is_all {
        fs::remove_file(&path).map_err(|error| unwritable(&error))?;
        forget(&backup, was_made)?;
        return Ok(Outcome::Deleted);
    }
    let after = format!("{mark}{after}");
    replace(&path, &after, Readers::AsBefore).map_err(|error| unwritable(&error))?;
    forget(&backup, was_made)?;
    if saved.as_deref() == Some(after.as_str()) {
        // It has the rights that the file had before a key was in it.
        let rights = fs::metadata(&backup).map(|metadata| metadata.permissions());
        let restored =
            rights.and_then(|rights| fs::set_permissions(&path, rights)).and_then(|()| fs::remove_file(&backup));
        restored.map_err(|error| unwritable(&error))?;
        return Ok(Outcome::TakenOut(None));
    }
    Ok(Outcome::TakenOut(saved.map(|_| backup)))
}

/// Removes a backup that only said that there was no file.
fn forget(backup: &Path, was_made: bool) -> Result<(), String> {
    if was_made { fs::remove_file(backup).map_err(|error| unwritable(&error)) } else { Ok(()) }
}

/// The file that `path` leads to.
fn real_path(path: &Path) -> Result<PathBuf, String> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        return fs::canonicalize(path).map_err(|_| untouched("is a link to a file that is not there"));
    }
    Ok(path.to_owned())
}

fn read(path: &Path) -> Result<Option<String>, String> {
    match read::regular_text(path, LARGEST) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(untouched("is no file")),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(untouched("is larger than 16 MiB")),
        Err(error) => Err(untouched(format!("cannot be read: {error}"))),
    }
}

/// Splits a byte order mark off, which no parser of settings takes.
fn unmarked(text: &str) -> (&str, &str) {
    text.split_at(if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 })
}

fn check_writable(path: &Path) -> Result<(), String> {
    if fs::metadata(path).is_ok_and(|metadata| is_read_only(&metadata)) {
        return Err(untouched("is read-only, as a file is that another program manages"));
    }
    Ok(())
}

/// Keeps `text` at `backup`, as private as the file at `path`.
fn copy(path: &Path, backup: &Path, text: &str) -> Result<(), String> {
    let failed = |error: io::Error| unkept(backup, &error);
    replace(backup, text, Readers::AsBefore).map_err(failed)?;
    let rights = fs::metadata(path).map_err(failed)?.permissions();
    fs::set_permissions(backup, rights).map_err(failed)
}

fn unkept(backup: &Path, error: &io::Error) -> String {
    untouched(format!("could not be kept as {}: {error}", backup.display()))
}

fn backup_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".codex-proxy-backup");
    name.into()
}

fn untouched(problem: impl std::fmt::Display) -> String {
    format!("{problem}; nothing was changed")
}

fn unwritable(error: &io::Error) -> String {
    format!("cannot be written: {error}")
}

/// The backup of a file that was not there before the first write.
const NONE_BEFORE: &str = "codex-proxy setup made the file beside this one; there was none before.\n";
/// More than any settings file has.
pub(in crate::cli::setup) const LARGEST: u64 = 16 << 20;
