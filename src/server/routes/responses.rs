//! `POST /v1/responses`, `POST /v1/responses/compact` and `POST /v1/responses/input_tokens`.
//!
//! * A turn of a WebSocket comes here as a POST with [`OverSocket`](crate::server::memory::OverSocket) in its extensions. It
//!   differs in its own keys, in the memory that it refers to first, and in that it may only announce a conversation.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::backend::answer::{Answer, Machine};
use crate::backend::estimate;
use crate::backend::request::body::Provenance;
use crate::backend::request::context::{BackendRequest, Context};
use crate::conversation::ignored::Ignored;
use crate::dialect::COMMENT;
use crate::dialect::responses::compaction;
use crate::dialect::responses::compaction::Compaction;
use crate::dialect::responses::document::Collect;
use crate::dialect::responses::forward::translate;
use crate::dialect::responses::frame;
use crate::dialect::responses::relay::Relay;
use crate::dialect::responses::request::{Input, ResponsesRequest};
use crate::fault::{Fault, FaultKind};
use crate::models::Resolution;
use crate::platform::unix_now;
use crate::server::App;
use crate::server::answer::Exchange;
use crate::server::memory::{Asked, History};
use crate::server::routes::incoming::Incoming;
use crate::server::routes::models::json;

/// Relays the backend's events, or answers with the final response object, as the client asked.
pub(in crate::server) async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let incoming = Incoming::read(app, request).await?;
    let reader = incoming.reader();
    let turn = incoming.work(|it| Turn::new(it, Purpose::Answer)).await?;
    if turn.announces {
        return Ok(turn.announced());
    }
    let Turn { exchange, stream, model, .. } = turn;
    if stream {
        let machine = move |sent: &Resolution| -> Box<dyn Machine> {
            Box::new(Relay::new(reader).renamed(model.as_deref(), &sent.model))
        };
        exchange.stream(COMMENT, Arc::new(machine)).await
    } else {
        exchange.document(Arc::new(|_| Box::new(Collect::default()))).await
    }
}

/// Answers with a compacted conversation. The document is one piece, so nothing keeps the connection alive meanwhile;
/// clients of this endpoint wait for minutes.
pub(in crate::server) async fn compact(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let incoming = Incoming::read(app, request).await?;
    let Turn { exchange, retained, .. } = incoming.work(|it| Turn::new(it, Purpose::Compaction)).await?;
    exchange.document(Arc::new(move |_| Box::new(Compaction::new(Arc::clone(&retained))))).await
}

/// Answers with an estimate of a prompt's tokens, over the body that the backend would get. The backend itself counts
/// only what it answers.
pub(in crate::server) async fn input_tokens(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let incoming = Incoming::read(app, request).await?;
    let input_tokens = incoming.work(count).await?;
    Ok(json(&Count { object: "response.input_tokens", input_tokens }))
}

fn count(incoming: &Incoming) -> Result<u64, Fault> {
    let (history, spoken);
    let mut asked = ResponsesRequest::parse(&incoming.body)?;
    let model = incoming.resolve(asked.model.as_deref(), asked.effort.as_deref(), false)?;
    history = recall(incoming, &asked)?;
    spoken = asked.input.spoken();
    let (_, provenance) = join(&mut asked, history.as_ref(), spoken.as_deref());
    let answered = |id: &str| incoming.app.answers.item(incoming.scope, id);
    let context = Context { answered: &answered, remembered: &provenance, ..incoming.context(&model) };
    Ok(estimate::tokens(&translate(&asked, &context)?.body))
}

#[derive(Serialize)]
struct Count {
    object: &'static str,
    input_tokens: u64,
}

/// The purpose of a request.
#[derive(Debug, Clone, Copy)]
pub(in crate::server) enum Purpose<'a> {
    /// A response.
    Answer,
    /// A compacted conversation.
    Compaction,
    /// A chat answer, for a client that sent its conversation in the Responses API's form.
    Chat(&'a Ignored),
}

/// A translated request.
pub(in crate::server) struct Turn {
    pub(in crate::server) exchange: Exchange,
    /// Whether the client wants a stream.
    stream: bool,
    /// Whether the client only announces its conversation.
    announces: bool,
    /// The client's model name.
    model: Option<String>,
    /// The messages kept by a compaction; empty for any other request.
    retained: Arc<[u8]>,
}

