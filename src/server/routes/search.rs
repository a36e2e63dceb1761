//! `POST /v1/alpha/search`: the backend's own search, which the Codex CLI asks beside its turns.
//!
//! * Body and answer pass as they are, byte for byte; only the login is this proxy's.
//! * The answer is read whole, so that a failure midway has a status.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::CONTENT_TYPE;

use crate::fault::{ApiError, ErrorKind};
use crate::server::App;
use crate::server::answer::{explain_endpoint, note_head, respond};
use crate::server::routes::incoming::Incoming;

/// Passes a search on.
pub(in crate::server) async fn search(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let incoming = Incoming::read(app, request).await?;
    let call = incoming.endpoint_call("/alpha/search", "application/json", incoming.body.clone());
    let Incoming { app, log, .. } = incoming;
    let mut answer = app.upstream.call(&call, log.clock()).await.map_err(|error| explain_endpoint(&app, error))?;
    note_head(&app, &log, &answer.head);
    let mut body = Vec::new();
    while let Some(bytes) = answer.next().await {
        let bytes = bytes?;
        if let Some(slot) = log.slot() {
            slot.hold_answer(bytes.len())?;
        }
        body.extend_from_slice(&bytes);
        if body.len() > LARGEST {
            let message = format!("the backend sent more than {} MiB for one search", LARGEST >> 20);
            return Err(ApiError::new(ErrorKind::UpstreamInvalid, message));
        }
    }
    let mut response = respond("application/json", &answer.head, &[], Body::from(body));
    if let Some(content_type) = answer.content_type() {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    Ok(response)
}

/// Many times the longest answer.
const LARGEST: usize = 64 << 20;
