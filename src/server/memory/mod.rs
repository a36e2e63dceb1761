//! The memory of earlier answers, because the backend stores none.
//!
//! * [`reasoning`]: encrypted reasoning by the call that followed it, for chat clients, which cannot return it.
//! * [`answers`]: requests and answers by the answer's id, for clients of the Responses API that send only new items;
//!   and single items by their own ids, for those that refer to an item instead of sending it again.
//! * [`prefix`]: hashes of the beginnings of conversations, for the ledger.
//! * All are [`bounded`] in bytes, and lost when the process ends. A Worker remembers as long as an isolate lives.
//! * Memory is separated by [`Scope`]: the holder of one key never sees what another's requests left here.

mod answers;
mod bounded;
mod prefix;
mod reasoning;

use sha2::{Digest as _, Sha256};

pub(super) use answers::{AnswerMemory, Asked, History};
pub(super) use prefix::PrefixMemory;
pub(super) use reasoning::ReasoningMemory;

use crate::server::guard::key::KeyIdentity;

/// The clients that share memory: the holders of one key, or all clients if the API needs no key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope(Option<KeyIdentity>);

impl Scope {
    /// Returns the scope of requests with `key`.
    pub(super) fn of(key: Option<KeyIdentity>) -> Self {
        Self(key)
    }

    fn key(self, kind: Kind, id: &str) -> Key {
        let mut hash = Sha256::new();
        hash.update([kind as u8, u8::from(self.0.is_some())]);
        if let Some(identity) = self.0 {
            hash.update(identity.as_bytes());
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
    Prefix,
}

/// A hash of a scope, a kind and an id, of fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key([u8; 16]);