impl Turn {
    /// Prepends the earlier conversation to the request's input and translates both as one.
    pub(in crate::server) fn new(incoming: &Incoming, purpose: Purpose<'_>) -> Result<Self, Fault> {
        let (history, spoken);
        let mut asked = match &incoming.socket {
            Some(_) => ResponsesRequest::parse_frame(&incoming.body)?,
            None => ResponsesRequest::parse(&incoming.body)?,
        };
        let compacts = matches!(purpose, Purpose::Compaction);
        asked.asks_for_compaction = compacts;
        if let Purpose::Chat(ignored) = purpose {
            asked.answers_chat = true;
            asked.ignored = ignored.clone();
        }
        let model = incoming.resolve(asked.model.as_deref(), asked.effort.as_deref(), asked.stream && !compacts)?;
        history = recall(incoming, &asked)?;
        spoken = asked.input.spoken();
        let (own, provenance) = join(&mut asked, history.as_ref(), spoken.as_deref());
        let retained = if compacts { compaction::retained(&asked.input).into() } else { Arc::default() };
        let answered = |id: &str| incoming.app.answers.item(incoming.scope, id);
        let context = Context { answered: &answered, remembered: &provenance, ..incoming.context(&model) };
        let tier = asked.service_tier.as_deref();
        incoming.log.tier(tier, context.is_priority(tier));
        let translated = translate(&asked, &context)?;
        if history.is_some() || !translated.references.is_empty() {
            check_size(translated.body.len(), incoming)?;
        }
        let answers_here = matches!(purpose, Purpose::Answer);
        let kept = if answers_here { remember(incoming, history.as_ref(), &own, &translated) } else { None };
        let (stream, announces, name) = (asked.stream, asked.announces, asked.model.as_deref().map(str::to_owned));
        let mut exchange = incoming.exchange(translated, model, kept);
        if !matches!(purpose, Purpose::Chat(_)) {
            exchange.call.client_headers = Some(incoming.codex_headers()).filter(|own| !own.is_empty()).map(Box::new);
        }
        if asked.is_frame && incoming.is_from_codex() {
            asked.put_turn_headers(exchange.call.client_headers.get_or_insert_default());
        }
        Ok(Self { exchange, stream, announces, model: name, retained })
    }

    /// Remembers the announced conversation, and answers with the name by which its next turn refers to it.
    fn announced(mut self) -> Response {
        let id = self.exchange.log.id().to_str().unwrap_or_default();
        let id = format!("resp_{}", id.trim_start_matches("req_"));
        let model = self.exchange.call.model.model.clone();
        let events = frame::announced(&id, &model, unix_now().as_secs());
        if let Some(asked) = self.exchange.asked.take() {
            let answer = Answer { id: Some(id), items: Vec::new() };
            asked.answered(&answer, Arc::new(Provenance::new(Arc::from(""), model)));
        }
        self.exchange.at_once(true, events)
    }
}

/// Returns the conversation that the request continues.
fn recall(incoming: &Incoming, asked: &ResponsesRequest<'_>) -> Result<Option<History>, Fault> {
    let Some(id) = asked.previous_response_id.as_deref() else { return Ok(None) };
    let on_socket = incoming.socket.as_ref().and_then(|socket| socket.history(id));
    let Some(history) = on_socket.or_else(|| incoming.app.answers.history(incoming.scope, id)) else {
        // OpenAI's message and code for an unknown answer, at which clients send the whole conversation.
        let id: String = id.chars().take(LONGEST_ID).collect();
        let message = format!("Previous response with id '{id}' not found.");
        return Err(Fault::invalid("previous_response_id", message).with_code("previous_response_not_found"));
    };
    check_size(history.bytes(), incoming)?;
    Ok(Some(history))
}

/// Prepends the earlier conversation to the input of `asked`, which is `spoken` if it is one text. Returns the client's
/// own items, and the origins of the items before them.
fn join<'a>(
    asked: &mut ResponsesRequest<'a>,
    history: Option<&'a History>,
    spoken: Option<&'a RawValue>,
) -> (Vec<&'a RawValue>, Vec<Option<Arc<Provenance>>>) {
    let own: Vec<&RawValue> = match &asked.input {
        Input::Text(_) => spoken.into_iter().collect(),
        Input::Items(items) => items.clone(),
    };
    let Some(history) = history else { return (own, Vec::new()) };
    let mut items = history.items();
    items.extend(&own);
    asked.input = Input::Items(items);
    (own, history.provenance())
}

/// Applies the limit of received bodies to the sent body, with everything that memory adds.
fn check_size(bytes: usize, incoming: &Incoming) -> Result<(), Fault> {
    let most = incoming.app.settings.max_body_size;
    if bytes <= most {
        return Ok(());
    }
    let message = format!(
        "with the items of earlier answers that it refers to, the request is larger than {most} bytes; begin a new \
         conversation, or start the proxy with a larger --max-body-size"
    );
    Err(Fault::new(FaultKind::PayloadTooLarge, message))
}

/// Creates the context for remembering the answer: the client's `own` items, with references resolved to items. `None` if
/// no later request of this client will refer to the answer.
fn remember(
    incoming: &Incoming,
    history: Option<&History>,
    own: &[&RawValue],
    translated: &BackendRequest,
) -> Option<Asked> {
    let answers = &incoming.app.answers;
    let is_replaced = own.last().is_some_and(|item| compaction::is_trigger(item));
    let socket = incoming.socket.as_ref().filter(|_| incoming.keeps_its_own_history());
    match socket {
        Some(_) if is_replaced => return None,
        None if history.is_none() && incoming.keeps_its_own_history() => return None,
        None if is_replaced => return Some(answers.asked_apart(incoming.scope)),
        _ => {}
    }
    let mut references = translated.references.iter().peekable();
    let items = own.iter().enumerate().filter_map(|(index, item)| {
        match references.next_if(|reference| reference.index == index) {
            Some(reference) => reference.item.as_deref(),
            None => Some(item.get()),
        }
    });
    let items: Vec<&str> = items.collect();
    Some(match socket {
        Some(socket) => socket.asked(history, &items),
        None => answers.asked(incoming.scope, history, &translated.session_key, &items),
    })
}

/// The characters of an unknown id that an error repeats.
const LONGEST_ID: usize = 128;
