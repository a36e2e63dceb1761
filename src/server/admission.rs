//! How many requests may be worked on at once.
//!
//! * A request beyond that is refused at once with 503 and `Retry-After`: waiting would hide the overload from the
//!   client, which knows better when to come back.
//! * A place is held until the answer's last byte was handed over, or the client has left.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::Method;
use tokio::sync::OwnedSemaphorePermit;

use crate::fault::{ApiError, ErrorKind};
use crate::server::App;

/// A place among the requests being worked on; freed when its last clone goes.
#[derive(Debug, Clone)]
pub(super) struct Permit {
    _inner: Arc<OwnedSemaphorePermit>,
}

/// Lets a POST in while there is a place. The place goes along in the answer's extensions.
pub(super) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let Ok(permit) = app.places.clone().try_acquire_owned() else {
        let message = format!("{} requests are in flight already", app.settings.max_concurrent);
        return ApiError::new(ErrorKind::Busy, message).with_retry_after(RETRY_AFTER).into_response();
    };
    let permit = Permit { _inner: Arc::new(permit) };
    let mut response = next.run(request).await;
    response.extensions_mut().insert(permit);
    response
}

const RETRY_AFTER: Duration = Duration::from_secs(1);
