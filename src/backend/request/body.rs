//! A body for the backend, from which reasoning can be removed without writing the body again.
//!
//! * Encrypted reasoning is valid for one account and one model. Only sending it shows whether the backend accepts it,
//!   and the account may change between writing and sending: a login is replaced, a token is refused.
//! * So the positions of reasoning are recorded while the body is written. As long as all of it may stay, every attempt
//!   shares one buffer; otherwise each request is built without the invalid part.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::conversation::turn::AccountDigest;
use crate::json::{Object, Text};

/// The answer that contained remembered reasoning.
#[derive(Debug)]
pub struct Provenance {
    account: Arc<str>,
    model: String,
    refused: AtomicBool,
}

impl Provenance {
    /// Creates the origin of reasoning in an answer by `model` to `account`.
    pub fn new(account: Arc<str>, model: String) -> Self {
        Self { account, model, refused: AtomicBool::new(false) }
    }

    /// Returns whether `model` may receive it: only the very model that produced it. No source promises which models
    /// count as one family, and siblings of one generation refuse each other's reasoning if it is checked
    /// (openai/codex#17541 for two sizes of one, BerriAI/litellm#41785 for Sol and Luna).
    pub fn serves(&self, model: &str) -> bool {
        self.model == model && !self.refused.load(Ordering::Relaxed)
    }

    /// Records that the backend could not read it, so that it is not sent again.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }
}

/// The origin of a piece of reasoning.
#[derive(Debug, Clone)]
pub enum Origin {
    /// The client: the index in its `input`, or none if the client sent it with an earlier request.
    Client(Option<usize>),
    /// An answer that this program remembers.
    Memory(Arc<Provenance>),
    /// The client, under a seal that names the account for which it is valid.
    Sealed(AccountDigest),
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Client(one), Self::Client(other)) => one == other,
            (Self::Memory(one), Self::Memory(other)) => Arc::ptr_eq(one, other),
            (Self::Sealed(one), Self::Sealed(other)) => one == other,
            (Self::Client(_) | Self::Memory(_) | Self::Sealed(_), _) => false,
        }
    }
}

impl Eq for Origin {}

/// Returns the digest of the account `id` for a seal.
pub fn account_digest(id: &str) -> AccountDigest {
    let mut digest = AccountDigest::default();
    digest.copy_from_slice(&Sha256::digest(id)[..size_of::<AccountDigest>()]);
    digest
}

/// One reasoning item in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reasoning {
    /// The bytes of the item, an element of an array.
    pub range: Range<usize>,
    /// The item's origin.
    pub origin: Origin,
}

impl Reasoning {
    /// Returns the same item in a copy of the body, whose bytes from `at` on are copied to `to`.
    fn moved(&self, at: usize, to: usize) -> Self {
        let moved = |place: usize| place - at + to;
        Self { range: moved(self.range.start)..moved(self.range.end), origin: self.origin.clone() }
    }
}

/// A change of a body's text.
#[derive(Debug)]
pub(super) struct Edit {
    /// The bytes to replace; an empty range inserts.
    pub(super) range: Range<usize>,
    /// The JSON in their place.
    pub(super) by: String,
}

/// A JSON body and the reasoning in it.
#[derive(Debug, Clone, Default)]
pub struct Body {
    json: Bytes,
    /// The reasoning items, in the order of the text.
    reasoning: Vec<Reasoning>,
}

/// The reasoning that an attempt leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without<'a> {
    /// The reasoning of other accounts than this one.
    OthersThan(&'a str),
    /// All reasoning.
    Any,
}

impl Without<'_> {
    fn takes(self, origin: &Origin) -> bool {
        match (self, origin) {
            (Self::Any, _) => true,
            (Self::OthersThan(account), Origin::Memory(provenance)) => *provenance.account != *account,
            (Self::OthersThan(account), Origin::Sealed(digest)) => account_digest(account) != *digest,
            (Self::OthersThan(_), Origin::Client(_)) => false,
        }
    }
}

