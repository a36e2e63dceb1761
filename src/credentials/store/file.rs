//! File stores: this program's own, and the Codex CLI's.
//!
//! * A write goes to a temporary file in the same directory, is synced and renamed into place, and the directory is
//!   synced: one whole document exists at every moment. A complete temporary file of a killed process is renamed into
//!   place by the next holder of the lock, so its tokens are not lost.
//! * Directories are created 0700 and files 0600, whatever the umask.
//! * A symbolic link is followed: its target is replaced, in the target's own directory, and the link stays. Any other
//!   kind of file is refused.
//! * A document that does not parse is read again a few times, because the Codex CLI writes in place; after that it is
//!   an error, and the file is left as it is.
//! * A file readable by others is used, with a warning. A file or directory writable by others is neither read nor
//!   written: see [`trust`].
//! * A file that the Codex CLI also renews is changed under the CLI's own locks: see
//!   [`crate::credentials::store::codex_locks`].

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

use crate::credentials::document::AuthDocument;
use crate::credentials::error::CredentialError;
use crate::credentials::place::StoreAddress;
use crate::credentials::place::{Place, StoreName};
use crate::credentials::store::codex_locks::CodexLocks;
use crate::credentials::store::lock;
use crate::credentials::store::lock::Locking;
use crate::credentials::store::{CredentialStore, StoreLock};
use crate::files::{private, read, trust};
use crate::platform::sleep;

/// A store in one file.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use codex_proxy::credentials::store::file::FileStore;
/// use codex_proxy::credentials::{AuthDocument, CredentialStore as _};
///
/// let directory = tempfile::tempdir().unwrap();
/// let store = FileStore::xdg(directory.path().join("auth.json"));
/// assert!(store.read().await.unwrap().is_none());
///
/// // Nothing is written without the lock that other processes respect.
/// let lock = store.lock().await.unwrap();
/// let document = AuthDocument::from_access_token("a token", Some("an account"));
/// store.write(&document, &lock).await.unwrap();
/// assert!(store.read().await.unwrap().is_some());
/// # });
/// ```
#[derive(Debug)]
pub struct FileStore {
    name: StoreName,
    path: PathBuf,
    is_codex_home: bool,
    has_warned: AtomicBool,
}

impl FileStore {
    /// This program's own file at `path`.
    pub fn xdg(path: PathBuf) -> Self {
        Self { name: StoreName::Xdg, path, is_codex_home: false, has_warned: AtomicBool::new(false) }
    }

    /// The Codex CLI's file at `path`.
    pub fn legacy(path: PathBuf) -> Self {
        Self { name: StoreName::Legacy, path, is_codex_home: true, has_warned: AtomicBool::new(false) }
    }

    /// A file at `path` known to be the Codex CLI's under another name.
    pub(in crate::credentials) fn shared(path: PathBuf) -> Self {
        Self { is_codex_home: true, ..Self::xdg(path) }
    }

    /// Declares that the Codex CLI with directory `codex_home` may use the same file, under whatever path this store
    /// has it.
    #[must_use]
    pub fn beside_codex_home(mut self, codex_home: &Path) -> Self {
        let directory = follow_links(&self.path).map(|target| directory_of(&target).to_owned());
        let same = |directory: PathBuf| Some(directory.canonicalize().ok()? == codex_home.canonicalize().ok()?);
        self.is_codex_home |= directory.ok().and_then(same).unwrap_or_default();
        self
    }

    /// Returns the locks shared with the Codex CLI; `None` for a private file.
    fn codex_locks(&self) -> Option<CodexLocks> {
        // The CLI does not follow a link in place of its file.
        if self.name == StoreName::Legacy {
            return Some(CodexLocks::beside(&self.path));
        }
        let target = follow_links(&self.path).ok()?;
        (self.is_codex_home || CodexLocks::are_beside(&target)).then(|| CodexLocks::beside(&target))
    }

    async fn read_patiently(&self) -> Result<Option<AuthDocument>, CredentialError> {
        let mut patience = READ_AGAIN;
        loop {
            let Some(text) = self.text().map_err(|error| self.unreadable(&error))? else {
                return Ok(None);
            };
            match AuthDocument::parse(&text) {
                Ok(document) => return Ok(Some(document)),
                Err(malformed) if patience == 0 => {
                    return Err(CredentialError::Broken { place: self.place(), malformed });
                }
                Err(_) => patience -= 1,
            }
            sleep(READ_AGAIN_AFTER).await;
        }
    }

