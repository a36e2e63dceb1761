//! The token supplier, the rest of the program's source of access tokens.
//!
//! * A fresh token costs one read lock and no I/O. A token with less than 60 minutes left is handed out and renewed in
//!   the background; only an expired one makes a caller wait.
//! * For any number of waiting callers, the store is read and the issuer asked once. The work runs in its own task, so
//!   a cancelled caller does not cancel the refresh.
//! * [`TokenSupplier::reload`] and [`TokenSupplier::renew`] replace a token that the backend has rejected; they never
//!   return another account's login.
//! * A process should await [`TokenSupplier::stop`] before it ends, so that no refresh is cut off.

mod clock;
pub mod delegate;
mod delegated;
pub(super) mod refresh;
pub mod report;
mod state;
pub mod stop;

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLockReadGuard};
use std::time::Duration;

use serde::Serialize;

use crate::credentials::document::AuthDocument;
use crate::credentials::error::CredentialError;
use crate::credentials::place::Place;
use crate::credentials::status::{AdminCredentials, AdminStatus};
use crate::credentials::store::CredentialStore;
use crate::credentials::{Access, Login};
use crate::oauth::{Client, TokenSet};
use crate::platform::sleep;
use delegate::{Delegate, Need};
use refresh::Shared;
use state::{Held, State, Usability};

/// Supplies access tokens from any store. Clones share everything.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use codex_proxy::credentials::store::memory::MemoryStore;
/// use codex_proxy::credentials::{AuthDocument, TokenSupplier};
/// use codex_proxy::oauth::Client;
/// use codex_proxy::platform::HttpClient;
/// use codex_proxy::simulator::{SimulatedLogin, Simulator};
///
/// let simulator = Simulator::new();
/// let issuer = simulator.start().await.unwrap();
/// let expired = simulator.issue_login(SimulatedLogin::default().expiring_in(-60)).to_string();
/// let store = MemoryStore::new(Some(AuthDocument::parse(&expired).unwrap()));
///
/// let client = HttpClient::new(Duration::from_secs(5)).unwrap();
/// let oauth = Client::new(client, &issuer.auth_url(), "codex-proxy", "an-example/0.1");
/// let supplier = TokenSupplier::new(Arc::new(store), oauth);
/// let access = supplier.access().await.unwrap();
/// assert!(simulator.accepts_access_token(access.token.expose()));
/// assert_eq!(supplier.refresh_counts().succeeded, 1);
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct TokenSupplier {
    shared: Arc<Shared>,
}

/// The state of the login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialHealth {
    /// The access token has not expired.
    Ok,
    /// There is no usable login.
    Missing,
    /// The access token has expired.
    Expired,
}

/// The refreshes of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefreshCounts {
    /// Refreshes that returned new tokens.
    pub succeeded: u64,
    /// Refreshes that failed, temporarily or for good.
    pub failed: u64,
}

impl TokenSupplier {
    /// Creates a supplier of `store`'s login, renewed at the issuer of `oauth`. Does no I/O.
    pub fn new(store: Arc<dyn CredentialStore>, oauth: Client) -> Self {
        Self { shared: Arc::new(Shared::new(store, oauth)) }
    }

    /// Delegates refreshes to `delegate`. Must be called before the supplier is cloned.
    #[must_use]
    pub fn with_delegate(self, delegate: Arc<dyn Delegate>) -> Self {
        let mut shared = Shared::new(Arc::clone(&self.shared.store), self.shared.oauth.clone());
        shared.delegate = Some(delegate);
        Self { shared: Arc::new(shared) }
    }

    /// Returns an access token that has not expired.
    pub async fn access(&self) -> Result<Access, CredentialError> {
        let usability = self.state().usability(self.shared.now());
        match usability {
            Usability::Fresh(access) => Ok(access),
            Usability::Ageing(access) => {
                if self.shared.may_renew() {
                    let need = Need { replaces: Some(access.token.clone()), is_rejected: false };
                    drop(self.shared.start_renewal(need));
                }
                Ok(access)
            }
            Usability::Unusable => self.shared.start_renewal(Need::default()).await.map(|login| login.access),
        }
    }

    /// Reads the store again after the backend rejected `rejected`; the token may be the same.
    pub async fn reload(&self, rejected: &Access) -> Result<Access, CredentialError> {
        if let Some(access) = self.other_than(rejected) {
            return self.same_account(access, rejected);
        }
        let login = self.shared.start_reload().await?;
        self.same_account(login.access, rejected)
    }

    /// Returns a token other than `rejected`, from the store or else from the issuer. It returns the same token if that
    /// was issued within the last minute and the backend has accepted it for no call: another one would fare no better.
    pub async fn renew(&self, rejected: &Access) -> Result<Access, CredentialError> {
        if let Some(access) = self.other_than(rejected) {
            return self.same_account(access, rejected);
        }
        let need = Need { replaces: Some(rejected.token.clone()), is_rejected: true };
        let first = self.shared.start_renewal(need.clone()).await;
        // The flight may have begun before the rejection was known.
        let login = match first {
            Ok(login) if login.access.token != rejected.token => login,
            Ok(_) | Err(CredentialError::Unwritable { .. }) => self.shared.start_renewal(need).await?,
            Err(error) => return Err(error),
        };
        self.same_account(login.access, rejected)
    }

    /// Returns whether this token was issued within the last minute and the backend has accepted it for no call yet:
    /// another one would fare no better.
    pub fn is_new_and_unproven(&self, access: &Access) -> bool {
        self.state().is_new_and_unproven(&access.token)
    }

    /// Records a call that the backend did not answer with 401.
    pub fn accepted(&self, access: &Access) {
        self.shared.accepted(&access.token);
    }

