//! The server's handle of the ledger: a bounded queue to the thread that writes.
//!
//! * Handing a row over neither blocks nor fails. The writer sleeps between its batches, so a busy server wakes it four
//!   times a second and not for every request.
//! * Without a writer (on a Worker) there is no ledger at all: [`Ledger`] can only be made where the database is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::Thread;

use crate::ledger::entry::LedgerEntry;

/// The ledger of this process. Clones are handles to the same.
#[derive(Debug, Clone)]
#[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "only the writer reads it, and a Worker has none"))]
pub struct Ledger {
    pub(super) notes: SyncSender<Note>,
    pub(super) counts: Arc<Counts>,
    pub(super) place: LedgerPlace,
    pub(super) writer: Thread,
}

/// Where a ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerPlace {
    /// In the database file at this path.
    File(PathBuf),
    /// In the memory of this process, under a name. It ends with the process.
    Memory(Arc<str>),
}

impl fmt::Display for LedgerPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Memory(_) => formatter.write_str("in memory"),
        }
    }
}

/// What the writer is told.
#[derive(Debug)]
#[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "only the writer reads it, and a Worker has none"))]
pub(super) enum Note {
    /// A finished request.
    Row(Box<LedgerEntry>),
    /// A request for a reply once everything before it is written.
    Flush {
        done: SyncSender<()>,
        /// Whether the database is closed, until another row comes.
        closes: bool,
    },
}

/// The rows since the start of the process.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) written: AtomicU64,
    pub(super) lost: AtomicU64,
}

/// The rows written and lost since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerCounts {
    /// Rows in the database.
    pub written: u64,
    /// Rows that found no room in the queue, or could not be written.
    pub lost: u64,
}

impl Ledger {
    /// Hands a finished request over to the writer.
    pub fn enter(&self, entry: LedgerEntry) {
        if self.notes.try_send(Note::Row(Box::new(entry))).is_err() {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns where the rows are.
    pub fn place(&self) -> &LedgerPlace {
        &self.place
    }

    /// Returns whether the rows are still there after a restart.
    pub fn is_kept(&self) -> bool {
        matches!(self.place, LedgerPlace::File(_))
    }

    /// Returns the rows written and lost so far.
    pub fn counts(&self) -> LedgerCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LedgerCounts { written: count(&self.counts.written), lost: count(&self.counts.lost) }
    }
}
