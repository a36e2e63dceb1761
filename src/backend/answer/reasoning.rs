//! The encrypted reasoning that led to calls, kept for the model's next turn.
//!
//! * A chat client cannot return it. It is valid only in front of the item it led to, so reasoning of an answer without
//!   calls is not kept: the next request does not identify the answer reliably.
//! * Clients rewrite histories. Reasoning belongs to one call, identified by its id, its name and its arguments; for
//!   another call with the same id it would be wrong.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::backend::answer::sink::CallKind;
use crate::backend::answer::views::ItemView;
use crate::json::{ArrayWriter, ObjectWriter, Raw, Text};

/// Reasoning items and the call they led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReasoning {
    /// The call's id, as sent to the client.
    pub call_id: String,
    /// A digest of the call.
    pub call: CallDigest,
    /// Items before the message that precedes the call, each a JSON object in the form of the backend's input.
    pub before_message: Vec<String>,
    /// Items directly before the call.
    pub before_call: Vec<String>,
}

/// A digest over a call's name and arguments.
///
/// Arguments in JSON are compared by their values: some libraries parse them and write them again with other white
/// space (LangChain does), and mean the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallDigest([u8; 16]);

impl CallDigest {
    /// Returns the digest of a call of `name` with `payload`, its arguments or input.
    pub fn of(name: &str, payload: &str) -> Self {
        let value = serde_json::from_str::<Value>(payload).map(|value| value.to_string());
        let mut hash = Sha256::new();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(value.as_deref().unwrap_or(payload));
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.finalize()[..16]);
        Self(digest)
    }
}

/// Collects the reasoning of one answer.
#[derive(Debug, Default)]
pub(super) struct Thoughts {
    /// Reasoning that has led to no item yet.
    waiting: Vec<String>,
    /// Reasoning that has led to a message.
    before_message: Vec<String>,
    /// Reasoning that has led to an unfinished call.
    begun: Vec<Begun>,
    kept: Vec<KeptReasoning>,
}

#[derive(Debug)]
struct Begun {
    call_id: String,
    before_message: Vec<String>,
    before_call: Vec<String>,
}

impl Thoughts {
    /// Adds a finished reasoning item; without its encrypted form it cannot be returned and is skipped.
    pub(super) fn add(&mut self, item: &ItemView<'_>, encrypted: Option<Text<'_>>) {
        let Some(encrypted) = encrypted else { return };
        let mut json = Vec::new();
        let mut object = ObjectWriter::begin(&mut json);
        object.string("type", "reasoning");
        let mut summary = ArrayWriter::begin(object.key("summary"));
        for part in item.summary.iter().flatten() {
            summary.element().extend_from_slice(part.get().as_bytes());
        }
        summary.end();
        object.text("encrypted_content", encrypted);
        object.end();
        self.waiting.extend(String::from_utf8(json));
    }

    /// Assigns the waiting reasoning to the call `id`.
    pub(super) fn led_to_call(&mut self, id: Text<'_>) {
        let before_message = std::mem::take(&mut self.before_message);
        let before_call = std::mem::take(&mut self.waiting);
        if !before_message.is_empty() || !before_call.is_empty() {
            self.begun.push(Begun { call_id: id.decode().into_owned(), before_message, before_call });
        }
    }

    /// Assigns the waiting reasoning to a message. If a call follows, the client returns both as one message.
    pub(super) fn led_to_message(&mut self) {
        self.before_message.append(&mut self.waiting);
    }

    /// Takes a finished call, whose arguments are now known.
    pub(super) fn call_done(&mut self, item: &ItemView<'_>, kind: CallKind) {
        let (Some(id), Some(name)) = (item.call_id.and_then(Raw::text), item.name.and_then(Raw::text)) else { return };
        let id = id.decode();
        let Some(position) = self.begun.iter().position(|begun| begun.call_id == id) else { return };
        let Begun { call_id, before_message, before_call } = self.begun.swap_remove(position);
        let payload = item.payload(kind).unwrap_or(Text::EMPTY);
        let call = CallDigest::of(&name.decode(), &payload.decode());
        self.kept.push(KeptReasoning { call_id, call, before_message, before_call });
    }

    /// Takes the reasoning to keep.
    pub(super) fn take(&mut self) -> Vec<KeptReasoning> {
        std::mem::take(&mut self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_count_by_their_values() {
        let call = CallDigest::of("f", r#"{"a":1,"b":[true]}"#);
        assert_eq!(call, CallDigest::of("f", "{\n \"a\": 1, \"b\": [ true ] }"));
        for (name, payload) in [("g", r#"{"a":1,"b":[true]}"#), ("f", r#"{"a":2,"b":[true]}"#), ("f", "")] {
            assert_ne!(call, CallDigest::of(name, payload));
        }
        assert_ne!(CallDigest::of("f", "*** Begin"), CallDigest::of("f", "*** Begin "));
    }
}
