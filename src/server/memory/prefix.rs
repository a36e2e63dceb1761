//! Where a conversation's beginning has changed since its last turn.
//!
//! * The backend's cache serves a prompt up to its first difference from an earlier one. A tool that rewrites an early
//!   message on every turn pays for the whole prompt on every turn, and nothing tells it.
//! * Only hashes are kept, with a seed of this process: no text is in them, nor can it be found again.
//! * Clients use one session for side questions too. A turn that has neither the instructions nor the first message of an
//!   earlier one is such a question, and breaks nothing; the last few of a session are kept beside each other.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::backend::request::context::Outline;
use crate::server::memory::bounded::{ALLOCATION, Bounded, Charge};
use crate::server::memory::{Key, Scope};

/// The memory of the beginnings of conversations.
#[derive(Debug)]
pub(in crate::server) struct PrefixMemory {
    sessions: Bounded<Arc<Session>>,
    seed: RandomState,
}

/// The last turns of one session that do not continue each other.
#[derive(Debug)]
struct Session {
    turns: Vec<Arc<PromptHashes>>,
    _charge: Charge,
}

/// The hashes of the parts of one prompt.
#[derive(Debug, PartialEq, Eq)]
struct PromptHashes {
    /// Of model, instructions and tools.
    setup: u64,
    /// Of each message, up to [`MOST_ITEMS`].
    items: Box<[u64]>,
}

/// How a turn relates to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// It has another beginning altogether.
    None,
    /// The two share all that both have.
    Continues,
    /// They differ from here on: an index of `items`, or -1 for the setup.
    Breaks(i64),
}

impl Default for PrefixMemory {
    fn default() -> Self {
        Self { sessions: Bounded::new(MOST_BYTES), seed: RandomState::default() }
    }
}

impl PrefixMemory {
    /// Remembers a turn of the session `key`, whose prompt is in `body`. Returns where it differs from the last turn of
    /// the same conversation: see [`crate::ledger::LedgerEntry::prefix_break`].
    pub(in crate::server) fn turn(&self, scope: Scope, key: &str, body: &[u8], outline: &Outline) -> Option<i64> {
        let turn = Arc::new(self.hashes(body, outline));
        let key = self.key(scope, key);
        let session = self.sessions.recall(key);
        let mut turns = session.map_or_else(Vec::new, |session| session.turns.clone());
        let relations = turns.iter().enumerate().rev().map(|(index, earlier)| (index, earlier.relation(&turn)));
        let related = relations.filter(|(_, relation)| *relation != Relation::None).max_by_key(|(_, it)| it.rank());
        if let Some((index, _)) = related {
            turns.remove(index);
        } else if turns.len() >= MOST_TURNS {
            turns.remove(0);
        }
        turns.push(turn);
        let bytes = turns.iter().map(|turn| size_of_val(&*turn.items) + size_of::<PromptHashes>() + 2 * ALLOCATION);
        if let Some(charge) = self.sessions.charge(bytes.sum::<usize>() + 2 * ALLOCATION) {
            self.sessions.keep([(key, Arc::new(Session { turns, _charge: charge }))]);
        }
        match related {
            Some((_, Relation::Breaks(index))) => Some(index),
            Some((_, Relation::None | Relation::Continues)) | None => None,
        }
    }

    /// Returns the key of a session. A collision costs a wrong number in the ledger, so a fast seeded hash suffices: SHA-256
    /// would cost as much as all the rest.
    fn key(&self, scope: Scope, session: &str) -> Key {
        let half = |half: u8| self.seed.hash_one((half, scope, session)).to_le_bytes();
        let mut key = [0; 16];
        key[..8].copy_from_slice(&half(0));
        key[8..].copy_from_slice(&half(1));
        Key(key)
    }

    fn hashes(&self, body: &[u8], outline: &Outline) -> PromptHashes {
        let part = |start: usize, end: usize| self.seed.hash_one(body.get(start..end).unwrap_or_default());
        let Outline { items, input_end, tools_end } = outline;
        let first = items.first().copied().unwrap_or(*input_end);
        let setup = self.seed.hash_one((part(0, first), part(*input_end, *tools_end)));
        // Each item ends with the separator before the next one, the last with the array's end.
        let ends = items.iter().skip(1).copied().chain([*input_end]);
        let items = items.iter().zip(ends).take(MOST_ITEMS);
        PromptHashes { setup, items: items.map(|(start, end)| part(*start, end - 1)).collect() }
    }
}

impl PromptHashes {
    /// Compares this turn with a `later` one.
    fn relation(&self, later: &Self) -> Relation {
        let shared = self.items.iter().zip(&later.items).take_while(|(one, other)| one == other).count();
        let is_same_setup = self.setup == later.setup;
        let has_second = |turn: &Self| turn.items.get(1).copied();
        let second_is_same = has_second(self).is_some() && has_second(self) == has_second(later);
        match (is_same_setup, shared) {
            (false, 0) => Relation::None,
            (false, _) => Relation::Breaks(-1),
            (true, 0) if !second_is_same => Relation::None,
            (true, shared) if shared == self.items.len().min(later.items.len()) => Relation::Continues,
            (true, shared) => Relation::Breaks(i64::try_from(shared).unwrap_or(i64::MAX)),
        }
    }
}

