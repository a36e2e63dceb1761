//! What the ledger says: sums, the newest rows, the last known usage windows.
//!
//! * Reading never writes, and works while a server writes, or without one.
//! * Sums come from the quarters of an hour, so they take no longer for a million requests.
//! * A day is one of this machine's calendar.

use rusqlite::{Connection, OptionalExtension as _, Row};
use serde::Serialize;

use crate::ledger::batch::account_digest;
use crate::ledger::book::LedgerPlace;
use crate::ledger::entry::{LedgerEntry, TokenCounts};
use crate::ledger::file;
use crate::ledger::file::Trouble;
use crate::ledger::schema::SLOT_SECONDS;
use crate::limits::PlanLimits;
use crate::phases::{Phase, PhaseTimes};

/// A failure to read the ledger; a clause that says why.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LedgerError(#[from] Trouble);

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.into())
    }
}

/// An open ledger.
#[derive(Debug)]
pub struct LedgerReader {
    connection: Connection,
}

/// What sums are grouped by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Grouping {
    /// The model sent.
    #[default]
    Model,
    /// The client's key.
    Client,
    /// The day of this machine's calendar.
    Day,
}

/// The sums of some requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct UsageSums {
    /// Requests.
    pub requests: u64,
    /// Requests that ended in an error.
    pub failed: u64,
    /// Tokens.
    #[serde(flatten)]
    pub tokens: TokenCounts,
    /// The share of input tokens served from the cache; `None` without input.
    pub cache_hit_share: Option<f64>,
    /// The mean time to the first token; `None` if no request had one.
    pub mean_first_token_ms: Option<u64>,
    /// The mean time to the answer's end; `None` without requests.
    pub mean_duration_ms: Option<u64>,
}

/// The sums of one group. Only what was grouped by is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct UsageGroup {
    /// The day, as `2026-11-26`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// The model sent; empty for requests that none was sent for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The client's key; empty for requests without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The sums.
    #[serde(flatten)]
    pub sums: UsageSums,
}

impl LedgerReader {
    /// Opens the ledger at `place`; `None` if nothing was ever recorded there.
    pub fn open(place: &LedgerPlace) -> Result<Option<Self>, LedgerError> {
        Ok(file::open_to_read(place)?.map(|connection| Self { connection }))
    }

    /// Returns when the first of the last `days` days began, today included, in Unix seconds.
    pub fn since(&self, days: u32) -> Result<u64, LedgerError> {
        let sql = "SELECT CAST(strftime('%s', 'now', 'localtime', 'start of day', ?1, 'utc') AS INTEGER)";
        let back = format!("-{} days", days.saturating_sub(1));
        let since: i64 = self.connection.query_row(sql, [back], |row| row.get(0))?;
        Ok(u64::try_from(since).unwrap_or_default())
    }

    /// Returns the last `days` days, today included, as [`UsageGroup::day`] names them, the oldest first.
    pub fn days(&self, days: u32) -> Result<Vec<String>, LedgerError> {
        let sql = "WITH RECURSIVE ago (days) AS (SELECT ?1 - 1 UNION ALL SELECT days - 1 FROM ago WHERE days > 0) \
                   SELECT date('now', 'localtime', 'start of day', '-' || days || ' days') FROM ago WHERE days >= 0";
        let mut statement = self.connection.prepare(sql)?;
        let days = statement.query_map([days], |row| row.get(0))?;
        Ok(days.collect::<Result<_, _>>()?)
    }

    /// Returns the sums of the requests since `since` (Unix seconds), by every combination of `by` that occurs, in
    /// order. Without any there is one group of all.
    pub fn usage(&self, since: u64, by: &[Grouping]) -> Result<Vec<UsageGroup>, LedgerError> {
        // Sums by number first: the names, which are few, are joined to the groups and not to every quarter of an hour.
        let columns = [
            (Grouping::Day, "day", format!("date(slot * {SLOT_SECONDS}, 'unixepoch', 'localtime')"), "sums.day"),
            (Grouping::Model, "model", "model".to_owned(), "coalesce(model.text, '')"),
            (Grouping::Client, "client", "client".to_owned(), "coalesce(client.text, '')"),
        ];
        let (mut keys, mut inner, mut outer) = (Vec::new(), String::new(), String::new());
        for (grouping, key, number, name) in &columns {
            let is_asked = by.contains(grouping);
            inner += &format!("{} AS {key}, ", if is_asked { number } else { "NULL" });
            outer += &format!("{}, ", if is_asked { name } else { "NULL" });
            keys.extend(is_asked.then_some(*key));
        }
        let group = if keys.is_empty() { String::new() } else { format!("GROUP BY {}", keys.join(", ")) };
        // `sum` fails where integers overflow; `total` is exact up to 2^53, and the cast stops at the largest integer.
        let summed = SUMMED.map(|column| format!("CAST(total({column}) AS INTEGER) AS {column}")).join(", ");
        let sql = format!(
            "SELECT {outer} {} FROM (SELECT {inner} {summed} FROM usage WHERE slot >= ?1 {group}) AS sums \
             LEFT JOIN name AS model ON model.id = sums.model LEFT JOIN name AS client ON client.id = sums.client \
             WHERE requests > 0 ORDER BY 1, 2, 3",
            SUMMED.join(", ")
        );
        let mut statement = self.connection.prepare(&sql)?;
        let slot = i64::try_from(since / SLOT_SECONDS).unwrap_or(i64::MAX);
        let groups = statement.query_map([slot], |row| {
            let sums = sums(row, 3)?;
            Ok(UsageGroup { day: row.get(0)?, model: row.get(1)?, client: row.get(2)?, sums })
        })?;
        Ok(groups.collect::<Result<_, _>>()?)
    }

