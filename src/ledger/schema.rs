//! The tables of the database, and the steps from each version to the next.
//!
//! * `user_version` counts the steps that were taken. A database of more steps than this program knows is newer.
//! * Words of small sets (routes, models, clients, codes) are numbers in the rows and stand once in `name`: a row takes
//!   about a hundred bytes.
//! * `usage` has the sums of every quarter of an hour, model and client, written in the transaction of its rows: sums
//!   over months read some thousand rows, and a quarter of an hour divides the days of every time zone.
//! * The view `requests` is for people: one row a request, in words.

use rusqlite::Connection;

/// Brings a database of `version` steps to the newest form.
pub(super) fn migrate(connection: &mut Connection, version: usize) -> rusqlite::Result<()> {
    for (next, step) in (1_i64..).zip(STEPS).skip(version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", next)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The number of steps that this program knows.
pub(super) const VERSION: usize = STEPS.len();

/// Marks a database as a ledger of this program: `CdxL`.
pub(super) const APPLICATION: i32 = 0x4364_784c;

/// The length of a row of `usage`, in seconds.
pub(super) const SLOT_SECONDS: u64 = 900;

const STEPS: [&str; 1] = ["
PRAGMA application_id = 0x4364784c;

CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE request (
    id INTEGER PRIMARY KEY,
    started_at INTEGER NOT NULL,
    route INTEGER NOT NULL,
    client INTEGER,
    model_asked TEXT,
    model_sent INTEGER,
    model_answered INTEGER,
    effort INTEGER,
    tier INTEGER,
    is_stream INTEGER NOT NULL,
    is_whole INTEGER NOT NULL,
    status INTEGER,
    error_code INTEGER,
    input_tokens INTEGER,
    cached_tokens INTEGER,
    output_tokens INTEGER,
    reasoning_tokens INTEGER,
    first_token_ms INTEGER,
    duration_ms INTEGER NOT NULL,
    upstream_request_id TEXT,
    request_ms INTEGER NOT NULL,
    place_ms INTEGER NOT NULL,
    token_ms INTEGER NOT NULL,
    connect_ms INTEGER NOT NULL,
    upstream_head_ms INTEGER NOT NULL,
    upstream_hold_ms INTEGER NOT NULL,
    first_event_ms INTEGER NOT NULL,
    retry_ms INTEGER NOT NULL,
    prefix_break INTEGER,
    cache_hit_share REAL GENERATED ALWAYS AS (CAST(cached_tokens AS REAL) / nullif(input_tokens, 0)) VIRTUAL
) STRICT;

CREATE TABLE usage (
    slot INTEGER NOT NULL,
    model INTEGER NOT NULL,
    client INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    first_tokens INTEGER NOT NULL,
    first_token_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (slot, model, client)
) STRICT, WITHOUT ROWID;

CREATE TABLE limits (account TEXT PRIMARY KEY, observed_at INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE VIEW requests AS
SELECT
    request.id,
    started_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', started_at / 1000, 'unixepoch') AS time,
    route.text AS route,
    client.text AS client,
    CASE model_asked WHEN '' THEN NULL ELSE coalesce(model_asked, sent.text) END AS model_asked,
    sent.text AS model_sent,
    answered.text AS model_answered,
    effort.text AS effort,
    tier.text AS tier,
    is_stream, is_whole, status,
    code.text AS error_code,
    input_tokens, cached_tokens, output_tokens, reasoning_tokens, cache_hit_share,
    first_token_ms, duration_ms, upstream_request_id,
    request_ms, place_ms, token_ms, connect_ms, upstream_head_ms, upstream_hold_ms, first_event_ms, retry_ms,
    prefix_break
FROM request
LEFT JOIN name AS route ON route.id = request.route
LEFT JOIN name AS client ON client.id = request.client
LEFT JOIN name AS sent ON sent.id = request.model_sent
LEFT JOIN name AS answered ON answered.id = request.model_answered
LEFT JOIN name AS effort ON effort.id = request.effort
LEFT JOIN name AS tier ON tier.id = request.tier
LEFT JOIN name AS code ON code.id = request.error_code;
"];
