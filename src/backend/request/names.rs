//! Names of tools that the backend refuses, and their replacements.
//!
//! * The backend accepts up to 64 letters, digits, `_` and `-`. Tools of MCP servers have dots, slashes and longer
//!   names (openai/codex#1289, openai/codex#8174).
//! * The replacement is the beginning of the name and a piece of its hash: the same on every turn, and unlike any other
//!   name of the request.
//! * A call in the answer gets its own name back. A request without such names has no table and no cost.
//! * A call in the history with an empty name, which the backend refuses too (diegosouzapw/OmniRoute#346), is sent
//!   under a name that says so; no call ever uses that name.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use memchr::memchr_iter;
use sha2::{Digest as _, Sha256};

use crate::backend::request::call_id::hex;
use crate::json::{ObjectWriter, Text};

/// The replaced names and their replacements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolNames {
    /// The replacement by the client's name.
    sent: HashMap<Arc<str>, Arc<str>>,
    /// The client's name by the replacement.
    own: HashMap<Arc<str>, Arc<str>>,
}

impl ToolNames {
    /// Creates the table for a request with `names`, decoded or not, in this order; `None` if each can be sent
    /// unchanged.
    pub(crate) fn of<'n>(names: &(impl Fn(&mut dyn FnMut(Text<'n>)) + ?Sized)) -> Option<Self> {
        let mut all_fit = true;
        names(&mut |name| all_fit &= fits(name));
        if all_fit {
            return None;
        }
        // A name that must be replaced is never given to another tool, so it need not be reserved.
        let (mut taken, mut others) = (HashSet::new(), Vec::new());
        names(&mut |name| {
            if fits(name) {
                taken.insert(name.decode());
            } else {
                others.push(name);
            }
        });
        // Growing step by step would hash a million names once more; most of them may be the same one, though.
        let room = || HashMap::with_capacity(others.len());
        let mut table = Self { sent: room(), own: room() };
        for name in &others {
            table.add(&name.decode(), &mut taken);
        }
        table.sent.shrink_to_fit();
        table.own.shrink_to_fit();
        Some(table)
    }

    fn add(&mut self, name: &str, taken: &mut HashSet<Cow<'_, str>>) {
        if self.sent.contains_key(name) {
            return;
        }
        let is_free =
            |candidate: &String| !taken.contains(candidate.as_str()) && !self.own.contains_key(candidate.as_str());
        let Some(sent) = { short(name) }.find(is_free) else { return };
        let (name, sent) = (Arc::<str>::from(name), Arc::<str>::from(sent));
        if name.is_empty() {
            taken.insert(Cow::Owned(sent.as_ref().to_owned()));
        } else {
            self.own.insert(Arc::clone(&sent), Arc::clone(&name));
        }
        self.sent.insert(name, sent);
    }

    /// Returns the client's name for a tool that is sent as `sent`, if they differ.
    pub fn own(&self, sent: &str) -> Option<&str> {
        self.own.get(sent).map(AsRef::as_ref)
    }

    /// Returns whether a replacement occurs in `json` as a string of its own. The text is walked once for any number of
    /// names.
    pub(crate) fn are_in(&self, json: &[u8]) -> bool {
        let mut start = 0;
        memchr_iter(b'"', json).any(|quote| {
            let between = json.get(start..quote).unwrap_or_default();
            start = quote + 1;
            let has_digest = between.len() <= LONGEST && between.iter().rev().nth(DIGEST) == Some(&b'_');
            has_digest && str::from_utf8(between).is_ok_and(|name| self.own.contains_key(name))
        })
    }

    /// Returns the replacement for the client's `name`, if there is one.
    fn sent(&self, name: Text<'_>) -> Option<&str> {
        self.sent.get(name.decode().as_ref()).map(AsRef::as_ref)
    }
}

/// Writes `name` under the key `name`, or its replacement in `names`.
pub(crate) fn write_name(name: Text<'_>, names: Option<&ToolNames>, object: &mut ObjectWriter<'_>) {
    match names.and_then(|names| names.sent(name)) {
        Some(sent) => object.string("name", sent),
        None => object.text("name", name),
    };
}

