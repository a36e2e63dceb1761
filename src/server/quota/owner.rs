//! The owner of the counts where many processes serve the same keys: the isolates of a Worker share no memory.
//!
//! * A request of a key with a limit waits for one order, [`QuotaOrder::Enter`], before its body is read; any other waits
//!   for none.
//! * Tokens are known at the end of an answer. They are gathered here, and sent once the answer is over.
//! * An order that fails may have been executed. Tokens are then sent again: a key rather has less left than more.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::keys::named::KeyName;
use crate::server::quota::tally::{KeyLimits, Spent, UsedSoFar};

/// The counts of all keys, for every process that serves them.
pub trait QuotaOwner: fmt::Debug + Send + Sync {
    /// Has `order` executed. The error says why there is no reply.
    fn ask<'a>(&'a self, order: &'a QuotaOrder) -> BoxFuture<'a, Result<QuotaReply, String>>;
}

/// A message to the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaOrder {
    /// Let a request in, and count it, or refuse it.
    Enter(KeyLimits),
    /// Count tokens.
    Spend(Vec<Spending>),
    /// Tell what the holder of a key has used.
    Read(KeyName),
}

/// The tokens of requests of one key that began on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// The key's name.
    pub name: KeyName,
    /// The number of the day in UTC.
    pub day: u64,
    /// The tokens, input and output together.
    pub tokens: u64,
}

/// The reply to a [`QuotaOrder`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaReply {
    /// The order was executed.
    Done,
    /// The request is refused.
    Refused(Spent),
    /// The answer to [`QuotaOrder::Read`].
    Used(UsedSoFar),
    /// The order could not be executed, for this reason.
    Failed(String),
}

/// The tokens that the owner has not heard of. There is at most one sum for each key and day.
#[derive(Debug, Default)]
pub(super) struct Unsent(Mutex<HashMap<(KeyName, u64), u64>>);

impl Unsent {
    pub(super) fn add(&self, name: KeyName, day: u64, tokens: u64) {
        let mut sums = self.sums();
        let sum = sums.entry((name, day)).or_default();
        *sum = sum.saturating_add(tokens);
    }

    /// Returns everything, and forgets it.
    pub(super) fn take(&self) -> Vec<Spending> {
        let sums = std::mem::take(&mut *self.sums());
        sums.into_iter().map(|((name, day), tokens)| Spending { name, day, tokens }).collect()
    }

    /// Takes back what could not be sent.
    pub(super) fn keep(&self, spendings: Vec<Spending>) {
        for Spending { name, day, tokens } in spendings {
            self.add(name, day, tokens);
        }
    }

    fn sums(&self) -> MutexGuard<'_, HashMap<(KeyName, u64), u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::fault::FaultKind;
    use crate::keys::digest::KeyDigest;
    use crate::keys::expiry::DAY;
    use crate::keys::named::NamedKey;
    use crate::server::guard::holder::Holder;
    use crate::server::quota::Quotas;
    use crate::server::quota::tally::{KeyUse, QuotaTime};

    /// An owner that plays what it was told to, and keeps the orders.
    #[derive(Debug, Default)]
    struct Scripted {
        replies: Mutex<VecDeque<Result<QuotaReply, String>>>,
        orders: Mutex<Vec<QuotaOrder>>,
    }

    impl QuotaOwner for Scripted {
        fn ask<'a>(&'a self, order: &'a QuotaOrder) -> BoxFuture<'a, Result<QuotaReply, String>> {
            // Whatever is said must survive the way.
            let text = serde_json::to_string(order).expect("JSON");
            self.orders.lock().expect("orders").push(serde_json::from_str(&text).expect("read back"));
            let reply = self.replies.lock().expect("replies").pop_front().unwrap_or(Ok(QuotaReply::Done));
            async move { reply }.boxed()
        }
    }

