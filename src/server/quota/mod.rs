//! What the holders of keys have used, and the limits of the named ones.
//!
//! * A minute is any sixty seconds: the time of each request that was let in is kept for so long.
//! * A day is one in UTC, and a request belongs to the day in which it began, as in the ledger. The tokens are those that
//!   the backend counts at the end of an answer; the last answer of a day may pass the limit, and so may those beside it.
//! * The ledger, where there is one, tells a new server what was used before it started.
//! * A use belongs to the name: a key that is made anew under its name has what is left.
//! * Where many processes serve the same keys, an [`owner`] counts for all of them.

pub mod owner;
pub mod tally;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fault::{Fault, FaultKind};
use crate::keys::named::KeyName;
#[cfg(not(target_arch = "wasm32"))]
use crate::ledger::LedgerPlace;
#[cfg(not(target_arch = "wasm32"))]
use crate::ledger::summary::{Grouping, LedgerError, LedgerReader};
use crate::server::guard::holder::Holder;
use crate::server::quota::owner::{QuotaOrder, QuotaOwner, QuotaReply, Unsent};
use crate::server::quota::tally::{KeyLimits, KeyUse, QuotaTime, UsedSoFar};

/// The uses of all holders, by the names of their keys; the empty name stands for requests without a key.
#[derive(Debug, Default)]
pub struct Quotas {
    uses: Mutex<HashMap<Box<str>, KeyUse>>,
    /// Counts in place of `uses`, if there is one.
    owner: Option<Arc<dyn QuotaOwner>>,
    unsent: Unsent,
}

impl Quotas {
    /// Creates a handle to the counts of `owner`.
    pub(in crate::server) fn of(owner: Arc<dyn QuotaOwner>) -> Self {
        Self { owner: Some(owner), ..Self::default() }
    }

    /// Lets a request in, and counts it, or refuses it for what its holder has used up. An owner is asked apart, with
    /// [`Quotas::ask_to_enter`].
    pub(in crate::server) fn enter(&self, holder: &Holder, now: QuotaTime) -> Result<(), Fault> {
        // Where nothing is limited, nothing is counted: every request comes here.
        let Some(key) = holder.key().filter(|_| !self.has_owner()) else { return Ok(()) };
        self.with(key.name.as_str(), |used| used.enter(&KeyLimits::of(key), now)).map_err(Into::into)
    }

    /// Refuses what its holder has used up, and counts nothing.
    pub(in crate::server) fn check(&self, holder: &Holder, now: QuotaTime) -> Result<(), Fault> {
        let Some(key) = holder.key().filter(|_| !self.has_owner()) else { return Ok(()) };
        self.with(key.name.as_str(), |used| used.check(&KeyLimits::of(key), now)).map_err(Into::into)
    }

    /// Has the owner let a request in, and count it. It is asked only about a key that has a limit.
    pub(in crate::server) async fn ask_to_enter(&self, holder: &Holder) -> Result<(), Fault> {
        let Some(limits) = holder.key().map(KeyLimits::of).filter(KeyLimits::limit_anything) else { return Ok(()) };
        match self.ask(&QuotaOrder::Enter(limits)).await? {
            QuotaReply::Refused(spent) => Err(spent.into()),
            _ => Ok(()),
        }
    }

    /// Counts the tokens of a request that began at `began`, since the Unix epoch.
    pub(in crate::server) fn spend(&self, name: &str, tokens: u64, began: Duration) {
        let day = QuotaTime::day_of(began);
        if !self.has_owner() {
            self.with(name, |used| used.spend(tokens, day));
        } else if let Ok(name) = KeyName::parse(name) {
            self.unsent.add(name, day, tokens);
        }
    }

