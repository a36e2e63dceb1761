//! Room for the heads of requests that are not whole.
//!
//! * Anybody who can connect can send a head, without a key, and then nothing for as long as a head may take. The beginning
//!   of each is free, the rest of all together has a limit.
//! * Honest clients' heads are whole within a moment, so the limit is reached by none of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that all heads take together beyond what is free of each. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Heads(Arc<AtomicUsize>);

/// The head that one connection is about to send.
#[derive(Debug)]
pub(super) struct Head {
    all: Heads,
    length: usize,
    held: usize,
}

impl Head {
    /// A head of which nothing has been read.
    pub(super) const fn new(all: Heads) -> Self {
        Self { all, length: 0, held: 0 }
    }

    /// `bytes` more have been read. False where there is no room for them.
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

    /// It is whole: what follows is another matter, and so is the next head.
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

/// Bytes of a head that count for nothing: as much as is read at first. Those of most clients have less than one KB.
const FREE: usize = 8 << 10;

/// Bytes of all heads together beyond what is free of each.
const MOST: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_heads_have_so_much_room_together() {
        let all = Heads::default();
        let mut heads: Vec<_> = (0..200).map(|_| Head::new(all.clone())).collect();
        assert!(heads.iter_mut().all(|head| head.grow(FREE)));
        // One that is refused goes with its connection.
        heads.retain_mut(|head| head.grow(56 << 10));
        assert_eq!(heads.len(), MOST / (56 << 10));
        heads[0].end();
        assert!(heads[1].grow(1) && heads[0].grow(FREE + 100));
        drop(heads);
        assert_eq!(all.0.load(Ordering::Relaxed), 0);
    }
}
