//! The routes with translated answers: one handler for every [`Dialect`].

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use crate::backend::answer::machine::AnswerMachine;
use crate::backend::answer::sink::{FinishReason, Sink as _};
use crate::backend::request::context::{Context, Recall};
use crate::backend::{estimate, request};
use crate::conversation::Conversation;
use crate::dialect::{Ask, Dialect, Form, Occasion};
use crate::fault::Fault;
use crate::models::Resolution;
use crate::platform::unix_now;
use crate::server::App;
use crate::server::answer::{Exchange, MakeMachine};
use crate::server::routes::incoming::Incoming;
use crate::server::routes::responses::{Purpose, Turn};

/// Answers with a stream or one document, as the client asked.
pub(in crate::server) async fn create<D: Dialect>(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Fault> {
    let incoming = Incoming::read(app, request).await?;
    let Prepared { exchange, shape, occasion, stream, prompt_estimate } = incoming.work(prepare::<D>).await?;
    if D::wants_nothing(&shape) {
        let mut answer = Vec::new();
        if stream {
            D::stream(shape, occasion).finish(FinishReason::Length, None, &mut answer);
        } else {
            D::document(shape, occasion).finish(FinishReason::Length, None, &mut answer);
        }
        return Ok(exchange.at_once(stream, answer));
    }
    let shows_reasoning = D::shows_reasoning(&shape, &occasion);
    let make: MakeMachine = Arc::new(move |sent: &Resolution| {
        let (shape, occasion) = (shape.clone(), Occasion { model: sent.model.clone(), ..occasion.clone() });
        if stream {
            let sink = D::stream(shape, occasion);
            Box::new(AnswerMachine::new(&sent.model, shows_reasoning, sink).estimating(prompt_estimate))
        } else {
            let sink = D::document(shape, occasion);
            Box::new(AnswerMachine::new(&sent.model, shows_reasoning, sink).estimating(prompt_estimate))
        }
    });
    if stream { exchange.stream(D::KEEPALIVE, make).await } else { exchange.document(make).await }
}

/// A translated request.
struct Prepared<S> {
    exchange: Exchange,
    shape: S,
    occasion: Occasion,
    /// Whether the client wants a stream.
    stream: bool,
    /// About how many tokens the request has, for an answer that may end before the backend counts them.
    prompt_estimate: Option<u64>,
}

fn prepare<D: Dialect>(incoming: &Incoming) -> Result<Prepared<D::Shape>, Fault> {
    let ask = D::parse(&incoming.body, incoming.headers())?;
    let exchange = match &ask.form {
        Form::Own(conversation) => translated::<D>(incoming, &ask, conversation)?,
        Form::Responses(ignored) => Turn::new(incoming, Purpose::Chat(ignored))?.exchange,
    };
    let occasion = Occasion {
        created: unix_now().as_secs(),
        request_id: incoming.log.id().to_str().unwrap_or_default().to_owned(),
        model: exchange.call.model.model.clone(),
        reasoning: incoming.app.settings.reasoning_format,
        seals: incoming.app.settings.reasoning_replay,
    };
    let prompt_estimate = D::may_stop(&ask.shape).then(|| estimate::tokens(exchange.call.body.whole()));
    Ok(Prepared { exchange, shape: ask.shape, occasion, stream: ask.stream, prompt_estimate })
}

/// Translates a conversation of the dialect into a call.
fn translated<D: Dialect>(
    incoming: &Incoming,
    ask: &Ask<'_, D::Shape>,
    conversation: &Conversation<'_>,
) -> Result<Exchange, Fault> {
    let model = incoming.resolve_ask::<D>(ask, ask.stream)?;
    let context = incoming.context(&model);
    let tier = conversation.service_tier.as_ref().map(|asked| asked.tier.as_ref());
    incoming.log.tier(tier, context.is_priority(tier));
    let recall = |id: &str| incoming.app.replay.recall(incoming.scope, id);
    let replays = incoming.app.settings.reasoning_replay;
    let reasoning: Recall<'_, _> = if replays { &recall } else { context.reasoning };
    let translated = request::translate(conversation, &Context { reasoning, ..context });
    Ok(incoming.exchange(translated, model, None))
}
