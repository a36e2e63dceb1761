//! One state of a Worker's login, and the words in which the Worker's isolates and the keeper of the login speak of it.
//!
//! A Worker runs in many isolates at once, all over the world. KV reaches all of them quickly, and late: a read may be a
//! minute old. A refresh token works once. Therefore:
//!
//! * **One keeper.** A Durable Object, of which there is exactly one, owns the login. Only it sends a refresh token to the
//!   issuer, one at a time, under a lock; only it writes, first its own storage, then KV. Isolates read KV and ask the
//!   keeper for everything else.
//! * **Named by what is no good.** An isolate that wants a new token names the one it has. If the keeper holds another one
//!   that serves, that is the answer and the issuer is not asked. Two isolates with the same expired token, or one that
//!   read it from KV long after, cause one refresh in all.
//! * **Stored before it is used.** New tokens are in the keeper's storage before they are in KV or in an answer: nothing
//!   leaves a Durable Object before what it has written is on the disk. If KV cannot be written, it is tried again with
//!   the next order, and isolates that read the old copy are told the new one.
//! * **Never back.** The keeper counts what it stores. An isolate that knows edition 7 takes no notice of 6 in KV.
//! * **The last word is the operator's.** Credentials set through the admin API wait for a refresh under way, replace what
//!   the keeper holds and become the next edition; a refresh that was asked for before and comes after finds a token that
//!   serves, and does nothing.
//! * A document that somebody put into KV by hand is edition 0. The keeper takes it up as long as it has none of its own;
//!   isolates that know of no other use its access token at most until it has to be renewed.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::credentials::document::AuthDocument;
use crate::credentials::supplier::report::Report;

/// A login document and how many were stored before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Edition {
    /// Counts what the keeper has stored; 0 for what it has not.
    pub revision: u64,
    /// The document; `None` where there is none.
    #[serde(with = "text")]
    pub document: Option<AuthDocument>,
}

impl Edition {
    /// Whether somebody who knows this one should take up `other` instead.
    pub const fn gives_way_to(&self, other: &Self) -> bool {
        self.revision <= other.revision
    }
}

/// What an isolate wants of the keeper.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// To know the present edition.
    Read,
    /// To store this document in place of the present one.
    Write(#[serde(with = "text")] Option<AuthDocument>),
    /// A token that serves.
    Renew {
        /// The token that is to be replaced, though it has not expired.
        replaces: Option<Zeroizing<String>>,
        /// Whether the backend has rejected it.
        is_rejected: bool,
    },
}

/// What the keeper says to an order.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What it holds now.
    pub edition: Edition,
    /// What came of the order.
    pub outcome: Outcome,
}

/// What came of an order.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// What came of a refresh.
    Renewal(Report),
    /// It could not be done; says why.
    Failed(String),
}

/// A document as its own text.
mod text {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de};
    use zeroize::Zeroizing;

    use crate::credentials::AuthDocument;

    pub(super) fn serialize<S: Serializer>(document: &Option<AuthDocument>, serializer: S) -> Result<S::Ok, S::Error> {
        document.as_ref().map(AuthDocument::to_text).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AuthDocument>, D::Error> {
        let text = Option::<Zeroizing<String>>::deserialize(deserializer)?;
        text.map(|text| AuthDocument::parse(&text)).transpose().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edition(revision: u64, token: &str) -> Edition {
        Edition { revision, document: Some(AuthDocument::from_access_token(token, Some("a"))) }
    }

    #[test]
    fn nobody_goes_back() {
        assert!(edition(7, "t").gives_way_to(&edition(8, "u")));
        assert!(!edition(7, "t").gives_way_to(&edition(6, "s")));
        assert!(!edition(7, "t").gives_way_to(&Edition::default()));
        assert!(edition(0, "by hand").gives_way_to(&edition(0, "by hand again")));
        assert!(Edition::default().gives_way_to(&edition(0, "by hand")));
    }

    #[test]
    fn what_is_said_is_understood() {
        let answer = Answer { edition: edition(3, "t"), outcome: Outcome::Renewal(Report::Stored) };
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
        for order in [
            Order::Read,
            Order::Write(None),
            Order::Write(edition(1, "t").document.clone()),
            Order::Renew { replaces: Some("t".to_owned().into()), is_rejected: true },
        ] {
            let text = serde_json::to_string(&order).unwrap();
            assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
        }
    }
}
