//! The advisory lock that excludes other processes while a login changes.
//!
//! * The operating system holds the lock, on a file beside the document, and releases it however its owner dies: there
//!   is no stale lock to clean up. The file itself stays.
//! * Waiting is bounded and does not block a thread.
//! * If the lock file cannot be created, another file such as the document itself is locked; if nothing can be locked,
//!   the caller proceeds without, because a login that works now is worth more than one protected from interference.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use crate::credentials::store::StoreLock;
use crate::files::read;
use crate::platform::{Instant, sleep};

/// Waits up to `limit` for the lock on `lock_file`, or on `fallback` if that cannot be opened. Returns `None`
/// if it is still busy then.
pub(super) async fn acquire(lock_file: &Path, fallback: Option<&Path>, limit: Duration) -> Option<StoreLock> {
    match lock(lock_file, fallback, limit).await {
        Locking::Held(file) => Some(StoreLock::holding(file)),
        Locking::Impossible => Some(StoreLock::holding(())),
        Locking::Busy => None,
    }
}

/// The result of an attempt to lock a file.
#[derive(Debug)]
pub(super) enum Locking {
    /// The lock is held until the file is dropped.
    Held(File),
    /// No file can be locked.
    Impossible,
    /// Another process held the lock all the time.
    Busy,
}

/// Waits up to `limit` for the lock on `lock_file`, or on `fallback` if that cannot be opened.
pub(super) async fn lock(lock_file: &Path, fallback: Option<&Path>, limit: Duration) -> Locking {
    // Another user's file, such as root's, may still be readable, which is enough to lock it.
    let file = open(lock_file).or_else(|error| read::open(lock_file).map_err(|_| error));
    let file = match file.or_else(|error| fallback.map_or(Err(error), read::open)) {
        Ok(file) => file,
        Err(error) => {
            tracing::debug!("cannot lock {}: {error}; continuing without the lock", lock_file.display());
            return Locking::Impossible;
        }
    };
    let deadline = Instant::now() + limit;
    loop {
        match file.try_lock() {
            Ok(()) => return Locking::Held(file),
            Err(TryLockError::Error(error)) => {
                tracing::warn!("{} cannot be locked: {error}; continuing without the lock", lock_file.display());
                return Locking::Impossible;
            }
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Locking::Busy,
            Err(TryLockError::WouldBlock) => sleep(POLL_INTERVAL).await,
        }
    }
}

fn open(lock_file: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(lock_file)
}

const POLL_INTERVAL: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json.lock");
        let first = acquire(&path, None, Duration::ZERO).await;
        assert!(first.is_some());
        assert!(acquire(&path, None, Duration::from_millis(50)).await.is_none());
        drop(first);
        assert!(acquire(&path, None, Duration::ZERO).await.is_some());
    }

    #[tokio::test]
    async fn locks_the_document_where_no_lock_file_can_be_made() {
        let directory = tempfile::tempdir().unwrap();
        let document = directory.path().join("auth.json");
        std::fs::write(&document, "{}").unwrap();
        let impossible = document.join("auth.json.lock");
        let first = acquire(&impossible, Some(&document), Duration::ZERO).await;
        assert!(first.is_some());
        assert!(acquire(&impossible, Some(&document), Duration::from_millis(50)).await.is_none());
    }
}
