//! What the holders of keys have used, and the limits of the named ones.
//!
//! * A minute is any sixty seconds: the time of each request that was let in is kept for so long.
//! * A day is one in UTC, and a request belongs to the day in which it began, as in the ledger. The tokens are those that
//!   the backend counts at the end of an answer; the last answer of a day may pass the limit, and so may those beside it.
//! * The ledger, where there is one, tells a new server what was used before it started.
//! * A use belongs to the name: a key that is made anew under its name has what is left.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fault::{Fault, FaultKind};
use crate::humanize;
use crate::keys::expiry::DAY;
use crate::keys::named::NamedKey;
#[cfg(not(target_arch = "wasm32"))]
use crate::ledger::LedgerPlace;
#[cfg(not(target_arch = "wasm32"))]
use crate::ledger::summary::{Grouping, LedgerError, LedgerReader};
use crate::platform::{Instant, unix_now};
use crate::server::guard::holder::Holder;

/// The uses of all holders, by the names of their keys; the empty name stands for requests without a key.
#[derive(Debug, Default)]
pub(in crate::server) struct Quotas(Mutex<HashMap<Box<str>, KeyUse>>);

/// A time, on the clock of the minutes and on that of the days.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) struct Moment {
    instant: Instant,
    /// The time since the Unix epoch.
    unix: Duration,
}

impl Moment {
    /// Returns the present.
    pub(in crate::server) fn now() -> Self {
        Self { instant: Instant::now(), unix: unix_now() }
    }

    /// Returns the number of the day.
    fn day(self) -> u64 {
        self.unix.as_secs() / DAY
    }

    /// Returns the time of `delay` from now, in Unix seconds, rounded up as `Retry-After` is.
    fn after(self, delay: Duration) -> u64 {
        let at = self.unix + delay;
        at.as_secs() + u64::from(at.subsec_nanos() > 0)
    }
}

/// What one holder has used.
#[derive(Debug, Default)]
struct KeyUse {
    /// The number of the latest day.
    day: u64,
    /// The tokens of that day.
    tokens: u64,
    /// The requests of the last minute, the oldest first.
    begun: VecDeque<Instant>,
}

/// What one holder has used until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct UsedSoFar {
    /// The tokens of today.
    pub(in crate::server) tokens: u64,
    /// The end of today, in Unix seconds.
    pub(in crate::server) day_ends_at: u64,
    /// The requests of the last minute.
    pub(in crate::server) requests: u64,
    /// When the oldest of them counts no more, in Unix seconds; `None` if there are none.
    pub(in crate::server) minute_ends_at: Option<u64>,
}

impl Quotas {
    /// Lets a request in, and counts it, or refuses it for what its holder has used up.
    pub(in crate::server) fn enter(&self, holder: &Holder, now: Moment) -> Result<(), Fault> {
        // Where nothing is limited, nothing is counted: every request comes here.
        let Some(key) = holder.key() else { return Ok(()) };
        self.with(key.name.as_str(), |used| {
            used.check(key, now)?;
            if key.requests_per_minute.is_some() {
                used.begun.push_back(now.instant);
            }
            Ok(())
        })
    }

    /// Refuses what its holder has used up, and counts nothing.
    pub(in crate::server) fn check(&self, holder: &Holder, now: Moment) -> Result<(), Fault> {
        holder.key().map_or(Ok(()), |key| self.with(key.name.as_str(), |used| used.check(key, now)))
    }

    /// Counts the tokens of a request that began at `began`, since the Unix epoch.
    pub(in crate::server) fn spend(&self, name: &str, tokens: u64, began: Duration) {
        self.with(name, |used| used.spend(tokens, began.as_secs() / DAY));
    }

    /// Returns what the holder of the key `name` has used.
    pub(in crate::server) fn used(&self, name: &str, now: Moment) -> UsedSoFar {
        self.with(name, |used| used.so_far(now))
    }

    /// Counts what the ledger at `place` knows of today.
    #[cfg(not(target_arch = "wasm32"))]
    pub(in crate::server) fn recall(&self, place: &LedgerPlace, now: Moment) -> Result<(), LedgerError> {
        let Some(reader) = LedgerReader::open(place)? else { return Ok(()) };
        for group in reader.usage(now.day() * DAY, &[Grouping::Client])? {
            let tokens = group.sums.tokens.input.saturating_add(group.sums.tokens.output);
            self.spend(&group.client.unwrap_or_default(), tokens, now.unix);
        }
        Ok(())
    }

