//! A refresh: read the store, take its lock, read again, exchange the token, store the new ones, hand them out.
//!
//! * One refresh runs for all callers who wait ([`SingleFlight`]), in a task of its own.
//! * The store is read before the lock is taken and again under it; a usable token is adopted, not renewed.
//! * New tokens are stored before use. If the store cannot take them, the old document stays, the tokens in memory are
//!   used, the log says so once, and storing is retried later.
//! * While the current token works, a store that cannot be written postpones the refresh.
//! * A token just issued is valid, whatever this machine's clock says ([`clock`](crate::credentials::supplier::clock)),
//!   and is not replaced as expired within a minute.
//! * Another program's unlocked write is never overwritten: a document stored meanwhile is adopted, and a removed login
//!   stays removed.
//! * At shutdown, a refresh that has not begun is given up and one that has is completed.
//! * A program that waits for the lock to store its new token, as the Codex CLI does, is let in as soon as the issuer
//!   answers *reused*, and in any case after [`LONGEST_HOLD`].

use std::borrow::Cow;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};

use crate::credentials::Login;
use crate::credentials::error::CredentialError;
use crate::credentials::mask::mask;
use crate::credentials::store::{CredentialStore, StoreLock};
use crate::credentials::supplier::clock::Clock;
use crate::credentials::supplier::delegate::{Delegate, Need};
use crate::credentials::supplier::state::{Held, State, Unsaved};
use crate::credentials::supplier::stop::Stop;
use crate::oauth::{Client, Ended, IssuerError, TokenSet};
use crate::platform::single_flight::{Flight, SingleFlight};
use crate::platform::sleep;
use crate::secret::Secret;

type Running = Flight<Result<Login, CredentialError>>;

