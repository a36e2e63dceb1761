//! `POST /v1/alpha/search`: the backend's own search, which the Codex CLI asks beside its turns.
//!
//! * Body and answer pass as they are, byte for byte; only the login is this proxy's. A body that is no request, and an
//!   answer that is none, such as a page, are errors.
//! * Model and effort are the client's own words here: for the holder of a named key they must be ones that it allows.
//! * The answer is read whole, so that a failure midway has a status.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::backend::event::failure::Failure;
use crate::fault::{Fault, FaultKind};
use crate::models::effort::Effort;
use crate::server::App;
use crate::server::answer::{explain_endpoint, note_head, respond};
use crate::server::guard::holder::above;
use crate::server::routes::incoming::{Incoming, check_length};
use crate::upstream::endpoint::EndpointAnswer;

/// Passes a search on.
pub(in crate::server) async fn search(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let incoming = Incoming::read(app, request).await?;
    check(&incoming)?;
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
            return Err(Fault::new(FaultKind::UpstreamInvalid, message));
        }
    }
    check_answer(&answer, &body).map_err(|error| explain_endpoint(&app, error))?;
    let mut response = respond("application/json", &answer.head, &[], Body::from(body));
    if let Some(content_type) = answer.content_type() {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    Ok(response)
}

/// Refuses an answer that reports a failure, or is no JSON object. What it tells beside results is the client's.
fn check_answer(answer: &EndpointAnswer, body: &[u8]) -> Result<(), Fault> {
    let beginning = || body.get(..LONGEST_SAMPLE).unwrap_or(body);
    let Ok(object) = serde_json::from_slice::<Members<'_>>(body) else { return Err(answer.no_answer(beginning())) };
    let tells = |name: &str| object.get(name).is_some_and(|value| value.get() != "null");
    let has_failed = tells("error") || (tells("detail") && !tells("output") && !tells("results"));
    match Failure::from_body(body).filter(|_| has_failed) {
        Some(failure) => Err(answer.reported(&failure)),
        None => Ok(()),
    }
}

/// Refuses a body that is no request, and a model or an effort that the client's key does not allow.
fn check(incoming: &Incoming) -> Result<(), Fault> {
    let request: Members<'_> = serde_json::from_slice(&incoming.body)
        .map_err(|_| Fault::new(FaultKind::InvalidRequest, "the request body must be a JSON object"))?;
    if let Some(model) = request.get("model").filter(|model| model.get() != "null") {
        let name: String =
            serde_json::from_str(model.get()).map_err(|_| Fault::invalid("model", "'model' must be a string"))?;
        check_length(Some(&name))?;
    }
    let Some(key) = incoming.holder.key().filter(|key| !key.models.is_empty() || key.max_effort.is_some()) else {
        return Ok(());
    };
    let asked: SearchLimits = serde_json::from_slice(&incoming.body).map_err(|error| {
        let message = format!("the key {} is limited, and the request cannot be read: {error}", key.name);
        Fault::new(FaultKind::InvalidRequest, message)
    })?;
    match (asked.model, key.models.is_empty()) {
        (Some(model), false) => incoming.holder.check_model(&incoming.app.models, &model)?,
        (None, false) => {
            let message = format!("the key {} is limited to some models, and the request names none", key.name);
            return Err(Fault::invalid("model", message));
        }
        (_, true) => {}
    }
    let effort = asked.reasoning.and_then(|reasoning| reasoning.effort);
    match (effort, key.max_effort) {
        (Some(word), Some(most)) => {
            // What cannot be compared is treated as more than is allowed.
            let effort = Effort::parse(&word).unwrap_or(Effort::Max);
            if effort > most { Err(above(key, effort, most, "reasoning.effort")) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// The values of an object by their names.
type Members<'a> = HashMap<String, &'a RawValue>;

/// The fields of a search that a key may limit. One that stands twice is an error, since readers differ in which counts.
#[derive(Deserialize)]
struct SearchLimits {
    model: Option<String>,
    reasoning: Option<SearchReasoning>,
}

#[derive(Deserialize)]
struct SearchReasoning {
    effort: Option<String>,
}

/// The beginning of an answer that is none, for its error.
const LONGEST_SAMPLE: usize = 64 << 10;
/// Many times the longest answer.
const LARGEST: usize = 64 << 20;
