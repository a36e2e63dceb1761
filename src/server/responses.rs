//! `POST /v1/responses` and `POST /v1/responses/compact`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::App;
use super::incoming::Incoming;
use crate::openai::error::ApiError;
use crate::openai::responses::ResponsesRequest;
use crate::translate::backend::Context;
use crate::translate::responses::request::translate;
use crate::translate::responses::{Collect, Compaction, Relay, compaction};

/// Relays the backend's events, or answers with the final response object, as the client asked.
pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let incoming = Incoming::read(app, request).await?;
    let recall = |id: &str| incoming.app.answered.recall(id);
    let (mut exchange, stream) = {
        let asked = ResponsesRequest::parse(&incoming.body)?;
        let model = incoming.resolve(asked.model.as_deref(), asked.effort.as_deref(), asked.stream);
        let translated = translate(&asked, &Context { answered: &recall, ..incoming.context(&model) })?;
        (incoming.exchange(translated, model), asked.stream)
    };
    exchange.call.client_headers = incoming.codex_headers();
    if stream { exchange.stream(Relay::default).await } else { exchange.document(Collect::default).await }
}

/// Answers with a shorter form of the conversation. The document is one piece, so nothing keeps the connection alive
/// meanwhile; clients of this endpoint wait for minutes.
pub(super) async fn compact(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let incoming = Incoming::read(app, request).await?;
    let recall = |id: &str| incoming.app.answered.recall(id);
    let (mut exchange, retained) = {
        let mut asked = ResponsesRequest::parse(&incoming.body)?;
        asked.asks_for_compaction = true;
        let model = incoming.resolve(asked.model.as_deref(), asked.effort.as_deref(), false);
        let translated = translate(&asked, &Context { answered: &recall, ..incoming.context(&model) })?;
        (incoming.exchange(translated, model), Arc::from(compaction::retained(&asked.input)))
    };
    exchange.call.client_headers = incoming.codex_headers();
    exchange.document(move || Compaction::new(Arc::clone(&retained))).await
}
