//! The keychain store: macOS Keychain, Windows Credential Manager, Secret Service elsewhere.
//!
//! * This program has an item of its own; the Codex CLI's item is only read, to import it.
//! * Every call has a time limit and a thread of its own: a locked keychain that waits for its user neither blocks a
//!   request beyond the limit nor keeps the process from ending.
//! * The lock is a file beside this program's own, because keychains have none.
//!
//! On Linux without a desktop session there is usually no Secret Service; the error says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use crate::credentials::document::AuthDocument;
use crate::credentials::error::CredentialError;
use crate::credentials::place::StoreAddress;
use crate::credentials::place::{Place, StoreName};
use crate::credentials::store::keychain_item::Item;
use crate::credentials::store::lock;
use crate::credentials::store::{CredentialStore, StoreLock};
use crate::files::private;

/// A store in one keychain item.
#[derive(Debug)]
pub struct KeychainStore {
    item: Item,
    lock_file: PathBuf,
    limit: Duration,
    /// Calls without a result, those given up included.
    pending: Arc<AtomicUsize>,
}

impl KeychainStore {
    /// This program's own item; its lock file is in `directory`.
    pub fn own(directory: &Path) -> Self {
        Self::of_item(OWN_SERVICE, OWN_ACCOUNT.to_owned(), directory)
    }

    /// The item of the Codex CLI whose home is `codex_home`.
    pub fn codex_cli(codex_home: &Path, directory: &Path) -> Self {
        Self::of_item(CODEX_SERVICE, codex_account(codex_home), directory)
    }

    /// Sets the time limit of each call.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Splits the item into parts of at most `size` bytes.
    #[must_use]
    pub fn with_part_size(mut self, size: usize) -> Self {
        self.item.part_size = Some(size.max(1));
        self
    }

    fn of_item(service: &str, account: String, directory: &Path) -> Self {
        Self {
            item: Item { service: service.to_owned(), account, part_size: PART_SIZE },
            lock_file: directory.join("keychain.lock"),
            limit: CALL_LIMIT,
            pending: Arc::default(),
        }
    }

    /// Runs `work` on the item in a thread that may be left behind.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Item) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let item = self.item.clone();
        within(self.limit, &self.pending, move || work(&item)).await
    }

    fn unreadable(&self, reason: String) -> CredentialError {
        CredentialError::Unreadable { place: self.place(), reason }
    }

    fn unwritable(&self, reason: String) -> CredentialError {
        CredentialError::Unwritable { place: self.place(), reason }
    }

    async fn read_item(&self) -> Result<Option<AuthDocument>, CredentialError> {
        let Some(secret) = self.call(Item::get).await.map_err(|reason| self.unreadable(reason))? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&secret).map_err(|_| self.unreadable("it is not text".to_owned()))?;
        let document = AuthDocument::parse(text)
            .map_err(|malformed| CredentialError::Broken { place: self.place(), malformed })?;
        Ok(Some(document))
    }

    async fn lock_item(&self) -> Result<StoreLock, CredentialError> {
        if let Some(directory) = self.lock_file.parent() {
            // Without the directory there is no lock, and the keychain still works.
            let _ = private::create_directory(directory);
        }
        let lock = lock::acquire(&self.lock_file, None, LOCK_LIMIT).await;
        lock.ok_or_else(|| CredentialError::Locked { place: self.place() })
    }
}

impl CredentialStore for KeychainStore {
    fn address(&self) -> Option<StoreAddress> {
        let directory = self.lock_file.parent().filter(|_| self.item.service == OWN_SERVICE)?;
        Some(StoreAddress::Keychain(directory.to_owned()))
    }

    fn place(&self) -> Place {
        let location = format!("the keychain item \"{}\" ({})", self.item.service, self.item.account);
        Place { store: StoreName::Keychain, location }
    }