impl Body {
    /// Creates a body from `json` with the `reasoning` in it, in the order of the text.
    pub fn new(json: Vec<u8>, reasoning: Vec<Reasoning>) -> Self {
        Self { json: json.into(), reasoning }
    }

    /// Returns the body with a free choice, if it requires the use of tools that the backend runs itself; `None` for any
    /// other choice.
    pub fn without_forced_search(&self) -> Option<Self> {
        let entries: Object<'_> = serde_json::from_slice(&self.json).ok()?;
        let is = |value: &RawValue, word: &str| Text::of(value).is_some_and(|text| text.is(word));
        let choice = entries.find("tool_choice").filter(|choice| is(choice, "required"))?;
        let tools: Vec<Object<'_>> = serde_json::from_str(entries.find("tools")?.get()).ok()?;
        let is_hosted = |tool: &Object<'_>| tool.find("type").is_some_and(|kind| is(kind, "web_search"));
        if !tools.iter().all(is_hosted) {
            return None;
        }
        self.replacing(choice, r#""auto""#)
    }

    /// Returns the body with `value`, a part of it, replaced.
    pub(super) fn replacing(&self, value: &RawValue, by: &str) -> Option<Self> {
        self.edited(&[Edit { range: self.place_of(value), by: by.to_owned() }])
    }

    /// Returns the bytes of `value`, which is a part of the body.
    pub(super) fn place_of(&self, value: &RawValue) -> Range<usize> {
        let start = value.get().as_ptr().addr() - self.json.as_ptr().addr();
        start..start + value.get().len()
    }

    /// Returns the body after `edits`, in the order of the text, none of which touches reasoning.
    pub(super) fn edited(&self, edits: &[Edit]) -> Option<Self> {
        let mut json = Vec::with_capacity(self.json.len());
        let mut reasoning = Vec::with_capacity(self.reasoning.len());
        let mut left = self.reasoning.iter().peekable();
        let mut at = 0;
        for edit in edits {
            while let Some(piece) = left.next_if(|piece| piece.range.end <= edit.range.start) {
                reasoning.push(piece.moved(at, json.len()));
            }
            json.extend_from_slice(self.json.get(at..edit.range.start)?);
            json.extend_from_slice(edit.by.as_bytes());
            at = edit.range.end;
        }
        reasoning.extend(left.map(|piece| piece.moved(at, json.len())));
        json.extend_from_slice(self.json.get(at..)?);
        Some(Self::new(json, reasoning))
    }

    /// Returns the whole body.
    pub fn whole(&self) -> &[u8] {
        &self.json
    }

    /// Returns the bytes of the whole body.
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// Returns whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// Returns whether the body contains reasoning that could be removed.
    pub fn has_reasoning(&self) -> bool {
        !self.reasoning.is_empty()
    }

    /// Returns the bytes to send; the whole body's own buffer if nothing has to be removed.
    pub fn bytes(&self, without: Without<'_>) -> Bytes {
        if self.cut(without).next().is_none() {
            return self.json.clone();
        }
        self.split(|origin| !without.takes(origin)).0.into()
    }

    /// Returns the bytes without the reasoning whose origin does not `stay`, and the remaining reasoning in them.
    pub(super) fn split(&self, stay: impl Fn(&Origin) -> bool) -> (Vec<u8>, Vec<Reasoning>) {
        let mut out = Vec::with_capacity(self.json.len());
        let mut left = Vec::new();
        let mut rest = 0;
        for reasoning in &self.reasoning {
            let range = &reasoning.range;
            out.extend_from_slice(self.json.get(rest..range.start).unwrap_or_default());
            rest = range.end;
            if stay(&reasoning.origin) {
                let start = out.len();
                out.extend_from_slice(self.json.get(range.clone()).unwrap_or_default());
                left.push(Reasoning { range: start..out.len(), origin: reasoning.origin.clone() });
            } else if out.last() == Some(&b',') {
                // One of the commas around it is removed too.
                out.pop();
            } else if self.json.get(rest) == Some(&b',') {
                rest += 1;
            }
        }
        out.extend_from_slice(self.json.get(rest..).unwrap_or_default());
        (out, left)
    }

    /// Returns the reasoning that [`Body::bytes`] leaves out.
    pub fn cut(&self, without: Without<'_>) -> impl Iterator<Item = &Reasoning> {
        self.reasoning.iter().filter(move |reasoning| without.takes(&reasoning.origin))
    }

    /// Records that the backend refused the reasoning: its remembered part is not put into a body again.
    pub fn refuse_reasoning(&self) {
        for reasoning in &self.reasoning {
            if let Origin::Memory(provenance) = &reasoning.origin {
                provenance.refuse();
            }
        }
    }
}

/// The contents requested of every answer.
pub(super) const INCLUDE: &str = r#"["reasoning.encrypted_content"]"#;
/// The same, with the pages that a web search finds.
pub(super) const INCLUDE_WITH_SOURCES: &str = r#"["reasoning.encrypted_content","web_search_call.action.sources"]"#;

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a body: `a` and `b` are remembered reasoning of those accounts; `c` is the client's; anything else
    /// stays.
    fn body(items: &[&str]) -> Body {
        let (mut json, mut reasoning) = (b"{\"x\":[".to_vec(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            let range = json.len()..json.len() + item.len();
            let memory = |account: &str| Origin::Memory(Arc::new(Provenance::new(account.into(), "m".to_owned())));
            match *item {
                "1" => reasoning.push(Reasoning { range, origin: memory("a") }),
                "2" => reasoning.push(Reasoning { range, origin: memory("b") }),
                "3" => reasoning.push(Reasoning { range, origin: Origin::Client(Some(index)) }),
                _ => {}
            }
            json.extend_from_slice(item.as_bytes());
        }
        json.extend_from_slice(b"],\"y\":[]}");
        Body::new(json, reasoning)
    }

    fn left(items: &[&str], without: Without<'_>) -> String {
        let bytes = body(items).bytes(without);
        let text = String::from_utf8(bytes.into()).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        text.strip_prefix("{\"x\":[").unwrap().strip_suffix("],\"y\":[]}").unwrap().to_owned()
    }

    #[test]
    fn what_is_cut_takes_one_comma_along() {
        for (items, expected) in [
            (&["1"][..], ""),
            (&["1", "2", "3"], ""),
            (&["1", "9"], "9"),
            (&["1", "2", "9", "3"], "9"),
            (&["9", "1"], "9"),
            (&["8", "1", "2", "9"], "8,9"),
            (&["7", "1", "8", "3", "9"], "7,8,9"),
            (&["8", "9"], "8,9"),
        ] {
            assert_eq!(left(items, Without::Any), expected, "{items:?}");
        }
    }

    #[test]
    fn an_account_gets_its_own_and_the_clients() {
        assert_eq!(left(&["1", "9", "2", "9", "3"], Without::OthersThan("a")), "1,9,9,3");
        assert_eq!(left(&["1", "9", "2", "9", "3"], Without::OthersThan("b")), "9,2,9,3");
        let body = body(&["1", "9"]);
        assert_eq!(body.bytes(Without::OthersThan("a")).as_ptr(), body.json.as_ptr(), "nothing is copied");
    }

    #[test]
    fn refused_reasoning_serves_nobody_again() {
        let provenance = Arc::new(Provenance::new("a".into(), "m".to_owned()));
        assert!(provenance.serves("m") && !provenance.serves("n"));
        let reasoning = Reasoning { range: 1..2, origin: Origin::Memory(provenance.clone()) };
        Body::new(b"[1]".to_vec(), vec![reasoning]).refuse_reasoning();
        assert!(!provenance.serves("m"));
    }
}
