//! `POST /v1/images/generations` and `POST /v1/images/edits`.
//!
//! * A request for several images is several calls, at most [`AT_ONCE`] of them at a time; the first failure ends them all.
//! * An image takes the backend half a minute. A stream is kept alive meanwhile; a document is not begun before it is
//!   known, so that a failure has its own status.
//! * Dropping the answer ends its calls.

mod calls;
mod form;
mod stream;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::CONTENT_TYPE;

use self::calls::ImageCalls;
use crate::dialect::images::request::ImageRequest;
use crate::dialect::images::{ImageTask, body, document};
use crate::fault::Fault;
use crate::platform::{apart, unix_now};
use crate::server::App;
use crate::server::answer::{EVENT_STREAM, respond};
use crate::server::routes::incoming::Incoming;

/// Makes images.
pub(in crate::server) async fn generate(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    answer(app, request, ImageTask::Generation).await
}

/// Changes images.
pub(in crate::server) async fn edit(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    answer(app, request, ImageTask::Edit).await
}

async fn answer(app: Arc<App>, request: Request, task: ImageTask) -> Result<Response, Fault> {
    let incoming = Incoming::read(app, request).await?;
    let plan = incoming.work(move |incoming| Plan::new(incoming, task)).await?;
    let Plan { calls, count, stream, ignored } = plan;
    if stream {
        return stream::respond(calls, count, &ignored).await;
    }
    let (head, answers) = calls.collect(count).await?;
    let created = unix_now().as_secs();
    let document = apart(move || document::write(&answers, created)).await;
    Ok(respond("application/json", &head, &ignored, Body::from(document)))
}

/// The calls that answer a request.
struct Plan {
    calls: Arc<ImageCalls>,
    /// The number of calls.
    count: usize,
    /// Whether the client wants a stream.
    stream: bool,
    /// The names of the fields without effect.
    ignored: Vec<String>,
}

impl Plan {
    fn new(incoming: &Incoming, task: ImageTask) -> Result<Self, Fault> {
        let parts = match form::boundary(incoming.headers().get(CONTENT_TYPE))? {
            Some(boundary) => Some(form::parts(boundary, incoming.body.clone())?),
            None => None,
        };
        let request = match &parts {
            Some(parts) => ImageRequest::of_form(task, parts)?,
            None => ImageRequest::parse(task, &incoming.body)?,
        };
        let model = incoming.resolve_image(request.model.as_deref(), request.stream)?;
        let body = body::write(&request, &model.model);
        let accept = if request.stream { EVENT_STREAM } else { "application/json" };
        let ignored = request.ignored.names();
        if !ignored.is_empty() {
            incoming.log.ignored(&ignored.join(", "));
        }
        let call = incoming.endpoint_call(task.path(), accept, body.into());
        let calls = ImageCalls { app: incoming.app.clone(), log: incoming.log.clone(), call, task, model };
        Ok(Self { calls: Arc::new(calls), count: request.count, stream: request.stream, ignored })
    }
}

/// The most calls of one request at a time: as many as the backend has answered in parallel on one account (report of
/// September 2026).
const AT_ONCE: usize = 4;
