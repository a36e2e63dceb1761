//! Access control by a request's head alone, before any of its body is read.
//!
//! * [`host`], then [`origin`]: 403. They apply to every route, `/health` too.
//! * [`key`]: 401, the same answer for a missing, wrong or malformed key. `/health` is open; `/admin` has a key of its
//!   own. [`holder`]: who has entered, and what the key allows.
//! * `media`: 415 for bodies that a web page may send across sites.
//! * Behind a reverse proxy, its public name has to be allowed, and it must forward `Host` and `Origin` unchanged.

pub(super) mod holder;
pub mod host;
pub mod key;
mod media;
pub mod origin;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
#[cfg(not(target_arch = "wasm32"))]
use http::HeaderMap;
use http::{HeaderValue, Method, header};

use crate::fault::{Fault, FaultKind};
use crate::humanize;
use crate::keys::book::KeyBook;
use crate::platform::unix_now;
use crate::server::App;
use crate::server::address::Mended;
use crate::server::guard::holder::Holder;
use crate::server::guard::host::{HostPolicy, is_address};
use crate::server::guard::key::{Keys, presented};
use crate::server::guard::origin::OriginPolicy;
use crate::server::observe::RequestLog;

/// The access rules.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// The hosts that a request may be addressed to.
    pub hosts: HostPolicy,
    /// The web pages that may call.
    pub origins: OriginPolicy,
    /// The keys of the API that have no name; without any of these and of the named ones, every client that reaches the
    /// port has access, unless `needs_key`.
    pub api_keys: Keys,
    /// The keys of the API that have names and limits.
    pub named: Arc<KeyBook>,
    /// Whether the API is closed while it has no key.
    pub needs_key: bool,
    /// The keys of `/admin`; without any, `/admin` is closed.
    pub admin_keys: Keys,
}

/// Refuses a request by its host and its origin.
pub(super) fn check_source(app: &App, request: &Request) -> Result<(), Fault> {
    app.settings.guard.source(request)
}

/// Refuses a request by its key and by the type of its body; notes on it who it comes from.
pub(super) fn check_entry(app: &Arc<App>, request: &mut Request) -> Result<(), Box<Response>> {
    match app.settings.guard.entry(request) {
        Ok(holder) => {
            RequestLog::of(app, request).entered_as(&holder);
            request.extensions_mut().insert(holder);
            Ok(())
        }
        Err(error) if error.kind == FaultKind::InvalidApiKey => {
            let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
            Err(Box::new((challenge, error).into_response()))
        }
        Err(error) => Err(Box::new(error.into_response())),
    }
}

impl Guard {
    /// Returns whether there are keys of the API.
    fn has_keys(&self) -> bool {
        !self.api_keys.is_empty() || self.named.needs_key()
    }

    fn source(&self, request: &Request) -> Result<(), Fault> {
        let headers = request.headers();
        let is_addressed = if self.has_keys() {
            self.hosts.admits_addresses(headers, request.uri())
        } else {
            self.hosts.admits(headers, request.uri())
        };
        if !is_addressed {
            let hosts: Vec<_> = headers.get_all(header::HOST).iter().map(HeaderValue::to_str).collect();
            let target = request.uri().host().filter(|host| !self.hosts.admits_host(host));
            let message = match (target, hosts.as_slice()) {
                (Some(host), _) | (None, &[Ok(host)]) if is_address(host) => format!(
                    "without a key this proxy does not answer to the address {host:?}; call it as localhost, or set a key \
                     (API_KEY), with which it answers to every address of its machine"
                ),
                (Some(host), _) | (None, &[Ok(host)]) => format!(
                    "this proxy does not answer to the host name {host:?}; call it as localhost, or allow the name \
                     with --allow-host"
                ),
                _ => "a request needs exactly one Host header that names this proxy, such as localhost".to_owned(),
            };
            return Err(Fault::new(FaultKind::Forbidden, message).with_code("host_not_allowed"));
        }
        if !self.origins.admits(headers) {
            let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or("unknown");
            let message = format!(
                "web pages may not call this proxy unless their origin is allowed; to allow this one, start it with \
                 --allow-origin {origin:?}"
            );
            return Err(Fault::new(FaultKind::Forbidden, message).with_code("origin_not_allowed"));
        }
        Ok(())
    }

