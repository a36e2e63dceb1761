//! The HTTP surface: one router for the daemon and for the edge.
//!
//! The way of a request, outside in:
//! 1. [`observe`]: its id, span, counts and log line; a panic becomes a 500.
//! 2. [`guard`]: where it is addressed and where it comes from (403), preflight answers, keys (401), body type (415).
//! 3. `admission`: a place among the requests worked on (503); [`capacity`] counts places and bytes.
//! 4. The route: one file each. A handler reads the body itself, through [`body::read`].
//!
//! * Every `/v1` route also stands without `/v1`. What else tools do to an address is mended before a request gets here
//!   ([`address::mend`]).
//! * Whatever goes wrong is answered with the one JSON error shape.
//! * [`listen`] (native) takes connections and ends them in good order.

pub mod address;
mod admission;
mod answer;
pub mod body;
pub mod capacity;
pub mod cut_off;
mod error;
pub mod guard;
#[cfg(not(target_arch = "wasm32"))]
pub mod listen;
mod memory;
pub mod observe;
mod progress;
mod reserve;
mod routes;
pub mod settings;
mod shape;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use self::capacity::Capacity;
use crate::catalogue::{Catalogue, CatalogueCache};
use crate::credentials::TokenSupplier;
use crate::dialect::chat::Chat;
use crate::models::Models;
use crate::platform::HttpClient;
use crate::server::cut_off::CutOff;
use crate::server::memory::{AnswerMemory, ReasoningMemory};
use crate::server::observe::metrics::Metrics;
use crate::server::observe::once::{Notices, Recent};
use crate::server::settings::Settings;
use crate::upstream;
use crate::upstream::Upstream;

/// What all requests share.
#[derive(Debug)]
pub struct App {
    /// What the operator decided.
    pub settings: Settings,
    /// Which models there are and what their names mean.
    pub models: Arc<Models>,
    /// Keeps them up to date with what the account has.
    pub catalogue: Catalogue,
    /// Numbers about what happens.
    pub metrics: Arc<Metrics>,
    /// The login: its tokens, its state, and the way to replace it.
    pub supplier: TokenSupplier,
    /// The way to the backend.
    pub upstream: Upstream,
    /// Whether answers under way have to end.
    pub cut_off: CutOff,
    /// Reasoning kept between the turns of chats, by the calls it led to.
    replay: ReasoningMemory,
    /// What was asked and answered through the Responses API, by the answers' ids.
    answers: AnswerMemory,
    /// What has been said once and is not said again.
    notices: Notices,
    /// The conversations whose substituted model has been said.
    substitutions: Recent,
    /// What is left for further requests.
    pub capacity: Capacity,
}

impl App {
    /// An app that has served nothing yet and knows only the built-in models, and calls the backend at `upstream` through `client`.
    pub fn new(
        settings: Settings,
        models: Models,
        supplier: TokenSupplier,
        upstream: upstream::Settings,
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
            notices: Notices::default(),
            substitutions: Recent::default(),
            capacity,
        })
    }

    /// The same, with the account's models as `cache` last had them. What comes of them later is kept there too.
    #[must_use]
    pub fn with_catalogue_cache(mut self, cache: Box<dyn CatalogueCache>) -> Self {
        self.catalogue = self.catalogue.with_cache(cache);
        self
    }
}

/// Every route of `app`, for requests whose addresses have been [mended](address::mend).
pub fn router(app: Arc<App>) -> Router {
    assemble(app, api())
}

/// The routes of `api`, with and without `/v1`, those that stand once, and everything around them.
fn assemble(app: Arc<App>, api: Router<Arc<App>>) -> Router {
    let api = if app.settings.log_bodies { api.layer(from_fn(observe::transcript::record)) } else { api };
    let api = api.layer(from_fn_with_state(app.clone(), admission::admit));
    let router = Router::new()
        .nest("/v1", api.clone())
        .merge(api)
        .merge(routes::messages::probes())
        .route("/health", get(routes::health::show))
        .route("/metrics", get(observe::metrics::show))
        .route("/admin/credentials", post(routes::admin::store))
        .route("/admin/credentials/status", get(routes::admin::status))
        .fallback(routes::absent::unknown_route)
        .method_not_allowed_fallback(routes::absent::wrong_method)
        .layer(from_fn_with_state(app.clone(), guard::check_entry));
    let router = match app.settings.guard.origins.cors() {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(from_fn_with_state(app.clone(), guard::check_source))
        .layer(from_fn_with_state(app.clone(), observe::observe))
        .with_state(app)
}

/// The routes that stand with and without `/v1`.
fn api() -> Router<Arc<App>> {
    Router::new()
        .route("/chat/completions", post(routes::generate::create::<Chat>))
        .route("/responses", post(routes::responses::create))
        .route("/responses/compact", post(routes::responses::compact))
        .route("/models", get(routes::models::list))
        .route("/models/{*id}", get(routes::models::find))
        .merge(routes::messages::routes())
        .merge(routes::absent::routes())
}

#[cfg(test)]
mod tests;