    fn text(&self) -> io::Result<Option<Zeroizing<String>>> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        trust::check_login(&follow_links(&self.path)?, &metadata).map_err(io::Error::other)?;
        self.warn_if_exposed(&metadata);
        let mut text = match read::regular_text(&self.path, MAX_DOCUMENT) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len_utf8());
        }
        Ok(Some(text))
    }

    #[cfg(unix)]
    fn warn_if_exposed(&self, metadata: &fs::Metadata) {
        let mode = std::os::unix::fs::MetadataExt::mode(metadata);
        if mode & 0o077 != 0 && !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "⚠️ {path} may be read by others (mode {mode:03o}): run `chmod 600 {path}`",
                path = self.path.display(),
                mode = mode & 0o777
            );
        }
    }

    #[cfg(not(unix))]
    fn warn_if_exposed(&self, _metadata: &fs::Metadata) {
        self.has_warned.store(true, Ordering::Relaxed);
    }

    async fn lock_file(&self) -> Result<StoreLock, CredentialError> {
        let target = follow_links(&self.path).map_err(|error| self.unwritable(&error))?;
        // If this fails, so does the write that needs the lock.
        let _ = private::create_directory(directory_of(&target));
        trust::check_directory(directory_of(&target)).map_err(|problem| self.unwritable(&io::Error::other(problem)))?;
        let codex = self.codex_locks();
        let lock = match &codex {
            Some(codex) => codex.acquire(&target, LOCK_LIMIT).await,
            None => lock::acquire(&lock_path(&target), Some(&target), LOCK_LIMIT).await,
        };
        let lock = lock.ok_or_else(|| self.locked())?;
        let _commit = self.commit().await;
        if let Err(error) = finish_interrupted_write(&target) {
            tracing::debug!("cannot clean up beside {}: {error}", target.display());
        }
        Ok(lock)
    }

    async fn reclaim_lock(&self, lock: &StoreLock) -> Result<(), CredentialError> {
        match self.codex_locks() {
            Some(codex) if !codex.reclaim(lock, LOCK_LIMIT).await => Err(self.locked()),
            Some(_) | None => Ok(()),
        }
    }

    /// Excludes the Codex CLI, if it shares the file, until the returned value is dropped.
    async fn commit(&self) -> Option<Locking> {
        match self.codex_locks() {
            Some(codex) => Some(codex.commit().await),
            None => None,
        }
    }

    async fn write_file(&self, text: Zeroizing<String>) -> Result<(), CredentialError> {
        let staged = self.change(move |target| stage(target, text.as_bytes())).await?;
        let commit = self.commit().await;
        self.change(move |target| {
            staged.persist(target).map_err(|error| error.error)?;
            drop(commit);
            sync_directory(directory_of(target))
        })
        .await
    }

    async fn remove_file(&self) -> Result<bool, CredentialError> {
        let commit = self.commit().await;
        self.change(move |target| {
            let removed = fs::remove_file(target);
            drop(commit);
            match removed {
                Ok(()) => sync_directory(directory_of(target)).map(|()| true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Runs `work` with the real path of the file on a blocking thread: syncing may take long.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, CredentialError> {
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || work(&follow_links(&path)?)).await;
        done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| self.unwritable(&error))
    }

    fn locked(&self) -> CredentialError {
        CredentialError::Locked { place: self.place() }
    }

    fn unreadable(&self, error: &io::Error) -> CredentialError {
        CredentialError::Unreadable { place: self.place(), reason: error.to_string() }
    }

    fn unwritable(&self, error: &io::Error) -> CredentialError {
        CredentialError::Unwritable { place: self.place(), reason: error.to_string() }
    }
}

impl CredentialStore for FileStore {
    fn address(&self) -> Option<StoreAddress> {
        let path = std::path::absolute(&self.path).ok()?;
        Some(match self.name {
            StoreName::Legacy => StoreAddress::Legacy(path),
            _ if self.is_codex_home => StoreAddress::Shared(path),
            _ => StoreAddress::Xdg(path),
        })
    }

    fn place(&self) -> Place {
        Place { store: self.name, location: self.path.display().to_string() }
    }

    fn read(&self) -> BoxFuture<'_, Result<Option<AuthDocument>, CredentialError>> {
        self.read_patiently().boxed()
    }

    fn lock(&self) -> BoxFuture<'_, Result<StoreLock, CredentialError>> {
        self.lock_file().boxed()
    }

    fn write<'a>(&'a self, document: &'a AuthDocument, _: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        self.write_file(document.to_text()).boxed()
    }

    fn delete<'a>(&'a self, _: &'a StoreLock) -> BoxFuture<'a, Result<bool, CredentialError>> {
        self.remove_file().boxed()
    }

    fn reclaim<'a>(&'a self, lock: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        self.reclaim_lock(lock).boxed()
    }

    fn is_shared(&self) -> bool {
        self.codex_locks().is_some()
    }

    fn probe<'a>(&'a self, _: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        self.change(|target| temporary_file(target, &[b' '; PROBE_SIZE]).map(drop)).boxed()
    }
}

