//! The way of a request to its route, in one layer: each layer of a router costs two allocations and copies the request.
//!
//! Outside in: [`observe`], the [`guard`] of host and origin, preflight answers, the guard of keys and body types,
//! [`admission`].

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::CorsLayer;

#[cfg(not(target_arch = "wasm32"))]
use crate::server::page;
use crate::server::{App, admission, guard, observe};

/// The state of the layer.
#[derive(Debug)]
pub(super) struct Front {
    app: Arc<App>,
    /// Answers preflights of the allowed pages; none if no page is allowed.
    cors: Option<CorsLayer>,
}

impl Front {
    /// Creates the layer's state with the settings of `app`.
    pub(super) fn new(app: Arc<App>) -> Arc<Self> {
        let cors = app.settings.guard.origins.cors();
        Arc::new(Self { app, cors })
    }

    /// Takes a request as far as its guards let it.
    async fn guard(self: Arc<Self>, request: Request, next: Next) -> Response {
        if let Err(error) = guard::check_source(&self.app, &request) {
            return error.into_response();
        }
        let Some(cors) = &self.cors else { return Self::enter(&self.app, request, next).await };
        let inner = service_fn(|request| {
            let (app, next) = (Arc::clone(&self.app), next.clone());
            async move { Ok::<_, Infallible>(Self::enter(&app, request, next).await) }
        });
        match cors.layer(inner).oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    async fn enter(app: &Arc<App>, request: Request, next: Next) -> Response {
        if page::is_for_people(&request) {
            return page::show(app, request.headers()).await;
        }
        // The routes beside the page ask for a key themselves.
        if page::is_beside(&request) { next.run(request).await } else { Self::admit(app, request, next).await }
    }

    #[cfg(target_arch = "wasm32")]
    async fn enter(app: &Arc<App>, request: Request, next: Next) -> Response {
        Self::admit(app, request, next).await
    }

    async fn admit(app: &Arc<App>, mut request: Request, next: Next) -> Response {
        let entered = guard::check_entry(app, &mut request);
        if let Err(refused) = entered.and_then(|()| admission::admit(app, &request)) {
            return *refused;
        }
        if let Some(holder) = admission::unasked(app, &request)
            && let Err(refused) = admission::ask_owner(app, holder).await
        {
            return refused.into_response();
        }
        next.run(request).await
    }
}

/// Takes every request to its route, and its answer back.
pub(super) async fn pass(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    let app = Arc::clone(&front.app);
    observe::observe(&app, request, |request| front.guard(request, next)).await
}