impl Relation {
    /// Orders relations by what a cache can serve.
    fn rank(self) -> i64 {
        match self {
            Self::None => i64::MIN,
            Self::Breaks(index) => index,
            Self::Continues => i64::MAX,
        }
    }
}

/// Some hundred sessions of some hundred messages.
const MOST_BYTES: usize = 2 << 20;
/// The turns of one session that do not continue each other.
const MOST_TURNS: usize = 4;
/// The messages that are compared.
const MOST_ITEMS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::digest::KeyDigest;

    /// A prompt of `setup`, messages, and tools.
    fn prompt(setup: &str, items: &[&str], tools: &str) -> (Vec<u8>, Outline) {
        let mut body = format!("{setup}[").into_bytes();
        let mut starts = Vec::new();
        for item in items {
            starts.push(body.len());
            body.extend_from_slice(item.as_bytes());
            body.push(b',');
        }
        body.pop();
        body.push(b']');
        let input_end = body.len();
        body.extend_from_slice(tools.as_bytes());
        let tools_end = body.len();
        body.extend_from_slice(b"and what is no part of the prompt");
        (body, Outline { items: starts, input_end, tools_end })
    }

    fn turn(memory: &PrefixMemory, setup: &str, items: &[&str]) -> Option<i64> {
        let (body, outline) = prompt(setup, items, "tools");
        memory.turn(Scope::of(None), "session", &body, &outline)
    }

    #[test]
    fn a_conversation_that_goes_on_breaks_nothing() {
        let memory = PrefixMemory::default();
        for items in [&["a"][..], &["a", "b", "c"], &["a", "b", "c"], &["a", "b"], &["a", "b", "c", "d"]] {
            assert_eq!(turn(&memory, "m", items), None, "{items:?}");
        }
    }

    #[test]
    fn a_changed_message_is_told_by_its_index() {
        let memory = PrefixMemory::default();
        assert_eq!(turn(&memory, "m", &["a", "b", "c"]), None);
        assert_eq!(turn(&memory, "m", &["a", "b", "x", "d"]), Some(2));
        assert_eq!(turn(&memory, "m", &["a", "b", "x", "d", "e"]), None);
        assert_eq!(turn(&memory, "m", &["A", "b", "x"]), Some(0));
        assert_eq!(turn(&memory, "n", &["A", "b", "x"]), Some(-1), "other instructions");
        let (body, outline) = prompt("n", &["A", "b", "x"], "other");
        assert_eq!(memory.turn(Scope::of(None), "session", &body, &outline), Some(-1), "other tools");
    }

    #[test]
    fn a_side_question_breaks_nothing_and_is_forgotten_by_nobody() {
        let memory = PrefixMemory::default();
        assert_eq!(turn(&memory, "m", &["a", "b"]), None);
        assert_eq!(turn(&memory, "title", &["name this"]), None);
        assert_eq!(turn(&memory, "m", &["other agent", "z"]), None);
        assert_eq!(turn(&memory, "m", &["a", "b", "c"]), None);
        assert_eq!(turn(&memory, "m", &["a", "B", "c"]), Some(1));
    }

    #[test]
    fn sessions_and_scopes_are_apart() {
        let memory = PrefixMemory::default();
        let (body, outline) = prompt("m", &["a", "b"], "");
        let (other, other_outline) = prompt("m", &["a", "c"], "");
        assert_eq!(memory.turn(Scope::of(None), "one", &body, &outline), None);
        assert_eq!(memory.turn(Scope::of(None), "two", &other, &other_outline), None);
        for holder in ["a", "b"].map(|key| Scope::of(Some(KeyDigest::of(key.as_bytes())))) {
            assert_eq!(memory.turn(holder, "one", &other, &other_outline), None);
            assert_eq!(memory.turn(holder, "one", &body, &outline), Some(1));
        }
        assert_eq!(memory.turn(Scope::of(None), "one", &other, &other_outline), Some(1));
    }

    #[test]
    fn many_sessions_stay_within_the_memory() {
        let memory = PrefixMemory::default();
        let items: Vec<String> = (0..2000).map(|index| index.to_string()).collect();
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let (body, outline) = prompt("m", &items, "");
        for session in 0..1000 {
            assert_eq!(memory.turn(Scope::of(None), &session.to_string(), &body, &outline), None);
        }
        let (other, other_outline) = prompt("m", &["0", "x"], "");
        assert_eq!(memory.turn(Scope::of(None), "999", &other, &other_outline), Some(1), "the newest is known");
        assert_eq!(memory.turn(Scope::of(None), "0", &other, &other_outline), None, "the oldest is not");
    }
}
