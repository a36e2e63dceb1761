//! The account's own list of models, updated in the background.
//!
//! * The list is fetched at the start, when a request finds the copy older than five minutes, and at once when an
//!   answer announces another entity tag. No request waits for it, and only one fetch runs at a time.
//! * A check costs a look at two fields; a task is spawned only if a fetch is due.
//! * A failure is logged and leaves the copy as it is; for a minute after it nothing is fetched. A 401 says nothing
//!   about the login: the backend sometimes refuses this path while it accepts requests with the same token.
//! * An entity tag is valid for one account and client version; both decide the list's contents.
//! * With a [`CatalogueCache`], the last copy outlives the process.

mod copy;
#[cfg(not(target_arch = "wasm32"))]
pub mod file;

pub use copy::CatalogueCache;
#[cfg(not(target_arch = "wasm32"))]
pub use file::CatalogueFile;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Request, StatusCode};
use tokio::sync::OwnedMutexGuard;

use copy::{CatalogueCopy, Source};

use crate::credentials::{Access, CredentialError, CredentialHealth};
use crate::models::Models;
use crate::models::live::LiveCatalogue;
use crate::platform::{Instant, TransportError, spawn, unix_now};
use crate::upstream::Upstream;
use crate::upstream::exchange::collect;
use crate::upstream::idle::{StreamError, within};

