//! The locks of a directory shared with the Codex CLI.
//!
//! Measured with Codex CLI 0.169 (`strace`, 2026-11-25). To renew the login the CLI
//!
//! 1. reads `auth.json` and exchanges the refresh token without a lock;
//! 2. takes `auth.lock`, waiting without limit, and reads `auth.json` again: if the file now holds another token, the
//!    CLI discards its new one and uses the file's;
//! 3. tries for `auth.json.lock` every 10 ms, **for 5 s in all**; without it the CLI discards its new token, and the
//!    login has ended, because the old token is spent;
//! 4. writes a temporary file and renames it.
//!
//! `codex login` and `codex logout` take the same two locks in the same order. On *reused*, the CLI immediately reads
//! `auth.json` once more and adopts another token, or else retries the old one a few times. `codex exec` gives up after
//! 20 s without a token, also while waiting for `auth.lock`.
//!
//! Therefore, in such a directory:
//!
//! * `auth.lock` is held over a refresh, but released after 8 s if the issuer is slow, and taken again for the write.
//! * `auth.json.lock` is held around the rename alone: microseconds.
//! * A lock of our own excludes this program's other processes for the whole refresh.
//! * On *reused*, `auth.lock` is released before looking for the token that the CLI is about to store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::credentials::store::StoreLock;
use crate::credentials::store::lock;
use crate::credentials::store::lock::Locking;
use crate::platform::Instant;

#[derive(Debug)]
pub(super) struct CodexLocks {
    directory: PathBuf,
    file_name: String,
}

impl CodexLocks {
    /// Names the locks beside `path`, the CLI's own name of the login's file.
    pub(super) fn beside(path: &Path) -> Self {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        Self {
            directory: directory.unwrap_or(Path::new(".")).to_owned(),
            file_name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// Returns whether a Codex CLI has ever locked a login beside `path`: it never removes its lock file.
    pub(super) fn are_beside(path: &Path) -> bool {
        path.with_file_name(AUTH_LOCK).exists()
    }

    /// Waits up to `limit` for all locks. Returns `None` if one is still busy then.
    pub(super) async fn acquire(&self, fallback: &Path, limit: Duration) -> Option<StoreLock> {
        let deadline = Instant::now() + limit;
        let own = self.directory.join(format!("{}{OWN_SUFFIX}", self.file_name));
        let guard = lock::acquire(&own, Some(fallback), limit).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        self.reclaim(&guard, left).await.then_some(guard)
    }

    /// Waits up to `limit` until `guard` holds `auth.lock`. Returns `false` if it is still busy then.
    pub(super) async fn reclaim(&self, guard: &StoreLock, limit: Duration) -> bool {
        if guard.holds_common() {
            return true;
        }
        match lock::lock(&self.directory.join(AUTH_LOCK), None, limit).await {
            Locking::Held(file) => guard.take_common(file),
            Locking::Impossible => guard.take_common(()),
            Locking::Busy => return false,
        }
        true
    }

    /// Takes `auth.json.lock` until the returned value is dropped. A holder of it without `auth.lock` follows no known
    /// protocol; storing the new login is worth more than waiting without limit.
    pub(super) async fn commit(&self) -> Locking {
        let path = self.directory.join(format!("{}{COMMIT_SUFFIX}", self.file_name));
        let locking = lock::lock(&path, None, COMMIT_LIMIT).await;
        if matches!(locking, Locking::Busy) {
            tracing::warn!(
                "{} has been locked for {} s; continuing without the lock",
                path.display(),
                COMMIT_LIMIT.as_secs()
            );
        }
        locking
    }
}

const AUTH_LOCK: &str = "auth.lock";
const COMMIT_SUFFIX: &str = ".lock";
const OWN_SUFFIX: &str = ".codex-proxy.lock";
/// The CLI's own limit.
const COMMIT_LIMIT: Duration = Duration::from_secs(5);
