//! Changes in a file of somebody else's: exactly what is named, and nothing beside it.
//!
//! * [`json`] and [`toml`] change values in a text and keep the rest of it; [`block`] adds lines to YAML.
//! * What was changed is told value by value, [`Difference`].
//! * A removal takes out what was added and puts back what was replaced, as it stands in the file's backup.

mod block;
mod json;
#[cfg(test)]
mod tests;
mod toml;

use serde_json::Value;

use crate::cli::setup::change::{Change, Format, Rule};
use crate::cli::setup::edit::json::JsonText;
use crate::cli::setup::edit::toml::TomlText;
use crate::cli::setup::facts::is_placeholder;

/// A text of settings in which values can be changed by their paths.
trait Document: Sized {
    /// The whole text.
    fn text(&self) -> String;
    /// The value at `path`.
    fn value(&self, path: &[&str]) -> Option<Value>;
    /// Puts `value` at `path`, with the objects above it; an error if one of these is something else.
    fn set(&mut self, path: &[&str], value: &Value) -> Result<(), String>;
    /// Takes the value at `path` out.
    fn remove(&mut self, path: &[&str]);
    /// Puts the value that `original` has at `path` there, in its form.
    fn put_back(&mut self, path: &[&str], original: &Self) -> Result<(), String>;
    /// Whether an object stands at `path` that holds nothing, not even a comment.
    fn is_bare(&self, path: &[&str]) -> bool;
}

/// One difference between two texts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Difference {
    /// A value that was not there.
    Added(String, Value),
    /// A value in the place of another one.
    Changed(String, Value, Value),
    /// A value that was left as it is in the place of one that was to be set.
    Kept(String, Value),
}

/// Returns `text` with `changes`, and what they change.
pub(super) fn merge(format: Format, text: &str, changes: &[Change]) -> Result<(String, Vec<Difference>), String> {
    let mut told = Vec::new();
    let merged = match format {
        Format::Json | Format::Jsonc => {
            merge_into(JsonText::parse(text, format == Format::Jsonc)?, changes, &mut told)?
        }
        Format::Toml => merge_into(TomlText::parse(text)?, changes, &mut told)?,
        Format::Yaml => {
            let merged = block::merge(text, changes)?;
            let added =
                |change: &&Change| Difference::Added(change.path.join("."), shadow(change, change.value.clone()));
            told.extend(merged.added.iter().map(added));
            let kept = |(change, value): &(&Change, String)| {
                Difference::Kept(change.path.join("."), shadow(change, value.trim_matches(['"', '\'']).into()))
            };
            told.extend(merged.kept.iter().map(kept));
            merged.text
        }
    };
    Ok((merged, told))
}

/// Returns `text` without `changes`, and with the values of `original` in their places. Without an original nothing is known
/// of a key that is no placeholder: it may be the user's.
pub(super) fn take_out(
    format: Format,
    text: &str,
    changes: &[Change],
    original: Option<&str>,
) -> Result<String, String> {
    // What was written into that very text, and has not been touched since, is taken out to the last byte.
    if let Some(original) = original
        && merge(format, original, changes).is_ok_and(|(merged, _)| merged == text)
    {
        return Ok(original.to_owned());
    }
    match format {
        Format::Json | Format::Jsonc => {
            let parse = |text: &str| JsonText::parse(text, format == Format::Jsonc);
            take_out_of(parse(text)?, changes, original.map(parse).transpose()?.as_ref())
        }
        Format::Toml => {
            take_out_of(TomlText::parse(text)?, changes, original.map(TomlText::parse).transpose()?.as_ref())
        }
        Format::Yaml => block::take_out(text),
    }
}

/// Returns what is wrong with `text`, if it cannot be changed.
pub(super) fn check(format: Format, text: &str) -> Result<(), String> {
    match format {
        Format::Json | Format::Jsonc => JsonText::parse(text, format == Format::Jsonc).map(|_| ()),
        Format::Toml => TomlText::parse(text).map(|_| ()),
        Format::Yaml => block::take_out(text).map(|_| ()),
    }
}

