//! `GET /health`: reports that the process serves, whom it asks, and the login's state. Never touches the network.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::credentials::CredentialHealth;
use crate::server::App;
use crate::server::routes::models::json;
use crate::server::settings::ServerMode;

/// Always 200 while the process serves.
pub(in crate::server) async fn show(State(app): State<Arc<App>>) -> Response {
    json(&Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        mode: app.settings.mode,
        credentials: app.supplier.health(),
    })
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    mode: ServerMode,
    credentials: CredentialHealth,
}
