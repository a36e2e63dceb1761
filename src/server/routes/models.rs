//! `GET /v1/models` and `GET /v1/models/{id}`.
//!
//! * With `anthropic-version`, the list and each model have the form of Anthropic's API.
//! * The holder of a named key sees the models and efforts that the key allows.
//! * With `?client_version=…`, the Codex CLI's form, the list holds the CLI's array `models` beside `data`, and has the
//!   backend's entity tag of the account's list: answers announce it in `x-models-etag`, and the CLI compares the two.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::dialect::messages::models::{ModelInfo, ModelPage, PageQuery};
use crate::fault::{Fault, FaultKind};
use crate::models::Models;
use crate::models::entry::Entry;
use crate::server::App;
use crate::server::guard::holder::Holder;
use crate::server::routes::absent;

/// Lists the models.
pub(in crate::server) async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    app.catalogue.keep_current();
    let holder = Holder::of(&request);
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    if headers.contains_key(ANTHROPIC_VERSION) {
        return Ok(json(&ModelPage::of(&entries(&app, &holder), &page(&uri))));
    }
    let mut query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let Some((_, version)) = query.find(|(name, _)| name == "client_version") else {
        return Ok(json(&List { object: "list", data: entries(&app, &holder), models: None }));
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
    let models = codex_entries(&app.models, &holder, &version);
    let models = models.map_err(|error| Fault::new(FaultKind::Internal, error.to_string()))?;
    let mut answer = json(&List { object: "list", data: entries(&app, &holder), models: Some(models) });
    answer.headers_mut().extend(tag.map(|tag| (header::ETAG, tag)));
    Ok(answer)
}

/// The entries of the list, as far as `holder` may use them.
fn entries(app: &App, holder: &Holder) -> Vec<Entry> {
    let mut entries = app.models.list();
    if holder.key().is_some() {
        entries.retain_mut(|entry| allow(&app.models, holder, entry));
    }
    entries
}

/// Leaves in `entry` what `holder` may use. Returns whether that is anything.
fn allow(models: &Models, holder: &Holder, entry: &mut Entry) -> bool {
    let most = holder.most_effort();
    let resolution = models.resolve_within(Some(&entry.id), None, most);
    if let Some(most) = most {
        entry.supported_reasoning_efforts.retain(|effort| *effort <= most);
        entry.default_reasoning_effort =
            entry.default_reasoning_effort.filter(|default| *default <= most).or(resolution.effort);
    }
    !resolution.exceeds() && holder.may_use(models, &resolution.model)
}

/// The array in the Codex CLI's form, as far as `holder` may use the models. What remains is the backend's own.
fn codex_entries(models: &Models, holder: &Holder, version: &str) -> serde_json::Result<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Named<'n> {
        #[serde(borrow)]
        slug: Cow<'n, str>,
    }
    let list = models.codex_list(version);
    if holder.limited_to_models().is_none() {
        return RawValue::from_string(list);
    }
    let mut entries: Vec<&RawValue> = serde_json::from_str(&list)?;
    entries.retain(|entry| {
        let named = serde_json::from_str::<Named<'_>>(entry.get());
        named.is_ok_and(|named| holder.may_use(models, &models.resolve(Some(&named.slug), None).model))
    });
    serde_json::value::to_raw_value(&entries)
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
) -> Result<Response, Fault> {
    app.catalogue.keep_current();
    let Path(id) = id.map_err(|_| {
        let message = "the model's name in the path is not UTF-8; GET /v1/models lists the models";
        Fault::new(FaultKind::ModelNotFound, message).with_param("model")
    })?;
    let is_anthropic = request.headers().contains_key(ANTHROPIC_VERSION);
    let behind_prefix = || is_anthropic.then(|| app.models.find_prefixed(&id)).flatten();
    let Some(mut entry) = app.models.find(&id).or_else(behind_prefix) else {
        if let Some(error) = absent::base_url_too_long(&request) {
            return Err(error);
        }
        let message = format!("there is no model {id:?}; GET /v1/models lists the models");
        return Err(Fault::new(FaultKind::ModelNotFound, message).with_param("model"));
    };
    let holder = Holder::of(&request);
    let resolution = app.models.resolve_within(Some(&entry.id), None, holder.most_effort());
    holder.check(&app.models, &resolution, "model")?;
    allow(&app.models, &holder, &mut entry);
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
        Err(error) => Fault::new(FaultKind::Internal, error.to_string()).into_response(),
    }
}

/// Anthropic's SDKs send it always, OpenAI's never.
pub(in crate::server) const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<Box<RawValue>>,
}
