//! Earlier requests and answers, by the id of the answer.
//!
//! * A conversation is a chain of [`Segment`]s, each with the input or the output of one turn and a link to the
//!   previous one. A turn stores only its new items, so a conversation of n turns takes n parts, not n². A client that
//!   sends the whole conversation each time is recognised by its cache key, and shares its beginning too.
//! * Evicting an id leaves the chain whole for the ids that continue it. A segment without an id is dropped.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::backend::answer::Answer;
use crate::backend::request::body::Provenance;
use crate::backend::request::context::RememberedItem;
use crate::server::memory::bounded::{ALLOCATION, Bounded, Charge};
use crate::server::memory::{Key, Kind, Scope, SocketMemory};

/// The memory of answers of the Responses API and their conversations. Clones are handles to the same.
#[derive(Debug, Clone)]
pub(in crate::server) struct AnswerMemory(Arc<Bounded<Link>>);

/// The target of an id.
#[derive(Debug, Clone)]
struct Link {
    segment: Arc<Segment>,
    /// The item's index, if the id is an item's.
    item: u32,
}

/// The items of one turn: the client's input, or the answer's output.
#[derive(Debug)]
struct Segment {
    before: Option<Arc<Segment>>,
    /// The items' JSON, concatenated.
    text: Box<str>,
    /// The end offset of each item.
    ends: Box<[u32]>,
    /// The answer with this output; `None` for input.
    provenance: Option<Arc<Provenance>>,
    /// The bytes of the items of this and all previous segments.
    bytes: usize,
    /// The number of items of this and all previous segments.
    count: usize,
    _charge: Charge,
}

impl Drop for Segment {
    /// Drops iteratively: a chain may be longer than the stack is deep.
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(segment) = next {
            next = Arc::into_inner(segment).and_then(|mut segment| segment.before.take());
        }
    }
}

impl Segment {
    fn items(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|index| self.item(index).unwrap_or_default())
    }

    fn item(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)? as usize;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.text.get(start..end)
    }
}

/// The context of a request for remembering its answer.
#[derive(Debug, Clone)]
pub(in crate::server) struct Asked {
    memory: AnswerMemory,
    scope: Scope,
    /// The WebSocket of the request, if its answer is remembered for that alone.
    socket: Option<Arc<SocketMemory>>,
    /// The conversation up to the answer. `None` if it cannot be continued: it is too large, or the answer replaces it.
    input: Option<Arc<Segment>>,
    conversation: Key,
}

impl Asked {
    /// Stores the `answer` to this request.
    pub(in crate::server) fn answered(self, answer: &Answer, provenance: Arc<Provenance>) {
        let memory = self.memory.clone();
        memory.answered(self, answer, provenance);
    }
}

/// A conversation up to and including an answer.
#[derive(Debug, Clone)]
pub(in crate::server) struct History {
    /// The segments, first to last.
    segments: Vec<Arc<Segment>>,
}

impl History {
    fn up_to(last: Arc<Segment>) -> Self {
        let mut segments: Vec<_> =
            std::iter::successors(Some(last), |segment| segment.before.as_ref().map(Arc::clone)).collect();
        segments.reverse();
        Self { segments }
    }

    /// Returns the bytes of all items.
    pub(in crate::server) fn bytes(&self) -> usize {
        self.segments.last().map_or(0, |segment| segment.bytes)
    }

    /// Returns the items in order.
    pub(in crate::server) fn items(&self) -> Vec<&RawValue> {
        let texts = self.segments.iter().flat_map(|segment| segment.items());
        texts.filter_map(|item| serde_json::from_str(item).ok()).collect()
    }

    /// Returns each item's answer; `None` for input.
    pub(in crate::server) fn provenance(&self) -> Vec<Option<Arc<Provenance>>> {
        let each = |segment: &Arc<Segment>| std::iter::repeat_n(segment.provenance.clone(), segment.ends.len());
        self.segments.iter().flat_map(each).collect()
    }
}

impl Default for AnswerMemory {
    fn default() -> Self {
        Self::within(MOST_BYTES)
    }
}

impl AnswerMemory {
    /// Creates an empty memory of `bytes` bytes.
    pub(in crate::server) fn within(bytes: usize) -> Self {
        Self(Arc::new(Bounded::new(bytes)))
    }

