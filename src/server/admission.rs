//! Limits the number of concurrent requests, and what the holder of a named key may use.
//!
//! * A request beyond a limit is refused at once, before its body is read: see [`super::capacity`] and [`super::quota`].
//! * A slot is held until the answer's last byte was handed over, or the client has disconnected.
//! * A WebSocket is not opened for a key that is used up; each of its turns is a request of its own.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::Method;

use crate::server::App;
use crate::server::guard::holder::Holder;
use crate::server::observe::RequestLog;
use crate::server::quota::Moment;
use crate::server::routes::absent::wants_websocket;

/// Admits a POST if a slot is free and its holder has something left; the request's log holds the slot.
pub(super) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST {
        let log = RequestLog::of(&app, &request);
        log.entered_api();
        match app.capacity.slot() {
            Ok(slot) => log.admitted(slot),
            Err(error) => return error.into_response(),
        }
        let holder = Holder::of(&request);
        if let Err(error) = app.quotas.enter(&holder, Moment::now()) {
            return error.into_response();
        }
        holder.name().into_iter().for_each(|name| app.metrics.client_request(name));
    } else if wants_websocket(request.headers())
        && let Err(error) = app.quotas.check(&Holder::of(&request), Moment::now())
    {
        return error.into_response();
    }
    next.run(request).await
}