    fn with<T>(&self, name: &str, work: impl FnOnce(&mut KeyUse) -> T) -> T {
        let mut uses = self.uses();
        match uses.get_mut(name) {
            Some(used) => work(used),
            None => work(uses.entry(name.into()).or_default()),
        }
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<Box<str>, KeyUse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyUse {
    fn check(&mut self, key: &NamedKey, now: Moment) -> Result<(), Fault> {
        let so_far = self.so_far(now);
        if let Some(limit) = key.tokens_per_day.filter(|limit| so_far.tokens >= *limit) {
            let (name, used) = (&key.name, so_far.tokens);
            let told = format!("the key {name} has used {used} of its {limit} tokens a day");
            return Err(spent(&told, Duration::from_secs(so_far.day_ends_at).saturating_sub(now.unix), now));
        }
        let Some(limit) = key.requests_per_minute else { return Ok(()) };
        // A limit that was lowered leaves more requests than one to wait for.
        let excess = self.begun.len().checked_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        match excess.and_then(|excess| self.begun.get(excess)) {
            Some(begun) => {
                let told = format!("the key {} has sent its {limit} requests of a minute", key.name);
                Err(spent(&told, left(*begun, now), now))
            }
            None => Ok(()),
        }
    }

    fn spend(&mut self, tokens: u64, day: u64) {
        self.turn_to(day);
        if day == self.day {
            self.tokens = self.tokens.saturating_add(tokens);
        }
    }

    fn so_far(&mut self, now: Moment) -> UsedSoFar {
        self.turn_to(now.day());
        while self.begun.front().is_some_and(|begun| left(*begun, now).is_zero()) {
            self.begun.pop_front();
        }
        UsedSoFar {
            tokens: self.tokens,
            // A clock that was set back does not bring yesterday's limit back.
            day_ends_at: (self.day + 1) * DAY,
            requests: self.begun.len() as u64,
            minute_ends_at: self.begun.front().map(|begun| now.after(left(*begun, now))),
        }
    }

    /// Begins a new day if `day` is one. An answer of yesterday's that ends today belongs to yesterday.
    fn turn_to(&mut self, day: u64) {
        if day > self.day {
            (self.day, self.tokens) = (day, 0);
        }
    }
}

/// Returns how long a request of `begun` still counts.
fn left(begun: Instant, now: Moment) -> Duration {
    MINUTE.saturating_sub(now.instant.saturating_duration_since(begun))
}

fn spent(told: &str, delay: Duration, now: Moment) -> Fault {
    let message = format!("{told}; it may go on at {}", humanize::rfc3339(now.after(delay)));
    Fault::new(FaultKind::KeySpent, message).with_retry_after(delay)
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::digest::KeyDigest;
    use crate::keys::named::KeyName;

    fn key(tokens_per_day: Option<u64>, requests_per_minute: Option<u32>) -> Holder {
        let key = NamedKey::unlimited(KeyName::parse("a").unwrap(), KeyDigest::of(b"a"));
        Holder::Named(std::sync::Arc::new(NamedKey { tokens_per_day, requests_per_minute, ..key }))
    }

    /// The beginning of a day, and what comes some milliseconds later.
    fn later(start: Instant, millis: u64) -> Moment {
        let passed = Duration::from_millis(millis);
        Moment { instant: start + passed, unix: Duration::from_secs(20_000 * DAY) + passed }
    }

    #[test]
    fn a_minute_is_any_sixty_seconds() {
        let (quotas, start, holder) = (Quotas::default(), Instant::now(), key(None, Some(2)));
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
        let (quotas, start, holder) = (Quotas::default(), Instant::now(), key(Some(10), None));
        let evening = later(start, 86_000_000);
        quotas.spend("a", 9, evening.unix);
        quotas.enter(&holder, evening).expect("one is left");
        quotas.spend("a", 9, evening.unix);
        let error = quotas.enter(&holder, evening).unwrap_err();
        assert_eq!(error.retry_after, Some(Duration::from_secs(400)));
        assert!(error.message.contains("has used 18 of its 10 tokens") && error.message.contains("T00:00:00Z"));
        let morning = later(start, 86_400_000);
        quotas.enter(&holder, morning).expect("a new day");
        quotas.spend("a", 50, evening.unix);
        assert_eq!(quotas.used("a", morning).tokens, 0, "yesterday's");
        quotas.spend("a", u64::MAX, morning.unix);
        quotas.spend("a", 1, morning.unix);
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
            let (quotas, start, holder) = (Quotas::default(), Instant::now(), key(Some(budget), Some(limit)));
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
                        quotas.spend("a", tokens, now.unix);
                    }
                    Err(error) => {
                        let delay = error.retry_after.unwrap_or_default();
                        let then = later(start, millis + u64::try_from(delay.as_millis()).unwrap());
                        let longest = if today < budget { MINUTE } else { Duration::from_secs(DAY) };
                        prop_assert!(!delay.is_zero() && delay <= longest);
                        prop_assert!(today < budget || then.day() == now.day() + 1);
                        let still = entered.iter().filter(|at| then.instant - start < MINUTE + Duration::from_millis(**at));
                        prop_assert!(then.day() > now.day() || still.count() < limit as usize, "told too early");
                    }
                }
            }
        }
    }
}
