//! The memory of earlier answers, because the backend stores none.
//!
//! * [`reasoning`]: encrypted reasoning by the call that followed it, for chat clients, which cannot return it.
//! * [`answers`]: requests and answers by the answer's id, for clients of the Responses API that send only new items;
//!   and single items by their own ids, for those that refer to an item instead of sending it again.
//! * [`prefix`]: hashes of the beginnings of conversations, for the ledger.
//! * [`socket`]: the latest answer on each WebSocket of a Codex client, whose next turn sends only new items.
//! * All are [`bounded`] in bytes, and lost when the process ends. A Worker remembers as long as an isolate lives.
//! * Memory is separated by [`Scope`]: the holder of one key never sees what another's requests left here, and neither does
//!   one WebSocket another's answers.

mod answers;
mod bounded;
mod prefix;
mod reasoning;
mod socket;

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

pub(super) use answers::{AnswerMemory, Asked, History};
pub(super) use prefix::PrefixMemory;
pub(super) use reasoning::ReasoningMemory;
pub(super) use socket::{OverSocket, SocketMemory};

use crate::keys::digest::KeyDigest;

/// The clients that share memory.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Scope(Owner);

#[derive(Debug, Clone, Copy, Hash)]
enum Owner {
    /// All clients, if the API needs no key.
    Everyone,
    /// The holders of one key.
    Holders(KeyDigest),
    /// One WebSocket, by its number in this process.
    Socket(u64),
}

impl Scope {
    /// Returns the scope of requests with `key`.
    pub(super) fn of(key: Option<KeyDigest>) -> Self {
        Self(key.map_or(Owner::Everyone, Owner::Holders))
    }

    /// Returns the scope of a new WebSocket.
    fn of_new_socket() -> Self {
        Self(Owner::Socket(SOCKETS.fetch_add(1, Ordering::Relaxed)))
    }

    fn key(self, kind: Kind, id: &str) -> Key {
        let mut hash = Sha256::new();
        match self.0 {
            Owner::Everyone => hash.update([kind as u8, 0]),
            Owner::Holders(digest) => {
                hash.update([kind as u8, 1]);
                hash.update(digest.as_bytes());
            }
            Owner::Socket(number) => {
                hash.update([kind as u8, 2]);
                hash.update(number.to_le_bytes());
            }
        }
        hash.update(id);
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize()[..16]);
        Key(key)
    }
}

/// The kind of object that an id names.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Call,
    Item,
    Response,
    Conversation,
}

/// A hash of a scope, a kind and an id, of fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key([u8; 16]);

/// The number of the next WebSocket.
static SOCKETS: AtomicU64 = AtomicU64::new(0);