/// Creates a synced file beside `target`, ready to be renamed.
fn stage(target: &Path, text: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    private::create_directory(directory_of(target))?;
    let temporary = temporary_file(target, text)?;
    keep_owner(target, temporary.as_file());
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

/// Creates a file beside `target` that holds `text` and is removed when dropped.
fn temporary_file(target: &Path, text: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut temporary = tempfile::Builder::new()
        .prefix(&temporary_prefix(target))
        .suffix(TEMPORARY_SUFFIX)
        .tempfile_in(directory_of(target))?;
    temporary.write_all(text)?;
    Ok(temporary)
}

/// Completes the write of a killed process: a temporary file that is whole and newer than `target` only lacks its
/// rename. The caller holds the lock, so nobody else has a temporary file. Files of another user and special files,
/// such as pipes, are left alone.
fn finish_interrupted_write(target: &Path) -> io::Result<()> {
    let prefix = temporary_prefix(target);
    for entry in fs::read_dir(directory_of(target))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(&prefix) || !name.ends_with(TEMPORARY_SUFFIX) {
            continue;
        }
        if !fs::symlink_metadata(entry.path()).is_ok_and(|metadata| trust::is_own_file(&metadata)) {
            tracing::warn!("⚠️ {} is not this user's; it is left alone", entry.path().display());
            continue;
        }
        if is_whole(&entry.path()) && is_newer(&entry.path(), target) {
            tracing::info!("finishing the interrupted write of {}", target.display());
            File::open(entry.path())?.sync_all()?;
            fs::rename(entry.path(), target)?;
            sync_directory(directory_of(target))?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_whole(path: &Path) -> bool {
    let text = fs::read_to_string(path).map(Zeroizing::new);
    text.is_ok_and(|text| AuthDocument::parse(&text).is_ok_and(|document| document.login().is_ok()))
}

/// A document removed meanwhile stays removed.
fn is_newer(path: &Path, target: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    matches!((modified(path), modified(target)), (Ok(left), Ok(present)) if left > present)
}

/// Resolves `path`; the file need not exist.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = directory_of(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn lock_path(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    target.with_file_name(name)
}

fn temporary_prefix(target: &Path) -> String {
    format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy())
}

/// Keeps the owner of another user's file, for example when root runs this for that user.
#[cfg(unix)]
fn keep_owner(target: &Path, file: &File) {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(old), Ok(new)) = (fs::metadata(target), file.metadata()) else { return };
    if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
        let _ = std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()));
    }
}

#[cfg(not(unix))]
fn keep_owner(_target: &Path, _file: &File) {}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

const TEMPORARY_SUFFIX: &str = ".tmp";
/// Larger than a document, so that a full disk is noticed before a token is spent.
const PROBE_SIZE: usize = 64 * 1024;
/// Some editors put it before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// No login is longer.
const MAX_DOCUMENT: u64 = 4 * 1024 * 1024;
const MAX_LINKS: usize = 16;
/// Longer than a refresh under the lock with a look for the Codex CLI's token.
const LOCK_LIMIT: Duration = Duration::from_secs(60);
const READ_AGAIN: u32 = 5;
const READ_AGAIN_AFTER: Duration = Duration::from_millis(40);
