//! The memory of incomplete request heads.
//!
//! * Any client that can connect can send a part of a head, without a key, and then nothing for the head's whole time
//!   limit. The beginning of each head is free, the rest of all heads together is limited.
//! * Honest clients complete their heads within a moment, so they never reach the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes of all heads together beyond each one's free part. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Heads(Arc<AtomicUsize>);

/// The head that one connection is receiving.
#[derive(Debug)]
pub(super) struct Head {
    all: Heads,
    length: usize,
    held: usize,
}

impl Head {
    /// Creates an empty head.
    pub(super) const fn new(all: Heads) -> Self {
        Self { all, length: 0, held: 0 }
    }

    /// Accounts for `bytes` more. Returns `false` if they exceed the limit.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        self.length += bytes;
        let more = self.length.saturating_sub(FREE + self.held);
        if more == 0 {
            return true;
        }
        let before = self.all.0.fetch_add(more, Ordering::Relaxed);
        self.held += more;
        before + more <= MOST
    }

    /// Resets the account when the head is complete.
    pub(super) fn end(&mut self) {
        if self.held > 0 {
            self.all.0.fetch_sub(self.held, Ordering::Relaxed);
        }
        (self.length, self.held) = (0, 0);
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.end();
    }
}

/// The free bytes of each head: as much as one read. Most clients' heads are below one KB.
const FREE: usize = 8 << 10;

/// The bytes of all heads together beyond each one's free part.
const MOST: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_heads_have_so_much_room_together() {
        let all = Heads::default();
        let mut heads: Vec<_> = (0..200).map(|_| Head::new(all.clone())).collect();
        assert!(heads.iter_mut().all(|head| head.grow(FREE)));
        // A refused head goes with its connection.
        heads.retain_mut(|head| head.grow(56 << 10));
        assert_eq!(heads.len(), MOST / (56 << 10));
        heads[0].end();
        assert!(heads[1].grow(1) && heads[0].grow(FREE + 100));
        drop(heads);
        assert_eq!(all.0.load(Ordering::Relaxed), 0);
    }
}
