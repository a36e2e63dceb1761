//! The way of a request to its route, in one layer: each layer of a router costs two allocations and copies the request.
//!
//! Outside in: [`observe`], the [`guard`] of host and origin, preflight answers, the guard of keys and body types,
//! [`admission`].

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use tower::{Layer, Service, ServiceExt as _, service_fn};
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
    async fn guard(self: Arc<Self>, request: Request, route: impl Route) -> Response {
        if let Err(error) = guard::check_source(&self.app, &request) {
            return error.into_response();
        }
        let Some(cors) = &self.cors else { return Self::enter(&self.app, request, route).await };
        let inner = service_fn(|request| {
            let (app, route) = (Arc::clone(&self.app), route.clone());
            async move { Ok::<_, Infallible>(Self::enter(&app, request, route).await) }
        });
        Box::pin(run(cors.layer(inner), request)).await
    }

    /// Takes a request of an allowed source to the page or to its route.
    async fn enter(app: &Arc<App>, mut request: Request, route: impl Route) -> Response {
        #[cfg(not(target_arch = "wasm32"))]
        if page::is_for_people(&request) {
            // Behind a pointer, as all that few requests need, so that no request has to hold room for it.
            return Box::pin(page::show(app, request.headers())).await;
        }
        if asks_for_key(&request) {
            let entered = guard::check_entry(app, &mut request);
            if let Err(refused) = entered.and_then(|()| admission::admit(app, &request)) {
                return *refused;
            }
            if let Some(holder) = admission::unasked(app, &request)
                && let Err(refused) = Box::pin(admission::ask_owner(app, holder)).await
            {
                return refused.into_response();
            }
        }
        run(route, request).await
    }
}

/// Returns whether the guard asks for a key. The routes beside the page do so themselves.
#[cfg(not(target_arch = "wasm32"))]
fn asks_for_key(request: &Request) -> bool {
    !page::is_beside(request)
}

#[cfg(target_arch = "wasm32")]
fn asks_for_key(_request: &Request) -> bool {
    true
}

/// A route of the router, as the layer around it sees it.
pub(super) trait Route:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Route for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

/// Runs `route`, which cannot fail: its failures are answers.
async fn run(
    route: impl Service<Request, Response = Response, Error = Infallible, Future: Send>,
    request: Request,
) -> Response {
    match route.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The layer of a router that takes every request to its route, and its answer back.
///
/// A service of its own and no [`axum::middleware::from_fn`], which would box the route once more for each request.
#[derive(Debug, Clone)]
pub(super) struct FrontLayer(pub(super) Arc<Front>);

impl<R> Layer<R> for FrontLayer {
    type Service = Fronted<R>;

    fn layer(&self, route: R) -> Fronted<R> {
        Fronted { front: Arc::clone(&self.0), route }
    }
}

/// A route with the layer around it.
#[derive(Debug, Clone)]
pub(super) struct Fronted<R> {
    front: Arc<Front>,
    route: R,
}

impl<R: Route> Service<Request> for Fronted<R> {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (front, route) = (Arc::clone(&self.front), self.route.clone());
        Box::pin(async move {
            let app = Arc::clone(&front.app);
            Ok(observe::observe(&app, request, |request| front.guard(request, route)).await)
        })
    }
}
