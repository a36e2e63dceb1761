//! Revisions of a Worker's login, and the messages between the isolates and the login's owner.
//!
//! A Worker runs in many isolates at once, all over the world. KV reaches all of them quickly, but a read may be a
//! minute old. A refresh token works once. Therefore:
//!
//! * **One owner.** A single Durable Object owns the login. It alone sends a refresh token to the issuer, one at a
//!   time, under a lock; it alone writes, first its own storage, then KV. Isolates read KV and ask the owner for
//!   everything else.
//! * **Compare and renew.** An isolate that wants a new token names the one it has. If the owner holds another usable
//!   token, it answers with that one and does not ask the issuer. Two isolates with the same expired token, or a late
//!   reader of an old copy, cause one refresh in all.
//! * **Stored before use.** New tokens are in the owner's storage before they are in KV or in an answer: a Durable
//!   Object holds back its output until its writes are on disk. A failed write to KV is retried with the next order,
//!   and isolates with the old copy are given the new one.
//! * **No rollback.** The owner numbers what it stores. An isolate that knows revision 7 ignores revision 6 in KV.
//! * **The operator wins.** Credentials set through the admin API wait for a refresh under way, replace the owner's
//!   login and become the next revision. A refresh that was requested earlier and runs later finds a usable token and
//!   does nothing.
//! * A document put into KV by hand is revision 0. The owner adopts it while it has none of its own; isolates that know
//!   no other use its access token at most until it needs a refresh.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::credentials::document::AuthDocument;
use crate::credentials::supplier::report::Report;

/// One revision of the login document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// The number of documents stored up to this one; 0 if the owner did not store it.
    #[serde(rename = "revision")]
    pub number: u64,
    /// The document; `None` if the login was removed or never stored.
    #[serde(with = "text")]
    pub document: Option<AuthDocument>,
}

impl Revision {
    /// Returns whether `other` replaces this revision.
    pub const fn gives_way_to(&self, other: &Self) -> bool {
        self.number <= other.number
    }
}

/// A request of an isolate to the owner.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Return the current revision.
    Read,
    /// Replace the current document.
    Write(#[serde(with = "text")] Option<AuthDocument>),
    /// Return a usable token, renewed if necessary.
    Renew {
        /// The token to replace although it has not expired.
        replaces: Option<Zeroizing<String>>,
        /// Whether the backend has rejected that token.
        is_rejected: bool,
    },
}

/// The owner's reply to an [`Order`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnerReply {
    /// The current revision.
    pub revision: Revision,
    /// The result of the order.
    pub outcome: OrderOutcome,
}

/// The result of an [`Order`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderOutcome {
    /// The order was executed.
    Done,
    /// The result of a refresh.
    Renewal(Report),
    /// The order failed, for this reason.
    Failed(String),
}

/// Serialises a document as its text.
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

    fn revision(number: u64, token: &str) -> Revision {
        Revision { number, document: Some(AuthDocument::from_access_token(token, Some("a"))) }
    }

    #[test]
    fn nobody_goes_back() {
        assert!(revision(7, "t").gives_way_to(&revision(8, "u")));
        assert!(!revision(7, "t").gives_way_to(&revision(6, "s")));
        assert!(!revision(7, "t").gives_way_to(&Revision::default()));
        assert!(revision(0, "by hand").gives_way_to(&revision(0, "by hand again")));
        assert!(Revision::default().gives_way_to(&revision(0, "by hand")));
    }

    #[test]
    fn what_is_said_is_understood() {
        let answer = OwnerReply { revision: revision(3, "t"), outcome: OrderOutcome::Renewal(Report::Stored) };
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<OwnerReply>(&text).unwrap(), answer);
        for order in [
            Order::Read,
            Order::Write(None),
            Order::Write(revision(1, "t").document.clone()),
            Order::Renew { replaces: Some("t".to_owned().into()), is_rejected: true },
        ] {
            let text = serde_json::to_string(&order).unwrap();
            assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
        }
    }
}
