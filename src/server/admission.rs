//! Limits the number of concurrent requests.
//!
//! * A request beyond the limit is refused at once: see [`super::capacity`].
//! * A slot is held until the answer's last byte was handed over, or the client has disconnected.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::Method;

use crate::server::App;
use crate::server::observe::RequestLog;

/// Admits a POST if a slot is free; the request's log holds the slot.
pub(super) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST {
        let log = RequestLog::of(&app, &request);
        log.entered_api();
        match app.capacity.slot() {
            Ok(slot) => log.admitted(slot),
            Err(error) => return error.into_response(),
        }
    }
    next.run(request).await
}
