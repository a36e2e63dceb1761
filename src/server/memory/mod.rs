//! What is remembered of earlier answers, because the backend stores none.
//!
//! * [`reasoning`]: encrypted reasoning by the call it led to, for chat clients, which cannot return it.
//! * [`answers`]: what was asked and answered, by the answer's id, for clients of the Responses API that send only what is
//!   new; and single items by their own ids, for those that refer to an item instead of sending it again.
//! * Both are [`bounded`] in bytes, and forgotten when the process ends. A Worker remembers as long as an isolate lives.
//! * Nothing remembered crosses a [`Scope`]: the holder of one key never sees what another's requests left here.

mod answers;
mod bounded;
mod reasoning;

use sha2::{Digest as _, Sha256};

pub(super) use answers::{AnswerMemory, Asked, History};
pub(super) use reasoning::ReasoningMemory;

use crate::server::guard::key::KeyIdentity;

/// Whose requests may see what is remembered: the holders of one key, or everybody where no key is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope(Option<KeyIdentity>);

impl Scope {
    /// The scope of requests that were let in by `key`.
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

/// What an id names.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Call,
    Item,
    Response,
    Conversation,
}

/// A scope, a kind and an id in sixteen bytes, however long the id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key([u8; 16]);
