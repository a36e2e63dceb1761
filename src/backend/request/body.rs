//! A body for the backend, out of which reasoning can be cut without writing it again.
//!
//! * Encrypted reasoning is good for one account and one model. Whether the backend takes it shows only when it is sent, and
//!   which account it is sent as may change between writing and sending: a login is replaced, a token is refused.
//! * So the places of reasoning are noted while the body is written. As long as all of it may stay, every attempt shares one
//!   buffer; what may not is cut out when a request is made.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::conversation::turn::AccountDigest;
use crate::json::Object;

/// The answer that remembered reasoning stood in.
#[derive(Debug)]
pub struct Provenance {
    account: Arc<str>,
    model: String,
    refused: AtomicBool,
}

impl Provenance {
    /// Reasoning of an answer that `model` gave to `account`.
    pub fn new(account: Arc<str>, model: String) -> Self {
        Self { account, model, refused: AtomicBool::new(false) }
    }

    /// Whether `model` may be given it: the very model that thought it. What counts as the same family is nowhere
    /// promised, and siblings of one generation refuse each other's where it is checked (openai/codex#17541 for two sizes of
    /// one, BerriAI/litellm#41785 for Sol and Luna).
    pub fn serves(&self, model: &str) -> bool {
        self.model == model && !self.refused.load(Ordering::Relaxed)
    }

    /// The backend could not read it, and will not the next time.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }
}

/// Where a piece of reasoning comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// The client: the place in the `input` it sent, or none if it sent it with an earlier request.
    Client(Option<usize>),
    /// An answer that this program remembers.
    Memory(Arc<Provenance>),
    /// The client, under a seal that tells the account it is good for.
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

/// What stands for the account `id` in a seal.
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
    /// Where it comes from.
    pub origin: Origin,
}

/// A JSON body and the reasoning in it.
#[derive(Debug, Clone, Default)]
pub struct Body {
    json: Bytes,
    /// In the order of the text.
    reasoning: Vec<Reasoning>,
}

/// Which reasoning an attempt goes without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without<'a> {
    /// That of other accounts than this one.
    OthersThan(&'a str),
    /// All of it.
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
    /// The body `json` with `reasoning` in it, in the order of the text.
    pub fn new(json: Vec<u8>, reasoning: Vec<Reasoning>) -> Self {
        Self { json: json.into(), reasoning }
    }

    /// The same without the wish for the pages that a search finds; `None` where there is none.
    pub fn without_sources(&self) -> Option<Self> {
        let entries: Object<'_> = serde_json::from_slice(&self.json).ok()?;
        let include = entries.find("include").filter(|include| include.get() == INCLUDE_WITH_SOURCES)?.get();
        let start = include.as_ptr().addr() - self.json.as_ptr().addr();
        let end = start + include.len();
        let json = [self.json.get(..start)?, INCLUDE.as_bytes(), self.json.get(end..)?].concat();
        let shift = include.len() - INCLUDE.len();
        let moved = |at: usize| if at > start { at - shift } else { at };
        let move_along = |reasoning: &Reasoning| Reasoning {
            range: moved(reasoning.range.start)..moved(reasoning.range.end),
            origin: reasoning.origin.clone(),
        };
        Some(Self::new(json, self.reasoning.iter().map(move_along).collect()))
    }

    /// How many bytes the whole body has.
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// Whether there is no body.
    pub fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// Whether there is reasoning that could be cut out.
    pub fn has_reasoning(&self) -> bool {
        !self.reasoning.is_empty()
    }

    /// The bytes to send; the whole body's own where nothing has to go.
    pub fn bytes(&self, without: Without<'_>) -> Bytes {
        if self.cut(without).next().is_none() {
            return self.json.clone();
        }
        self.split(|origin| !without.takes(origin)).0.into()
    }

    /// The bytes without the reasoning whose origin does not `stay`, and the rest of the reasoning in them.
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
                // One of the commas around it goes along.
                out.pop();
            } else if self.json.get(rest) == Some(&b',') {
                rest += 1;
            }
        }
        out.extend_from_slice(self.json.get(rest..).unwrap_or_default());
        (out, left)
    }

    /// The reasoning that [`Body::bytes`] leaves out.
    pub fn cut(&self, without: Without<'_>) -> impl Iterator<Item = &Reasoning> {
        self.reasoning.iter().filter(move |reasoning| without.takes(&reasoning.origin))
    }

    /// The backend has refused the reasoning: what is remembered of it is not put into a body again.
    pub fn refuse_reasoning(&self) {
        for reasoning in &self.reasoning {
            if let Origin::Memory(provenance) = &reasoning.origin {
                provenance.refuse();
            }
        }
    }
}

/// What every answer is to hold.
pub(super) const INCLUDE: &str = r#"["reasoning.encrypted_content"]"#;
/// The same with the pages that a search of the web finds.
pub(super) const INCLUDE_WITH_SOURCES: &str = r#"["reasoning.encrypted_content","web_search_call.action.sources"]"#;

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` and `b` are the memory's, of those accounts; `c` is the client's; anything else stays.
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
