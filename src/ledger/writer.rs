//! The thread that writes.
//!
//! * Rows are gathered for [`GATHERING`] and written in one transaction with their sums. What is committed survives the end
//!   of the process, however it ends.
//! * A database that turns out to be damaged is set aside, and its batch written to a new one; so it is where somebody has taken the
//!   file away. Whatever else fails, a full
//!   disk or a file that may not be written, costs the rows until it works again; the log says so once. A row whose values are refused costs no other row.
//! * Rows older than the retention are deleted a few at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, params};

use crate::ledger::batch;
use crate::ledger::batch::{MOST_NAMES, Names, account_digest, integer};
use crate::ledger::book::{Counts, LedgerPlace, Note};
use crate::ledger::entry::LedgerEntry;
use crate::ledger::file;
use crate::ledger::file::Trouble;
use crate::ledger::schema::SLOT_SECONDS;
use crate::limits::board::LimitBoard;
use crate::platform::{Instant, unix_now};

/// The state of the writing thread.
pub(super) struct Writer {
    place: LedgerPlace,
    days: u32,
    limits: LimitBoard,
    counts: Arc<Counts>,
    /// `None` until the first row, and after a failure.
    open: Option<Open>,
    /// The time before which a failure is not tried again, and the rows lost since it was logged.
    failing: Option<(Instant, u64)>,
    pruned: Option<Instant>,
}

/// An open database.
struct Open {
    connection: Connection,
    /// The numbers of the words known so far.
    names: Names,
    /// When the limits in the database were observed.
    limits_of: Option<u64>,
    /// Which file it is.
    identity: Option<(u64, u64)>,
}

impl Writer {
    pub(super) fn new(place: LedgerPlace, days: u32, limits: LimitBoard, counts: Arc<Counts>) -> Self {
        Self { place, days, limits, counts, open: None, failing: None, pruned: None }
    }

