//! `GET /api/codex/usage` and `GET /wham/usage`: the plan's usage in the backend's own form, as the Codex CLI asks for it.
//!
//! * The CLI asks the one below a base URL of its own, the other below one that ends with `/backend-api` (Codex CLI
//!   0.147, `backend-client/src/client.rs`).

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderValue, header};

use crate::fault::Fault;
use crate::server::App;

/// The routes, which stand with and without `/v1`.
pub(in crate::server) fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/codex/usage", get(show)).route("/wham/usage", get(show))
}

/// The same routes below `/backend-api`.
pub(in crate::server) fn below_backend_api() -> Router<Arc<App>> {
    let mut router = Router::new();
    for path in ["/backend-api/api/codex/usage", "/backend-api/codex/usage", "/backend-api/wham/usage"] {
        router = router.route(path, get(show));
    }
    router
}

async fn show(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let page = app.upstream.usage_page().await?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], Body::from(page)).into_response())
}
