//! Limits the number of concurrent requests, and what the holder of a named key may use.
//!
//! * A request beyond a limit is refused at once, before its body is read: see [`super::capacity`] and [`super::quota`].
//! * A slot is held until the answer's last byte was handed over, or the client has disconnected.
//! * A WebSocket is not opened for a key that is used up; each of its turns is a request of its own.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse as _, Response};
use http::Method;

use crate::fault::Fault;
use crate::server::App;
use crate::server::guard::holder::Holder;
use crate::server::observe::RequestLog;
use crate::server::quota::tally::QuotaTime;
use crate::server::routes::absent::wants_websocket;

/// Admits a request to the API: a POST if a slot is free and its holder has something left, and the log holds the slot; a
/// WebSocket, whose turns are admitted one by one, if something is left.
pub(super) fn admit(app: &Arc<App>, request: &Request) -> Result<(), Box<Response>> {
    if !is_to_the_api(request) {
        return Ok(());
    }
    let admitted = if request.method() == Method::POST {
        enter(app, request)
    } else if wants_websocket(request.headers()) {
        app.quotas.check(&Holder::of(request), QuotaTime::now())
    } else {
        Ok(())
    };
    #[cfg(not(target_arch = "wasm32"))]
    if admitted.is_ok() {
        app.upstream.expect_calls();
    }
    admitted.map_err(|error| Box::new(error.into_response()))
}

fn enter(app: &Arc<App>, request: &Request) -> Result<(), Fault> {
    let log = RequestLog::of(app, request);
    log.entered_api();
    log.admitted(app.capacity.slot()?);
    let holder = Holder::of(request);
    app.quotas.enter(&holder, QuotaTime::now())?;
    if !app.quotas.has_owner() {
        let_in(app, &holder);
    }
    Ok(())
}

/// Returns whom the owner of the counts is to be asked about: the holder of an admitted POST, where there is an owner.
pub(super) fn unasked(app: &App, request: &Request) -> Option<Holder> {
    let is_counted = app.quotas.has_owner() && request.method() == Method::POST && is_to_the_api(request);
    is_counted.then(|| Holder::of(request))
}

/// Admits a request of `holder` if the owner of the counts does.
pub(super) async fn ask_owner(app: &App, holder: Holder) -> Result<(), Fault> {
    app.quotas.ask_to_enter(&holder).await?;
    let_in(app, &holder);
    Ok(())
}

fn let_in(app: &App, holder: &Holder) {
    if let Some(name) = holder.name() {
        app.metrics.client_request(name);
    }
}

/// Returns whether the router has found a route of the API.
fn is_to_the_api(request: &Request) -> bool {
    let route = request.extensions().get().map(MatchedPath::as_str);
    route.is_some_and(|route| route != "/" && !OTHERS.iter().any(|other| is_under(route, other)))
}

fn is_under(route: &str, other: &str) -> bool {
    route.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The routes beside the API, with all below them.
const OTHERS: [&str; 6] = ["/admin", "/api/hello", "/backend-api", "/health", "/metrics", "/page"];