/// Returns whether `text` holds something that has to be taken out: a place with this program's name, or the address of
/// `is_own` in a replaced one.
pub(super) fn holds(format: Format, text: &str, changes: &[Change], is_own: impl Fn(&Value) -> bool) -> bool {
    any_change(
        format,
        text,
        |change, value| match change.rule {
            Rule::Own => true,
            Rule::Replace => is_own(value),
            Rule::Preset => is_own_model(value),
            Rule::Key | Rule::Secret => false,
        },
        changes,
    )
}

/// Returns the changes whose places have this program's name and a value that it has not written there: another address, or
/// other settings where no backup says that any were `written`. YAML has a block of this program's instead.
pub(super) fn foreign<'c>(
    format: Format,
    text: &str,
    changes: &'c [Change],
    written: bool,
    is_own: impl Fn(&Value) -> bool,
) -> Vec<&'c Change> {
    if format == Format::Yaml {
        return Vec::new();
    }
    let is_it =
        |change: &Change, value: &Value| change.rule == Rule::Own && is_foreign(change, value, written, &is_own);
    changes.iter().filter(|change| any_change(format, text, is_it, std::slice::from_ref(*change))).collect()
}

/// Returns whether one of `changes` writes an address of `is_own`.
pub(super) fn leads_to(changes: &[&Change], is_own: impl Fn(&Value) -> bool) -> bool {
    changes.iter().any(|change| any_leaf(&change.value, &is_own))
}

fn is_foreign(change: &Change, found: &Value, written: bool, is_own: &impl Fn(&Value) -> bool) -> bool {
    let is_alike = match (written, any_leaf(&change.value, is_own)) {
        (true, false) => true,
        (true, true) => any_leaf(found, is_own),
        (false, false) => *found == change.value,
        (false, true) => is_alike(found, &change.value, is_own),
    };
    !is_alike
}

/// Returns whether `found` could have been written as `written` is, by another version or for another address of `is_own`.
/// The models come and go, and a key is not always among the settings.
fn is_alike(found: &Value, written: &Value, is_own: &impl Fn(&Value) -> bool) -> bool {
    match (found, written) {
        (Value::Object(found), Value::Object(written)) => {
            let is_known = |key: &String| written.contains_key(key) || KEYS.contains(&key.as_str());
            let is_as_written = |(key, value): (&String, &Value)| match found.get(key) {
                None => !any_leaf(value, is_own),
                Some(found) if !(value.is_object() || value.is_array()) || any_leaf(value, is_own) => {
                    is_alike(found, value, is_own)
                }
                Some(_) => true,
            };
            found.keys().all(is_known) && written.iter().all(is_as_written)
        }
        (found, written) if is_own(written) => is_own(found),
        (found, written) => found == written,
    }
}

/// Returns whether `text` leads to the address of `is_own`, in a replaced place or one with this program's name.
pub(super) fn is_ours(format: Format, text: &str, changes: &[Change], is_own: impl Fn(&Value) -> bool) -> bool {
    any_change(
        format,
        text,
        |change, value| match change.rule {
            Rule::Own => any_leaf(value, &is_own),
            Rule::Replace => is_own(value),
            Rule::Preset | Rule::Key | Rule::Secret => false,
        },
        changes,
    )
}

/// Returns whether `is_it` holds for one of `changes` and the value that `text` has in its place. YAML has a block of this
/// program's instead.
fn any_change(format: Format, text: &str, is_it: impl Fn(&Change, &Value) -> bool, changes: &[Change]) -> bool {
    fn found<D: Document>(document: &D, is_it: impl Fn(&Change, &Value) -> bool, changes: &[Change]) -> bool {
        changes.iter().any(|change| document.value(&keys(change)).is_some_and(|value| is_it(change, &value)))
    }
    match format {
        Format::Json | Format::Jsonc => {
            JsonText::parse(text, format == Format::Jsonc).is_ok_and(|document| found(&document, is_it, changes))
        }
        Format::Toml => TomlText::parse(text).is_ok_and(|document| found(&document, is_it, changes)),
        Format::Yaml => block::holds(text),
    }
}

fn any_leaf(value: &Value, is_it: &impl Fn(&Value) -> bool) -> bool {
    match value {
        Value::Object(members) => members.values().any(|value| any_leaf(value, is_it)),
        Value::Array(elements) => elements.iter().any(|value| any_leaf(value, is_it)),
        leaf => is_it(leaf),
    }
}

