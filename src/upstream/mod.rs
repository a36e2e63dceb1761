//! One call to the backend, from token to the first event worth showing.
//!
//! * [`Upstream::open`] sends a [`Call`] and reads its answer until the first event that a client would see. Until then a
//!   failure is an error with its own status, and may be tried again; afterwards the answer belongs to the client.
//! * A 401 first reloads the login, then renews it; other failures are mapped in [`refusal`] and tried again as [`retry`]
//!   says, or once with another body where `remedy` knows one: a retired model's successor, an effort that the model takes.
//! * `when` reads from a refusal when to come back.
//! * [`written`]: where the backend is by default, and checks of what an operator writes instead.
//! * Dropping what these return closes the connection to the backend.

pub mod call;
mod encrypted;
pub mod exchange;
pub(crate) mod head;
pub mod idle;
pub mod refusal;
mod remedy;
pub mod retry;
mod when;
pub mod written;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};

pub use call::Call;
pub use exchange::Opened;
pub use head::Head;

use crate::backend::request::body::Without;
use crate::credentials::Access;
use crate::credentials::supplier::TokenSupplier;
use crate::fault::{ApiError, ErrorKind};
use crate::models::Models;
use crate::platform::{ByteStream, HttpClient};
use idle::within;
use refusal::Refusal;

/// Where the backend is and how this program introduces itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The URL under which `/responses` lies, without a slash at the end.
    pub base_url: String,
    /// The `originator` header.
    pub originator: String,
    /// The `version` header: the newest models show themselves only to recent versions.
    pub client_version: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// How long the backend may be silent.
    pub idle_timeout: Duration,
    /// What differs between workspaces.
    pub routing: Routing,
}

/// How workspaces with a backend of their own are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// The URL for FedRAMP workspaces in place of [`Settings::base_url`]; `None` where one URL serves all.
    pub fedramp_url: Option<String>,
    /// The header `x-openai-account-routing-override` of every call to the backend. Never sent to the issuer.
    pub account_override: Option<String>,
}

impl Settings {
    /// How long the backend may be silent before a call is given up.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

    /// The URL under which `/responses` lies for the account of `access`.
    pub fn url_for(&self, access: &Access) -> &str {
        self.routing.fedramp_url.as_deref().filter(|_| access.fedramp).unwrap_or(&self.base_url)
    }

    /// Fills in whose request it is and which program sends it, for a page of the backend.
    pub fn identify(&self, headers: &mut HeaderMap, access: &Access) -> Result<(), &'static str> {
        head::identify(headers, self, access)
    }

    /// This program's honest name: `codex-proxy/<version> (<os>; <architecture>)`.
    pub fn user_agent() -> String {
        use std::env::consts::ARCH;
        const OS: &str = if cfg!(target_arch = "wasm32") { "Cloudflare Workers" } else { std::env::consts::OS };
        format!("codex-proxy/{} ({OS}; {ARCH})", env!("CARGO_PKG_VERSION"))
    }
}

/// Something worth counting that happened on the way to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident {
    /// An attempt failed.
    Failed(ErrorKind),
    /// The call is tried again.
    Retried,
}

/// An answer's head and the account that got it.
struct Answered {
    response: Response<ByteStream>,
    account: Arc<str>,
}

/// Which reasoning an attempt goes without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// That of other accounts.
    Foreign,
    /// All of it, since the backend has refused it.
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

/// The way to the backend. Clones share the connection pool and the login.
#[derive(Clone)]
pub struct Upstream {
    pub(crate) settings: Arc<Settings>,
    pub(crate) client: HttpClient,
    pub(crate) supplier: TokenSupplier,
    models: Arc<Models>,
    observe: Arc<dyn Fn(Incident) + Send + Sync>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Upstream").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Upstream {
    /// A way to the backend that teaches `models` by refusals and tells `observe` of every failure and retry.
    pub fn new(
        settings: Settings,
        client: HttpClient,
        supplier: TokenSupplier,
        models: Arc<Models>,
        observe: impl Fn(Incident) + Send + Sync + 'static,
    ) -> Self {
        Self { settings: Arc::new(settings), client, supplier, models, observe: Arc::new(observe) }
    }

    /// Sends `call` with a token the backend accepts, if there is one to be had.
    async fn send(&self, call: &Call, cut: Cut) -> Result<Answered, Refusal> {
        let access = self.supplier.access().await.map_err(Refusal::no_login)?;
        let answered = self.send_as(&access, call, cut).await?;
        if answered.response.status() != StatusCode::UNAUTHORIZED {
            return Ok(answered);
        }
        tracing::info!("the backend refuses the token; looking whether the store has another");
        let access = self.supplier.reload(&access).await.map_err(Refusal::no_login)?;
        let answered = self.send_as(&access, call, cut).await?;
        if answered.response.status() != StatusCode::UNAUTHORIZED {
            return Ok(answered);
        }
        let access = if self.supplier.is_new_and_unproven(&access) {
            tracing::warn!(
                "the backend refuses a token that the issuer has just given; it is not renewed again so soon"
            );
            access
        } else {
            tracing::info!("the backend still refuses the token; renewing it");
            self.supplier.renew(&access).await.map_err(Refusal::no_login)?
        };
        self.send_as(&access, call, cut).await
    }

    /// Sends `call` as the account of `access`. What other accounts thought is never sent, whichever account the body was
    /// written for: the login may have been replaced since.
    async fn send_as(&self, access: &Access, call: &Call, cut: Cut) -> Result<Answered, Refusal> {
        let request = self.request(access, call, cut)?;
        match within(self.settings.idle_timeout, self.client.send(request)).await {
            Some(Ok(response)) => {
                if response.status() != StatusCode::UNAUTHORIZED {
                    self.supplier.accepted(access);
                }
                Ok(Answered { response, account: Arc::from(access.account_id.as_str()) })
            }
            Some(Err(error)) => Err(Refusal::unreachable(&error, self.settings.url_for(access))),
            None => Err(Refusal::silent(self.settings.idle_timeout)),
        }
    }

    fn request(&self, access: &Access, call: &Call, cut: Cut) -> Result<Request<Bytes>, Refusal> {
        let mut request = Request::post(format!("{}/responses", self.settings.url_for(access)))
            .body(call.body.bytes(cut.without(&access.account_id)))
            .map_err(|error| Refusal::internal(format!("the backend's URL is not usable: {error}")))?;
        head::write(request.headers_mut(), &self.settings, access, call).map_err(|name| {
            Refusal::from(ApiError::new(
                ErrorKind::NoCredentials,
                format!("the login's {name} holds characters that no header may hold; run `codex-proxy login`"),
            ))
        })?;
        Ok(request)
    }

    fn failed(&self, refusal: &Refusal) {
        (self.observe)(Incident::Failed(refusal.error.kind));
        let error = &refusal.error;
        let reason = error.loggable().or(error.code()).unwrap_or("the request is at fault");
        tracing::debug!(status = error.status().as_u16(), "the call failed: {reason}");
    }
}