    fn read(&self) -> BoxFuture<'_, Result<Option<AuthDocument>, CredentialError>> {
        self.read_item().boxed()
    }

    fn lock(&self) -> BoxFuture<'_, Result<StoreLock, CredentialError>> {
        self.lock_item().boxed()
    }

    fn write<'a>(&'a self, document: &'a AuthDocument, _: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        let text = document.to_text();
        async move {
            let written = self.call(move |item| item.set(text.as_bytes())).await;
            written.map_err(|reason| self.unwritable(reason))
        }
        .boxed()
    }

    fn delete<'a>(&'a self, _: &'a StoreLock) -> BoxFuture<'a, Result<bool, CredentialError>> {
        async { self.call(Item::delete).await.map_err(|reason| self.unwritable(reason)) }.boxed()
    }

    /// A keychain has no capacity to test; the probe tests that it answers.
    fn probe<'a>(&'a self, _: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        async { self.read_item().await.map(drop) }.boxed()
    }

    fn reads_cheaply(&self) -> bool {
        false
    }
}

/// Returns the account of the keychain item of the Codex CLI whose home is `codex_home`.
pub fn codex_account(codex_home: &Path) -> String {
    let canonical = codex_home.canonicalize().unwrap_or_else(|_| codex_home.to_owned());
    let digest = Sha256::digest(canonical.to_string_lossy().as_bytes());
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("cli|{hex}")
}

/// Runs `work` in its own thread and waits for it up to `limit`. The runtime would wait for its blocking threads at
/// shutdown.
async fn within<T: Send + 'static>(
    limit: Duration,
    pending: &Arc<AtomicUsize>,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    if pending.load(Ordering::Relaxed) >= MAX_PENDING {
        return Err("it has not answered for some time; is it waiting to be unlocked?".to_owned());
    }
    let (sender, receiver) = tokio::sync::oneshot::channel();
    pending.fetch_add(1, Ordering::Relaxed);
    let returned = Arc::clone(pending);
    let thread = std::thread::Builder::new().name("keychain".to_owned()).spawn(move || {
        let _ = sender.send(work());
        returned.fetch_sub(1, Ordering::Relaxed);
    });
    if let Err(error) = thread {
        pending.fetch_sub(1, Ordering::Relaxed);
        return Err(error.to_string());
    }
    match tokio::time::timeout(limit, receiver).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("the call failed".to_owned()),
        Err(_) => Err(format!("it did not answer within {} seconds; is it waiting to be unlocked?", limit.as_secs())),
    }
}

/// Below the limit of the Windows Credential Manager; the others have no relevant limit.
const PART_SIZE: Option<usize> = if cfg!(windows) { Some(2_500) } else { None };
const OWN_SERVICE: &str = "codex-proxy";
const OWN_ACCOUNT: &str = "auth.json";
const CODEX_SERVICE: &str = "Codex Auth";
const CALL_LIMIT: Duration = Duration::from_secs(15);
const LOCK_LIMIT: Duration = Duration::from_secs(45);
const MAX_PENDING: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_is_sixteen_digits_of_the_hash_of_the_path() {
        // printf %s /nonexistent/codex | sha256sum
        assert_eq!(codex_account(Path::new("/nonexistent/codex")), "cli|16b87590f04bbded");
    }

    #[tokio::test]
    async fn a_keychain_that_hangs_is_given_up_and_not_asked_for_ever() {
        let pending = Arc::<AtomicUsize>::default();
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let wait = Arc::new(std::sync::Mutex::new(wait));
        for _ in 0..MAX_PENDING {
            let wait = Arc::clone(&wait);
            let hang = move || {
                let _ = wait.lock().unwrap().recv();
                Ok(())
            };
            let error = within(Duration::from_millis(10), &pending, hang).await.unwrap_err();
            assert!(error.contains("did not answer"), "{error}");
        }
        let error = within(Duration::from_secs(60), &pending, || Ok(())).await.unwrap_err();
        assert!(error.contains("for some time"), "{error}");
        drop(release);
    }
}
