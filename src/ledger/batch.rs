//! A batch of rows as SQL: each request, and the sums of its quarter of an hour.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use rusqlite::{OptionalExtension as _, Statement, Transaction, params};
use sha2::{Digest as _, Sha256};

use crate::ledger::entry::{LedgerEntry, TokenCounts};
use crate::ledger::schema::SLOT_SECONDS;
use crate::phases::Phase;

/// The numbers of the words known so far.
pub(super) type Names = HashMap<Arc<str>, i64, RandomState>;

/// Writes the rows of `entries` and their sums.
pub(super) fn write(transaction: &Transaction<'_>, names: &mut Names, entries: &[LedgerEntry]) -> rusqlite::Result<()> {
    let mut sums: HashMap<Slot, Sums> = HashMap::new();
    // Once for all: to look a statement up costs as much as to insert a row.
    let mut row = transaction.prepare_cached(INSERT)?;
    for entry in entries {
        let slot = insert(transaction, &mut row, names, entry)?;
        sums.entry(slot).or_default().add(entry);
    }
    sums.iter().try_for_each(|(slot, sums)| sums.insert(transaction, slot))
}

/// Inserts the row of `entry`, and returns where its sums belong.
fn insert(
    transaction: &Transaction<'_>,
    row: &mut Statement<'_>,
    names: &mut Names,
    entry: &LedgerEntry,
) -> rusqlite::Result<Slot> {
    let mut number = |text: Option<&str>| text.map(|text| name(transaction, names, text)).transpose();
    let (client, sent) = (number(entry.client.as_deref())?, number(entry.model_sent.as_deref())?);
    let asked = match (&entry.model_asked, &entry.model_sent) {
        (asked, sent) if asked == sent => None,
        (None, _) => Some(""),
        (Some(asked), _) => Some(asked.as_str()),
    };
    let tokens = entry.tokens;
    let count = |of: fn(&TokenCounts) -> u64| tokens.as_ref().map(|tokens| integer(of(tokens)));
    let phase = |phase| millis(entry.phases.of(phase));
    row.execute(params![
        integer(entry.started_at),
        number(Some(&entry.route))?,
        client,
        asked,
        sent,
        number(entry.model_answered.as_deref())?,
        number(entry.effort.as_deref())?,
        number(entry.tier.as_deref())?,
        entry.is_stream,
        entry.is_whole,
        entry.status,
        number(entry.error_code.as_deref())?,
        count(|tokens| tokens.input),
        count(|tokens| tokens.cached),
        count(|tokens| tokens.output),
        count(|tokens| tokens.reasoning),
        entry.first_token_ms.map(integer),
        integer(entry.duration_ms),
        entry.upstream_request_id,
        phase(Phase::Request),
        phase(Phase::Place),
        phase(Phase::Token),
        phase(Phase::Connect),
        phase(Phase::Head),
        phase(Phase::Hold),
        phase(Phase::Event),
        phase(Phase::Retry),
        entry.prefix_break,
    ])?;
    let slot = integer(entry.started_at / 1000 / SLOT_SECONDS);
    Ok(Slot { slot, model: sent.unwrap_or_default(), client: client.unwrap_or_default() })
}

/// Returns the number of a word, a new one if it is new.
fn name(transaction: &Transaction<'_>, names: &mut Names, text: &str) -> rusqlite::Result<i64> {
    if let Some(id) = names.get(text) {
        return Ok(*id);
    }
    let find = "SELECT id FROM name WHERE text = ?1";
    let known = transaction.prepare_cached(find)?.query_row([text], |row| row.get(0)).optional()?;
    let id = match known {
        Some(id) => id,
        None => {
            transaction.execute("INSERT INTO name (text) VALUES (?1)", [text])?;
            transaction.last_insert_rowid()
        }
    };
    // A word of a transaction that fails is forgotten with the connection.
    if names.len() < MOST_NAMES {
        names.insert(text.into(), id);
    }
    Ok(id)
}

/// A row of sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Slot {
    slot: i64,
    /// The number of the model's name; 0 for a request without one.
    model: i64,
    /// The number of the client's name; 0 for a request without one.
    client: i64,
}

/// The sums of some requests.
#[derive(Debug, Default)]
struct Sums {
    requests: u64,
    failed: u64,
    tokens: TokenCounts,
    first_tokens: u64,
    first_token_ms: u64,
    duration_ms: u64,
}

impl Sums {
    fn add(&mut self, entry: &LedgerEntry) {
        let tokens = entry.tokens.unwrap_or_default();
        self.requests += 1;
        self.failed += u64::from(entry.error_code.is_some());
        self.tokens = self.tokens.and(tokens);
        self.first_tokens += u64::from(entry.first_token_ms.is_some());
        self.first_token_ms = self.first_token_ms.saturating_add(entry.first_token_ms.unwrap_or_default());
        self.duration_ms = self.duration_ms.saturating_add(entry.duration_ms);
    }

    fn insert(&self, transaction: &Transaction<'_>, at: &Slot) -> rusqlite::Result<()> {
        transaction.prepare_cached(ADD)?.execute(params![
            at.slot,
            at.model,
            at.client,
            integer(self.requests),
            integer(self.failed),
            integer(self.tokens.input),
            integer(self.tokens.cached),
            integer(self.tokens.output),
            integer(self.tokens.reasoning),
            integer(self.first_tokens),
            integer(self.first_token_ms),
            integer(self.duration_ms),
        ])?;
        Ok(())
    }
}

/// Returns what stands for an account in the database: the beginning of a digest.
pub(super) fn account_digest(account: &str) -> String {
    Sha256::digest(account).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// SQLite's integers have a sign.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

const INSERT: &str = "INSERT INTO request (started_at, route, client, model_asked, model_sent, model_answered, effort, \
    tier, is_stream, is_whole, status, error_code, input_tokens, cached_tokens, output_tokens, reasoning_tokens, \
    first_token_ms, duration_ms, upstream_request_id, request_ms, place_ms, token_ms, connect_ms, upstream_head_ms, \
    upstream_hold_ms, first_event_ms, retry_ms, prefix_break) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, \
    ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)";

/// A sum stays at SQLite's largest integer: beyond it, `+` makes a `REAL`, which a strict column does not take
/// (<https://sqlite.org/datatype3.html>).
const ADD: &str = "INSERT INTO usage (slot, model, client, requests, failed, input_tokens, cached_tokens, \
    output_tokens, reasoning_tokens, first_tokens, first_token_ms, duration_ms) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
    ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, failed = failed + excluded.failed, \
    input_tokens = min(input_tokens + excluded.input_tokens, 9223372036854775807), \
    cached_tokens = min(cached_tokens + excluded.cached_tokens, 9223372036854775807), \
    output_tokens = min(output_tokens + excluded.output_tokens, 9223372036854775807), \
    reasoning_tokens = min(reasoning_tokens + excluded.reasoning_tokens, 9223372036854775807), \
    first_tokens = first_tokens + excluded.first_tokens, \
    first_token_ms = min(first_token_ms + excluded.first_token_ms, 9223372036854775807), \
    duration_ms = min(duration_ms + excluded.duration_ms, 9223372036854775807)";

/// The words that are remembered; more than there are models, routes, keys and codes.
pub(super) const MOST_NAMES: usize = 4096;
