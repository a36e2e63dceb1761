//! One call to the backend, from token to the first visible event.
//!
//! * [`Upstream::open`] sends a [`BackendCall`] and reads its answer until the first event that a client would see.
//!   Until then a failure is an error with its own status, and may be retried; afterwards the answer belongs to the
//!   client.
//! * A 401 first reloads the login, then renews it; other failures are mapped in [`failed_attempt`] and retried as
//!   [`retry`] says, or once with another body from `remedy`: a retired model's successor, or an effort that the model
//!   supports.
//! * `when` reads the time of a retry from a failure, and [`words`] knows the failures that only their text tells.
//! * [`Upstream::call`] asks one of the endpoints beside `/responses`, with the same login, headers and failures.
//! * `warmth` has a connection ready before a call needs it (native).
//! * `socket` sends calls over WebSockets instead, if the settings say so (native).
//! * [`page`]: the backend's other pages, such as the plan's usage.
//! * [`defaults`]: the default addresses, and checks of an operator's values.
//! * Dropping the returned futures and streams closes the connection to the backend.

pub mod call;
pub mod defaults;
pub mod endpoint;
pub mod exchange;
pub mod failed_attempt;
mod gateway;
pub(crate) mod head;
pub mod idle;
pub mod page;
mod remedy;
pub mod retry;
#[cfg(not(target_arch = "wasm32"))]
mod socket;
#[cfg(not(target_arch = "wasm32"))]
mod warmth;
mod when;
pub mod words;

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
#[cfg(not(target_arch = "wasm32"))]
use futures_util::future::Either;
use http::uri::InvalidUri;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};

pub use call::BackendCall;
pub use endpoint::EndpointCall;
pub use exchange::Opened;
pub use head::Head;
#[cfg(not(target_arch = "wasm32"))]
pub use socket::{SocketUse, UpstreamTransport};

use crate::backend::request::body::Without;
use crate::credentials::Access;
use crate::credentials::supplier::TokenSupplier;
use crate::fault::{Fault, FaultKind};
use crate::limits::board::LimitBoard;
use crate::limits::headers::LimitHeaders;
use crate::models::Models;
use crate::phases::{Phase, PhaseClock};
use crate::platform::{ByteStream, HttpClient, OnSent, TransportError, unix_now};
use failed_attempt::FailedAttempt;
use head::Identity;
use idle::within;
#[cfg(not(target_arch = "wasm32"))]
use socket::{Conversation, Sockets};
#[cfg(not(target_arch = "wasm32"))]
use warmth::Warmth;

/// The backend's address, and this program's identification there.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// The base URL of `/responses`, without a trailing slash.
    pub base_url: String,
    /// The `originator` header.
    pub originator: String,
    /// The `version` header: the backend hides the newest models from older versions.
    pub client_version: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The longest silence of the backend.
    pub idle_timeout: Duration,
    /// The routing of workspaces.
    pub routing: Routing,
    /// The way of calls for answers.
    #[cfg(not(target_arch = "wasm32"))]
    pub transport: UpstreamTransport,
}

/// The routing of workspaces with a backend of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// The base URL for FedRAMP workspaces; `None` uses [`UpstreamSettings::base_url`].
    pub fedramp_url: Option<String>,
    /// The header `x-openai-account-routing-override` of every call to the backend. Never sent to the issuer.
    pub account_override: Option<String>,
}

impl UpstreamSettings {
    /// The longest silence of the backend before a call is given up.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

    /// Returns the base URL of `/responses` for the account of `access`.
    pub fn url_for(&self, access: &Access) -> &str {
        self.routing.fedramp_url.as_deref().filter(|_| access.fedramp).unwrap_or(&self.base_url)
    }

    /// Adds the account and this program's identification, for a page of the backend.
    pub fn identify(&self, headers: &mut HeaderMap, access: &Access) -> Result<(), &'static str> {
        Identity::new(self).write(headers, access)
    }

    /// Returns this program's own name: `codex-proxy/<version> (<os>; <architecture>)`.
    pub fn user_agent() -> String {
        use std::env::consts::ARCH;
        const OS: &str = if cfg!(target_arch = "wasm32") { "Cloudflare Workers" } else { std::env::consts::OS };
        format!("codex-proxy/{} ({OS}; {ARCH})", env!("CARGO_PKG_VERSION"))
    }
}

/// An event of a call, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident {
    /// An attempt failed.
    Failed(FaultKind),
    /// The call is retried.
    Retried,
    /// A call was sent, where it might go over a WebSocket.
    #[cfg(not(target_arch = "wasm32"))]
    Sent(SocketUse),
}

/// An answer and its account.
struct Answered {
    response: Response<ByteStream>,
    account: Arc<str>,
}

/// The reasoning that an attempt leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Reasoning of other accounts.
    Foreign,
    /// All reasoning, after the backend has refused it.
    All,
}

impl Cut {
    fn without(self, account: &str) -> Without<'_> {
        match self {
            Self::Foreign => Without::OthersThan(account),
            Self::All => Without::Any,
        }
    }
}

