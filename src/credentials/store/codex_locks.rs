//! The locks of a directory that the Codex CLI keeps its login in.
//!
//! Measured with Codex CLI 0.169 (`strace`, 2026-11-25). To renew the login the CLI
//!
//! 1. reads `auth.json` and exchanges the refresh token, without any lock;
//! 2. takes `auth.lock`, waiting without limit, and reads `auth.json` again: if another token stands there now, it drops
//!    the one it was given and uses that;
//! 3. tries for `auth.json.lock` every 10 ms, **for 5 s in all**; if it does not get it, it drops the token it was given,
//!    and the login has ended, because the old token is spent;
//! 4. writes a temporary file and renames it.
//!
//! `codex login` and `codex logout` take the same two locks in the same order. Refused as *reused*, the CLI reads
//! `auth.json` once more at once, adopts another token, or else sends the old one again, a few times. `codex exec` gives
//! up as a whole when it has had no token for 20 s, and with it one that was waiting for `auth.lock`.
//!
//! Therefore, in such a directory:
//!
//! * `auth.lock` is held over a refresh, but for 8 s at most while the issuer takes its time; then it is taken back for
//!   the write.
//! * `auth.json.lock` is held around the renaming alone: microseconds.
//! * A lock of our own keeps the processes of this program apart, for as long as a refresh takes.
//! * When a token was *reused*, `auth.lock` is let go of before looking for what the CLI is about to store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::credentials::store::StoreLock;
use crate::credentials::store::lock;
use crate::credentials::store::lock::Locking;
use crate::platform::Instant;

/// Where the locks are.
#[derive(Debug)]
pub(super) struct CodexLocks {
    directory: PathBuf,
    file_name: String,
}

impl CodexLocks {
    /// The locks beside `path`, which is the login's file as the CLI names it.
    pub(super) fn beside(path: &Path) -> Self {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        Self {
            directory: directory.unwrap_or(Path::new(".")).to_owned(),
            file_name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// Whether a Codex CLI has locked a login beside `path`: it never removes the file it locks.
    pub(super) fn are_beside(path: &Path) -> bool {
        path.with_file_name(AUTH_LOCK).exists()
    }

    /// Waits up to `limit` for all of it. `None` when somebody else still has a part then.
    pub(super) async fn acquire(&self, fallback: &Path, limit: Duration) -> Option<StoreLock> {
        let deadline = Instant::now() + limit;
        let own = self.directory.join(format!("{}{OWN_SUFFIX}", self.file_name));
        let guard = lock::acquire(&own, Some(fallback), limit).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        self.reclaim(&guard, left).await.then_some(guard)
    }

    /// Waits up to `limit` until `guard` holds `auth.lock`. `false` when somebody else still has it then.
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

    /// Takes `auth.json.lock`, until the returned value is dropped. Who has it without `auth.lock` follows no protocol of
    /// today; a new login is worth more than waiting for them for ever.
    pub(super) async fn commit(&self) -> Locking {
        let path = self.directory.join(format!("{}{COMMIT_SUFFIX}", self.file_name));
        let locking = lock::lock(&path, None, COMMIT_LIMIT).await;
        if matches!(locking, Locking::Busy) {
            tracing::warn!("{} has been locked for {} s; going on without", path.display(), COMMIT_LIMIT.as_secs());
        }
        locking
    }
}

const AUTH_LOCK: &str = "auth.lock";
const COMMIT_SUFFIX: &str = ".lock";
const OWN_SUFFIX: &str = ".codex-proxy.lock";
/// As long as the CLI tries.
const COMMIT_LIMIT: Duration = Duration::from_secs(5);