    /// Reads the login from the store, whatever its state. Never asks the issuer.
    pub async fn login(&self) -> Result<Login, CredentialError> {
        self.shared.start_reload().await
    }

    /// Renews the login now, even if it is fresh.
    pub async fn renew_now(&self) -> Result<Login, CredentialError> {
        let held = self.shared.start_reload().await?;
        let need = Need { replaces: Some(held.access.token), is_rejected: false };
        self.shared.start_renewal(need).await
    }

    /// Returns the login's state without waiting for I/O.
    pub fn health(&self) -> CredentialHealth {
        let stored = self.shared.cheap_look();
        let state = self.state();
        let login = match &stored {
            Some(stored) if state.unsaved.is_none() => stored.as_ref(),
            Some(_) | None => state.held.as_ref(),
        };
        match login {
            None => CredentialHealth::Missing,
            Some(held) if held.login.is_expired(self.shared.now()) => CredentialHealth::Expired,
            Some(_) => CredentialHealth::Ok,
        }
    }

    /// Returns the expiry of the token in memory, in Unix seconds; `None` if there is none, or it does not say.
    pub fn expires_at(&self) -> Option<u64> {
        self.state().held.as_ref()?.login.expires_at
    }

    /// Returns the login's state for the admin API.
    pub async fn status(&self) -> AdminStatus {
        let login = self.shared.start_reload().await;
        let problem = self.shared.known_problem();
        AdminStatus::new(login, problem, &self.place(), self.shared.now())
    }

    /// Replaces the login by credentials from the admin API.
    pub async fn store_tokens(&self, credentials: &AdminCredentials) -> Result<(), CredentialError> {
        self.replace(|document| credentials.apply(document, self.shared.now())).await
    }

    /// Replaces the login by the result of a sign-in.
    pub async fn store_sign_in(&self, tokens: &TokenSet) -> Result<(), CredentialError> {
        self.replace(|document| document.replace_login(tokens, self.shared.now())).await
    }

    /// Masks this login's tokens in `text`, for messages about a call that carried one.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.shared.mask(text)
    }

    /// Replaces the document.
    #[cfg(target_arch = "wasm32")]
    pub(super) async fn store_document(&self, document: AuthDocument) -> Result<(), CredentialError> {
        self.replace(|present| *present = document).await
    }

    /// Renews the login unless it is usable already, and returns a serialisable report.
    #[cfg(target_arch = "wasm32")]
    pub(super) async fn renew_and_report(&self, need: &Need) -> report::Report {
        self.shared.renew_and_report(need).await
    }

    /// Returns the login's store and location.
    pub fn place(&self) -> Place {
        self.shared.store.place()
    }

    /// The refreshes of this process.
    pub fn refresh_counts(&self) -> RefreshCounts {
        RefreshCounts {
            succeeded: self.shared.succeeded.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
        }
    }

    /// Prevents further refreshes for a shutdown, and waits like [`TokenSupplier::settle`]. A refresh that waits for
    /// another program's lock is given up; one that has spent its token is completed.
    pub async fn stop(&self) {
        self.shared.stop.request();
        self.settle().await;
    }

    /// Waits until no refresh is running, and retries storing unsaved tokens once.
    pub async fn settle(&self) {
        if let Some(renewal) = self.shared.renewal() {
            let _ = renewal.await;
        }
        self.shared.save_unsaved().await;
    }

    /// Follows the store and renews tokens before they expire, for as long as it is polled.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            self.look_after().await;
            for _ in 0..GLANCES {
                sleep(GLANCE_INTERVAL).await;
                self.notice_change().await;
            }
        }
    }

    /// Drops a login that was removed from the store, for example by `codex-proxy logout`, or replaced there by `codex-proxy
    /// login`.
    async fn notice_change(&self) {
        let token = |held: &Held| held.login.access.token.clone();
        let Some(known) = self.state().held.as_ref().map(token) else { return };
        if self.shared.cheap_look().is_some_and(|stored| stored.as_ref().map(token) != Some(known)) {
            let _ = self.shared.start_reload().await;
        }
    }

    /// Runs one iteration of [`TokenSupplier::keep_fresh`]. Failures are logged where they occur.
    pub async fn look_after(&self) {
        self.shared.save_unsaved().await;
        if self.shared.store.reads_cheaply() || self.state().held.is_none() {
            let _ = self.shared.start_reload().await;
        }
        let due = self.state().held.as_ref().filter(|held| held.login.needs_refresh_soon(self.shared.now())).cloned();
        if let Some(held) = due.filter(|_| self.shared.may_renew()) {
            let need = Need { replaces: Some(held.login.access.token), is_rejected: false };
            let _ = self.shared.start_renewal(need).await;
        }
    }

    async fn replace(&self, edit: impl FnOnce(&mut AuthDocument)) -> Result<(), CredentialError> {
        let store = &self.shared.store;
        let lock = store.lock().await?;
        let mut document = store.read().await?.unwrap_or_default();
        edit(&mut document);
        let held = Held::new(document, &store.place())?;
        store.write(&held.document, &lock).await?;
        self.shared.write_state().renewed(held, None);
        Ok(())
    }

    fn other_than(&self, rejected: &Access) -> Option<Access> {
        let state = self.state();
        let held = state.held.as_ref().filter(|held| held.serves(Some(&rejected.token), self.shared.now()))?;
        Some(held.login.access.clone())
    }

    fn same_account(&self, access: Access, rejected: &Access) -> Result<Access, CredentialError> {
        if access.account_id == rejected.account_id {
            return Ok(access);
        }
        Err(CredentialError::AccountChanged { place: self.place() })
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.shared.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The interval of looks for a removed or replaced login; several of them make one look after everything else.
const GLANCE_INTERVAL: Duration = Duration::from_secs(5);
const GLANCES: u32 = 6;
