//! The HTTP surface: one router for the daemon and for the edge.
//!
//! A request passes, outside in:
//! 1. [`observe`]: its id, span, counts and log line; a panic becomes a 500. This and the next two are one layer, [`front`].
//! 2. [`guard`]: host and origin (403), preflight answers, keys (401), body type (415).
//! 3. `admission`: a slot among the concurrent requests (503); [`capacity`] counts slots and bytes. What is left of the
//!    limits of the holder's key (429); `quota` counts that.
//! 4. The route: one file each. A handler reads the body itself, through [`body::read`].
//!
//! * Every `/v1` route also exists without `/v1`. Other variations of a path are repaired before a request gets here
//!   ([`address::mend`]).
//! * Every error has the one JSON shape.
//! * [`page`] (native) is for people: it stands outside the guard of keys, and asks for one in a form of its own.
//! * [`listen`] (native) accepts connections and shuts down gracefully; [`socket`] (native) serves those that become WebSockets.

pub mod address;
mod admission;
mod answer;
pub mod body;
pub mod capacity;
pub mod cut_off;
mod error;
mod front;
pub mod guard;
#[cfg(not(target_arch = "wasm32"))]
pub mod listen;
mod memory;
pub mod observe;
#[cfg(not(target_arch = "wasm32"))]
mod page;
mod progress;
pub mod quota;
mod reserve;
mod routes;
pub mod settings;
mod shape;
#[cfg(not(target_arch = "wasm32"))]
mod socket;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};

use self::capacity::Capacity;
use self::front::{Front, FrontLayer};
use crate::catalogue::{Catalogue, CatalogueCache};
use crate::credentials::TokenSupplier;
use crate::dialect::chat::Chat;
use crate::ledger::Ledger;
use crate::limits::board::LimitBoard;
use crate::models::Models;
use crate::platform::HttpClient;
use crate::server::cut_off::CutOff;
use crate::server::memory::{AnswerMemory, PrefixMemory, ReasoningMemory, SocketMemory};
use crate::server::observe::metrics::Metrics;
use crate::server::observe::once::{Recent, WarnOnce};
#[cfg(not(target_arch = "wasm32"))]
pub use crate::server::page::state::GuideMaker;
#[cfg(not(target_arch = "wasm32"))]
use crate::server::page::state::PageState;
use crate::server::quota::Quotas;
use crate::server::quota::owner::QuotaOwner;
#[cfg(not(target_arch = "wasm32"))]
use crate::server::quota::tally::QuotaTime;
use crate::server::settings::ServerSettings;
use crate::upstream;
use crate::upstream::Upstream;

/// The state shared by all requests.
#[derive(Debug)]
pub struct App {
    /// The operator's settings.
    pub settings: ServerSettings,
    /// The models and the meaning of their names.
    pub models: Arc<Models>,
    /// Keeps the models up to date with the account's list.
    pub catalogue: Catalogue,
    /// The counters of `/metrics`.
    pub metrics: Arc<Metrics>,
    /// The login: its tokens, its state, and its replacement.
    pub supplier: TokenSupplier,
    /// The client of the backend.
    pub upstream: Upstream,
    /// Whether the shutdown deadline has passed.
    pub cut_off: CutOff,
    /// The reasoning kept between the turns of chats, by the calls that followed it.
    replay: ReasoningMemory,
    /// Requests and answers of the Responses API, by the answers' ids.
    answers: AnswerMemory,
    /// The latest answers on WebSockets of Codex clients, by the answers' ids.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "the edge serves no WebSocket"))]
    turns: AnswerMemory,
    /// Warnings that were logged and are not repeated.
    warn_once: WarnOnce,
    /// The conversations whose substituted model was logged.
    substitutions: Recent,
    /// The capacity for further requests.
    pub capacity: Capacity,
    /// What every request cost, if that is recorded.
    pub ledger: Option<Ledger>,
    /// The beginnings of recent conversations.
    prefixes: PrefixMemory,
    /// What the holders of keys have used.
    quotas: Quotas,
    /// The state of the page at `/`.
    #[cfg(not(target_arch = "wasm32"))]
    page: PageState,
}

impl App {
    /// Creates an app that knows the built-in models only, and calls the backend at `upstream` through `client`.
    pub fn new(
        settings: ServerSettings,
        models: Models,
        supplier: TokenSupplier,
        upstream: upstream::UpstreamSettings,
        client: HttpClient,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Arc::new(Metrics::new()?);
        let counted = metrics.clone();
        let models = Arc::new(models.strict(settings.strict_model));
        let observe = move |incident| counted.incident(incident);
        let upstream = Upstream::new(upstream, client, supplier.clone(), models.clone(), observe);
        let catalogue = Catalogue::new(upstream.clone(), models.clone());
        let capacity = Capacity::new(settings.max_concurrent, settings.body_memory);
        Ok(Self {
            settings,
            models,
            catalogue,
            upstream,
            supplier,
            metrics,
            cut_off: CutOff::default(),
            replay: ReasoningMemory::default(),
            answers: AnswerMemory::default(),
            turns: AnswerMemory::within(SocketMemory::MOST_BYTES),
            warn_once: WarnOnce::default(),
            substitutions: Recent::default(),
            capacity,
            ledger: None,
            prefixes: PrefixMemory::default(),
            quotas: Quotas::default(),
            #[cfg(not(target_arch = "wasm32"))]
            page: PageState::default(),
        })
    }