    /// Sends the owner the tokens that it has not heard of. What cannot be sent is kept for the next time.
    pub(in crate::server) async fn settle(&self) {
        let spendings = self.unsent.take();
        if spendings.is_empty() {
            return;
        }
        let order = QuotaOrder::Spend(spendings);
        if let Err(fault) = self.ask(&order).await {
            tracing::warn!("{}; its tokens are sent with those of the next request", fault.message);
            if let QuotaOrder::Spend(spendings) = order {
                self.unsent.keep(spendings);
            }
        }
    }

    /// Returns what the holder of the key `name` has used.
    pub(in crate::server) fn used(&self, name: &str, now: QuotaTime) -> UsedSoFar {
        self.with(name, |used| used.so_far(now))
    }

    /// Returns what the holder of a key has used; `None` if it is not counted.
    pub(in crate::server) async fn used_by(&self, holder: &Holder) -> Result<Option<UsedSoFar>, Fault> {
        match holder {
            Holder::Unnamed(_) => Ok(None),
            Holder::Named(key) if self.has_owner() => match self.ask(&QuotaOrder::Read(key.name.clone())).await? {
                QuotaReply::Used(used) => Ok(Some(used)),
                _ => Ok(None),
            },
            Holder::Local | Holder::Named(_) => {
                Ok(Some(self.used(holder.name().unwrap_or_default(), QuotaTime::now())))
            }
        }
    }

    /// Returns whether an owner counts.
    pub(in crate::server) fn has_owner(&self) -> bool {
        self.owner.is_some()
    }

    /// Counts what the ledger at `place` knows of today.
    #[cfg(not(target_arch = "wasm32"))]
    pub(in crate::server) fn recall(&self, place: &LedgerPlace, now: QuotaTime) -> Result<(), LedgerError> {
        let Some(reader) = LedgerReader::open(place)? else { return Ok(()) };
        for group in reader.usage(now.day_begins_at(), &[Grouping::Client])? {
            let tokens = group.sums.tokens.input.saturating_add(group.sums.tokens.output);
            self.spend(&group.client.unwrap_or_default(), tokens, now.unix());
        }
        Ok(())
    }

    async fn ask(&self, order: &QuotaOrder) -> Result<QuotaReply, Fault> {
        let Some(owner) = &self.owner else { return Ok(QuotaReply::Done) };
        let uncounted =
            |problem: String| Fault::new(FaultKind::Internal, format!("the use of keys cannot be counted: {problem}"));
        match owner.ask(order).await.map_err(uncounted)? {
            QuotaReply::Failed(problem) => Err(uncounted(problem)),
            reply => Ok(reply),
        }
    }