/// The reason that the list could not be fetched. Only the first says anything about the login.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// There is no usable token. The operator's to fix.
    #[error(transparent)]
    Login(#[from] CredentialError),
    /// The request cannot be built: the configuration's or the login's fault.
    #[error("the request for the models cannot be made: {0}")]
    Request(String),
    /// The backend cannot be reached, or the connection broke.
    #[error("the models cannot be fetched: {0}")]
    Transport(#[from] TransportError),
    /// The backend exceeded the time limit.
    #[error("the backend did not send its models within {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// The backend refused or failed.
    #[error("the backend answered {} when asked for its models", .0.as_u16())]
    Status(StatusCode),
    /// The answer is no list of models.
    #[error("the backend's answer is not a list of models: {0}")]
    Invalid(#[from] serde_json::Error),
    /// The list is empty: usually the client version is too old.
    #[error("the backend has no models for client version {0}; a newer one may be set with --client-version")]
    Empty(String),
}

impl CatalogueError {
    /// Returns whether the cause is a missing login.
    pub const fn is_no_login(&self) -> bool {
        matches!(self, Self::Login(CredentialError::Missing { .. }))
    }
}

/// Keeps [`Models`] up to date. Clones share everything.
#[derive(Debug, Clone)]
pub struct Catalogue {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    upstream: Upstream,
    models: Arc<Models>,
    cache: Option<Box<dyn CatalogueCache>>,
    state: Mutex<State>,
    /// Held during a fetch.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// The tag and source of the current copy.
    tag: Option<(String, Source)>,
    /// The source of the current copy, if this process has fetched it.
    given_to: Option<Source>,
    /// The time when the backend last sent or confirmed the copy. `None` if this process has not asked yet.
    confirmed: Option<Instant>,
    /// The announced tag of the last fetch: its spelling may differ from the list's own.
    followed: Option<String>,
    /// The time of the last failed fetch.
    failed: Option<Instant>,
}

impl Catalogue {
    /// Creates an empty list for `models`.
    pub fn new(upstream: Upstream, models: Arc<Models>) -> Self {
        Self::build(upstream, models, None, State::default())
    }

    /// Loads the copy in `cache` and keeps it up to date. Must be called before the value is cloned.
    #[must_use]
    pub fn with_cache(self, cache: Box<dyn CatalogueCache>) -> Self {
        let (upstream, models) = (self.inner.upstream.clone(), self.inner.models.clone());
        let mut state = State::default();
        if let Some((copy, live)) = CatalogueCopy::load(&*cache, &upstream.settings.base_url) {
            tracing::debug!(age_s = copy.age(), "the models are known from {cache:?}");
            models.set_live(live);
            state.tag = copy.tag();
        }
        Self::build(upstream, models, Some(cache), state)
    }

    /// Returns the models kept up to date.
    pub fn models(&self) -> &Arc<Models> {
        &self.inner.models
    }

    /// Returns the entity tag of the current list.
    pub fn tag(&self) -> Option<String> {
        self.inner.state().tag.as_ref().map(|(tag, _)| tag.clone())
    }

    /// Starts the first fetch, which itself checks for a login. Never waits.
    pub fn start(&self) {
        self.begin(None);
    }

    /// Starts a fetch if there is a login and the copy is older than five minutes. Never waits.
    pub fn keep_current(&self) {
        let is_due = self.inner.state().is_due(Instant::now());
        if is_due && self.has_login() {
            self.begin(None);
        }
    }

    /// Handles an answer's announced `etag`: starts a fetch if it is new. Never waits.
    pub fn announced(&self, etag: &str) {
        let is_news = self.inner.state().is_news(etag, Instant::now());
        if is_news {
            self.begin(Some(etag.to_owned()));
        }
    }

    /// Fetches the list now and waits for the result.
    pub async fn refresh(&self) -> Result<(), CatalogueError> {
        let _turn = self.inner.turn.lock().await;
        self.inner.fetch(None).await
    }

    /// Waits until no fetch is running.
    pub async fn settle(&self) {
        drop(self.inner.turn.lock().await);
    }

    fn build(upstream: Upstream, models: Arc<Models>, cache: Option<Box<dyn CatalogueCache>>, state: State) -> Self {
        Self { inner: Arc::new(Inner { upstream, models, cache, state: Mutex::new(state), turn: Arc::default() }) }
    }

    fn has_login(&self) -> bool {
        self.inner.upstream.supplier.health() != CredentialHealth::Missing
    }

    fn begin(&self, announced: Option<String>) {
        let Ok(turn) = self.inner.turn.clone().try_lock_owned() else { return };
        spawn(Self::fetch_in_background(self.inner.clone(), announced, turn));
    }

    async fn fetch_in_background(inner: Arc<Inner>, announced: Option<String>, _turn: OwnedMutexGuard<()>) {
        match inner.fetch(announced).await {
            Ok(()) => {}
            Err(error) if error.is_no_login() => tracing::debug!("{error}; keeping the models known so far"),
            Err(error) => tracing::warn!("{error}; keeping the models known so far"),
        }
    }
}

impl State {
    fn is_due(&self, now: Instant) -> bool {
        !self.is_resting(now) && self.confirmed.is_none_or(|at| since(at, now) >= MAX_AGE)
    }

    fn is_news(&self, etag: &str, now: Instant) -> bool {
        let is_known = self.tag.as_ref().is_some_and(|(known, _)| known == etag);
        !is_known && self.followed.as_deref() != Some(etag) && !self.is_resting(now)
    }

    fn is_resting(&self, now: Instant) -> bool {
        self.failed.is_some_and(|at| since(at, now) < REST)
    }
}

impl Inner {
    /// Fetches the list and records the result.
    async fn fetch(&self, announced: Option<String>) -> Result<(), CatalogueError> {
        let outcome = match within(TIME_LIMIT, self.ask()).await {
            Some(outcome) => outcome,
            None => Err(CatalogueError::Timeout(TIME_LIMIT)),
        };
        let news = match outcome {
            Ok(news) => news,
            Err(error) => {
                // The first request after a sign-in must not wait for the end of a pause.
                if !error.is_no_login() {
                    self.state().failed = Some(Instant::now());
                }
                return Err(error);
            }
        };
        {
            let mut state = self.state();
            state.failed = None;
            state.confirmed = Some(Instant::now());
            state.followed = announced.or(state.followed.take());
            if let Some(copy) = &news {
                state.tag = copy.tag();
            }
        }
        if let (Some(copy), Some(cache)) = (news, &self.cache) {
            copy.save(&**cache).await;
        }
        Ok(())
    }

    /// Fetches and adopts the list; `None` if it is unchanged.
    async fn ask(&self) -> Result<Option<CatalogueCopy>, CatalogueError> {
        let settings = &self.upstream.settings;
        let access = self.upstream.supplier.access().await?;
        let source = Source::new(&access.account_id, &settings.client_version);
        let response = self.upstream.client.send(self.request(&access, &source)?).await?;
        let (head, body) = response.into_parts();
        match head.status {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(None),
            status => return Err(CatalogueError::Status(status)),
        }
        let body = collect(body, TIME_LIMIT, LARGEST).await.map_err(|error| match error {
            StreamError::Transport(error) => CatalogueError::Transport(error),
            StreamError::Silent(limit) => CatalogueError::Timeout(limit),
        })?;
        let live = LiveCatalogue::parse(&body)?;
        if live.is_empty() {
            return Err(CatalogueError::Empty(settings.client_version.clone()));
        }
        tracing::debug!(models = live.models().len(), "the account's models are up to date");
        self.models.set_live(live);
        let before = self.state().given_to.replace(source.clone());
        if before.is_some_and(|before| before != source) {
            // Two accounts may have the same list and be refused different models.
            self.models.forget();
        }
        let etag = head.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        Ok(Some(CatalogueCopy::new(&settings.base_url, &source, etag, unix_now(), &body)?))
    }

    fn request(&self, access: &Access, source: &Source) -> Result<Request<Bytes>, CatalogueError> {
        let settings = &self.upstream.settings;
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query.append_pair("client_version", &settings.client_version).finish();
        let mut request = Request::get(format!("{}/models?{query}", settings.url_for(access)))
            .body(Bytes::new())
            .map_err(|error| CatalogueError::Request(error.to_string()))?;
        let headers = request.headers_mut();
        settings
            .identify(headers, access)
            .map_err(|name| CatalogueError::Request(format!("the login's {name} fits no header")))?;
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let state = self.state();
        let tag = state.tag.as_ref().filter(|(_, given_to)| given_to == source);
        if let Some(tag) = tag.and_then(|(tag, _)| HeaderValue::try_from(tag).ok()) {
            headers.insert(IF_NONE_MATCH, tag);
        }
        Ok(request)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn since(earlier: Instant, now: Instant) -> Duration {
    now.checked_duration_since(earlier).unwrap_or_default()
}

/// The age at which a copy is fetched again.
const MAX_AGE: Duration = Duration::from_secs(300);

/// The pause after a failure.
const REST: Duration = Duration::from_secs(60);

/// The time limit of a fetch, from token to the last byte.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The largest list in bytes; each model includes a prompt of some ten kilobytes.
const LARGEST: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn later(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn due_when_unknown_and_again_after_five_minutes() {
        let mut state = State::default();
        assert!(state.is_due(later(0)));
        state.confirmed = Some(Instant::now());
        assert!(!state.is_due(later(0)) && !state.is_due(later(299)));
        assert!(state.is_due(later(300)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_followed_by_a_minute_of_rest() {
        let state = State { failed: Some(Instant::now()), ..State::default() };
        assert!(!state.is_due(later(59)) && !state.is_news("a", later(59)));
        assert!(state.is_due(later(60)) && state.is_news("a", later(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tag_is_news_until_it_is_known_or_followed() {
        let source = Source::new("account", "1.0.0");
        let mut state = State { tag: Some(("a".to_owned(), source)), ..State::default() };
        assert!(!state.is_news("a", later(0)) && state.is_news("b", later(0)));
        state.followed = Some("b".to_owned());
        assert!(!state.is_news("b", later(0)) && state.is_news("c", later(0)));
    }
}
