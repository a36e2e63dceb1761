//! `POST /v1/responses` and `POST /v1/responses/compact`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::App;
use super::incoming::Incoming;
use crate::openai::error::ApiError;
use crate::openai::responses::ResponsesRequest;
use crate::translate::backend::Context;
use crate::translate::responses::request::{Endpoint, translate};
use crate::translate::responses::{Collect, Relay};
use crate::upstream::Accept;

/// Relays the backend's events, or answers with the final response object, as the client asked.
pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let incoming = Incoming::read(app, request).await?;
    let recall = |id: &str| incoming.app.answered.recall(id);
    let (mut exchange, stream) = {
        let asked = ResponsesRequest::parse(&incoming.body)?;
        let model = incoming.resolve(asked.model.as_deref(), asked.effort.as_deref(), asked.stream);
        let translated =
            translate(&asked, &Context { answered: &recall, ..incoming.context(&model) }, Endpoint::Responses)?;
        (incoming.exchange("responses", Accept::Events, translated, model), asked.stream)
    };
    exchange.call.client_headers = incoming.codex_headers();
    if stream { exchange.stream(Relay::default).await } else { exchange.document(Collect::default).await }
}

/// Answers with the backend's shorter form of a conversation, unchanged.
pub(super) async fn compact(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let incoming = Incoming::read(app, request).await?;
    let recall = |id: &str| incoming.app.answered.recall(id);
    let mut exchange = {
        let asked = ResponsesRequest::parse(&incoming.body)?;
        let model = incoming.resolve(asked.model.as_deref(), asked.effort.as_deref(), false);
        let translated =
            translate(&asked, &Context { answered: &recall, ..incoming.context(&model) }, Endpoint::Compact)?;
        incoming.exchange("responses/compact", Accept::Json, translated, model)
    };
    exchange.call.client_headers = incoming.codex_headers();
    exchange.fetch().await
}
