//! The Durable Object that owns a Worker's login. The rules are in [`revision`](crate::credentials::edge::revision).
//!
//! * The owner runs the daemon's own supplier over its own store, so a refresh follows the same rules on both.
//! * Its storage is authoritative; KV is a copy that every order brings up to date.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use worker::send::{SendFuture, SendWrapper};
use worker::{Env, State, Storage};
use zeroize::Zeroizing;

use crate::credentials::document::AuthDocument;
use crate::credentials::edge::kv::{PublishedCopy, place};
use crate::credentials::edge::revision::{Order, OrderOutcome, OwnerReply, Revision};
use crate::credentials::error::CredentialError;
use crate::credentials::place::Place;
use crate::credentials::store::{CredentialStore, StoreLock};
use crate::credentials::supplier::TokenSupplier;
use crate::credentials::supplier::delegate::Need;
use crate::credentials::supplier::report::Report;
use crate::oauth::Client;
use crate::secret::Secret;

/// Executes the orders of a Worker's isolates.
#[derive(Debug)]
pub struct LoginOwner {
    store: Arc<OwnerStore>,
    supplier: TokenSupplier,
}

impl LoginOwner {
    /// Creates the owner over the storage of `state` and the bindings of `env`. The error is a missing binding.
    pub fn new(state: &State, env: &Env, oauth: Client) -> worker::Result<Self> {
        let store = Arc::new(OwnerStore {
            storage: SendWrapper::new(state.storage()),
            copy: PublishedCopy::new(env)?,
            present: Mutex::default(),
            published: AtomicU64::new(0),
            lock: Arc::default(),
        });
        Ok(Self { supplier: TokenSupplier::new(store.clone(), oauth), store })
    }

    /// Executes `order`.
    pub async fn answer(&self, order: Order) -> OwnerReply {
        // Retries tokens that could not be stored.
        self.supplier.settle().await;
        let outcome = match order {
            Order::Read => Ok(OrderOutcome::Done),
            Order::Write(Some(document)) => self.supplier.store_document(document).await.map(|()| OrderOutcome::Done),
            Order::Write(None) => self.remove().await.map(|()| OrderOutcome::Done),
            Order::Renew { replaces, is_rejected } => {
                let replaces = replaces.map(|token| Secret::new(token.as_str()));
                Ok(OrderOutcome::Renewal(self.supplier.renew_and_report(&Need { replaces, is_rejected }).await))
            }
        };
        let outcome = outcome.unwrap_or_else(|error| OrderOutcome::Failed(error.to_string()));
        match self.store.present().await {
            Ok(revision) => {
                self.store.publish(&revision).await;
                unsaved(revision, outcome)
            }
            Err(error) => {
                OwnerReply { revision: Revision::default(), outcome: OrderOutcome::Failed(error.to_string()) }
            }
        }
    }

    async fn remove(&self) -> Result<(), CredentialError> {
        let lock = self.store.lock().await?;
        self.store.delete(&lock).await?;
        // Drops the supplier's copy of a removed login.
        let _ = self.supplier.login().await;
        Ok(())
    }
}

/// Unsaved tokens are handed out too, under the revision number that they will have once stored.
fn unsaved(revision: Revision, outcome: OrderOutcome) -> OwnerReply {
    if let OrderOutcome::Renewal(Report::Unsaved { document, .. }) = &outcome
        && let Ok(document) = AuthDocument::parse(document)
    {
        let revision = Revision { number: revision.number + 1, document: Some(document) };
        return OwnerReply { revision, outcome: OrderOutcome::Renewal(Report::Stored) };
    }
    OwnerReply { revision, outcome }
}

