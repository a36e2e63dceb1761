//! `POST /admin/credentials` and `GET /admin/credentials/status`. The guard has checked the admin key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;

use crate::credentials::status::AdminCredentials;
use crate::fault::Fault;
use crate::server::routes::models::json;
use crate::server::{App, body};

/// Replaces the login by the body's credentials.
pub(in crate::server) async fn store(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let body = body::read(request, CREDENTIALS_SIZE, app.settings.body_silence, None).await?;
    let credentials = AdminCredentials::parse(&body)?;
    app.supplier.store_tokens(&credentials).await?;
    // Another account may have other models.
    app.catalogue.start();
    tracing::info!("credentials were replaced through the admin API");
    Ok(json(&Stored { status: "success", message: "credentials stored" }))
}

/// Returns the login's state; never a token or a part of one.
pub(in crate::server) async fn status(State(app): State<Arc<App>>) -> Response {
    json(&app.supplier.status().await)
}

#[derive(Serialize)]
struct Stored {
    status: &'static str,
    message: &'static str,
}

/// Three tokens of a few kilobytes each, with room to spare.
const CREDENTIALS_SIZE: usize = 256 << 10;