    /// Returns the conversation up to and including the answer `id`.
    pub(in crate::server) fn history(&self, scope: Scope, id: &str) -> Option<History> {
        self.0.recall(scope.key(Kind::Response, id)).map(|link| History::up_to(link.segment))
    }

    /// Returns the item `id` of an earlier answer.
    pub(in crate::server) fn item(&self, scope: Scope, id: &str) -> Option<RememberedItem> {
        let Link { segment, item } = self.0.recall(scope.key(Kind::Item, id))?;
        let json = segment.item(item as usize)?.to_owned();
        Some(RememberedItem { json, provenance: segment.provenance.clone()? })
    }

    /// Creates the context of a request with `items` after `history`. `conversation` is its cache key.
    pub(in crate::server) fn asked(
        &self,
        scope: Scope,
        history: Option<&History>,
        conversation: &str,
        items: &[&str],
    ) -> Asked {
        let conversation = scope.key(Kind::Conversation, conversation);
        let (before, new) = match history {
            Some(history) => (history.segments.last().map(Arc::clone), items),
            None => self.0.recall(conversation).and_then(|last| shared(last.segment, items)).unwrap_or((None, items)),
        };
        Asked { memory: self.clone(), scope, socket: None, input: self.segment(before, new, None), conversation }
    }

    /// Creates the context of a request on `socket`, with `items` after `history`.
    pub(super) fn asked_on(
        &self,
        socket: Arc<SocketMemory>,
        scope: Scope,
        history: Option<&History>,
        items: &[&str],
    ) -> Asked {
        let before = history.and_then(|history| history.segments.last().map(Arc::clone));
        let input = self.segment(before, items, None);
        Asked { socket: Some(socket), input, ..self.asked_apart(scope) }
    }

    /// Creates the context of a request whose answer cannot be continued, but whose items may be referred to.
    pub(in crate::server) fn asked_apart(&self, scope: Scope) -> Asked {
        let conversation = scope.key(Kind::Conversation, "");
        Asked { memory: self.clone(), scope, socket: None, input: None, conversation }
    }

    /// Removes what `key` refers to.
    pub(super) fn forget(&self, key: Key) {
        self.0.forget(key);
    }

    fn answered(&self, asked: Asked, answer: &Answer, provenance: Arc<Provenance>) {
        let Asked { memory: _, scope, socket, input, conversation } = asked;
        let items: Vec<&str> = answer.items.iter().map(|item| item.json.as_str()).collect();
        let Some(output) = self.segment(input.clone(), &items, Some(provenance)) else { return };
        if let Some(socket) = socket {
            if let (Some(id), Some(_)) = (&answer.id, input) {
                let key = scope.key(Kind::Response, id);
                self.0.keep([(key, Link { segment: output, item: 0 })]);
                socket.latest_is(key);
            }
            return;
        }
        let link = |segment: &Arc<Segment>, item| Link { segment: Arc::clone(segment), item };
        let named = (0..).zip(&answer.items).filter_map(|(index, item)| Some((index, item.id.as_deref()?)));
        let named = named.map(|(index, id)| (scope.key(Kind::Item, id), link(&output, index)));
        let whole = input.iter().flat_map(|input| {
            let response = answer.id.as_deref().map(|id| (scope.key(Kind::Response, id), link(&output, 0)));
            response.into_iter().chain([(conversation, link(input, 0))])
        });
        self.0.keep(named.chain(whole));
    }

    fn segment(
        &self,
        before: Option<Arc<Segment>>,
        items: &[&str],
        provenance: Option<Arc<Provenance>>,
    ) -> Option<Arc<Segment>> {
        let size: usize = items.iter().map(|item| item.len()).sum();
        let around = size_of::<Segment>() + 3 * ALLOCATION + provenance.as_ref().map_or(0, |_| PROVENANCE);
        let charge = self.0.charge(size + items.len() * size_of::<u32>() + around)?;
        let mut end = 0;
        let ends = items.iter().map(|item| {
            end += item.len();
            u32::try_from(end).unwrap_or(u32::MAX)
        });
        let ends: Box<[u32]> = ends.collect();
        let (bytes, count) = before.as_ref().map_or((0, 0), |before| (before.bytes, before.count));
        Some(Arc::new(Segment {
            before,
            text: items.concat().into(),
            bytes: bytes + size,
            count: count + ends.len(),
            ends,
            provenance,
            _charge: charge,
        }))
    }
}

