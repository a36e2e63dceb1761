//! The latest answer on one WebSocket, for a Codex client.
//!
//! * Such a client sends its whole, long history over HTTP, but on a socket only the items after the latest answer, as the
//!   backend remembers that one for the socket alone. Its histories are therefore kept apart from other clients' answers,
//!   which they would evict.
//! * All sockets share a budget: an answer of the socket used longest ago is forgotten first, and its client sends the whole
//!   conversation once more.
//! * A failed turn leaves the latest answer, so that the client may repeat the turn. A closed socket leaves nothing.

use std::sync::{Arc, Mutex, PoisonError};

use crate::server::memory::{AnswerMemory, Asked, History, Key, Scope};

/// Marks, in a request's extensions, a turn of a WebSocket.
#[derive(Debug, Clone)]
pub(in crate::server) struct OverSocket(pub(in crate::server) Arc<SocketMemory>);

/// The memory of one WebSocket.
#[derive(Debug)]
pub(in crate::server) struct SocketMemory {
    answers: AnswerMemory,
    scope: Scope,
    latest: Mutex<Option<Key>>,
}

impl SocketMemory {
    /// The bytes of all sockets' conversations: dozens of long ones.
    pub(in crate::server) const MOST_BYTES: usize = 64 << 20;

    /// Creates the memory of a new socket within `answers`, the memory of all sockets.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "the edge serves no WebSocket"))]
    pub(in crate::server) fn new(answers: AnswerMemory) -> Self {
        Self { answers, scope: Scope::of_new_socket(), latest: Mutex::default() }
    }

    /// Returns the conversation up to and including the answer `id`, if that is the latest.
    pub(in crate::server) fn history(&self, id: &str) -> Option<History> {
        self.answers.history(self.scope, id)
    }

    /// Creates the context of a request with `items` after `history`.
    pub(in crate::server) fn asked(self: &Arc<Self>, history: Option<&History>, items: &[&str]) -> Asked {
        self.answers.asked_on(Arc::clone(self), self.scope, history, items)
    }

    /// Forgets the answer before the one with this key.
    pub(super) fn latest_is(&self, key: Key) {
        let before = self.latest.lock().unwrap_or_else(PoisonError::into_inner).replace(key);
        if let Some(before) = before.filter(|before| *before != key) {
            self.answers.forget(before);
        }
    }
}

impl Drop for SocketMemory {
    fn drop(&mut self) {
        if let Some(latest) = self.latest.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            self.answers.forget(latest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::answer::Answer;
    use crate::backend::request::body::Provenance;

    fn answer(asked: Asked, id: &str) {
        let answer = Answer { id: Some(id.to_owned()), items: Vec::new() };
        asked.answered(&answer, Arc::new(Provenance::new("a".into(), "m".to_owned())));
    }

    #[test]
    fn a_socket_remembers_its_latest_answer_alone() {
        let all = AnswerMemory::within(1 << 20);
        let [one, other] = [(); 2].map(|()| Arc::new(SocketMemory::new(all.clone())));
        answer(one.asked(None, &["1"]), "first");
        assert!(one.history("first").is_some() && other.history("first").is_none());
        let first = one.history("first");
        answer(one.asked(first.as_ref(), &["2"]), "second");
        let items = one.history("second").unwrap();
        assert_eq!(items.items().iter().map(|item| item.get()).collect::<Vec<_>>(), ["1", "2"]);
        assert!(one.history("first").is_none());
        drop(items);
        let scope = one.scope;
        drop(one);
        assert!(all.history(scope, "second").is_none(), "a closed socket leaves nothing");
    }

    #[test]
    fn what_is_too_large_for_all_sockets_is_asked_for_again() {
        let socket = Arc::new(SocketMemory::new(AnswerMemory::within(1 << 10)));
        answer(socket.asked(None, &["1"]), "small");
        answer(socket.asked(None, &[&format!("\"{}\"", "x".repeat(1 << 10))]), "large");
        assert!(socket.history("large").is_none() && socket.history("small").is_some());
    }
}
