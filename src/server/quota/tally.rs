//! The use of one key: its tokens of the day and its requests of the last minute, and whether its limits leave it anything.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, FaultKind};
use crate::humanize;
use crate::keys::expiry::DAY;
use crate::keys::named::{KeyName, NamedKey};
use crate::platform::{Instant, unix_now};

/// A time, on the clock of the minutes and on that of the days.
#[derive(Debug, Clone, Copy)]
pub struct QuotaTime {
    /// The time on a clock that nobody sets.
    steady: Duration,
    /// The time since the Unix epoch.
    unix: Duration,
}

impl QuotaTime {
    /// Returns the present. Its minutes are those of this process.
    pub(in crate::server) fn now() -> Self {
        static START: OnceLock<Instant> = OnceLock::new();
        Self { steady: START.get_or_init(Instant::now).elapsed(), unix: unix_now() }
    }

    /// Returns the time `unix` since the Unix epoch, whose minutes outlive a process.
    pub const fn at(unix: Duration) -> Self {
        Self { steady: unix, unix }
    }

    /// Returns the time since the Unix epoch.
    #[cfg(not(target_arch = "wasm32"))]
    pub(in crate::server) const fn unix(self) -> Duration {
        self.unix
    }

    /// Returns the number of the day.
    pub const fn day(self) -> u64 {
        Self::day_of(self.unix)
    }

    /// Returns the number of the day of a time since the Unix epoch.
    pub(in crate::server) const fn day_of(unix: Duration) -> u64 {
        unix.as_secs() / DAY
    }

    /// Returns the beginning of the day, in Unix seconds.
    #[cfg(not(target_arch = "wasm32"))]
    pub(in crate::server) const fn day_begins_at(self) -> u64 {
        self.day() * DAY
    }

    /// Returns the time of `delay` from now, in Unix seconds, rounded up as `Retry-After` is.
    fn after(self, delay: Duration) -> u64 {
        let at = self.unix + delay;
        at.as_secs() + u64::from(at.subsec_nanos() > 0)
    }
}

/// The limits of a key that hang on its use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLimits {
    /// The key's name.
    pub name: KeyName,
    tokens_per_day: Option<u64>,
    requests_per_minute: Option<u32>,
}

impl KeyLimits {
    /// Returns those of `key`.
    pub(in crate::server) fn of(key: &NamedKey) -> Self {
        let NamedKey { name, tokens_per_day, requests_per_minute, .. } = key;
        Self { name: name.clone(), tokens_per_day: *tokens_per_day, requests_per_minute: *requests_per_minute }
    }

    /// Returns whether there is one.
    pub(in crate::server) const fn limit_anything(&self) -> bool {
        self.tokens_per_day.is_some() || self.counts_requests()
    }

    /// Returns whether requests are limited, and so counted.
    pub const fn counts_requests(&self) -> bool {
        self.requests_per_minute.is_some()
    }
}

/// The use of one key.
#[derive(Debug, Default)]
pub struct KeyUse {
    /// The number of the latest day.
    day: u64,
    /// The tokens of that day.
    tokens: u64,
    /// The requests of the last minute by the steady clock, the oldest first.
    begun: VecDeque<Duration>,
}

/// The use of one key until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedSoFar {
    /// The tokens of today.
    pub(in crate::server) tokens: u64,
    /// The end of today, in Unix seconds.
    pub(in crate::server) day_ends_at: u64,
    /// The requests of the last minute.
    pub(in crate::server) requests: u64,
    /// When the oldest of them counts no more, in Unix seconds; `None` if there are none.
    pub(in crate::server) minute_ends_at: Option<u64>,
}

/// A refusal for what a holder has used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    message: String,
    /// The time until something is left again.
    delay: Duration,
}

impl From<Spent> for Fault {
    fn from(spent: Spent) -> Self {
        Self::new(FaultKind::KeySpent, spent.message).with_retry_after(spent.delay)
    }
}

impl KeyUse {
    /// Creates the use of a holder of `tokens` on `day`, whose requests of the last minute `begun`, the oldest first.
    pub fn known(day: u64, tokens: u64, begun: impl IntoIterator<Item = Duration>) -> Self {
        Self { day, tokens, begun: begun.into_iter().collect() }
    }

    /// Counts a request, or refuses it.
    pub fn enter(&mut self, limits: &KeyLimits, now: QuotaTime) -> Result<(), Spent> {
        self.check(limits, now)?;
        if limits.counts_requests() {
            self.begun.push_back(now.steady);
        }
        Ok(())
    }

    /// Refuses what is used up.
    pub(in crate::server) fn check(&mut self, limits: &KeyLimits, now: QuotaTime) -> Result<(), Spent> {
        let so_far = self.so_far(now);
        if let Some(limit) = limits.tokens_per_day.filter(|limit| so_far.tokens >= *limit) {
            let (name, used) = (&limits.name, so_far.tokens);
            let told = format!("the key {name} has used {used} of its {limit} tokens a day");
            return Err(spent(&told, Duration::from_secs(so_far.day_ends_at).saturating_sub(now.unix), now));
        }
        let Some(limit) = limits.requests_per_minute else { return Ok(()) };
        // A limit that was lowered leaves more requests than one to wait for.
        let excess = self.begun.len().checked_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        match excess.and_then(|excess| self.begun.get(excess)) {
            Some(begun) => {
                let told = format!("the key {} has sent its {limit} requests of a minute", limits.name);
                Err(spent(&told, left(*begun, now), now))
            }
            None => Ok(()),
        }
    }

    /// Counts tokens of a request that began on `day`. Returns all of the latest day, and that day.
    pub fn spend(&mut self, tokens: u64, day: u64) -> (u64, u64) {
        self.turn_to(day);
        if day == self.day {
            self.tokens = self.tokens.saturating_add(tokens);
        }
        (self.tokens, self.day)
    }

    /// Returns what was used until `now`.
    pub fn so_far(&mut self, now: QuotaTime) -> UsedSoFar {
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

    /// Returns whether nothing counts at `now`.
    pub fn is_nothing(&mut self, now: QuotaTime) -> bool {
        let so_far = self.so_far(now);
        (so_far.tokens, so_far.requests) == (0, 0)
    }

    /// Begins a new day if `day` is one. An answer of yesterday's that ends today belongs to yesterday.
    fn turn_to(&mut self, day: u64) {
        if day > self.day {
            (self.day, self.tokens) = (day, 0);
        }
    }
}

/// Returns how long a request of `begun` still counts.
fn left(begun: Duration, now: QuotaTime) -> Duration {
    MINUTE.saturating_sub(now.steady.saturating_sub(begun))
}

fn spent(told: &str, delay: Duration, now: QuotaTime) -> Spent {
    let at = humanize::rfc3339(now.after(delay)).map(|at| format!("at {at}"));
    let again = at.unwrap_or_else(|| format!("in {}", humanize::duration(delay.as_secs())));
    Spent { message: format!("{told}; it may go on {again}"), delay }
}

/// How long a request counts.
pub const MINUTE: Duration = Duration::from_secs(60);