/// Returns the conversation up to `last`, and the rest of `items` after it, if they begin with all of it.
fn shared<'i>(last: Arc<Segment>, items: &'i [&'i str]) -> Option<(Option<Arc<Segment>>, &'i [&'i str])> {
    let (beginning, new) = items.split_at_checked(last.count)?;
    let history = History::up_to(Arc::clone(&last));
    let known = history.segments.iter().flat_map(|segment| segment.items());
    known.eq(beginning.iter().copied()).then_some((Some(last), new))
}

/// Several hundred turns with a few images among them.
const MOST_BYTES: usize = 16 << 20;

/// An account and a model's name, with their allocations.
const PROVENANCE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::answer::AnswerItem;

    fn answer(id: &str, items: &[&str]) -> Answer {
        let item = |json: &&str| AnswerItem { id: Some((*json).to_owned()), json: format!("\"{json}\"") };
        Answer { id: Some(id.to_owned()), items: items.iter().map(item).collect() }
    }

    fn provenance() -> Arc<Provenance> {
        Arc::new(Provenance::new("a".into(), "m".to_owned()))
    }

    fn scope() -> Scope {
        Scope::of(None)
    }

    fn texts(history: &History) -> Vec<&str> {
        history.items().into_iter().map(RawValue::get).collect()
    }

    #[test]
    fn a_chain_is_put_together_in_its_order() {
        let memory = AnswerMemory::default();
        let first = memory.asked(scope(), None, "k", &["1"]);
        first.answered(&answer("r1", &["a"]), provenance());
        let history = memory.history(scope(), "r1").unwrap();
        let second = memory.asked(scope(), Some(&history), "k", &["2", "3"]);
        second.answered(&answer("r2", &["b"]), provenance());
        let history = memory.history(scope(), "r2").unwrap();
        assert_eq!(texts(&history), ["1", "\"a\"", "2", "3", "\"b\""]);
        let from_answers: Vec<bool> = history.provenance().iter().map(Option::is_some).collect();
        assert_eq!(from_answers, [false, true, false, false, true]);
        assert_eq!(history.bytes(), 9);
        assert_eq!(texts(&memory.history(scope(), "r1").unwrap()), ["1", "\"a\""], "and can be gone on from earlier");
        assert_eq!(memory.item(scope(), "b").unwrap().json, "\"b\"");
        assert!(memory.history(scope(), "b").is_none() && memory.item(scope(), "r2").is_none());
    }

    #[test]
    fn whole_conversations_share_their_beginning() {
        let memory = AnswerMemory::default();
        let large = format!("\"{}\"", "x".repeat(100_000));
        let items: Vec<&str> = std::iter::repeat_n(large.as_str(), 500).collect();
        for turn in (1..30).chain([15]) {
            let asked = memory.asked(scope(), None, "k", &items[..turn]);
            assert_eq!(asked.input.as_ref().unwrap().count, turn);
            asked.answered(&answer(&turn.to_string(), &[]), provenance());
        }
        // 30 turns of up to 30 items each would be 46 MB, far beyond the limit.
        assert!((1..30).all(|turn| memory.history(scope(), &turn.to_string()).is_some()));
        let other = memory.asked(scope(), None, "k", &["1"]);
        assert_eq!(other.input.unwrap().bytes, 1, "another beginning shares nothing");
    }

    #[test]
    fn a_forgotten_id_leaves_what_goes_on_from_it_whole() {
        let memory = AnswerMemory::default();
        let mut history: Option<History> = None;
        // A chain longer than a recursive drop would survive.
        for turn in 0..200_000_u32 {
            let asked = memory.asked(scope(), history.as_ref(), "k", &["1"]);
            asked.answered(&answer("r", &[]), provenance());
            history =
                memory.0.recall(scope().key(Kind::Response, "r")).map(|link| History { segments: vec![link.segment] });
            if history.is_none() {
                assert!(turn > 10_000, "{turn}");
                break;
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_kept() {
        let memory = AnswerMemory::default();
        let large = format!("\"{}\"", "x".repeat(MOST_BYTES));
        let asked = memory.asked(scope(), None, "k", &[&large]);
        assert!(asked.input.is_none());
        asked.answered(&answer("r", &["a"]), provenance());
        assert!(memory.history(scope(), "r").is_none());
        assert!(memory.item(scope(), "a").is_some(), "its items can be referred to all the same");
    }
}