    /// Returns whether a reader with `headers` may see the page. It tells of every client, as the metrics do, so the rule is
    /// theirs.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn admits_reader(&self, headers: &HeaderMap) -> bool {
        let mut request = Request::default();
        *request.uri_mut() = http::Uri::from_static("/metrics");
        request.headers_mut().clone_from(headers);
        self.entry(&request).is_ok()
    }

    /// Returns who the request comes from.
    fn entry(&self, request: &Request) -> Result<Holder, Fault> {
        let path = request.uri().path();
        // The open route is open only at the exact path that health checks use.
        if path == "/health" && request.extensions().get::<Mended>().is_none() {
            return Ok(Holder::Local);
        }
        // Claude Code asks without its key whether there is a server; there is nothing to be had there.
        if request.method() == Method::HEAD && matches!(path, "/" | "/api/hello") {
            return Ok(Holder::Local);
        }
        let holder = match is_admin(path) {
            true => self.admin(request).map(|()| Holder::Local)?,
            false => self.holder(request)?,
        };
        if request.method() == Method::POST
            && !media::needs_preflight(request.headers(), request.body())
            && !media::is_form_with_key(path, request.headers())
        {
            let form = "; a form is taken too, with a key in Authorization (any, where none is set)";
            let form = if media::takes_forms(path) { form } else { "" };
            let message =
                format!("send the request body as JSON, with the header content-type: application/json{form}");
            return Err(Fault::new(FaultKind::UnsupportedMediaType, message));
        }
        if path == "/metrics" && matches!(holder, Holder::Named(_)) {
            let message =
                "the metrics tell of every client, so they need a key of API_KEY or --api-key, not a named one";
            return Err(Fault::new(FaultKind::NotPermitted, message));
        }
        Ok(holder)
    }

    /// Returns the holder of the key that the request presents. A named key is found first: its limits hold even if it
    /// is given to the server as one without a name, too.
    fn holder(&self, request: &Request) -> Result<Holder, Fault> {
        let named = self.named.current();
        if !self.has_keys() {
            if !self.needs_key {
                return Ok(Holder::Local);
            }
            let message = "the API is closed, for it would give the subscription to anybody; to open it, set the secret \
                           API_KEY or ADMIN_API_KEY";
            return Err(Fault::new(FaultKind::Forbidden, message).with_code("api_disabled"));
        }
        let headers = request.headers();
        let Some(key) = (!named.is_empty()).then(|| named.find(presented(headers))).flatten() else {
            return self.api_keys.presented(headers).map(Holder::Unnamed).ok_or_else(invalid_key);
        };
        match key.expires_at.filter(|_| key.has_expired(unix_now().as_secs())) {
            None => Ok(Holder::Named(Arc::clone(key))),
            Some(end) => {
                let end = humanize::rfc3339(end).map(|end| format!(" at {end}")).unwrap_or_default();
                let message = format!("the key {} expired{end}", key.name);
                Err(Fault::new(FaultKind::InvalidApiKey, message))
            }
        }
    }

    fn admin(&self, request: &Request) -> Result<(), Fault> {
        if self.admin_keys.is_empty() {
            let message = "the admin API is closed; to open it, set ADMIN_API_KEY in the proxy's environment";
            return Err(Fault::new(FaultKind::Forbidden, message).with_code("admin_disabled"));
        }
        if self.admin_keys.open(request.headers()) { Ok(()) } else { Err(invalid_key()) }
    }
}

fn is_admin(path: &str) -> bool {
    path == "/admin" || path.starts_with("/admin/")
}

fn invalid_key() -> Fault {
    let message = "this needs one of the proxy's keys, as Authorization: Bearer KEY or X-API-Key: KEY";
    Fault::new(FaultKind::InvalidApiKey, message)
}