    fn with<T>(&self, name: &str, work: impl FnOnce(&mut KeyUse) -> T) -> T {
        let mut uses = self.uses();
        match uses.get_mut(name) {
            Some(used) => work(used),
            None => work(uses.entry(name.into()).or_default()),
        }
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<Box<str>, KeyUse>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::digest::KeyDigest;
    use crate::keys::expiry::DAY;
    use crate::keys::named::NamedKey;
    use crate::server::quota::tally::MINUTE;

    /// The beginning of a day.
    const START: Duration = Duration::from_secs(20_000 * DAY);

    fn key(tokens_per_day: Option<u64>, requests_per_minute: Option<u32>) -> Holder {
        let key = NamedKey::unlimited(KeyName::parse("a").unwrap(), KeyDigest::of(b"a"));
        Holder::Named(Arc::new(NamedKey { tokens_per_day, requests_per_minute, ..key }))
    }

    /// The beginning of a day, and what comes some milliseconds later.
    fn later(start: Duration, millis: u64) -> QuotaTime {
        QuotaTime::at(start + Duration::from_millis(millis))
    }

    #[test]
    fn a_minute_is_any_sixty_seconds() {
        let (quotas, start, holder) = (Quotas::default(), START, key(None, Some(2)));
        for (millis, refused) in [
            (0, None),
            (59_000, None),
            (59_500, Some(500)),
            (60_000, None),
            (60_001, Some(58_999)),
            (118_999, Some(1)),
            (119_000, None),
        ] {
            let entered = quotas.enter(&holder, later(start, millis));
            let told = entered.as_ref().err().and_then(|error| error.retry_after);
            assert_eq!(told, refused.map(Duration::from_millis), "{millis}: {entered:?}");
        }
        let lowered = key(None, Some(1));
        let error = quotas.enter(&lowered, later(start, 119_000)).unwrap_err();
        assert_eq!(error.retry_after, Some(MINUTE), "both have to leave");
        assert_eq!(quotas.used("a", later(start, 119_000)).requests, 2);
        assert_eq!(quotas.used("b", later(start, 119_000)).requests, 0);
    }

    #[test]
    fn a_day_ends_at_midnight_and_an_answer_belongs_to_the_day_it_began_in() {
        let (quotas, start, holder) = (Quotas::default(), START, key(Some(10), None));
        let evening = later(start, 86_000_000);
        quotas.spend("a", 9, evening.unix());
        quotas.enter(&holder, evening).expect("one is left");
        quotas.spend("a", 9, evening.unix());
        let error = quotas.enter(&holder, evening).unwrap_err();
        assert_eq!(error.retry_after, Some(Duration::from_secs(400)));
        assert!(error.message.contains("has used 18 of its 10 tokens") && error.message.contains("T00:00:00Z"));
        let morning = later(start, 86_400_000);
        quotas.enter(&holder, morning).expect("a new day");
        quotas.spend("a", 50, evening.unix());
        assert_eq!(quotas.used("a", morning).tokens, 0, "yesterday's");
        quotas.spend("a", u64::MAX, morning.unix());
        quotas.spend("a", 1, morning.unix());
        assert_eq!(quotas.used("a", evening).tokens, u64::MAX, "a clock set back brings nothing back");
    }

    proptest! {
        /// Whatever happens in whatever order, the counts are those of all that happened.
        #[test]
        fn nothing_is_lost_and_nothing_counted_twice(
            steps in prop::collection::vec((0_u64..40_000_000, 0_u64..1000, prop::bool::ANY), 1..80),
            limit in 1_u32..6,
            budget in 1_u64..4000,
        ) {
            let (quotas, start, holder) = (Quotas::default(), START, key(Some(budget), Some(limit)));
            let (mut millis, mut spent, mut entered) = (0, Vec::new(), Vec::new());
            for (pause, tokens, is_short) in steps {
                millis += if is_short { pause % 30_000 } else { pause };
                let now = later(start, millis);
                let today: u64 =
                    spent.iter().filter(|(day, _)| *day == now.day()).map(|(_, tokens): &(u64, u64)| *tokens).sum();
                let recent = entered.iter().filter(|at| millis - **at < 60_000).count();
                prop_assert_eq!(quotas.used("a", now).tokens, today);
                prop_assert_eq!(quotas.used("a", now).requests, recent as u64);
                let is_open = today < budget && recent < limit as usize;
                prop_assert_eq!(quotas.check(&holder, now).is_ok(), is_open);
                let outcome = quotas.enter(&holder, now);
                prop_assert_eq!(outcome.is_ok(), is_open);
                match outcome {
                    Ok(()) => {
                        entered.push(millis);
                        spent.push((now.day(), tokens));
                        quotas.spend("a", tokens, now.unix());
                    }
                    Err(error) => {
                        let delay = error.retry_after.unwrap_or_default();
                        let then = later(start, millis + u64::try_from(delay.as_millis()).unwrap());
                        let longest = if today < budget { MINUTE } else { Duration::from_secs(DAY) };
                        prop_assert!(!delay.is_zero() && delay <= longest);
                        prop_assert!(today < budget || then.day() == now.day() + 1);
                        let still = entered.iter().filter(|at| then.unix() - start < MINUTE + Duration::from_millis(**at));
                        prop_assert!(then.day() > now.day() || still.count() < limit as usize, "told too early");
                    }
                }
            }
        }
    }
}