    fn quotas(replies: impl IntoIterator<Item = Result<QuotaReply, String>>) -> (Arc<Scripted>, Quotas) {
        let owner = Arc::new(Scripted { replies: Mutex::new(replies.into_iter().collect()), ..Scripted::default() });
        (owner.clone(), Quotas::of(owner))
    }

    fn key(tokens_per_day: Option<u64>) -> NamedKey {
        let name = KeyName::parse("a").expect("a name");
        NamedKey { tokens_per_day, ..NamedKey::unlimited(name, KeyDigest::of(b"a")) }
    }

    fn spending(day: u64, tokens: u64) -> Spending {
        Spending { name: KeyName::parse("a").expect("a name"), day, tokens }
    }

    #[tokio::test]
    async fn only_a_key_with_a_limit_asks() {
        let (owner, quotas) = quotas([]);
        for holder in [Holder::Local, Holder::Unnamed(KeyDigest::of(b"b")), Holder::Named(Arc::new(key(None)))] {
            quotas.ask_to_enter(&holder).await.expect("let in");
        }
        assert_eq!(*owner.orders.lock().unwrap(), []);
        quotas.ask_to_enter(&Holder::Named(Arc::new(key(Some(5))))).await.expect("let in");
        assert_eq!(*owner.orders.lock().unwrap(), [QuotaOrder::Enter(KeyLimits::of(&key(Some(5))))]);
    }

    #[tokio::test]
    async fn what_the_owner_refuses_is_refused_and_without_the_owner_nobody_is_let_in() {
        let mut used = KeyUse::known(20_000, 5, []);
        let now = QuotaTime::at(Duration::from_secs(20_000 * DAY + 86_000));
        let spent = used.enter(&KeyLimits::of(&key(Some(5))), now).expect_err("used up");
        let broken = || Err("it is away".to_owned());
        let (_, quotas) = quotas([Ok(QuotaReply::Refused(spent)), broken(), Ok(QuotaReply::Failed("full".to_owned()))]);
        let holder = Holder::Named(Arc::new(key(Some(5))));
        let refused = quotas.ask_to_enter(&holder).await.unwrap_err();
        assert_eq!((refused.kind, refused.retry_after), (FaultKind::KeySpent, Some(Duration::from_secs(400))));
        for part in ["it is away", "full"] {
            let fault = quotas.ask_to_enter(&holder).await.unwrap_err();
            assert!(fault.kind == FaultKind::Internal && fault.message.contains(part), "{fault:?}");
        }
    }

    #[tokio::test]
    async fn tokens_are_summed_up_and_kept_until_the_owner_has_heard_of_them() {
        let (owner, quotas) = quotas([Err("it is away".to_owned())]);
        let began = Duration::from_secs(20_000 * DAY);
        quotas.settle().await;
        assert_eq!(*owner.orders.lock().unwrap(), [], "there is nothing to say");
        quotas.spend("a", 3, began);
        quotas.spend("a", 4, began);
        for nobody in ["", KeyName::DEFAULT] {
            quotas.spend(nobody, 100, began);
        }
        quotas.settle().await;
        quotas.spend("a", 5, began);
        quotas.settle().await;
        quotas.settle().await;
        let told = [7, 12].map(|tokens| QuotaOrder::Spend(vec![spending(20_000, tokens)]));
        assert_eq!(*owner.orders.lock().unwrap(), told);
    }

    #[test]
    fn what_was_stored_counts_on_until_its_time_is_over() {
        let at = |seconds: u64| QuotaTime::at(Duration::from_secs(20_000 * DAY + seconds));
        let mut used = KeyUse::known(20_000, 5, [at(86_350).unix()]);
        assert!(!used.is_nothing(at(86_399)), "tokens of today");
        assert!(!used.is_nothing(at(86_409)), "a request of this minute, though of yesterday");
        assert!(used.is_nothing(at(86_410)));
        assert_eq!(used.spend(7, 20_000), (0, 20_001), "yesterday's");
        assert_eq!(used.spend(7, 20_001), (7, 20_001));
    }
}
