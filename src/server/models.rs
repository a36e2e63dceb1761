//! `GET /v1/models` and `GET /v1/models/{id}`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use serde::Serialize;

use super::App;
use crate::models::entry::Entry;
use crate::openai::error::{ApiError, ErrorKind};

/// Every model that is listed.
pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    app.catalogue.keep_current();
    json(&List { object: "list", data: app.models.list() })
}

/// One model, listed or not.
pub(super) async fn find(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    app.catalogue.keep_current();
    let Path(id) = id.map_err(|_| {
        let message = "the model's name in the path is not UTF-8; GET /v1/models lists those there are";
        ApiError::new(ErrorKind::ModelNotFound, message).with_param("model")
    })?;
    let Some(entry) = app.models.find(&id) else {
        let message = format!("there is no model {id:?}; GET /v1/models lists those there are");
        return Err(ApiError::new(ErrorKind::ModelNotFound, message).with_param("model"));
    };
    Ok(json(&entry))
}

/// A JSON answer with status 200.
pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], Body::from(text)).into_response()
        }
        Err(error) => ApiError::new(ErrorKind::Internal, error.to_string()).into_response(),
    }
}

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<Entry>,
}
