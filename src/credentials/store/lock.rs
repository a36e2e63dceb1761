//! The advisory lock that keeps two processes from changing one login at the same time.
//!
//! * The lock is the operating system's, on a file beside the document: when its owner dies, however that happens, it
//!   is free, so there is no stale lock to clean up. The file itself stays.
//! * Waiting is bounded and does not block a thread.
//! * Where the lock file cannot be made, another file such as the document itself is locked; where nothing can be locked,
//!   the caller goes on without, because a login that works now is worth more than one that may be disturbed.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use crate::credentials::store::StoreLock;
use crate::platform::{Instant, sleep};

/// Waits up to `limit` for the lock in `lock_file`, or on `fallback` where that cannot be opened.
/// `None` when somebody else still has it then.
pub(super) async fn acquire(lock_file: &Path, fallback: Option<&Path>, limit: Duration) -> Option<StoreLock> {
    match lock(lock_file, fallback, limit).await {
        Locking::Held(file) => Some(StoreLock::holding(file)),
        Locking::Impossible => Some(StoreLock::holding(())),
        Locking::Busy => None,
    }
}

/// How an attempt to lock a file ended.
#[derive(Debug)]
pub(super) enum Locking {
    /// The lock is held until the file is dropped.
    Held(File),
    /// There is nothing that can be locked.
    Impossible,
    /// Somebody else had the lock all the time.
    Busy,
}

/// Waits up to `limit` for the lock in `lock_file`, or on `fallback` where that cannot be opened.
pub(super) async fn lock(lock_file: &Path, fallback: Option<&Path>, limit: Duration) -> Locking {
    // A file that somebody else made, such as root, may still be opened for reading, and that is enough to lock it.
    let file = open(lock_file).or_else(|error| File::open(lock_file).map_err(|_| error));
    let file = match file.or_else(|error| fallback.map_or(Err(error), File::open)) {
        Ok(file) => file,
        Err(error) => {
            tracing::debug!("cannot lock {}: {error}; going on without", lock_file.display());
            return Locking::Impossible;
        }
    };
    let deadline = Instant::now() + limit;
    loop {
        match file.try_lock() {
            Ok(()) => return Locking::Held(file),
            Err(TryLockError::Error(error)) => {
                tracing::warn!("{} cannot be locked: {error}; going on without", lock_file.display());
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
