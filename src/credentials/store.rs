//! A place that keeps one login document.
//!
//! * [`CredentialStore::write`] and [`CredentialStore::delete`] want the guard of [`CredentialStore::lock`], so an
//!   unlocked write does not compile.
//! * The lock holds across processes and goes with its owner, however that ends.
//! * A part of it may be one that the Codex CLI waits for too: that part is let go of early, and taken back for the write.
//! * A write either replaces the whole document or leaves the old one.

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use crate::credentials::document::AuthDocument;
use crate::credentials::error::CredentialError;

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
    fn address(&self) -> Option<crate::credentials::detached::StoreAddress> {
        None
    }

    /// Has the login renewed by whoever keeps it, in place of `replaces`; `None` where that is the caller itself.
    #[cfg(target_arch = "wasm32")]
    fn renew_at_keeper(
        &self,
        _replaces: Option<&crate::secret::Secret>,
        _is_rejected: bool,
    ) -> Option<BoxFuture<'_, crate::credentials::report::Report>> {
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

/// Which of the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreName {
    /// This program's own file.
    Xdg,
    /// The Codex CLI's file.
    Legacy,
    /// The system's keychain.
    Keychain,
    /// Environment variables.
    Env,
    /// Only this process's memory.
    Memory,
    /// A Worker's KV namespace and the Durable Object that owns it.
    Kv,
}

impl StoreName {
    /// The name as on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xdg => "xdg",
            Self::Legacy => "legacy",
            Self::Keychain => "keychain",
            Self::Env => "env",
            Self::Memory => "memory",
            Self::Kv => "kv",
        }
    }

    /// What a person does to put a working login there.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Xdg => "run `codex-proxy login`",
            Self::Legacy => "run `codex-proxy login --creds-store legacy` or `codex login`",
            Self::Keychain => "run `codex-proxy login --creds-store keychain`",
            Self::Env => {
                "set ACCESS_TOKEN to a new token and start again, or choose another store and run `codex-proxy login`"
            }
            Self::Memory => "start again",
            Self::Kv => "store new credentials with POST /admin/credentials",
        }
    }
}

/// A store and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which store.
    pub store: StoreName,
    /// Its path or item.
    pub location: String,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_shows_nothing_of_what_it_holds() {
        assert_eq!(format!("{:?}", StoreLock::holding("secret")), "StoreLock");
    }

    #[test]
    fn each_remedy_leads_to_the_store_it_is_for() {
        for name in [StoreName::Legacy, StoreName::Keychain] {
            let command = format!("codex-proxy login --creds-store {}", name.as_str());
            assert!(name.remedy().contains(&command), "{name:?}: {}", name.remedy());
        }
        assert!(StoreName::Xdg.remedy().contains("`codex-proxy login`"));
        assert!(StoreName::Env.remedy().contains("ACCESS_TOKEN"));
        assert!(!StoreName::Memory.remedy().contains("login"), "nobody can sign in to a process's memory");
    }
}