/// Returns the value at `path` of a JSON text, if that can be read.
pub(super) fn value_in(text: &str, path: &[&str]) -> Option<Value> {
    JsonText::parse(text, true).ok()?.value(path)
}

/// Returns `value` as lines for people.
pub(super) fn lines(value: &Value) -> String {
    json::laid_out(value, "  ", "\n")
}

/// Returns a new file with `changes`, as it is shown.
pub(super) fn shown(format: Format, blank: &str, changes: &[Change]) -> Result<String, String> {
    if format == Format::Yaml { Ok(block::shown(changes)) } else { Ok(merge(format, blank, changes)?.0) }
}

fn merge_into<D: Document>(mut document: D, changes: &[Change], told: &mut Vec<Difference>) -> Result<String, String> {
    for change in changes {
        let is_kept = match (change.rule, document.value(&keys(change))) {
            (Rule::Preset, Some(found)) => Some(found),
            (Rule::Key, Some(found)) => Some(found).filter(|found| !found.as_str().is_some_and(is_placeholder)),
            (Rule::Own | Rule::Replace | Rule::Secret, _) | (Rule::Preset | Rule::Key, None) => None,
        };
        match is_kept {
            Some(found) if found == change.value => {}
            Some(found) => told.push(Difference::Kept(change.path.join("."), shadow(change, found))),
            None => write(&mut document, &keys(change), &change.value, &mut |path, before, after| {
                let after = shadow(change, after.clone());
                told.push(match before {
                    None => Difference::Added(path, after),
                    Some(before) => Difference::Changed(path, shadow(change, before), after),
                });
            })?,
        }
    }
    Ok(document.text())
}

/// Puts `value` at `path`, key by key where both are objects, and tells each difference.
fn write<D: Document>(
    document: &mut D,
    path: &[&str],
    value: &Value,
    tell: &mut impl FnMut(String, Option<Value>, &Value),
) -> Result<(), String> {
    let before = document.value(path);
    if let (Some(Value::Object(_)), Value::Object(members)) = (&before, value) {
        for (key, value) in members {
            write(document, &[path, &[key.as_str()]].concat(), value, tell)?;
        }
    } else if before.as_ref() != Some(value) {
        document.set(path, value)?;
        tell(path.join("."), before, value);
    }
    Ok(())
}

fn take_out_of<D: Document>(mut document: D, changes: &[Change], original: Option<&D>) -> Result<String, String> {
    for change in changes.iter().rev() {
        let path = keys(change);
        let Some(found) = document.value(&path) else { continue };
        let replaced = original.filter(|original| original.value(&path).is_some());
        let is_own = match change.rule {
            Rule::Preset => replaced.is_none() && (found == change.value || is_own_model(&found)),
            Rule::Key => original.is_some() || found == change.value || found.as_str().is_some_and(is_placeholder),
            Rule::Own | Rule::Replace | Rule::Secret => true,
        };
        match replaced {
            Some(original) if is_own => document.put_back(&path, original)?,
            None if is_own => document.remove(&path),
            Some(_) | None => {}
        }
        // The objects above it that were made for it.
        let mut parents = path.as_slice();
        while let Some((_, above)) = parents.split_last() {
            parents = above;
            let was_there = original.is_some_and(|original| original.value(parents).is_some());
            if document.is_bare(parents) && !was_there {
                document.remove(parents);
            }
        }
    }
    Ok(document.text())
}

/// What a listing may show of `value`.
fn shadow(change: &Change, value: Value) -> Value {
    match change.rule {
        Rule::Secret => "***".into(),
        Rule::Key if !value.as_str().is_some_and(is_placeholder) => "***".into(),
        Rule::Own | Rule::Preset | Rule::Replace | Rule::Key => value,
    }
}

fn keys(change: &Change) -> Vec<&str> {
    change.path.iter().map(String::as_str).collect()
}

/// Whether `value` names a model of the provider that this program is in a tool's settings.
fn is_own_model(value: &Value) -> bool {
    value.as_str().is_some_and(|name| name.starts_with("codex-proxy/"))
}

/// The names under which tools keep a key, or the name of its variable.
const KEYS: [&str; 2] = ["apiKey", "env_key"];