/// The parts of a request that are the same in every call.
#[derive(Debug)]
struct Addressing {
    identity: Identity,
    /// The address of calls for answers; none if it is unusable, which each call then tells.
    answers: Option<Uri>,
}

impl Addressing {
    fn new(settings: &UpstreamSettings) -> Self {
        Self { identity: Identity::new(settings), answers: address(&settings.base_url, ANSWERS).ok() }
    }
}

fn address(base_url: &str, path: &str) -> Result<Uri, InvalidUri> {
    [base_url, path].concat().parse()
}

/// The path of calls for answers.
const ANSWERS: &str = "/responses";

/// The headers of a usual call, with those that the HTTP client adds.
const USUAL_HEADERS: usize = 12;

/// Writes the request for a login.
type Write<'a> = &'a (dyn Fn(&Access) -> Result<Request<Bytes>, FailedAttempt> + Send + Sync);

/// Returns the failure of a login whose part `name` no header can hold.
fn unusable_login(name: &'static str) -> FailedAttempt {
    let message = format!("the login's {name} holds characters that no header may hold; run `codex-proxy login`");
    Fault::new(FaultKind::NoCredentials, message).into()
}

/// Returns `text` without the tokens of `supplier`'s login, if it holds any.
fn masked(supplier: &TokenSupplier, text: &str) -> Option<String> {
    match supplier.mask(text) {
        Cow::Owned(masked) => Some(masked),
        Cow::Borrowed(_) => None,
    }
}

/// The client of the backend. Clones share the connection pool and the login.
#[derive(Clone)]
pub struct Upstream {
    pub(crate) settings: Arc<UpstreamSettings>,
    addressing: Arc<Addressing>,
    pub(crate) client: HttpClient,
    pub(crate) supplier: TokenSupplier,
    models: Arc<Models>,
    /// What the backend last told of the plan's usage.
    pub(crate) limits: LimitBoard,
    /// The calls over WebSockets, if the settings say so.
    #[cfg(not(target_arch = "wasm32"))]
    sockets: Option<Sockets>,
    /// Held while the plan's usage is asked for.
    #[cfg(not(target_arch = "wasm32"))]
    asking: Arc<tokio::sync::Mutex<()>>,
    #[cfg(not(target_arch = "wasm32"))]
    warmth: Arc<Warmth>,
    observe: Arc<dyn Fn(Incident) + Send + Sync>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Upstream").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Creates a client that teaches `models` from the backend's rejections and reports every failure and retry to
    /// `observe`.
    pub fn new(
        settings: UpstreamSettings,
        client: HttpClient,
        supplier: TokenSupplier,
        models: Arc<Models>,
        observe: impl Fn(Incident) + Send + Sync + 'static,
    ) -> Self {
        let limits = LimitBoard::default();
        #[cfg(not(target_arch = "wasm32"))]
        let sockets = (settings.transport == UpstreamTransport::WebSocket).then(|| {
            let (limits, supplier) = (limits.clone(), supplier.clone());
            let note = move |account: &str, event: &[u8]| {
                if let Some(told) = LimitHeaders::of_event(event, |text| masked(&supplier, text)) {
                    limits.note_headers(account, told, unix_now().as_secs());
                }
            };
            Sockets::new(client.clone(), Arc::new(note))
        });
        Self {
            addressing: Arc::new(Addressing::new(&settings)),
            settings: Arc::new(settings),
            client,
            supplier,
            models,
            limits,
            #[cfg(not(target_arch = "wasm32"))]
            sockets,
            #[cfg(not(target_arch = "wasm32"))]
            asking: Arc::default(),
            #[cfg(not(target_arch = "wasm32"))]
            warmth: Arc::new(Warmth::new()),
            observe: Arc::new(observe),
        }
    }

    /// Sends the request that `write` makes for a login, with a token that the backend accepts, if one can be had.
    async fn send(&self, write: Write<'_>, clock: &PhaseClock) -> Result<Answered, FailedAttempt> {
        clock.enter(Phase::Token);
        let access = self.supplier.access().await.map_err(FailedAttempt::no_login)?;
        let answered = self.send_as(&access, write, clock).await?;
        if answered.response.status() != StatusCode::UNAUTHORIZED {
            return Ok(answered);
        }
        // Behind a pointer, so that no other call has to hold room for it.
        Box::pin(self.send_again(access, write, clock)).await
    }

    /// Sends the request of `write` again after the backend has rejected `access`, as another login of the store's or as the
    /// same one renewed.
    async fn send_again(
        &self,
        access: Access,
        write: Write<'_>,
        clock: &PhaseClock,
    ) -> Result<Answered, FailedAttempt> {
        tracing::info!("the backend rejects the token; checking whether the store has another");
        clock.enter(Phase::Token);
        let access = self.supplier.reload(&access).await.map_err(FailedAttempt::no_login)?;
        let answered = self.send_as(&access, write, clock).await?;
        if answered.response.status() != StatusCode::UNAUTHORIZED {
            return Ok(answered);
        }
        clock.enter(Phase::Token);
        let access = if self.supplier.is_new_and_unproven(&access) {
            tracing::warn!("the backend rejects a token that was just issued; it is not renewed again so soon");
            access
        } else {
            tracing::info!("the backend still rejects the token; renewing it");
            self.supplier.renew(&access).await.map_err(FailedAttempt::no_login)?
        };
        self.send_as(&access, write, clock).await
    }

