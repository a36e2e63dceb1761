//! `GET /v1/models` and `GET /v1/models/{id}`.
//!
//! * With `anthropic-version`, the list and each model have the form of Anthropic's API.
//! * With `?client_version=…`, the Codex CLI's form, the list holds the CLI's array `models` beside `data`, and has the
//!   backend's entity tag of the account's list: answers announce it in `x-models-etag`, and the CLI compares the two.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::dialect::messages::models::{ModelInfo, ModelPage, PageQuery};
use crate::fault::{ApiError, ErrorKind};
use crate::models::entry::Entry;
use crate::server::App;
use crate::server::routes::absent;

/// Lists the models.
pub(in crate::server) async fn list(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    app.catalogue.keep_current();
    if headers.contains_key(ANTHROPIC_VERSION) {
        return Ok(json(&ModelPage::of(&app.models.list(), &page(&uri))));
    }
    let mut query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let Some((_, version)) = query.find(|(name, _)| name == "client_version") else {
        return Ok(json(&List { object: "list", data: app.models.list(), models: None }));
    };
    if app.models.live().is_empty() {
        // The CLI caches this list: waiting for the account's list is better than a built-in one.
        app.catalogue.settle().await;
    }
    let tag = app.catalogue.tag().and_then(|tag| HeaderValue::try_from(tag).ok());
    if tag.is_some() && headers.get(header::IF_NONE_MATCH) == tag.as_ref() {
        let mut answer = StatusCode::NOT_MODIFIED.into_response();
        answer.headers_mut().extend(tag.map(|tag| (header::ETAG, tag)));
        return Ok(answer);
    }
    let models = RawValue::from_string(app.models.codex_list(&version));
    let models = models.map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))?;
    let mut answer = json(&List { object: "list", data: app.models.list(), models: Some(models) });
    answer.headers_mut().extend(tag.map(|tag| (header::ETAG, tag)));
    Ok(answer)
}

/// The page of Anthropic's list that the query asks for.
fn page(uri: &Uri) -> PageQuery {
    let mut page = PageQuery::default();
    for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        match key.as_ref() {
            "limit" => page.limit = value.parse().ok(),
            "after_id" => page.after_id = Some(value.into_owned()),
            "before_id" => page.before_id = Some(value.into_owned()),
            _ => {}
        }
    }
    page
}

/// Returns one model, listed or not.
pub(in crate::server) async fn find(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    app.catalogue.keep_current();
    let Path(id) = id.map_err(|_| {
        let message = "the model's name in the path is not UTF-8; GET /v1/models lists the models";
        ApiError::new(ErrorKind::ModelNotFound, message).with_param("model")
    })?;
    let is_anthropic = request.headers().contains_key(ANTHROPIC_VERSION);
    let behind_prefix = || is_anthropic.then(|| app.models.find_prefixed(&id)).flatten();
    let Some(entry) = app.models.find(&id).or_else(behind_prefix) else {
        if let Some(error) = absent::base_url_too_long(&request) {
            return Err(error);
        }
        let message = format!("there is no model {id:?}; GET /v1/models lists the models");
        return Err(ApiError::new(ErrorKind::ModelNotFound, message).with_param("model"));
    };
    if is_anthropic {
        return Ok(json(&ModelInfo::named(id, &entry)));
    }
    Ok(json(&entry))
}

/// Creates a JSON response with status 200.
pub(in crate::server) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], Body::from(text)).into_response()
        }
        Err(error) => ApiError::new(ErrorKind::Internal, error.to_string()).into_response(),
    }
}

/// Anthropic's SDKs send it always, OpenAI's never.
pub(in crate::server) const ANTHROPIC_VERSION: &str = "anthropic-version";

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<Box<RawValue>>,
}
