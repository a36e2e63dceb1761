//! The account's own list of models, kept current beside the requests.
//!
//! * Fetched in the background: at the start, when a request finds the copy older than five minutes, and at once when an
//!   answer announces another entity tag. No request ever waits for it, and only one fetch is on its way at a time.
//! * Whoever asks pays a look at two fields; a task is made only where a fetch is due.
//! * A failure is logged and leaves the copy as it is; for a minute after it nothing is fetched. A 401 says nothing about
//!   the login: the backend refuses this path at times while it answers requests made with the same token.
//! * An entity tag counts only for the account and client version it was given to; both decide what the list holds.
//! * The last copy outlives the process where there is a [`CatalogueCache`].

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
use crate::upstream::exchange::collect;
use crate::upstream::idle::{StreamError, within};
use crate::upstream::{Upstream, head};

/// Why the list could not be had. None of these says anything about the login but the first.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// There is no token to ask with. The operator's to do.
    #[error(transparent)]
    Login(#[from] CredentialError),
    /// The request cannot be written: the configuration's or the login's fault.
    #[error("the request for the models cannot be made: {0}")]
    Request(String),
    /// The backend cannot be reached, or the connection broke.
    #[error("the models cannot be fetched: {0}")]
    Transport(#[from] TransportError),
    /// The backend took too long.
    #[error("the backend did not give its models within {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// The backend refused or failed.
    #[error("the backend answered {} when asked for its models", .0.as_u16())]
    Status(StatusCode),
    /// What came is no list of models.
    #[error("the backend gave something else than a list of models: {0}")]
    Invalid(#[from] serde_json::Error),
    /// The list is empty: a client version that is too old, as a rule.
    #[error("the backend has no models for client version {0}; a newer one may be set with --client-version")]
    Empty(String),
}

impl CatalogueError {
    /// Whether it is only that nobody is logged in.
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
    /// Held by whoever fetches.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    /// The tag of the present copy, and what it counts for.
    tag: Option<(String, Source)>,
    /// Whom the present copy was given to, where this process has asked for it.
    given_to: Option<Source>,
    /// When the backend last gave or confirmed the copy. `None` for one that this process has not asked about.
    confirmed: Option<Instant>,
    /// The announced tag that the last fetch was made for: it may be spelled unlike the list's own.
    followed: Option<String>,
    /// When the last fetch failed.
    failed: Option<Instant>,
}

impl Catalogue {
    /// A list that nothing is known of yet, for `models`.
    pub fn new(upstream: Upstream, models: Arc<Models>) -> Self {
        Self::build(upstream, models, None, State::default())
    }

    /// The same, beginning with the copy in `cache` and keeping it up to date. To be called before it is shared.
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

    /// What is kept up to date.
    pub fn models(&self) -> &Arc<Models> {
        &self.inner.models
    }

    /// The entity tag that the backend gave the present list.
    pub fn tag(&self) -> Option<String> {
        self.inner.state().tag.as_ref().map(|(tag, _)| tag.clone())
    }

    /// Begins the first fetch, which finds out by itself whether there is a login. Never waits.
    pub fn start(&self) {
        self.begin(None);
    }

    /// Begins a fetch if there is a login and the copy is older than five minutes. Never waits.
    pub fn keep_current(&self) {
        let is_due = self.inner.state().is_due(Instant::now());
        if is_due && self.has_login() {
            self.begin(None);
        }
    }

    /// An answer named `etag` as the list's tag: begins a fetch if that is news. Never waits.
    pub fn announced(&self, etag: &str) {
        let is_news = self.inner.state().is_news(etag, Instant::now());
        if is_news {
            self.begin(Some(etag.to_owned()));
        }
    }

    /// Asks the backend now and waits for the outcome.
    pub async fn refresh(&self) -> Result<(), CatalogueError> {
        let _turn = self.inner.turn.lock().await;
        self.inner.fetch(None).await
    }

    /// Waits until no fetch is on its way.
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
            Err(error) if error.is_no_login() => tracing::debug!("{error}; the models stay those known so far"),
            Err(error) => tracing::warn!("{error}; going on with the models known so far"),
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
    /// One fetch with everything that follows from it.
    async fn fetch(&self, announced: Option<String>) -> Result<(), CatalogueError> {
        let outcome = match within(TIME_LIMIT, self.ask()).await {
            Some(outcome) => outcome,
            None => Err(CatalogueError::Timeout(TIME_LIMIT)),
        };
        let news = match outcome {
            Ok(news) => news,
            Err(error) => {
                // The request after a sign-in is not to wait for the end of a rest.
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

    /// Asks the backend and takes up its list; `None` if it is still the same.
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
            // Two accounts may be shown the same list and be refused different models.
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
        head::identify(headers, settings, access)
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

/// How long a copy is taken for current.
const MAX_AGE: Duration = Duration::from_secs(300);

/// How long nothing is fetched after a failure.
const REST: Duration = Duration::from_secs(60);

/// For one fetch, from token to the last byte.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Bytes of a list at most; each model brings a prompt of some ten kilobytes along.
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
