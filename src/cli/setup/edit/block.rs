//! YAML that is kept by not being read: what is added is a block of lines between two comments, at the top of the file.
//!
//! * It is added only where it cannot change the meaning of the rest: the file must be a plain list or mapping from its first
//!   line on, in one document, without directives.
//! * A key that the file has already is not added twice. If it has another value there and must have this one, nothing is
//!   written.

use serde_json::Value;

use crate::cli::setup::change::{Change, Rule};

/// Adds the block of `changes` to `text`, or renews it. Also returns the changes that are new there, and those that are left out
/// because the file has the key already.
pub(super) fn merge<'c>(text: &str, changes: &'c [Change]) -> Result<Merged<'c>, String> {
    let (before, rest) = parts(text)?;
    let user = format!("{before}{rest}");
    check(&user, changes)?;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let (mut block, mut added, mut kept) = (vec![BEGIN.to_owned()], Vec::new(), Vec::new());
    for change in changes {
        match change.path.first().and_then(|key| line_of(&user, key)) {
            Some((_, value)) if matches!(change.rule, Rule::Preset | Rule::Key) => {
                kept.push((change, value.to_owned()));
            }
            Some((line, _)) => {
                return Err(format!("sets {} itself in line {line}; take it out there first", change.path.join(".")));
            }
            None => {
                let own = lines(change);
                if own.iter().any(|line| position(text, line).is_none()) {
                    added.push(change);
                }
                block.extend(own);
            }
        }
    }
    block.push(END.to_owned());
    Ok(Merged { text: format!("{before}{}{newline}{rest}", block.join(newline)), added, kept })
}

/// A text with the block.
pub(super) struct Merged<'c> {
    pub(super) text: String,
    /// The changes that are new in it.
    pub(super) added: Vec<&'c Change>,
    /// The changes whose keys the file has already, with their values.
    pub(super) kept: Vec<(&'c Change, String)>,
}

/// Takes the block out of `text`.
pub(super) fn take_out(text: &str) -> Result<String, String> {
    parts(text).map(|(before, rest)| format!("{before}{rest}"))
}

/// Whether `text` holds the block.
pub(super) fn holds(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == BEGIN)
}

/// The lines of a new file.
pub(super) fn shown(changes: &[Change]) -> String {
    changes.iter().flat_map(lines).map(|line| line + "\n").collect()
}

/// What stands before and after the block.
fn parts(text: &str) -> Result<(&str, &str), String> {
    if !holds(text) {
        return Ok(("", text));
    }
    let Some(start) = position(text, BEGIN) else { return Ok(("", text)) };
    let (before, block) = text.split_at(start);
    let end = position(block, END).ok_or_else(|| format!("has the line {BEGIN:?} without {END:?} after it"))?;
    let after = block.get(end..).and_then(|rest| rest.split_once('\n')).map_or("", |(_, after)| after);
    Ok((before, after))
}

/// Where the line `wanted` begins.
fn position(text: &str, wanted: &str) -> Option<usize> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == wanted {
            return Some(start);
        }
        start += line.len();
    }
    None
}

/// Whether the rest keeps its meaning with a block above it.
fn check(user: &str, changes: &[Change]) -> Result<(), String> {
    let is_list = changes.iter().any(|change| change.path.is_empty());
    let content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    for (number, line) in (1..).zip(user.lines()) {
        if line.starts_with("---") || line.starts_with("...") || line.starts_with(['%', '\t', '\u{feff}']) {
            return Err(format!("has a line {number} with which nothing can be added above it safely"));
        }
    }
    let first = (1..).zip(user.lines()).find(|(_, line)| content(line));
    let Some((number, line)) = first else { return Ok(()) };
    let is_key = line.split_once(':').is_some_and(|(key, rest)| {
        !key.is_empty() && key.chars().all(is_key_letter) && (rest.is_empty() || rest.starts_with([' ', '\r']))
    });
    let is_item = line.starts_with("- ") || line.trim_end() == "-";
    if if is_list { is_item } else { is_key } {
        return Ok(());
    }
    let kind = if is_list { "list" } else { "mapping" };
    Err(format!("is no plain {kind} from line {number} on"))
}

/// The line in which `text` sets the root's `key`, and its value.
fn line_of<'t>(text: &'t str, key: &str) -> Option<(usize, &'t str)> {
    let mut found = (1..).zip(text.lines());
    found.find_map(|(number, line)| {
        let (name, value) = line.split_once(':')?;
        (name.replace('_', "-") == key).then_some((number, value.trim()))
    })
}

fn is_key_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')
}

/// A change as lines of YAML, of which JSON's texts and lists are a part.
fn lines(change: &Change) -> Vec<String> {
    match (change.path.first(), &change.value) {
        (Some(key), value) => vec![format!("{key}: {value}")],
        (None, Value::Array(items)) => items.iter().flat_map(item).collect(),
        (None, value) => vec![value.to_string()],
    }
}

/// An object as an item of a list.
fn item(value: &Value) -> Vec<String> {
    let members = value.as_object().into_iter().flatten();
    members
        .enumerate()
        .map(|(index, (key, value))| format!("{}{key}: {value}", if index == 0 { "- " } else { "  " }))
        .collect()
}

const BEGIN: &str = "# codex-proxy setup: begin (renewed by --write, taken out by --remove)";
const END: &str = "# codex-proxy setup: end";