/// The owner's storage, and the copy in KV that follows it.
struct OwnerStore {
    storage: SendWrapper<Storage>,
    copy: PublishedCopy,
    /// The stored revision; `None` until it was read.
    present: Mutex<Option<Revision>>,
    /// The number of the revision that KV is known to hold.
    published: AtomicU64,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl OwnerStore {
    /// Returns the stored revision, or the copy in KV if nothing was stored yet.
    async fn present(&self) -> Result<Revision, CredentialError> {
        if let Some(revision) = self.memory().clone() {
            return Ok(revision);
        }
        let stored = SendFuture::new(self.storage.get::<Zeroizing<String>>(STORAGE_KEY)).await;
        let stored = stored.map_err(|error| unreadable(&error))?;
        let stored = stored.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| unreadable(&error))?;
        let copy = self.copy.read().await;
        if let Ok(copy) = &copy {
            self.published.store(copy.number, Ordering::Relaxed);
        }
        let revision = match stored {
            Some(revision) => revision,
            // Not cached: an operator may change KV at any time while the storage is empty.
            None => return copy,
        };
        Ok(self.memory().get_or_insert(revision).clone())
    }

    async fn store(&self, document: Option<AuthDocument>) -> Result<(), CredentialError> {
        let revision = Revision { number: self.present().await?.number + 1, document };
        let unwritable = |reason: String| CredentialError::Unwritable { place: place(), reason };
        let text = serde_json::to_string(&revision).map(Zeroizing::new);
        let text = text.map_err(|error| unwritable(error.to_string()))?;
        let stored = SendFuture::new(self.storage.put(STORAGE_KEY, text.as_str())).await;
        stored.map_err(|error| unwritable(error.to_string()))?;
        *self.memory() = Some(revision.clone());
        self.publish(&revision).await;
        Ok(())
    }

    /// Updates the copy in KV. A failure is logged; the next order retries.
    async fn publish(&self, revision: &Revision) {
        if self.published.load(Ordering::Relaxed) >= revision.number {
            return;
        }
        match self.copy.write(revision).await {
            Ok(()) => self.published.store(revision.number, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!("{error}; isolates ask its Durable Object for the login until KV can be written")
            }
        }
    }

    /// Probes the storage with a write that changes nothing.
    async fn try_write(&self) -> worker::Result<()> {
        self.storage.put(PROBE_KEY, true).await?;
        self.storage.delete(PROBE_KEY).await.map(drop)
    }

    fn memory(&self) -> MutexGuard<'_, Option<Revision>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CredentialStore for OwnerStore {
    fn place(&self) -> Place {
        place()
    }

    fn read(&self) -> BoxFuture<'_, Result<Option<AuthDocument>, CredentialError>> {
        async { Ok(self.present().await?.document) }.boxed()
    }

    fn lock(&self) -> BoxFuture<'_, Result<StoreLock, CredentialError>> {
        async { Ok(StoreLock::holding(Arc::clone(&self.lock).lock_owned().await)) }.boxed()
    }

    fn write<'a>(&'a self, document: &'a AuthDocument, _: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        self.store(Some(document.clone())).boxed()
    }

    fn delete<'a>(&'a self, _: &'a StoreLock) -> BoxFuture<'a, Result<bool, CredentialError>> {
        async {
            let had_one = self.present().await?.document.is_some();
            self.store(None).await?;
            Ok(had_one)
        }
        .boxed()
    }

    fn probe<'a>(&'a self, _: &'a StoreLock) -> BoxFuture<'a, Result<(), CredentialError>> {
        let unwritable =
            |error: worker::Error| CredentialError::Unwritable { place: place(), reason: error.to_string() };
        SendFuture::new(self.try_write()).map(move |written| written.map_err(unwritable)).boxed()
    }

    fn reads_cheaply(&self) -> bool {
        false
    }
}

impl fmt::Debug for OwnerStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OwnerStore")
    }
}

fn unreadable(error: &dyn fmt::Display) -> CredentialError {
    let reason = format!("the storage of the login's Durable Object: {error}");
    CredentialError::Unreadable { place: place(), reason }
}

const STORAGE_KEY: &str = "login";
const PROBE_KEY: &str = "probe";
