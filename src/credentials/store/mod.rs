//! The trait of the stores, each of which holds one login document.
//!
//! * [`CredentialStore::write`] and [`CredentialStore::delete`] take the guard of [`CredentialStore::lock`], so an
//!   unlocked write does not compile.
//! * The lock excludes other processes and is released however its owner ends.
//! * A part of the lock may be shared with the Codex CLI: that part is released early, and taken again for the write.
//! * A write either replaces the whole document or leaves the old one.

#[cfg(not(target_arch = "wasm32"))]
pub(super) mod codex_locks;
pub mod env;
#[cfg(not(target_arch = "wasm32"))]
pub mod file;
#[cfg(not(target_arch = "wasm32"))]
pub mod keychain;
#[cfg(not(target_arch = "wasm32"))]
mod keychain_item;
#[cfg(not(target_arch = "wasm32"))]
pub mod lock;
pub mod memory;

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use crate::credentials::document::AuthDocument;
use crate::credentials::error::CredentialError;
use crate::credentials::place::Place;

/// A store of one login document.
pub trait CredentialStore: fmt::Debug + Send + Sync {
    /// Returns the store's kind and location, for messages.
    fn place(&self) -> Place;

    /// Reads the document; `None` if there is none.
    fn read(&self) -> BoxFuture<'_, Result<Option<AuthDocument>, CredentialError>>;

    /// Takes the store's lock, waiting for a bounded time.
    fn lock(&self) -> BoxFuture<'_, Result<StoreLock, CredentialError>>;

    /// Replaces the document.
    fn write<'a>(
        &'a self,
        document: &'a AuthDocument,
        lock: &'a StoreLock,
    ) -> BoxFuture<'a, Result<(), CredentialError>>;

    /// Removes the document; returns `false` if there was none.
    fn delete<'a>(&'a self, lock: &'a StoreLock) -> BoxFuture<'a, Result<bool, CredentialError>>;

    /// Takes the part released by [`StoreLock::let_others_in`] again, waiting for a bounded time.
    fn reclaim<'a>(&'a self, _lock: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        ready(Ok(())).boxed()
    }

    /// Returns whether the Codex CLI renews the same login, under locks of its own.
    fn is_shared(&self) -> bool {
        false
    }

    /// Tests whether a write would succeed, without changing the document.
    fn probe<'a>(&'a self, lock: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>>;

    /// Returns the address for another process; `None` if only this one can open the store.
    #[cfg(not(target_arch = "wasm32"))]
    fn address(&self) -> Option<crate::credentials::place::StoreAddress> {
        None
    }

    /// Returns whether the store cannot be written.
    fn is_read_only(&self) -> bool {
        false
    }

    /// Returns whether a read completes at once and costs too little to be avoided.
    fn reads_cheaply(&self) -> bool {
        true
    }
}

/// A store's lock, released when dropped.
pub struct StoreLock {
    _guard: Guard,
    /// The part shared with other programs.
    common: Mutex<Option<Guard>>,
}

type Guard = Box<dyn Any + Send + Sync>;

impl StoreLock {
    /// Creates a lock that owns `guard`.
    pub fn holding(guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Box::new(guard), common: Mutex::default() }
    }

    /// Adds `common`, the part shared with other programs.
    pub fn take_common(&self, common: impl Any + Send + Sync) {
        *self.common.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(common));
    }

    /// Returns whether the shared part is held.
    pub fn holds_common(&self) -> bool {
        self.common.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Releases the shared part. The rest still excludes this program's other processes.
    pub fn let_others_in(&self) {
        self.common.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl fmt::Debug for StoreLock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StoreLock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_shows_nothing_of_what_it_holds() {
        assert_eq!(format!("{:?}", StoreLock::holding("secret")), "StoreLock");
    }
}