    /// Shows on the page how tools are pointed at this proxy, as `guides` tells it.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn with_guides(mut self, guides: GuideMaker) -> Self {
        self.page.set_guides(guides);
        self
    }

    /// Records every request in `ledger`, and counts what it knows of today for the limits of keys.
    #[must_use]
    pub fn with_ledger(mut self, ledger: Ledger) -> Self {
        #[cfg(not(target_arch = "wasm32"))]
        if let Err(error) = self.quotas.recall(ledger.place(), QuotaTime::now()) {
            tracing::warn!("⚠️ the tokens of today are counted from now on, for the ledger cannot be read: {error}");
        }
        self.ledger = Some(ledger);
        self
    }

    /// Has `owner` count the use of named keys, for every process that serves them.
    #[must_use]
    pub fn with_quota_owner(mut self, owner: Arc<dyn QuotaOwner>) -> Self {
        self.quotas = Quotas::of(owner);
        self
    }

    /// Sends the owner of the counts what answers have used since the last time.
    pub async fn settle_quotas(&self) {
        self.quotas.settle().await;
    }

    /// Returns what the backend last told of the plan's usage.
    pub fn limits(&self) -> &LimitBoard {
        &self.upstream.limits
    }

    /// Loads the account's models from `cache`, and stores later lists there.
    #[must_use]
    pub fn with_catalogue_cache(mut self, cache: Box<dyn CatalogueCache>) -> Self {
        self.catalogue = self.catalogue.with_cache(cache);
        self
    }
}

/// Builds the router of `app`, for requests whose paths were [repaired](address::mend).
#[cfg(target_arch = "wasm32")]
pub fn router(app: Arc<App>) -> Router {
    assemble(app, api)
}

/// Builds the router of `app`, for requests whose paths were [repaired](address::mend). A WebSocket posts its turns to the same
/// routes and layers.
#[cfg(not(target_arch = "wasm32"))]
pub fn router(app: Arc<App>) -> Router {
    let turns = socket::Turns(assemble(app.clone(), api));
    let open = get(socket::open).layer(axum::Extension(turns));
    assemble(app, |base| api(base).route(&format!("{base}/responses"), open.clone()))
}

/// Assembles `api` with and without `/v1`, the other routes, and the layer around them.
fn assemble(app: Arc<App>, api: impl Fn(&str) -> Router<Arc<App>>) -> Router {
    // The router shortens the paths below a nested one, which costs more than two routes.
    let api = Router::new().merge(api("")).merge(api("/v1")).merge(rare()).nest("/v1", rare());
    let api = if app.settings.log_bodies { api.layer(from_fn(observe::transcript::record)) } else { api };
    let front = Front::new(app.clone());
    #[cfg(not(target_arch = "wasm32"))]
    let api = api.merge(page::routes());
    api.merge(routes::messages::probes())
        .route("/backend-api/wham/accounts/check", get(routes::account::check))
        .merge(routes::usage::below_backend_api())
        .route("/health", get(routes::health::show))
        .route("/metrics", get(observe::metrics::show))
        .route("/admin/credentials", post(routes::admin::store))
        .route("/admin/credentials/status", get(routes::admin::status))
        .fallback(routes::absent::unknown_route)
        .method_not_allowed_fallback(routes::absent::wrong_method)
        .layer(FrontLayer(front))
        .with_state(app)
}

/// Returns the routes of the API below `base`.
fn api(base: &str) -> Router<Arc<App>> {
    let below = |path: &str| format!("{base}{path}");
    Router::new()
        .route(&below("/chat/completions"), post(routes::generate::create::<Chat>))
        .route(&below("/responses"), post(routes::responses::create))
        .route(&below("/responses/compact"), post(routes::responses::compact))
        .route(&below("/responses/input_tokens"), post(routes::responses::input_tokens))
        .route(&below("/images/generations"), post(routes::images::generate))
        .route(&below("/images/edits"), post(routes::images::edit))
        .route(&below("/alpha/search"), post(routes::search::search))
        .route(&below("/models"), get(routes::models::list))
        .route(&below("/models/{*id}"), get(routes::models::find))
        .merge(routes::messages::routes(base))
}

/// Returns the routes of the API that are rare.
fn rare() -> Router<Arc<App>> {
    let own = Router::new().route("/usage", get(routes::holder::show));
    own.merge(routes::usage::routes()).merge(routes::messages::absent_routes()).merge(routes::absent::routes())
}

#[cfg(test)]
mod tests;
