//! Looks at the file of the keys while a server runs.
//!
//! * Two looks are at least [`PAUSE`] apart. One that finds the file as it was is one call to the system; a file that
//!   changed a moment ago is read again, since a second change within the clock's step would look the same.
//! * A file that cannot be used leaves the keys as they were, and the log says so once.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::keys::file;
use crate::keys::file::Stamp;
use crate::keys::set::KeySet;
use crate::platform::{Instant, unix_now};

/// The state of the looks at one file.
#[derive(Debug)]
pub(super) struct Watch {
    path: PathBuf,
    began: Instant,
    /// The time of the latest look, in milliseconds since `began`.
    looked: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
enum Seen {
    /// There was no file.
    Nothing,
    /// The file, and whether a change of it is sure to show.
    File(Stamp, bool),
    /// The file could not be used; the problem, which was logged.
    Trouble(String),
}

impl Watch {
    /// Reads the file for the first time.
    pub(super) fn begin(path: PathBuf) -> Result<(Self, KeySet), String> {
        let (set, stamp) = file::observe(&path)?;
        let seen = Mutex::new(Seen::of(stamp));
        Ok((Self { path, began: Instant::now(), looked: AtomicU64::new(0), seen }, set))
    }

    /// Returns the keys if a look is due and finds them changed.
    pub(super) fn look(&self) -> Option<KeySet> {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked.load(Ordering::Relaxed);
        if now.saturating_sub(looked) < PAUSE {
            return None;
        }
        // One request looks, and the others go on meanwhile.
        self.looked.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_still(file::stamp(&self.path).as_ref()) {
            return None;
        }
        match file::observe(&self.path) {
            Ok((set, stamp)) => {
                let is_new = !matches!((&*seen, &stamp), (Seen::File(before, _), Some(now)) if before == now);
                *seen = Seen::of(stamp);
                if is_new {
                    let count = set.iter().count();
                    tracing::info!("the named keys have changed: {count} {}", if count == 1 { "key" } else { "keys" });
                }
                Some(set)
            }
            Err(problem) => {
                if !matches!(&*seen, Seen::Trouble(known) if *known == problem) {
                    let path = self.path.display();
                    tracing::warn!(
                        "⚠️ the named keys stay as they were, for their file {path} cannot be used: {problem}"
                    );
                }
                *seen = Seen::Trouble(problem);
                None
            }
        }
    }
}

impl Seen {
    fn of(stamp: Option<Stamp>) -> Self {
        stamp.map_or(Self::Nothing, |stamp| {
            let is_settled = stamp.age(unix_now()).is_some_and(|age| age > SETTLED);
            Self::File(stamp, is_settled)
        })
    }

    /// Returns whether a file with this stamp, if there is one, is sure to hold what was read.
    fn is_still(&self, now: Option<&Stamp>) -> bool {
        match (self, now) {
            (Self::Nothing, None) => true,
            (Self::File(before, is_settled), Some(now)) => *is_settled && before == now,
            (Self::Nothing | Self::File(..) | Self::Trouble(_), _) => false,
        }
    }
}

/// The milliseconds between two looks.
const PAUSE: u64 = 500;
/// The age from which a change of a file shows in its times, whose step is some milliseconds, or two seconds on FAT.
const SETTLED: Duration = Duration::from_secs(3);
