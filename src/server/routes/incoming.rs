//! The common part of the routes that call the backend.

use std::sync::Arc;

use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use crate::backend::request::body::Body;
use crate::backend::request::context::{BackendRequest, Context};
use crate::dialect::responses::relay::Reader;
use crate::dialect::{Ask, Dialect};
use crate::excerpt::{NAME, cut};
use crate::fault::Fault;
use crate::models::effort::Effort;
use crate::models::{EffortOrder, Resolution};
use crate::phases::Phase;
use crate::platform::{apart, roomy};
use crate::server::answer::Exchange;
use crate::server::guard::holder::Holder;
use crate::server::memory::{Asked, OverSocket, Scope, SocketMemory};
use crate::server::observe::RequestLog;
use crate::server::{App, body};
use crate::upstream::{BackendCall, EndpointCall};

/// A request with its whole body.
#[derive(Debug)]
pub(in crate::server) struct Incoming {
    pub(in crate::server) app: Arc<App>,
    pub(in crate::server) log: RequestLog,
    pub(in crate::server) body: Bytes,
    /// Who the request comes from.
    pub(in crate::server) holder: Holder,
    /// The scope of the request's memory.
    pub(in crate::server) scope: Scope,
    /// The memory of the WebSocket that the request came over.
    pub(in crate::server) socket: Option<Arc<SocketMemory>>,
    headers: HeaderMap,
}

impl Incoming {
    /// The request's headers.
    pub(in crate::server) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Reads the whole body of `request`.
    pub(in crate::server) async fn read(app: Arc<App>, request: Request) -> Result<Self, Fault> {
        let log = RequestLog::of(&app, &request);
        let headers = request.headers().clone();
        let holder = Holder::of(&request);
        let socket = request.extensions().get::<OverSocket>().map(|OverSocket(memory)| Arc::clone(memory));
        let body = body::read(request, app.settings.max_body_size, app.settings.body_silence, log.slot()).await?;
        let scope = Scope::of(holder.digest());
        Ok(Self { app, log, body, holder, scope, socket, headers })
    }

