//! A place that keeps one login document.
//!
//! * [`CredentialStore::write`] and [`CredentialStore::delete`] want the guard of [`CredentialStore::lock`], so an
//!   unlocked write does not compile.
//! * The lock holds across processes and goes with its owner, however that ends.
//! * A part of it may be one that the Codex CLI waits for too: that part is let go of early, and taken back for the write.
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

/// Keeps one login document.
pub trait CredentialStore: fmt::Debug + Send + Sync {
    /// What this store is and where, for messages.
    fn place(&self) -> Place;

    /// The document; `None` where there is none.
    fn read(&self) -> BoxFuture<'_, Result<Option<AuthDocument>, CredentialError>>;

    /// Waits, for a bounded time, until no other process writes here.
    fn lock(&self) -> BoxFuture<'_, Result<StoreLock, CredentialError>>;

    /// Replaces the document.
    fn write<'a>(
        &'a self,
        document: &'a AuthDocument,
        lock: &'a StoreLock,
    ) -> BoxFuture<'a, Result<(), CredentialError>>;

    /// Removes the document; `false` where there was none.
    fn delete<'a>(&'a self, lock: &'a StoreLock) -> BoxFuture<'a, Result<bool, CredentialError>>;

    /// Takes back the part of `lock` that was let go of with [`StoreLock::let_others_in`]; waits for a bounded time.
    fn reclaim<'a>(&'a self, _lock: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        ready(Ok(())).boxed()
    }

    /// Whether the Codex CLI renews the same login, under locks of its own.
    fn is_shared(&self) -> bool {
        false
    }

    /// Tries whether a write would succeed now, without changing the document.
    fn probe<'a>(&'a self, lock: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>>;

    /// How another process opens this store; `None` where only this one can.
    #[cfg(not(target_arch = "wasm32"))]
    fn address(&self) -> Option<crate::credentials::place::StoreAddress> {
        None
    }

    /// Whether writes are refused by nature.
    fn is_read_only(&self) -> bool {
        false
    }

    /// Whether a read is ready at once and costs so little that it may be done at any time.
    fn reads_cheaply(&self) -> bool {
        true
    }
}

/// The guard of a store's lock; released when dropped.
pub struct StoreLock {
    _guard: Guard,
    /// The part that other programs wait for too.
    common: Mutex<Option<Guard>>,
}

type Guard = Box<dyn Any + Send + Sync>;

impl StoreLock {
    /// Holds `guard` for as long as the lock lives.
    pub fn holding(guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Box::new(guard), common: Mutex::default() }
    }

    /// Holds `common` too, until it is let go of.
    pub fn take_common(&self, common: impl Any + Send + Sync) {
        *self.common.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(common));
    }

    /// Whether the part that other programs wait for is held.
    pub fn holds_common(&self) -> bool {
        self.common.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Lets go of the part that other programs wait for. The rest still keeps this program's other processes out.
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
