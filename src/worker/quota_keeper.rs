//! The counts of all named keys, in the storage of a Durable Object.
//!
//! * It counts in memory, with the daemon's own rules, and stores each change before it replies: the host holds the reply
//!   back until the change is on disk. Whatever takes the object out of memory, the next one goes on from there.
//! * An order runs without a pause, so none comes between.
//! * The storage holds one row for each key that was used today, and one for each counted request of the last minute.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use worker::{SqlStorage, SqlStorageValue};

use crate::keys::named::KeyName;
use crate::platform::unix_now;
use crate::server::quota::owner::{QuotaOrder, QuotaReply, Spending};
use crate::server::quota::tally::{KeyLimits, KeyUse, MINUTE, QuotaTime};

/// The counts and their storage.
pub(super) struct QuotaKeeper {
    sql: SqlStorage,
    counts: RefCell<Counts>,
}

#[derive(Default)]
struct Counts {
    uses: HashMap<KeyName, KeyUse>,
    /// The day whose beginning has cleared the storage.
    cleared: u64,
}

impl QuotaKeeper {
    /// Reads the counts in `sql`.
    pub(super) fn open(sql: SqlStorage) -> worker::Result<Self> {
        sql.exec("CREATE TABLE IF NOT EXISTS spent (name TEXT PRIMARY KEY, day INTEGER, tokens INTEGER)", None)?;
        sql.exec("CREATE TABLE IF NOT EXISTS begun (at INTEGER, name TEXT)", None)?;
        sql.exec("CREATE INDEX IF NOT EXISTS begun_at ON begun (at)", None)?;
        let mut begun: HashMap<KeyName, Vec<Duration>> = HashMap::new();
        for row in sql.exec("SELECT name, at FROM begun ORDER BY at", None)?.to_array::<BegunRow>()? {
            begun.entry(row.name).or_default().push(Duration::from_millis(row.at));
        }
        let mut uses = HashMap::new();
        for row in sql.exec("SELECT name, day, tokens FROM spent", None)?.to_array::<SpentRow>()? {
            let requests = begun.remove(&row.name).unwrap_or_default();
            uses.insert(row.name, KeyUse::known(row.day, row.tokens, requests));
        }
        uses.extend(begun.into_iter().map(|(name, requests)| (name, KeyUse::known(0, 0, requests))));
        Ok(Self { sql, counts: RefCell::new(Counts { uses, cleared: 0 }) })
    }

    /// Executes `order`.
    pub(super) fn answer(&self, order: QuotaOrder) -> QuotaReply {
        self.execute(order, unix_now()).unwrap_or_else(|error| QuotaReply::Failed(error.to_string()))
    }

    fn execute(&self, order: QuotaOrder, now: Duration) -> worker::Result<QuotaReply> {
        self.turn_to(QuotaTime::at(now))?;
        match order {
            QuotaOrder::Enter(limits) => self.enter(&limits, now),
            QuotaOrder::Spend(spendings) => {
                spendings.into_iter().try_for_each(|spending| self.spend(spending))?;
                Ok(QuotaReply::Done)
            }
            QuotaOrder::Read(name) => Ok(QuotaReply::Used(self.with(name, |used| used.so_far(QuotaTime::at(now))))),
        }
    }

    fn enter(&self, limits: &KeyLimits, now: Duration) -> worker::Result<QuotaReply> {
        if let Err(spent) = self.with(limits.name.clone(), |used| used.enter(limits, QuotaTime::at(now))) {
            return Ok(QuotaReply::Refused(spent));
        }
        if limits.counts_requests() {
            self.sql.exec("DELETE FROM begun WHERE at <= ?", vec![millis(now.saturating_sub(MINUTE))])?;
            let row = vec![millis(now), limits.name.as_str().into()];
            self.sql.exec("INSERT INTO begun (at, name) VALUES (?, ?)", row)?;
        }
        Ok(QuotaReply::Done)
    }

    fn spend(&self, spending: Spending) -> worker::Result<()> {
        let Spending { name, day, tokens } = spending;
        let (total, latest) = self.with(name.clone(), |used| used.spend(tokens, day));
        let sql = "INSERT INTO spent (name, day, tokens) VALUES (?, ?, ?) \
                   ON CONFLICT (name) DO UPDATE SET day = excluded.day, tokens = excluded.tokens";
        self.sql.exec(sql, vec![name.as_str().into(), integer(latest), integer(total)]).map(drop)
    }

    /// Forgets what belongs to days before that of `now`, once a day.
    fn turn_to(&self, now: QuotaTime) -> worker::Result<()> {
        let mut counts = self.counts.borrow_mut();
        if counts.cleared >= now.day() {
            return Ok(());
        }
        self.sql.exec("DELETE FROM spent WHERE day < ?", vec![integer(now.day())])?;
        counts.uses.retain(|_, used| !used.is_nothing(now));
        counts.cleared = now.day();
        Ok(())
    }

    fn with<T>(&self, name: KeyName, work: impl FnOnce(&mut KeyUse) -> T) -> T {
        work(self.counts.borrow_mut().uses.entry(name).or_default())
    }
}

#[derive(Deserialize)]
struct BegunRow {
    name: KeyName,
    /// In Unix milliseconds.
    at: u64,
}

#[derive(Deserialize)]
struct SpentRow {
    name: KeyName,
    day: u64,
    tokens: u64,
}

fn millis(time: Duration) -> SqlStorageValue {
    integer(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// The host's numbers are exact up to 2^53.
fn integer(number: u64) -> SqlStorageValue {
    const LARGEST: i64 = (1 << 53) - 1;
    SqlStorageValue::Integer(i64::try_from(number).map_or(LARGEST, |number| number.min(LARGEST)))
}
