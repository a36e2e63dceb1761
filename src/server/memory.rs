//! Encrypted reasoning kept in memory between the turns of a chat.
//!
//! * Keyed by the ids of the calls it led to; a client gives those back with the calls.
//! * Bounded in bytes: what was used longest ago goes first. Losing an entry costs the model some thinking, nothing else.

use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use crate::translate::chat::KeptReasoning;

/// The kept reasoning of all conversations.
#[derive(Debug, Default)]
pub(super) struct Replay(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Call id → items; used longest ago first.
    entries: IndexMap<String, Vec<String>>,
    bytes: usize,
}

impl Replay {
    /// Keeps what an answer gave.
    pub(super) fn keep(&self, reasoning: Vec<KeptReasoning>) {
        let mut kept = self.kept();
        for KeptReasoning { call_id, items } in reasoning {
            kept.remove(&call_id);
            kept.bytes += size(&call_id, &items);
            kept.entries.insert(call_id, items);
        }
        while kept.bytes > MOST_BYTES
            && let Some((oldest, items)) = kept.entries.shift_remove_index(0)
        {
            kept.bytes -= size(&oldest, &items);
        }
    }

    /// The items that led to the call `id`.
    pub(super) fn recall(&self, id: &str) -> Vec<String> {
        let mut kept = self.kept();
        let Some((id, items)) = kept.entries.shift_remove_entry(id) else { return Vec::new() };
        kept.entries.insert(id, items.clone());
        items
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, id: &str) {
        if let Some(items) = self.entries.shift_remove(id) {
            self.bytes -= size(id, &items);
        }
    }
}

fn size(id: &str, items: &[String]) -> usize {
    id.len() + items.iter().map(String::len).sum::<usize>()
}

/// Some hundreds of turns; more than a person has open at once.
const MOST_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn reasoning(id: &str, bytes: usize) -> Vec<KeptReasoning> {
        vec![KeptReasoning { call_id: id.to_owned(), items: vec!["x".repeat(bytes)] }]
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let replay = Replay::default();
        replay.keep(reasoning("a", MOST_BYTES / 2 - 8));
        replay.keep(reasoning("b", MOST_BYTES / 2 - 8));
        assert_eq!(replay.recall("a").len(), 1);
        replay.keep(reasoning("c", 100));
        assert_eq!((replay.recall("a").len(), replay.recall("b").len(), replay.recall("c").len()), (1, 0, 1));
        replay.keep(reasoning("c", 200));
        assert_eq!(replay.recall("c")[0].len(), 200);
    }
}