    /// Returns the `most` newest rows, the newest first.
    pub fn newest(&self, most: u32) -> Result<Vec<LedgerEntry>, LedgerError> {
        let mut statement = self.connection.prepare(NEWEST)?;
        let rows = statement.query_map([most], entry)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Returns the last known usage windows of `account`, or of the account they were last told for.
    pub fn limits(&self, account: Option<&str>) -> Result<Option<PlanLimits>, LedgerError> {
        let sql = "SELECT body FROM limits WHERE ?1 IS NULL OR account = ?1 ORDER BY observed_at DESC LIMIT 1";
        let account = account.map(account_digest);
        let body: Option<String> = self.connection.query_row(sql, [account], |row| row.get(0)).optional()?;
        Ok(body.and_then(|body| serde_json::from_str(&body).ok()))
    }
}

/// Reads sums from the columns after `first`.
fn sums(row: &Row<'_>, first: usize) -> rusqlite::Result<UsageSums> {
    let number = |offset: usize| unsigned(row, first + offset).map(Option::unwrap_or_default);
    let tokens = TokenCounts { input: number(2)?, cached: number(3)?, output: number(4)?, reasoning: number(5)? };
    let requests = number(0)?;
    let mean = |sum: u64, count: u64| sum.checked_div(count);
    Ok(UsageSums {
        requests,
        failed: number(1)?,
        tokens,
        cache_hit_share: tokens.cache_hit_share(),
        mean_first_token_ms: mean(number(7)?, number(6)?),
        mean_duration_ms: mean(number(8)?, requests),
    })
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or_default()))
}

fn entry(row: &Row<'_>) -> rusqlite::Result<LedgerEntry> {
    let text = |column: usize| row.get::<_, Option<String>>(column);
    let number = |column: usize| unsigned(row, column);
    let tokens = match (number(12)?, number(13)?, number(14)?, number(15)?) {
        (Some(input), Some(cached), Some(output), Some(reasoning)) => {
            Some(TokenCounts { input, cached, output, reasoning })
        }
        _ => None,
    };
    let mut phases = PhaseTimes::default();
    for (offset, phase) in Phase::ALL.into_iter().enumerate() {
        phases.add(phase, std::time::Duration::from_millis(number(19 + offset)?.unwrap_or_default()));
    }
    Ok(LedgerEntry {
        started_at: number(0)?.unwrap_or_default(),
        route: text(1)?.unwrap_or_default().into(),
        client: text(2)?.map(Into::into),
        model_asked: text(3)?,
        model_sent: text(4)?,
        model_answered: text(5)?,
        effort: text(6)?,
        tier: text(7)?,
        is_stream: row.get(8)?,
        is_whole: row.get(9)?,
        status: row.get(10)?,
        error_code: text(11)?,
        tokens,
        first_token_ms: number(16)?,
        duration_ms: number(17)?.unwrap_or_default(),
        upstream_request_id: text(18)?,
        phases,
        prefix_break: row.get(27)?,
    })
}

/// The columns that are summed up, in the order in which [`sums`] reads them.
const SUMMED: [&str; 9] = [
    "requests",
    "failed",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "first_tokens",
    "first_token_ms",
    "duration_ms",
];

const NEWEST: &str = "SELECT started_at, route, client, model_asked, model_sent, model_answered, effort, tier, \
    is_stream, is_whole, status, error_code, input_tokens, cached_tokens, output_tokens, reasoning_tokens, \
    first_token_ms, duration_ms, upstream_request_id, request_ms, place_ms, token_ms, connect_ms, upstream_head_ms, \
    upstream_hold_ms, first_event_ms, retry_ms, prefix_break FROM requests ORDER BY id DESC LIMIT ?1";
