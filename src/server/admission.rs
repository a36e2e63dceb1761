//! How many requests may be worked on at once.
//!
//! * A request beyond that is refused at once: see [`super::capacity`].
//! * A place is held until the answer's last byte was handed over, or the client has left.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::Method;

use crate::server::App;
use crate::server::observe::RequestLog;

/// Lets a POST in while there is a place, which goes along with the request's log.
pub(super) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST {
        match app.capacity.place() {
            Ok(place) => RequestLog::of(&app, &request).admitted(place),
            Err(error) => return error.into_response(),
        }
    }
    next.run(request).await
}
