//! Items of earlier answers, kept in memory because the backend stores none.
//!
//! * Two uses: encrypted reasoning by the id of the call it led to, for chat clients, which cannot return it; and whole
//!   items by their own id, for clients of the Responses API that refer to an item instead of sending it again.
//! * Bounded in bytes: what was used longest ago goes first.

use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

/// Items by the id they are asked for with, each a JSON object.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Used longest ago first.
    entries: IndexMap<String, Vec<String>>,
    bytes: usize,
}

impl Memory {
    /// Keeps what an answer gave.
    pub(super) fn keep(&self, entries: impl IntoIterator<Item = (String, Vec<String>)>) {
        let mut kept = self.kept();
        for (id, items) in entries {
            kept.remove(&id);
            kept.bytes += size(&id, &items);
            kept.entries.insert(id, items);
        }
        while kept.bytes > MOST_BYTES
            && let Some((oldest, items)) = kept.entries.shift_remove_index(0)
        {
            kept.bytes -= size(&oldest, &items);
        }
    }

    /// The items kept for `id`.
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

    fn entry(id: &str, bytes: usize) -> [(String, Vec<String>); 1] {
        [(id.to_owned(), vec!["x".repeat(bytes)])]
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let memory = Memory::default();
        memory.keep(entry("a", MOST_BYTES / 2 - 8));
        memory.keep(entry("b", MOST_BYTES / 2 - 8));
        assert_eq!(memory.recall("a").len(), 1);
        memory.keep(entry("c", 100));
        assert_eq!((memory.recall("a").len(), memory.recall("b").len(), memory.recall("c").len()), (1, 0, 1));
        memory.keep(entry("c", 200));
        assert_eq!(memory.recall("c")[0].len(), 200);
    }
}