    /// Sends the request as the account of `access`.
    async fn send_as(&self, access: &Access, write: Write<'_>, clock: &PhaseClock) -> Result<Answered, FailedAttempt> {
        let mut request = write(access)?;
        clock.enter(Phase::Connect);
        let on_sent = clock.clone();
        request.extensions_mut().insert(OnSent::new(move || on_sent.enter(Phase::Head)));
        // Pinned here: a future that is given away is held twice, as an argument and where it is polled.
        match within(self.settings.idle_timeout, pin!(self.transmit(request))).await {
            Some(Ok(response)) => {
                if response.status() != StatusCode::UNAUTHORIZED {
                    self.supplier.accepted(access);
                }
                let told = LimitHeaders::of(response.headers(), |text| self.masked(text));
                self.limits.note_headers(&access.account_id, told, unix_now().as_secs());
                Ok(Answered { response, account: Arc::from(access.account_id.as_str()) })
            }
            Some(Err(error)) => Err(FailedAttempt::unreachable(&error, self.settings.url_for(access))),
            None => Err(FailedAttempt::silent(self.settings.idle_timeout)),
        }
    }

    /// Sends a request over the socket of its conversation, if it has one and the settings say so, or by HTTP.
    #[cfg(not(target_arch = "wasm32"))]
    fn transmit(
        &self,
        mut request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<ByteStream>, TransportError>> {
        if let Some(sockets) = &self.sockets
            && let Some(conversation) = request.extensions_mut().remove::<Conversation>()
        {
            // Behind a pointer, so that a call by HTTP needs no room for it.
            return Either::Right(Box::pin(self.transmit_over(sockets, conversation, request)));
        }
        Either::Left(self.client.send(request))
    }

    #[cfg(target_arch = "wasm32")]
    fn transmit(&self, request: Request<Bytes>) -> impl Future<Output = Result<Response<ByteStream>, TransportError>> {
        self.client.send(request)
    }

    /// Sends a request over the socket of `conversation`, or by HTTP after all.
    #[cfg(not(target_arch = "wasm32"))]
    async fn transmit_over(
        &self,
        sockets: &Sockets,
        conversation: Conversation,
        request: Request<Bytes>,
    ) -> Result<Response<ByteStream>, TransportError> {
        if let Some((response, used)) = sockets.send(&request, conversation).await {
            (self.observe)(Incident::Sent(used));
            return Ok(response);
        }
        (self.observe)(Incident::Sent(SocketUse::Http));
        self.client.send(request).await
    }

    /// Closes the WebSockets without a call. No more are opened.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn close(&self) {
        if let Some(sockets) = &self.sockets {
            sockets.close().await;
        }
    }

    /// Writes `call` for the account of `access`. Reasoning of other accounts is never sent: the login may have been
    /// replaced since the body was written.
    fn request(&self, access: &Access, call: &BackendCall, cut: Cut) -> Result<Request<Bytes>, FailedAttempt> {
        let mut request = self.post(access, ANSWERS, call.body.bytes(cut.without(&access.account_id)))?;
        head::write(request.headers_mut(), &self.addressing.identity, access, call).map_err(unusable_login)?;
        #[cfg(not(target_arch = "wasm32"))]
        if self.sockets.is_some() {
            let conversation = Conversation { account: access.account_id.clone(), key: call.session_key.clone() };
            request.extensions_mut().insert(conversation);
        }
        Ok(request)
    }

    /// Creates the request of `body` to `path` below the base URL, without headers.
    fn post(&self, access: &Access, path: &str, body: Bytes) -> Result<Request<Bytes>, FailedAttempt> {
        let base_url = self.settings.url_for(access);
        let uri = match &self.addressing.answers {
            Some(uri) if path == ANSWERS && base_url == self.settings.base_url => uri.clone(),
            Some(_) | None => address(base_url, path)
                .map_err(|error| FailedAttempt::internal(format!("the backend's URL is not usable: {error}")))?,
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = HeaderMap::with_capacity(USUAL_HEADERS);
        Ok(request)
    }

    /// Returns `text` without the login's tokens, if it holds any.
    fn masked(&self, text: &str) -> Option<String> {
        masked(&self.supplier, text)
    }

    fn failed(&self, failed: &FailedAttempt) {
        (self.observe)(Incident::Failed(failed.error.kind));
        let error = &failed.error;
        let reason = error.loggable().or(error.code()).unwrap_or("the request is at fault");
        tracing::debug!(status = error.status().as_u16(), "the call failed: {reason}");
    }
}