/// The state shared by all clones of a supplier.
#[derive(Debug)]
pub(in crate::credentials) struct Shared {
    pub(super) store: Arc<dyn CredentialStore>,
    pub(super) oauth: Client,
    /// Does the refreshes of this supplier, if set.
    pub(super) delegate: Option<Arc<dyn Delegate>>,
    pub(super) state: RwLock<State>,
    /// Requested at shutdown.
    pub(in crate::credentials) stop: Stop,
    clock: Clock,
    /// Whether the backend has yet to accept the last token issued.
    is_unproven: AtomicBool,
    reloads: SingleFlight<Result<Login, CredentialError>>,
    renewals: SingleFlight<Result<Login, CredentialError>>,
    pub(super) succeeded: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Shared {
    pub(in crate::credentials) fn new(store: Arc<dyn CredentialStore>, oauth: Client) -> Self {
        Self {
            store,
            oauth,
            delegate: None,
            state: RwLock::default(),
            stop: Stop::default(),
            clock: Clock::default(),
            is_unproven: AtomicBool::new(false),
            reloads: SingleFlight::default(),
            renewals: SingleFlight::default(),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Starts a read of the store, or joins the one under way.
    pub(super) fn start_reload(self: &Arc<Self>) -> Running {
        let shared = Arc::clone(self);
        self.reloads.join_or_start(|| async move { shared.reload().await })
    }

    /// Starts a renewal, or joins the one under way.
    pub(super) fn start_renewal(self: &Arc<Self>, need: Need) -> Running {
        let shared = Arc::clone(self);
        self.renewals.join_or_start(|| async move { shared.renew(&need).await })
    }

    /// Returns the renewal under way.
    pub(super) fn renewal(&self) -> Option<Running> {
        self.renewals.running()
    }

    /// Returns whether renewing the login in memory may succeed now.
    pub(super) fn may_renew(&self) -> bool {
        if self.store.is_read_only() || self.renewal().is_some() {
            return false;
        }
        let state = self.read_state();
        let held = state.held.as_ref().filter(|held| !state.has_just_been_given(&held.login.access.token));
        let refresh_token = held.and_then(|held| held.login.refresh_token.as_ref());
        let refresh_token = refresh_token.filter(|_| !state.is_postponed());
        refresh_token.is_some_and(|token| state.blocked(token, &self.store.place()).is_none())
    }

    /// Returns the known obstacle to storing or renewing the login in memory.
    pub(super) fn known_problem(&self) -> Option<CredentialError> {
        let state = self.read_state();
        if let Some(unsaved) = &state.unsaved {
            return Some(unsaved.error.clone());
        }
        let login = &state.held.as_ref()?.login;
        let place = self.store.place();
        match login.refresh_token.as_ref().filter(|_| !self.store.is_read_only()) {
            Some(refresh_token) => state.blocked(refresh_token, &place),
            None => login.is_expired(self.now()).then_some(CredentialError::NotRenewable { place }),
        }
    }

    /// Reads a store that answers at once; `None` for any other.
    pub(super) fn cheap_look(&self) -> Option<Option<Held>> {
        if !self.store.reads_cheaply() {
            return None;
        }
        let document = self.store.read().now_or_never()?.ok()?;
        Some(document.and_then(|document| Held::new(document, &self.store.place()).ok()))
    }

    /// Retries storing an unsaved login, unless the store has another one since.
    pub(super) async fn save_unsaved(&self) {
        if self.read_state().unsaved.is_none() {
            return;
        }
        let Ok(lock) = self.store.lock().await else { return };
        let Ok(Some(stored)) = self.stored().await else { return };
        let unsaved = {
            let mut state = self.write_state();
            if !state.outdates(&stored) {
                state.adopt(stored);
                return;
            }
            state.held.clone()
        };
        let Some(held) = unsaved else { return };
        if self.store.write(&held.document, &lock).await.is_ok() {
            tracing::info!("the login, which could not be stored before, is now stored in {}", self.store.place());
            self.write_state().unsaved = None;
        }
    }

    async fn reload(&self) -> Result<Login, CredentialError> {
        match self.current().await? {
            Some(held) => Ok(held.login),
            None => Err(CredentialError::Missing { place: self.store.place() }),
        }
    }

    pub(super) async fn renew(&self, need: &Need) -> Result<Login, CredentialError> {
        let rejected = need.replaces.as_ref();
        let in_memory = self.read_state().held.clone();
        if let Some(held) = in_memory.filter(|held| held.serves(rejected, self.now())) {
            return Ok(held.login);
        }
        let held = self.current_or_missing().await?;
        if held.serves(rejected, self.now()) {
            return Ok(held.login);
        }
        self.check_renewable(&held)?;
        self.check_running()?;
        if let Some(result) = self.renew_by_delegate(&held, need).await {
            return result;
        }
        let lock = self.lock_while_running().await?;
        let held = self.current_or_missing().await?;
        if held.serves(rejected, self.now()) {
            tracing::info!("another process has renewed the login in {}", self.store.place());
            return Ok(held.login);
        }
        let refresh_token = self.check_renewable(&held)?;
        if !held.login.is_expired(self.now()) && !need.is_rejected {
            self.check_writable(&lock).await?;
        }
        self.check_running()?;
        self.exchange(&held, &refresh_token, lock).await
    }

    /// Takes the store's lock; gives up at shutdown.
    async fn lock_while_running(&self) -> Result<StoreLock, CredentialError> {
        match select(self.store.lock(), pin!(self.stop.requested())).await {
            Either::Left((lock, _)) => lock,
            Either::Right(_) => Err(CredentialError::Stopping { place: self.store.place() }),
        }
    }

    /// Fails at shutdown, when no refresh may begin.
    pub(super) fn check_running(&self) -> Result<(), CredentialError> {
        if self.stop.is_requested() {
            return Err(CredentialError::Stopping { place: self.store.place() });
        }
        Ok(())
    }

    async fn check_writable(&self, lock: &StoreLock) -> Result<(), CredentialError> {
        match self.store.probe(lock).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.postpone(error)),
        }
    }

    pub(super) fn postpone(&self, error: CredentialError) -> CredentialError {
        if self.write_state().postpone() {
            tracing::error!("the login is not renewed early, because a new one could not be stored: {error}");
        }
        error
    }

    fn check_renewable(&self, held: &Held) -> Result<Secret, CredentialError> {
        let place = self.store.place();
        let refresh_token = held.login.refresh_token.clone().filter(|_| !self.store.is_read_only());
        let refresh_token = refresh_token.ok_or_else(|| CredentialError::NotRenewable { place: place.clone() })?;
        match self.read_state().blocked(&refresh_token, &place) {
            Some(error) => Err(error),
            None => Ok(refresh_token),
        }
    }

    /// Exchanges `refresh_token`, which uses it up.
    async fn exchange(&self, held: &Held, refresh_token: &Secret, lock: StoreLock) -> Result<Login, CredentialError> {
        match self.ask_issuer(refresh_token, &lock).await {
            Ok(tokens) if held.document.is_another_owners(&tokens) => {
                let what = "its tokens belong to another account; they are not used, and the login is unchanged";
                Err(self.fail(IssuerError::Invalid(what.into())))
            }
            Ok(tokens) => self.store_tokens(held, &tokens, &lock).await,
            Err(IssuerError::Ended(ended)) => {
                // Another program that used the token may be waiting for the lock to store the next one.
                lock.let_others_in();
                self.on_ended(held, refresh_token, ended).await
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Asks the issuer; releases the shared part of the lock after [`LONGEST_HOLD`].
    async fn ask_issuer(&self, refresh_token: &Secret, lock: &StoreLock) -> Result<TokenSet, IssuerError> {
        match select(pin!(self.oauth.refresh(refresh_token)), pin!(sleep(LONGEST_HOLD))).await {
            Either::Left((answer, _)) => answer,
            Either::Right((_, exchange)) => {
                lock.let_others_in();
                exchange.await
            }
        }
    }

    /// Masks this login's tokens in `text`.
    pub(super) fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        mask(text, &self.read_state().secrets())
    }

    pub(super) fn fail(&self, error: IssuerError) -> CredentialError {
        let error = match error {
            IssuerError::Refused { status, code, message, retry_after } => {
                let masked = |text: Option<String>| text.map(|text| self.mask(&text).into_owned());
                IssuerError::Refused { status, code: masked(code), message: masked(message), retry_after }
            }
            error => error,
        };
        let retry_after = self.write_state().failed(error.clone());
        self.failed.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            "the login could not be renewed: {error}; the next request tries again, at the earliest in {} s",
            retry_after.as_secs()
        );
        CredentialError::RefreshFailed { error, retry_after }
    }

    pub(super) fn end_for_good(&self, refresh_token: Secret, ended: Ended) -> CredentialError {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.write_state().ended(refresh_token, ended);
        let error = CredentialError::Ended { place: self.store.place(), ended };
        tracing::error!("{error}");
        error
    }

    /// Stores new tokens, then adopts them.
    async fn store_tokens(&self, held: &Held, tokens: &TokenSet, lock: &StoreLock) -> Result<Login, CredentialError> {
        let (in_store, is_unsaved) = match &self.read_state().unsaved {
            Some(unsaved) => (unsaved.stored.clone(), true),
            None => (held.login.refresh_token.clone(), false),
        };
        let stored = match self.store.reclaim(lock).await {
            Ok(()) => self.stored().await,
            Err(error) => Err(error),
        };
        let mut base = held.clone();
        match &stored {
            Ok(None) => {
                self.write_state().forget();
                return Err(CredentialError::Missing { place: self.store.place() });
            }
            Ok(Some(other)) if other.login.refresh_token != in_store => {
                tracing::info!("another program has stored a login in {} meanwhile; using it", self.store.place());
                self.write_state().adopt(other.clone());
                return Ok(other.login.clone());
            }
            Ok(Some(same)) if !is_unsaved => base = same.clone(),
            Ok(Some(_)) | Err(_) => {}
        }
        base.document.apply_refresh(tokens, self.now());
        let renewed = Held::new(base.document.clone(), &self.store.place())?;
        let written = match stored {
            Err(error) => Err(error),
            Ok(_) => self.store.write(&renewed.document, lock).await,
        };
        self.adopt_renewed(renewed, held, written)
    }

    /// Adopts the document of a refresh of `former`, which fails if it brought no usable access token. The document
    /// is kept all the same: the former refresh token is used up.
    pub(super) fn adopt_renewed(
        &self,
        renewed: Held,
        former: &Held,
        written: Result<(), CredentialError>,
    ) -> Result<Login, CredentialError> {
        let login = renewed.login.clone();
        let mut state = self.write_state();
        let unsaved = match written {
            Ok(()) => None,
            Err(error) => {
                if state.unsaved.is_none() {
                    tracing::error!(
                        "the renewed login could not be stored: {error}; it exists only in this process until it can be stored"
                    );
                }
                let spent = former.login.refresh_token.clone();
                let stored = state.unsaved.take().map_or(spent, |unsaved| unsaved.stored);
                Some(Unsaved { stored, error })
            }
        };
        state.advance(renewed, unsaved);
        drop(state);
        if login.access.token == former.login.access.token {
            return Err(self.fail(IssuerError::Invalid("there is no new access token in it".into())));
        }
        self.received(&login);
        if login.is_expired(self.now()) {
            return Err(self.fail(IssuerError::Invalid("its access token has expired already".into())));
        }
        self.succeed();
        tracing::info!("the login in {} is renewed", self.store.place());
        Ok(login)
    }

    /// Records a refresh that returned a usable token.
    pub(super) fn succeed(&self) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        self.write_state().recovered();
    }

    /// Records a login with a token just issued.
    pub(super) fn received(&self, login: &Login) {
        self.clock.learn(login);
        self.write_state().given(login.access.token.clone());
        self.is_unproven.store(true, Ordering::Relaxed);
    }

    /// Records a token that the backend has accepted.
    pub(super) fn accepted(&self, token: &Secret) {
        if self.is_unproven.load(Ordering::Relaxed) && self.write_state().prove(token) {
            self.is_unproven.store(false, Ordering::Relaxed);
        }
    }

    /// Returns the issuer's time in Unix seconds, as far as it is known.
    pub(super) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Handles an ended refresh token: another program may have used it and stored, or be about to store, the next one.
    async fn on_ended(&self, held: &Held, refresh_token: &Secret, ended: Ended) -> Result<Login, CredentialError> {
        let looks = match ended {
            Ended::Reused if self.store.is_shared() => LOOKS_FOR_CODEX,
            Ended::Reused => LOOKS_AFTER_REUSE,
            Ended::Expired | Ended::Invalidated => 1,
        };
        for look in 0..looks {
            if look > 0 {
                self.check_running()?;
                sleep(LOOK_AFTER_REUSE).await;
            }
            let stored = self.stored().await.ok().flatten();
            let newer = stored.filter(|stored| stored.login.refresh_token.as_ref() != Some(refresh_token));
            let newer = newer.filter(|stored| !self.read_state().outdates(stored));
            if let Some(newer) = newer.filter(|newer| newer.serves(Some(&held.login.access.token), self.now())) {
                tracing::info!("another program has renewed the login in {}; using it", self.store.place());
                let login = newer.login.clone();
                self.write_state().adopt(newer);
                return Ok(login);
            }
        }
        Err(self.end_for_good(refresh_token.clone(), ended))
    }

    pub(super) async fn current_or_missing(&self) -> Result<Held, CredentialError> {
        self.current().await?.ok_or_else(|| CredentialError::Missing { place: self.store.place() })
    }

    /// Adopts the store's login; returns the one in memory if the store could not take it.
    async fn current(&self) -> Result<Option<Held>, CredentialError> {
        self.take_stored(State::adopt).await
    }

    /// Adopts the login that a delegate's refresh has left in the store.
    pub(super) async fn delegated(&self) -> Result<Held, CredentialError> {
        let taken = self.take_stored(|state, held| state.advance(held, None)).await?;
        taken.ok_or_else(|| CredentialError::Missing { place: self.store.place() })
    }

    async fn take_stored(&self, take: impl FnOnce(&mut State, Held)) -> Result<Option<Held>, CredentialError> {
        let stored = self.stored().await;
        let mut state = self.write_state();
        if state.unsaved.is_some() && !matches!(&stored, Ok(Some(stored)) if !state.outdates(stored)) {
            return Ok(state.held.clone());
        }
        match stored? {
            Some(stored) => {
                if state
                    .held
                    .as_ref()
                    .is_some_and(|held| held.login.access.account_id != stored.login.access.account_id)
                {
                    tracing::warn!("the login in {} now belongs to another account", self.store.place());
                }
                take(&mut state, stored.clone());
                Ok(Some(stored))
            }
            None => {
                state.forget();
                Ok(None)
            }
        }
    }

    async fn stored(&self) -> Result<Option<Held>, CredentialError> {
        let document = self.store.read().await?;
        document.map(|document| Held::new(document, &self.store.place())).transpose()
    }

    pub(super) fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read_state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program that writes without a lock may not have stored the next token yet.
const LOOKS_AFTER_REUSE: u32 = 6;
/// The Codex CLI may still wait for the issuer's answer; `codex exec` (0.169) waits for 20 s in all.
const LOOKS_FOR_CODEX: u32 = 80;
const LOOK_AFTER_REUSE: Duration = Duration::from_millis(250);
/// The longest hold of the lock's shared part during a slow exchange. A Codex CLI (0.169) that was issued its token at
/// the same moment needs the lock to store it, and `codex exec` drops the token after 20 s.
const LONGEST_HOLD: Duration = Duration::from_secs(8);
