//! A least-recently-used map bounded in bytes.
//!
//! * The budget counts memory, not content: each entry with its place in the map, each value with its allocations.
//!   Values pay for themselves through a [`Charge`], so that a value shared by several entries pays once, and for as
//!   long as it is alive.
//! * Requests contend for the lock, so no work under it grows with an answer: entries go in and out in batches, and
//!   values are dropped outside.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::server::memory::Key;

/// Values by key, within a budget of bytes.
#[derive(Debug)]
pub(super) struct Bounded<V> {
    entries: Mutex<LruCache<Key, V>>,
    budget: Arc<Budget>,
}

/// The limit and the bytes taken.
#[derive(Debug)]
struct Budget {
    limit: usize,
    taken: AtomicUsize,
}

/// Bytes of the budget, released when dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl<V: Clone> Bounded<V> {
    /// Creates an empty map with a budget of `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        let budget = Arc::new(Budget { limit, taken: AtomicUsize::new(0) });
        Self { entries: Mutex::new(LruCache::unbounded()), budget }
    }

    /// Takes `bytes` for a value. `None` for a value too large to leave room for others, or while values in use by
    /// requests take the whole budget again.
    pub(super) fn charge(&self, bytes: usize) -> Option<Charge> {
        let Budget { limit, taken } = &*self.budget;
        if bytes > limit / 2 || taken.load(Ordering::Relaxed) + bytes > limit * 2 {
            return None;
        }
        taken.fetch_add(bytes, Ordering::Relaxed);
        Some(Charge { budget: Arc::clone(&self.budget), bytes })
    }

    /// Stores `entries`, and evicts old ones beyond the budget.
    pub(super) fn keep(&self, entries: impl IntoIterator<Item = (Key, V)>) {
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            let mut replaced = Vec::new();
            let mut kept = self.kept();
            for (key, value) in entries.by_ref().take(BATCH) {
                match kept.push(key, value) {
                    Some((_, value)) => replaced.push(value),
                    None => {
                        self.budget.taken.fetch_add(ENTRY, Ordering::Relaxed);
                    }
                }
            }
            drop(kept);
            drop(replaced);
        }
        self.trim();
    }

    /// Returns the value of `key` and marks it as used.
    pub(super) fn recall(&self, key: Key) -> Option<V> {
        self.kept().get(&key).cloned()
    }

    /// Removes the value of `key`.
    pub(super) fn forget(&self, key: Key) {
        let gone = self.kept().pop(&key);
        if gone.is_some() {
            self.budget.taken.fetch_sub(ENTRY, Ordering::Relaxed);
        }
    }

    fn trim(&self) {
        while self.budget.taken.load(Ordering::Relaxed) > self.budget.limit {
            let mut kept = self.kept();
            let gone: Vec<_> = std::iter::from_fn(|| kept.pop_lru()).take(BATCH).collect();
            drop(kept);
            if gone.is_empty() {
                return;
            }
            self.budget.taken.fetch_sub(gone.len() * ENTRY, Ordering::Relaxed);
        }
    }

    fn kept(&self) -> MutexGuard<'_, LruCache<Key, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory of an entry without its value's allocations: its node (a key, a value of up to three words, two links),
/// the allocation's header, and its slot in the table, which is between half and nearly full.
const ENTRY: usize = 128;

/// An allocation's header and the two counts of an `Arc`.
pub(super) const ALLOCATION: usize = 32;

/// Entries inserted or removed per hold of the lock.
const BATCH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::memory::{Kind, Scope};

    type Value = Arc<(u32, Charge)>;

    const LIMIT: usize = 1 << 20;

    fn key(id: &str) -> Key {
        Scope::of(None).key(Kind::Item, id)
    }

    fn keep(memory: &Bounded<Value>, id: &str, number: u32, bytes: usize) {
        let charge = memory.charge(bytes).unwrap();
        memory.keep([(key(id), Arc::new((number, charge)))]);
    }

    fn number(memory: &Bounded<Value>, id: &str) -> Option<u32> {
        memory.recall(key(id)).map(|value| value.0)
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let memory = Bounded::new(LIMIT);
        keep(&memory, "a", 1, LIMIT / 2 - ENTRY);
        keep(&memory, "b", 2, LIMIT / 2 - 2 * ENTRY);
        assert_eq!(number(&memory, "a"), Some(1));
        for index in 0..128 {
            keep(&memory, "c", index, 100);
        }
        assert_eq!((number(&memory, "a"), number(&memory, "b"), number(&memory, "c")), (None, None, Some(127)));
    }

    #[test]
    fn many_tiny_entries_stay_within_the_bytes() {
        let memory = Bounded::new(LIMIT);
        let shared = Arc::new((0, memory.charge(64).unwrap()));
        memory.keep((0..100_000).map(|index: u32| (key(&index.to_string()), Arc::clone(&shared))));
        assert!(memory.kept().len() <= LIMIT / ENTRY, "{}", memory.kept().len());
        assert!(memory.budget.taken.load(Ordering::Relaxed) <= LIMIT);
        assert_eq!(number(&memory, "99999"), Some(0), "the newest are kept");
    }

    #[test]
    fn a_value_in_use_counts_until_it_is_let_go() {
        let memory: Bounded<Value> = Bounded::new(LIMIT);
        assert!(memory.charge(LIMIT / 2 + 1).is_none(), "too large for this memory");
        let held: Vec<_> = std::iter::from_fn(|| memory.charge(LIMIT / 2)).collect();
        assert_eq!(held.len(), 4);
        drop(held);
        assert_eq!(memory.budget.taken.load(Ordering::Relaxed), 0);
    }
}
