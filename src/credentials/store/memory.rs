//! A store in this process's memory, for temporary logins.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use crate::credentials::document::AuthDocument;
use crate::credentials::error::CredentialError;
use crate::credentials::place::{Place, StoreName};
use crate::credentials::store::{CredentialStore, StoreLock};

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    document: Mutex<Option<AuthDocument>>,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl MemoryStore {
    /// Creates a store that holds `document`.
    pub fn new(document: Option<AuthDocument>) -> Self {
        Self { document: Mutex::new(document), lock: Arc::default() }
    }

    fn document(&self) -> MutexGuard<'_, Option<AuthDocument>> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CredentialStore for MemoryStore {
    fn place(&self) -> Place {
        Place { store: StoreName::Memory, location: "this process's memory".to_owned() }
    }

    fn read(&self) -> BoxFuture<'_, Result<Option<AuthDocument>, CredentialError>> {
        ready(Ok(self.document().clone())).boxed()
    }

    fn lock(&self) -> BoxFuture<'_, Result<StoreLock, CredentialError>> {
        async { Ok(StoreLock::holding(Arc::clone(&self.lock).lock_owned().await)) }.boxed()
    }

    fn write<'a>(&'a self, document: &'a AuthDocument, _: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        *self.document() = Some(document.clone());
        ready(Ok(())).boxed()
    }

    fn delete<'a>(&'a self, _: &'a StoreLock) -> BoxFuture<'a, Result<bool, CredentialError>> {
        ready(Ok(self.document().take().is_some())).boxed()
    }

    fn probe<'a>(&'a self, _: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        ready(Ok(())).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn holds_what_was_written_until_it_is_removed() {
        let store = MemoryStore::default();
        let lock = store.lock().await.unwrap();
        assert_eq!(store.read().await.unwrap(), None);
        let document = AuthDocument::from_access_token("token", Some("acc"));
        store.probe(&lock).await.unwrap();
        assert_eq!(store.read().await.unwrap(), None, "a probe changes nothing");
        store.write(&document, &lock).await.unwrap();
        assert_eq!(store.read().await.unwrap(), Some(document));
        assert!(store.delete(&lock).await.unwrap());
        assert!(!store.delete(&lock).await.unwrap());
        assert_eq!(store.read().await.unwrap(), None);
    }

    #[tokio::test]
    async fn is_locked_by_one_at_a_time() {
        let store = MemoryStore::default();
        let first = store.lock().await.unwrap();
        assert!(store.lock().now_or_never().is_none());
        drop(first);
        assert!(store.lock().now_or_never().is_some());
    }
}
