//! What stands beside `POST /v1/messages`: counting tokens, and the routes of Anthropic's API that have no counterpart.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{any, head, post};
use http::StatusCode;
use serde::Serialize;

use crate::backend::estimate;
use crate::backend::request::translate;
use crate::dialect::Dialect as _;
use crate::dialect::messages::Messages;
use crate::fault::{Fault, FaultKind};
use crate::server::App;
use crate::server::routes::incoming::Incoming;
use crate::server::routes::models::json;
use crate::server::routes::{absent, generate};

/// The routes below `base`.
pub(in crate::server) fn routes(base: &str) -> Router<Arc<App>> {
    Router::new()
        .route(&format!("{base}/messages"), post(generate::create::<Messages>))
        .route(&format!("{base}/messages/count_tokens"), post(count_tokens))
}

/// The routes of Anthropic's API that have no counterpart.
pub(in crate::server) fn absent_routes() -> Router<Arc<App>> {
    let absent = any(nothing_of_the_kind);
    Router::new()
        .route("/messages/batches", absent.clone())
        .route("/messages/batches/{*rest}", absent.clone())
        .route("/complete", absent.clone())
        .route("/skills", absent.clone())
        .route("/skills/{*rest}", absent)
}

/// Where Claude Code looks whether there is a server at all, without a key.
pub(in crate::server) fn probes() -> Router<Arc<App>> {
    let there = || head(|| async { StatusCode::OK }).fallback(absent::wrong_method);
    // People get the page there; whoever wants no HTML is told what else there is.
    Router::new().route("/", there().get(absent::unknown_route)).route("/api/hello", there())
}

/// `{"input_tokens": n}`, an estimate over the body that the backend would get. The backend itself counts only what it answers.
async fn count_tokens(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let incoming = Incoming::read(app, request).await?;
    let input_tokens = incoming.work(count).await?;
    Ok(json(&Count { input_tokens }))
}

fn count(incoming: &Incoming) -> Result<u64, Fault> {
    let ask = Messages::parse(&incoming.body, incoming.headers())?;
    let model = incoming.resolve_ask::<Messages>(&ask, false)?;
    let context = incoming.context(&model);
    Ok(ask.form.own().map_or(0, |conversation| estimate::tokens(&translate(conversation, &context).body)))
}

#[derive(Serialize)]
struct Count {
    input_tokens: u64,
}

async fn nothing_of_the_kind(request: Request) -> Fault {
    let message = format!(
        "there is no {} here: the ChatGPT Codex backend has nothing of the kind; use /v1/messages",
        request.uri().path()
    );
    Fault::new(FaultKind::NotFound, message)
}