/// Returns the name by which the model knows the tool `name`, escaped, provided that no other tool of the request has
/// taken it.
pub(crate) fn sent_name(name: Text<'_>) -> Cow<'_, str> {
    if fits(name) { Cow::Borrowed(name.escaped()) } else { short(&name.decode()).next().unwrap_or_default().into() }
}

/// Returns whether the backend accepts `name`.
fn fits(name: Text<'_>) -> bool {
    let is_fit = |name: &str| {
        (1..=LONGEST).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    is_fit(name.escaped()) || (name.escaped().contains('\\') && is_fit(&name.decode()))
}

/// Generates replacements: the beginning of `name`, and a different piece of its hash each time. The name is hashed
/// once for any number of taken replacements.
fn short(name: &str) -> impl Iterator<Item = String> {
    let word = |character: char| if character.is_ascii_alphanumeric() || character == '-' { character } else { '_' };
    let mut beginning: String = name.chars().take(LONGEST - DIGEST - 1).map(word).collect();
    if !beginning.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        beginning.clear();
        beginning += if name.is_empty() { "unnamed" } else { "tool" };
    }
    let hash = Sha256::new_with_prefix(name.as_bytes());
    (0_u32..).map(move |time| {
        let mut hash = hash.clone();
        if time > 0 {
            hash.update(time.to_le_bytes());
        }
        let digest = hash.finalize();
        format!("{beginning}_{}", hex(digest.get(..DIGEST / 2).unwrap_or_default()))
    })
}

/// The longest name that the backend accepts.
const LONGEST: usize = 64;
/// The hexadecimal digits that distinguish two names.
const DIGEST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&'static str]) -> Option<ToolNames> {
        ToolNames::of(&|each: &mut dyn FnMut(Text<'static>)| {
            names.iter().for_each(|name| each(Text::from_escaped(name)));
        })
    }

    #[test]
    fn names_that_fit_need_no_table() {
        assert_eq!(table(&[]), None);
        assert_eq!(table(&["get_weather", "a-b", "X9", r"\u0061"]), None);
    }

    #[test]
    fn other_names_are_told_apart_and_come_back() {
        let long = "mcp__server__".repeat(6);
        let longer = format!("{long}x");
        let names: [&'static str; 6] = ["a.b", "a/b", "a b", "погода", long.leak(), longer.leak()];
        let table = table(&names).unwrap();
        let mut seen = HashSet::new();
        for name in names {
            let sent = table.sent(Text::from_escaped(name)).unwrap();
            assert!(fits(Text::from_escaped(sent)), "{sent}");
            assert!(seen.insert(sent.to_owned()), "{sent}");
            assert_eq!(table.own(sent), Some(name));
        }
        assert!(table.sent(Text::from_escaped("a.b")).unwrap().starts_with("a_b_"));
        assert_eq!(table.sent(Text::from_escaped(r"a\u002eb")), table.sent(Text::from_escaped("a.b")));
    }

    #[test]
    fn names_that_are_sent_are_found_where_they_are_whole() {
        let table = table(&["a.b", "c.d"]).unwrap();
        let sent = table.sent(Text::from_escaped("c.d")).unwrap();
        for (json, is_in) in [
            (format!(r#"{{"name":"{sent}"}}"#), true),
            (format!(r#"{{"\"":"\\","name":"{sent}","x":1}}"#), true),
            (format!(r#"{{"text":"call {sent} now"}}"#), false),
            (format!(r#"{{"name":"x{sent}"}}"#), false),
            (r#"{"name":"c.d"}"#.to_owned(), false),
            (sent.to_owned(), false),
        ] {
            assert_eq!(table.are_in(json.as_bytes()), is_in, "{json}");
        }
    }

    #[test]
    fn a_name_that_is_taken_is_not_given() {
        let alone = table(&["a.b"]).unwrap().sent(Text::from_escaped("a.b")).unwrap().to_owned();
        let both = table(&["a.b", alone.clone().leak()]).unwrap();
        let sent = both.sent(Text::from_escaped("a.b")).unwrap();
        assert_ne!(sent, alone);
        assert_eq!((both.own(sent), both.own(&alone)), (Some("a.b"), None));
    }

    #[test]
    fn an_empty_name_is_sent_as_one_and_never_comes_back() {
        let table = table(&[""]).unwrap();
        let sent = table.sent(Text::EMPTY).unwrap();
        assert!(sent.starts_with("unnamed_"));
        assert_eq!(table.own(sent), None);
    }
}
