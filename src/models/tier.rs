//! Names of Anthropic's models: which of this backend's models stands for each.
//!
//! * A model of this backend behind `claude-` or `anthropic/` is that model: Claude Code lists only names that begin so.
//! * The words of Anthropic's tiers mean, in the order of the account's list, the first model, the second, and the smallest.
//! * Claude Code writes the size of the window behind a name, as `[1m]`; it says nothing to this backend.

use crate::models::catalogue::Model;

/// A size of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    /// The first model of the list.
    Largest,
    /// The second.
    Middle,
    /// The one whose name says that it is small, else the last.
    Smallest,
}

/// The models that an operator wants for Anthropic's; where none is named, the account's list says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tiers {
    /// For names with `opus`, and others of that size.
    pub opus: Option<String>,
    /// For names with `sonnet`.
    pub sonnet: Option<String>,
    /// For names with `haiku`.
    pub haiku: Option<String>,
}

impl Tiers {
    /// The model for `tier`, where one is named.
    pub(super) fn of(&self, tier: Tier) -> Option<&str> {
        let wanted = match tier {
            Tier::Largest => &self.opus,
            Tier::Middle => &self.sonnet,
            Tier::Smallest => &self.haiku,
        };
        wanted.as_deref().filter(|name| !name.trim().is_empty())
    }
}

impl Tier {
    /// The tier of a lower-case name.
    pub(super) fn of(name: &str) -> Option<Self> {
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if has(&["opus", "fable", "mythos"]) {
            Some(Self::Largest)
        } else if has(&["sonnet"]) {
            Some(Self::Middle)
        } else if has(&["haiku"]) {
            Some(Self::Smallest)
        } else {
            None
        }
    }

    /// Which of `models`, best first, stands for it; `None` where there is none.
    pub(super) fn choose<'m>(self, models: &[&'m Model]) -> Option<&'m Model> {
        let small = || models.iter().find(|model| SMALL.iter().any(|word| model.id.contains(word)));
        match self {
            Self::Largest => models.first(),
            Self::Middle => models.get(1).or(models.first()),
            Self::Smallest => small().or(models.last()),
        }
        .copied()
    }
}

/// `name` without the size of a window.
pub(super) fn without_window(name: &str) -> &str {
    match name.len().checked_sub(WINDOW.len()).and_then(|end| name.split_at_checked(end)) {
        Some((name, window)) if window.eq_ignore_ascii_case(WINDOW) => name,
        _ => name,
    }
}

/// What stands behind a prefix that says a name is Anthropic's.
pub(super) fn behind_prefix(name: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix))
}

const WINDOW: &str = "[1m]";
const PREFIXES: [&str; 3] = ["anthropic/claude-", "anthropic/", "claude-"];
const SMALL: [&str; 3] = ["luna", "mini", "nano"];
