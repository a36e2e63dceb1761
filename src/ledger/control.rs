//! Starts the writer of a ledger, and waits for it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::ledger::book::{Counts, Ledger, LedgerPlace, Note};
use crate::ledger::writer::Writer;
use crate::limits::board::LimitBoard;
use crate::platform::Instant;

impl Ledger {
    /// Starts the writer of the ledger at `place`, which keeps rows for `days` days and the readings of `limits`.
    pub fn start(place: LedgerPlace, days: u32, limits: LimitBoard) -> io::Result<Self> {
        let (notes, received) = sync_channel(MOST_WAITING);
        let counts = Arc::new(Counts::default());
        let writer = Writer::new(place.clone(), days, limits, counts.clone());
        let thread = thread::Builder::new().name("ledger".to_owned()).spawn(move || writer.run(&received))?;
        Ok(Self { notes, counts, place, writer: thread.thread().clone() })
    }

    /// Waits until the rows handed over so far are written, for at most `limit`. Blocks the thread.
    pub fn flush(&self, limit: Duration) {
        self.settle(false, limit);
    }

    /// Like [`Self::flush`], and closes the database, so that it is one file.
    pub fn close(&self, limit: Duration) {
        self.settle(true, limit);
    }

    fn settle(&self, closes: bool, limit: Duration) {
        let deadline = Instant::now() + limit;
        let (done, flushed) = sync_channel(1);
        let mut note = Note::Flush { done, closes };
        while let Err(TrySendError::Full(refused)) = self.notes.try_send(note) {
            if Instant::now() >= deadline {
                return;
            }
            note = refused;
            thread::sleep(PAUSE);
        }
        self.writer.unpark();
        let _ = flushed.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// The most rows that wait for the writer: a quarter of a second of more requests than one process serves.
const MOST_WAITING: usize = 8192;
/// The pause between two tries to hand a request for a flush over.
const PAUSE: Duration = Duration::from_millis(5);