    /// Writes until every handle of the ledger is gone.
    pub(super) fn run(mut self, notes: &Receiver<Note>) {
        self.prune();
        loop {
            let mut batch = Vec::new();
            match notes.recv_timeout(PRUNING) {
                Ok(Note::Row(entry)) => {
                    batch.push(*entry);
                    // A flush wakes the thread early.
                    std::thread::park_timeout(GATHERING);
                }
                Ok(Note::Flush { done, closes }) => self.settle(&done, closes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let mut flushed = Vec::new();
            while let Ok(note) = notes.try_recv() {
                match note {
                    Note::Row(entry) => batch.push(*entry),
                    Note::Flush { done, closes } => flushed.push((done, closes)),
                }
                if batch.len() >= LARGEST_BATCH {
                    self.write(&std::mem::take(&mut batch));
                }
            }
            self.write(&batch);
            for (done, closes) in flushed {
                self.settle(&done, closes);
            }
            self.prune();
        }
    }

    fn settle(&mut self, done: &SyncSender<()>, closes: bool) {
        if closes {
            self.open = None;
        }
        // Whoever waited may have given up.
        let _ = done.send(());
    }

    /// Writes a batch, or counts it as lost.
    fn write(&mut self, batch: &[LedgerEntry]) {
        if batch.is_empty() {
            return;
        }
        let rows = batch.len() as u64;
        if self.failing.is_some_and(|(again, _)| Instant::now() < again) {
            return self.lose(rows);
        }
        self.leave_lost_file();
        let mut written = self.try_write(batch);
        if let (Err(trouble @ Trouble::Broken(_)), LedgerPlace::File(path)) = (&written, &self.place) {
            self.open = None;
            written = file::set_aside(path, trouble).and_then(|()| self.try_write(batch));
        }
        match written {
            Ok(refused) => {
                self.counts.written.fetch_add(rows - refused, Ordering::Relaxed);
                self.counts.lost.fetch_add(refused, Ordering::Relaxed);
                if let Some((_, lost)) = self.failing.take() {
                    tracing::warn!(rows = lost, "the ledger is written again; the rows in between are lost");
                }
            }
            Err(trouble) => self.fail(&trouble, rows),
        }
    }

    /// Closes the database if its file is no longer at its place, as one that somebody deleted: its rows would be lost. A new one
    /// is begun.
    fn leave_lost_file(&mut self) {
        if let (Some(open), LedgerPlace::File(path)) = (&self.open, &self.place)
            && open.identity != file::identity(path)
        {
            tracing::warn!("⚠️ the ledger {} was removed or replaced, and is begun anew", path.display());
            self.open = None;
        }
    }

    /// Writes a batch. Returns the number of rows that the database refuses.
    fn try_write(&mut self, batch: &[LedgerEntry]) -> Result<u64, Trouble> {
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(Open::at(&self.place)?),
        };
        open.write(batch, &self.limits)
    }

    fn fail(&mut self, trouble: &Trouble, rows: u64) {
        // A connection in the middle of a failure is not trusted with the next batch.
        self.open = None;
        let lost = self.failing.map_or(0, |(_, lost)| lost);
        if self.failing.is_none() {
            let place = self.place.to_string();
            tracing::warn!("⚠️ the ledger {place} cannot be written, so requests are not recorded: {trouble}");
        }
        self.failing = Some((Instant::now() + AGAIN, lost));
        self.lose(rows);
    }

    fn lose(&mut self, rows: u64) {
        self.counts.lost.fetch_add(rows, Ordering::Relaxed);
        if let Some((_, lost)) = &mut self.failing {
            *lost += rows;
        }
    }

    /// Deletes what is older than the retention, once an hour.
    fn prune(&mut self) {
        if self.pruned.is_some_and(|last| last.elapsed() < PRUNING) {
            return;
        }
        self.pruned = Some(Instant::now());
        let mut pruned = self.try_prune();
        if let (Err(trouble @ Trouble::Broken(_)), LedgerPlace::File(path)) = (&pruned, &self.place) {
            self.open = None;
            pruned = file::set_aside(path, trouble).and_then(|()| self.try_prune());
        }
        if let Err(trouble) = pruned {
            self.fail(&trouble, 0);
        }
    }

    fn try_prune(&mut self) -> Result<(), Trouble> {
        match &mut self.open {
            Some(open) => open.prune(self.days),
            // Opened here, so that a file that cannot be used is told at the start.
            None => Open::at(&self.place).and_then(|open| self.open.insert(open).prune(self.days)),
        }
    }
}

impl Open {
    fn at(place: &LedgerPlace) -> Result<Self, Trouble> {
        let connection = file::open(place)?;
        let names = {
            let mut statement = connection.prepare("SELECT text, id FROM name LIMIT ?1")?;
            let rows = statement
                .query_map([integer(MOST_NAMES as u64)], |row| Ok((row.get::<_, String>(0)?.into(), row.get(1)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        let identity = match place {
            LedgerPlace::File(path) => file::identity(path),
            LedgerPlace::Memory(_) => None,
        };
        Ok(Self { connection, names, limits_of: None, identity })
    }

    /// Writes a batch in one transaction; if that fails for what is in a row, each row alone. Returns the number of rows that
    /// are refused.
    fn write(&mut self, batch: &[LedgerEntry], limits: &LimitBoard) -> Result<u64, Trouble> {
        match self.write_together(batch, limits) {
            Ok(()) => return Ok(0),
            Err(error) if is_of_a_row(&error) => self.names.clear(),
            Err(error) => return Err(error.into()),
        }
        let mut refused = 0;
        let mut reason = None;
        for row in batch {
            match self.write_together(std::slice::from_ref(row), limits) {
                Ok(()) => {}
                Err(error) if is_of_a_row(&error) => {
                    // The numbers of its new words are rolled back with it.
                    self.names.clear();
                    refused += 1;
                    reason = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(reason) = reason {
            tracing::warn!(rows = refused, "the ledger cannot store some requests, which are left out: {reason}");
        }
        Ok(refused)
    }

    fn write_together(&mut self, batch: &[LedgerEntry], limits: &LimitBoard) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        batch::write(&transaction, &mut self.names, batch)?;
        let observed_at = limits.observed_at();
        if observed_at != self.limits_of
            && let Some(latest) = limits.latest()
            && let Ok(body) = serde_json::to_string(&latest.limits)
        {
            let sql = "INSERT OR REPLACE INTO limits (account, observed_at, body) VALUES (?1, ?2, ?3)";
            let (account, at) = (account_digest(&latest.account), integer(latest.limits.observed_at));
            transaction.prepare_cached(sql)?.execute(params![account, at, body])?;
        }
        transaction.commit()?;
        self.limits_of = observed_at;
        Ok(())
    }

    /// Deletes everything older than `days`, in transactions of a few rows.
    fn prune(&mut self, days: u32) -> Result<(), Trouble> {
        let oldest = unix_now().as_secs().saturating_sub(u64::from(days) * 86_400);
        loop {
            // Rows are in the order of their ends, which is nearly that of their beginnings.
            let sql = "DELETE FROM request WHERE started_at < ?1 AND id <= \
                       (SELECT max(id) FROM (SELECT id FROM request ORDER BY id LIMIT ?2))";
            let deleted =
                self.connection.prepare_cached(sql)?.execute(params![integer(oldest * 1000), PRUNED_AT_ONCE])?;
            if deleted == 0 {
                break;
            }
        }
        self.connection.execute("DELETE FROM usage WHERE slot < ?1", [integer(oldest / SLOT_SECONDS)])?;
        self.connection.execute("DELETE FROM limits WHERE observed_at < ?1", [integer(oldest)])?;
        Ok(())
    }
}

/// Returns whether a write failed for its values, so that other rows can be written.
fn is_of_a_row(error: &rusqlite::Error) -> bool {
    use ErrorCode::{ConstraintViolation, ParameterOutOfRange, TooBig, TypeMismatch};
    matches!(error.sqlite_error_code(), Some(ConstraintViolation | ParameterOutOfRange | TooBig | TypeMismatch))
}

/// The time between two batches. With the writing itself, at most this much is lost with the process.
const GATHERING: Duration = Duration::from_millis(250);
/// The rows of a transaction.
const LARGEST_BATCH: usize = 1024;
/// The pause after a failure.
const AGAIN: Duration = Duration::from_secs(5);
/// The time between two looks for old rows.
const PRUNING: Duration = Duration::from_secs(3600);
/// The rows deleted in one transaction.
const PRUNED_AT_ONCE: i64 = 500;
