//! Unsupported routes that clients try, each with the reason.
//!
//! * The backend stores nothing, so nothing can be fetched: 404.
//! * The backend lacks embeddings, files, batches and the like, or has them and this proxy does not serve them: 501,
//!   with the reason that applies.
//! * A route after a route, from a base URL that already ends with one: 404 that says what the base URL should be.
//! * WebSocket where none is served: 426 at once, after which the Codex CLI falls back to POST.

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use http::{HeaderMap, Method, StatusCode, header};

use crate::excerpt::Excerpt;
use crate::fault::{Fault, FaultKind};
use crate::server::address::{authority, beyond_base};
use crate::server::routes::models::ANTHROPIC_VERSION;

/// Returns the routes of objects that are not stored or not supported.
pub(in crate::server) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new()
        .route("/responses/{id}", get(not_stored).delete(not_stored))
        .route("/responses/{id}/{*rest}", any(not_stored))
        .route("/chat/completions/{id}", get(not_stored).post(not_stored).delete(not_stored))
        .route("/chat/completions/{id}/{*rest}", any(not_stored));
    for (name, reason) in ABSENT {
        let absent = move |request: Request| async move { absent(&request, reason) };
        router = router.route(&format!("/{name}"), any(absent)).route(&format!("/{name}/{{*rest}}"), any(absent));
    }
    router
}

/// Answers an unknown route.
pub(in crate::server) async fn unknown_route(request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    if let Some(error) = base_url_too_long(&request) {
        return error.into_response();
    }
    let page = if cfg!(target_arch = "wasm32") { "a Worker has no page at /" } else { "/ is a page for browsers" };
    let message = format!(
        "there is no {} {}; this proxy serves /v1/chat/completions, /v1/responses, /v1/responses/compact, /v1/messages, /v1/images/generations, \
         /v1/images/edits, /v1/alpha/search, /v1/models, /api/codex/usage, /health, /metrics and /admin/credentials; {page}",
        request.method(),
        request.uri().path()
    );
    Fault::new(FaultKind::NotFound, message).into_response()
}

/// Answers an unsupported method. The router adds `Allow`.
pub(in crate::server) async fn wrong_method(request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let is_get = request.method() == Method::GET;
    if is_get && request.uri().path().ends_with("/responses") && wants_websocket(request.headers()) {
        return upgrade_required("no WebSocket is served here");
    }
    if let Some(error) = base_url_too_long(&request) {
        return error.into_response();
    }
    let message = format!("{} does not support {}", request.uri().path(), request.method());
    Fault::new(FaultKind::MethodNotAllowed, message).into_response()
}

/// Returns the error for a route after a route.
pub(in crate::server) fn base_url_too_long(request: &Request) -> Option<Fault> {
    let route = beyond_base(request.uri().path())?;
    let host = authority(request);
    let scheme = request.uri().scheme_str().unwrap_or("http");
    let message = format!(
        "there is no {} {}: the base URL of the tool is too long, for it ends with {route}, which the tool appends by \
         itself; set it to {scheme}://{host}/v1",
        request.method(),
        Excerpt::of(request.uri().path()),
    );
    Some(Fault::new(FaultKind::NotFound, message))
}

async fn not_stored(request: Request) -> Fault {
    if let Some(error) = base_url_too_long(&request) {
        return error;
    }
    let message = format!(
        "{} cannot be found: the backend stores no answers, so none can be fetched, changed or deleted later",
        request.uri().path()
    );
    Fault::new(FaultKind::NotFound, message)
}

fn absent(request: &Request, reason: &str) -> Fault {
    if let Some(error) = base_url_too_long(request) {
        return error;
    }
    let message = format!("{} is not implemented: {reason}", request.uri().path());
    // Anthropic's clients expect 404 for a route that a gateway does not serve.
    let is_anthropic = request.headers().contains_key(ANTHROPIC_VERSION);
    Fault::new(if is_anthropic { FaultKind::NotFound } else { FaultKind::NotImplemented }, message)
}

/// Refuses a WebSocket for `reason`.
pub(in crate::server) fn upgrade_required(reason: &str) -> Response {
    let error = Fault::new(FaultKind::UpgradeRequired, format!("{reason}; send the request with POST"));
    let headers = [(header::UPGRADE, "HTTP/1.1"), (header::SEC_WEBSOCKET_VERSION, "13")];
    (headers, error).into_response()
}

/// Returns whether a request begins a WebSocket, or would if nothing on its way had dropped `Upgrade`.
pub(in crate::server) fn wants_websocket(headers: &HeaderMap) -> bool {
    let upgrades = headers.get_all(header::UPGRADE).iter();
    let mut protocols = upgrades.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    headers.contains_key(header::SEC_WEBSOCKET_KEY)
        || protocols.any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

/// The platform API's routes that this proxy lacks, with the reason. The backend's own routes are those that the Codex
/// CLI calls (0.169).
const ABSENT: [(&str, &str); 17] = [
    ("assistants", NO_SUCH_THING),
    ("audio", "this proxy serves no audio, and whether the ChatGPT Codex backend takes any is not known"),
    ("batches", NO_SUCH_THING),
    ("completions", "the ChatGPT Codex backend has no text completions; use /v1/chat/completions or /v1/responses"),
    ("containers", NO_SUCH_THING),
    ("conversations", "the ChatGPT Codex backend stores no conversations; send the whole one to /v1/responses"),
    ("embeddings", "the ChatGPT Codex backend has no embeddings; use another provider for them"),
    ("evals", NO_SUCH_THING),
    ("files", "this proxy keeps no files; put the file's contents into the message, as input_file or file"),
    ("fine_tuning", NO_SUCH_THING),
    ("images", "there are /v1/images/generations and /v1/images/edits; the ChatGPT Codex backend makes no variations"),
    ("moderations", NO_SUCH_THING),
    ("realtime", "this proxy does not serve it; use /v1/chat/completions or /v1/responses"),
    ("threads", NO_SUCH_THING),
    ("uploads", "this proxy keeps no files; put the file's contents into the message, as input_file or file"),
    ("vector_stores", NO_SUCH_THING),
    ("videos", NO_SUCH_THING),
];

const NO_SUCH_THING: &str = "the ChatGPT Codex backend does not support it; use /v1/chat/completions or /v1/responses";
