//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::App;
use super::answer::Exchange;
use super::incoming::Incoming;
use super::responses::{Purpose, Turn};
use crate::models::Resolution;
use crate::openai::chat::ChatRequest;
use crate::openai::error::ApiError;
use crate::platform::unix_now;
use crate::translate::backend::{Context, Recall};
use crate::translate::chat::{AnswerMeta, ChatMachine, Chunks, Fold, request};
use crate::translate::stop::StopSequences;

/// Answers with chunks or with one completion, as the client asked.
pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let incoming = Incoming::read(app, request).await?;
    let (exchange, meta, stream) = incoming.work(prepare).await?;
    let meta = move |sent: &Resolution| AnswerMeta { model: sent.model.clone(), ..meta.clone() };
    if stream {
        exchange.stream(move |sent| ChatMachine::new(&meta(sent), Chunks::new(meta(sent)))).await
    } else {
        exchange.document(move |sent| ChatMachine::new(&meta(sent), Fold::new(meta(sent)))).await
    }
}

/// The call, what the answer is made with, and whether the client wants it as a stream.
fn prepare(incoming: &Incoming) -> Result<(Exchange, AnswerMeta, bool), ApiError> {
    let chat = ChatRequest::parse(&incoming.body)?;
    let exchange =
        if chat.has_input { Turn::new(incoming, Purpose::Chat(&chat))?.exchange } else { translated(incoming, &chat)? };
    let meta = AnswerMeta {
        created: unix_now().as_secs(),
        model: exchange.call.model.model.clone(),
        fallback_id: format!("chatcmpl-{}", incoming.log.id().to_str().unwrap_or_default()),
        include_usage: chat.include_usage,
        legacy_functions: chat.legacy_functions,
        reasoning: incoming.app.settings.reasoning_format,
        stop: StopSequences::new(chat.stop.clone()),
    };
    Ok((exchange, meta, chat.stream))
}

/// The call for a conversation in chat's own form.
fn translated(incoming: &Incoming, chat: &ChatRequest<'_>) -> Result<Exchange, ApiError> {
    let model = incoming.resolve(chat.model.as_deref(), chat.effort.as_deref(), chat.stream)?;
    let context = incoming.context(&model);
    let tier = chat.service_tier.as_deref();
    incoming.log.tier(tier, context.is_priority(tier));
    let recall = |id: &str| incoming.app.replay.recall(incoming.scope, id);
    let replays = incoming.app.settings.reasoning_replay;
    let reasoning: Recall<'_, _> = if replays { &recall } else { context.reasoning };
    let translated = request::translate(chat, &Context { reasoning, ..context });
    Ok(incoming.exchange(translated, model, None))
}
