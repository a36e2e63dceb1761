//! Numbers that no real answer has, and rows that cannot be stored, cost nothing else.

use rusqlite::Connection;

use super::{PATIENCE, entry, place, reader, start};
use crate::ledger::summary::Grouping;
use crate::ledger::{Ledger, LedgerEntry, LedgerPlace, TokenCounts};

fn enter(ledger: &Ledger, rows: impl IntoIterator<Item = LedgerEntry>) {
    rows.into_iter().for_each(|row| ledger.enter(row));
    ledger.flush(PATIENCE);
}

fn database(place: &LedgerPlace) -> Connection {
    let LedgerPlace::File(path) = place else { panic!("{place}") };
    Connection::open(path).expect("a database")
}

/// An entry with counts of the backend's that are beyond SQLite's integers.
fn absurd() -> LedgerEntry {
    let most = TokenCounts { input: u64::MAX, cached: u64::MAX, output: 1 << 63, reasoning: u64::MAX };
    LedgerEntry { tokens: Some(most), duration_ms: u64::MAX, first_token_ms: Some(u64::MAX), ..entry("gpt-6-sol", 1) }
}

#[test]
fn absurd_counts_lose_no_row_and_stay_readable() {
    let (_directory, _, place) = place();
    let ledger = start(&place);
    // Together, and one after the other.
    enter(&ledger, [absurd(), absurd(), entry("gpt-6-luna", 5)]);
    enter(&ledger, [absurd()]);
    enter(&ledger, [entry("gpt-6-sol", 1), entry("gpt-6-luna", 6)]);
    assert_eq!((ledger.counts().written, ledger.counts().lost), (6, 0));
    for by in [&[][..], &[Grouping::Model], &[Grouping::Client], &[Grouping::Day]] {
        let groups = reader(&place).usage(0, by).expect("sums");
        assert_eq!(groups.iter().map(|group| group.sums.requests).sum::<u64>(), 6, "{by:?}");
    }
    let models = reader(&place).usage(0, &[Grouping::Model]).expect("sums");
    assert_eq!(models[0].sums.tokens.input, 11, "sums beside absurd ones are exact");
    assert!(models[1].sums.tokens.input > 1 << 62);
}

#[test]
fn sums_that_an_older_version_stored_are_read_and_added_to() {
    let (_directory, _, place) = place();
    let ledger = start(&place);
    enter(&ledger, [entry("gpt-6-sol", 1), entry("gpt-6-luna", 2)]);
    database(&place)
        .execute_batch(&format!("UPDATE usage SET input_tokens = {0}, output_tokens = {0}", i64::MAX))
        .expect("changed");
    enter(&ledger, [entry("gpt-6-sol", 1)]);
    assert_eq!((ledger.counts().written, ledger.counts().lost), (3, 0));
    let all = reader(&place).usage(0, &[]).expect("sums")[0].sums;
    assert_eq!((all.requests, all.tokens.input), (3, i64::MAX as u64));
}

#[test]
fn a_row_that_cannot_be_stored_is_lost_alone() {
    let (_directory, _, place) = place();
    let ledger = start(&place);
    enter(&ledger, [entry("gpt-6-sol", 1)]);
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON request WHEN NEW.model_asked = 'bad' \
                  BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    database(&place).execute_batch(refuse).expect("a trigger");
    // Its words are new: they must not be remembered under numbers that were rolled back.
    let bad = LedgerEntry { model_asked: Some("bad".to_owned()), ..entry("gpt-6-terra", 3) };
    enter(&ledger, [entry("gpt-6-sol", 1), bad.clone(), entry("gpt-6-terra", 1)]);
    enter(&ledger, [bad]);
    enter(&ledger, [entry("gpt-6-luna", 1)]);
    assert_eq!((ledger.counts().written, ledger.counts().lost), (4, 2));
    let models = reader(&place).usage(0, &[Grouping::Model]).expect("sums");
    let told: Vec<_> = models.iter().map(|group| (group.model.as_deref(), group.sums.requests)).collect();
    assert_eq!(told, [(Some("gpt-6-luna"), 1), (Some("gpt-6-sol"), 2), (Some("gpt-6-terra"), 1)]);
}