    /// Runs `work` on the request, off the serving threads if its body is large.
    pub(super) async fn work<T: Send + 'static>(self, work: impl FnOnce(&Self) -> T + Send + 'static) -> T {
        if self.body.len() <= LARGE {
            return work(&self);
        }
        self.log.clock().enter(Phase::Place);
        apart(move || {
            self.log.clock().enter(Phase::Request);
            work(&self)
        })
        .await
    }

    /// Resolves the model and effort to send, and logs them. The error is a name longer than any model's, which would
    /// be remembered and logged, or what the client's key does not allow.
    pub(in crate::server) fn resolve(
        &self,
        model: Option<&str>,
        effort: Option<&str>,
        stream: bool,
    ) -> Result<Resolution, Fault> {
        self.resolve_by(EffortOrder::FieldFirst, model, effort, stream)
    }

    /// Resolves the model and effort of a request in the dialect `D`. The error is that of [`resolve`](Self::resolve).
    pub(in crate::server) fn resolve_ask<D: Dialect>(
        &self,
        ask: &Ask<'_, D::Shape>,
        stream: bool,
    ) -> Result<Resolution, Fault> {
        self.resolve_by(D::EFFORT_ORDER, ask.model.as_deref(), ask.effort.as_deref(), stream)
    }

    fn resolve_by(
        &self,
        order: EffortOrder,
        model: Option<&str>,
        effort: Option<&str>,
        stream: bool,
    ) -> Result<Resolution, Fault> {
        check_length(model)?;
        let models = &self.app.models;
        let resolution = models.within(models.resolve_by(order, model, effort), self.holder.most_effort());
        self.note_resolution(model, &resolution, stream);
        self.holder.check(models, &resolution, self.effort_field(effort))?;
        Ok(resolution)
    }

    /// Resolves the model of a request for an image, and logs it. The error is that of [`resolve`](Self::resolve).
    pub(in crate::server) fn resolve_image(&self, model: Option<&str>, stream: bool) -> Result<Resolution, Fault> {
        check_length(model)?;
        let resolution = self.app.models.resolve_image(model);
        self.note_resolution(model, &resolution, stream);
        self.holder.check_model(&self.app.models, &resolution.model)?;
        Ok(resolution)
    }

    /// Returns the field in which the request names its effort; without one, the model's name may end in it.
    fn effort_field(&self, effort: Option<&str>) -> &'static str {
        let route = self.log.route();
        match effort.and_then(Effort::parse) {
            None => "model",
            Some(_) if route.starts_with("/chat") => "reasoning_effort",
            Some(_) if route.starts_with("/messages") => "output_config.effort",
            Some(_) => "reasoning.effort",
        }
    }

    fn note_resolution(&self, model: Option<&str>, resolution: &Resolution, stream: bool) {
        self.log.model(model, resolution);
        self.log.stream(stream);
        if let Some(model) = model.filter(|_| resolution.foreign)
            && self.app.warn_once.is_new(model)
        {
            let asked = &*cut(model, NAME);
            tracing::warn!(asked, sent = resolution.model, "no model of this backend; sending the default one");
        }
    }

    /// Returns a translation's inputs other than the body.
    pub(in crate::server) fn context<'c>(&'c self, model: &'c Resolution) -> Context<'c> {
        let session = SESSION_HEADERS.iter().find_map(|name| self.headers.get(name)?.to_str().ok());
        let instructions = self.app.settings.instructions.as_deref();
        let (is_codex, size) = (self.is_from_codex(), self.body.len());
        Context { session_header: session, instructions, is_codex, size, room: roomy(size), ..Context::new(model) }
    }

    /// Returns a Codex CLI's own headers, for the routes it uses; nothing for any other client.
    pub(in crate::server) fn codex_headers(&self) -> HeaderMap {
        BackendCall::passed_headers(&self.headers)
    }

    /// Returns whether the client is a Codex CLI.
    pub(in crate::server) fn is_from_codex(&self) -> bool {
        BackendCall::is_from_codex(&self.headers)
    }

    /// Returns whether the client never refers to earlier answers over HTTP: a Codex CLI sends its whole, long history
    /// each time, and many at once would evict every other client's memory for no use.
    pub(in crate::server) fn keeps_its_own_history(&self) -> bool {
        self.is_from_codex()
    }

    /// Returns the kind of client that reads a relayed stream.
    pub(in crate::server) fn reader(&self) -> Reader {
        if self.is_from_codex() { Reader::Codex } else { Reader::Library }
    }

    /// Creates a call of the endpoint `path` with `body`.
    pub(in crate::server) fn endpoint_call(
        &self,
        path: &'static str,
        accept: &'static str,
        body: Bytes,
    ) -> EndpointCall {
        if let Some(slot) = self.log.slot() {
            slot.now_holds(body.len());
        }
        EndpointCall { path, body, accept, client_headers: self.codex_headers() }
    }

    /// Creates the exchange of a translated request. `asked` is the context for remembering its answer, if it is
    /// remembered.
    pub(in crate::server) fn exchange(
        &self,
        translated: BackendRequest,
        model: Resolution,
        asked: Option<Asked>,
    ) -> Exchange {
        self.app.catalogue.keep_current();
        let BackendRequest {
            body,
            session_key,
            ignored,
            reasoning,
            reasoning_left_out,
            references: _,
            names,
            outline,
            may_move_files,
        } = translated;
        if self.app.ledger.is_some()
            && let Some(index) = self.app.prefixes.turn(self.scope, &session_key, &body, &outline)
        {
            self.log.prefix_break(index);
        }
        if let Some(slot) = self.log.slot() {
            slot.now_holds(body.len());
        }
        if !ignored.is_empty() {
            self.log.ignored(&ignored.join(", "));
        }
        let call = BackendCall {
            model,
            strict_model: self.app.settings.strict_model,
            body: Body::new(body, reasoning),
            may_move_files,
            session_key,
            names,
            client_headers: None,
        };
        let (app, log, scope) = (self.app.clone(), self.log.clone(), self.scope);
        Exchange { app, log, scope, call, ignored, reasoning_left_out, asked }
    }
}

pub(super) fn check_length(model: Option<&str>) -> Result<(), Fault> {
    let Some(length) = model.map(str::len).filter(|length| *length > NAME) else { return Ok(()) };
    let message = format!("'model' has {length} bytes; no model's name is longer than {NAME}");
    Err(Fault::invalid("model", message))
}

/// From this size, translating a body (some nanoseconds per byte) would delay other requests on its thread; below it,
/// another thread costs more than it saves.
const LARGE: usize = 256 << 10;

/// The headers with a client's session id, best first.
const SESSION_HEADERS: [HeaderName; 6] = [
    HeaderName::from_static("session-id"),
    HeaderName::from_static("session_id"),
    HeaderName::from_static("x-session-id"),
    HeaderName::from_static("x-session-affinity"),
    HeaderName::from_static("x-affinity"),
    HeaderName::from_static("thread-id"),
];

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::server::settings::ServerSettings;

    async fn thread_of(length: usize) -> thread::ThreadId {
        let app = crate::server::tests::app(ServerSettings::default());
        let request = Request::new(axum::body::Body::from(vec![b' '; length]));
        let incoming = Incoming::read(app, request).await.expect("a body");
        incoming.work(|_| thread::current().id()).await
    }

    #[tokio::test]
    async fn a_large_body_holds_nobody_else_up() {
        let here = thread::current().id();
        assert_eq!(thread_of(LARGE).await, here);
        assert_ne!(thread_of(LARGE + 1).await, here);
    }
}
