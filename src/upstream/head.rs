//! The heads of requests and answers.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::credentials::{Access, TokenSupplier};
use crate::upstream::call::ORIGINATOR;
use crate::upstream::{BackendCall, UpstreamSettings};

/// The part of an answer's head that concerns the client and the log.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// Limits and other `x-codex-*` headers, for the client.
    pub passed: Vec<(HeaderName, HeaderValue)>,
    /// The backend's id of the call.
    pub request_id: Option<String>,
    /// The answering model, if the head names it.
    pub model: Option<String>,
    /// Whether the backend holds the answer back for a check.
    pub is_held: bool,
}

impl Head {
    /// Reads an answer's headers.
    pub fn read(headers: &HeaderMap) -> Self {
        let request_id = REQUEST_IDS.iter().find_map(|name| headers.get(name));
        let mut passed: Vec<_> = headers
            .iter()
            .filter(|(name, _)| is_passed(name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if let Some(id) = request_id {
            passed.push((UPSTREAM_REQUEST_ID, id.clone()));
        }
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let model = headers.get(MODEL).and_then(text);
        let is_held =
            headers.get(SAFETY_BUFFERING).is_some_and(|value| ["true", "True", "1"].iter().any(|yes| value == yes));
        Self { passed, request_id: request_id.and_then(text), model, is_held }
    }

    /// Masks the tokens of `supplier`'s login, which the backend may have quoted in a header.
    #[must_use]
    pub(super) fn masked(mut self, supplier: &TokenSupplier) -> Self {
        mask(&mut self.passed, supplier);
        self.request_id = self.request_id.map(|id| supplier.mask(&id).into_owned());
        self
    }
}

/// Masks the tokens of `supplier`'s login in the values of `headers`.
pub(super) fn mask(headers: &mut [(HeaderName, HeaderValue)], supplier: &TokenSupplier) {
    for (_, value) in headers {
        let masked = match supplier.mask(&String::from_utf8_lossy(value.as_bytes())) {
            Cow::Owned(masked) => HeaderValue::try_from(masked).ok(),
            Cow::Borrowed(_) => None,
        };
        if let Some(masked) = masked {
            *value = masked;
        }
    }
}

/// Adds a call's headers. The error names the part of the login that no header can hold.
pub(super) fn write(
    headers: &mut HeaderMap,
    identity: &Identity,
    access: &Access,
    call: &BackendCall,
) -> Result<(), &'static str> {
    if let Some(own) = &call.client_headers {
        headers.extend(HeaderMap::clone(own));
    }
    identity.write(headers, access)?;
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if !headers.contains_key(SESSION_ID)
        && let Ok(session) = HeaderValue::try_from(&call.session_key)
    {
        headers.insert(SESSION_ID, session);
    }
    Ok(())
}

/// The headers by which this program identifies itself, the same in every call.
#[derive(Debug, Clone)]
pub(crate) struct Identity(Vec<(HeaderName, HeaderValue)>);

impl Identity {
    /// Makes the headers of `settings`. Values of the operator are taken as far as a header can hold them; no call fails for
    /// lack of one.
    pub(crate) fn new(settings: &UpstreamSettings) -> Self {
        let named = [
            (ROUTING_OVERRIDE, settings.routing.account_override.as_ref()),
            (USER_AGENT, Some(&settings.user_agent)),
            (ORIGINATOR, Some(&settings.originator)),
            (VERSION, Some(&settings.client_version)),
        ];
        let header = |(name, value): (HeaderName, Option<&String>)| {
            // Bytes that are shared, so that a copy of the value costs no memory.
            Some((name, HeaderValue::from_maybe_shared(Bytes::from(value?.clone())).ok()?))
        };
        Self(named.into_iter().filter_map(header).collect())
    }

    /// Adds the account and this program's identification. The error names the part of the login that no header can hold.
    pub(crate) fn write(&self, headers: &mut HeaderMap, access: &Access) -> Result<(), &'static str> {
        let bearer = ["Bearer ", access.token.expose()].concat();
        let mut bearer = HeaderValue::from_maybe_shared(Bytes::from(bearer)).map_err(|_| "access token")?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(ACCOUNT_ID, HeaderValue::try_from(&access.account_id).map_err(|_| "account id")?);
        if access.fedramp {
            headers.insert(FEDRAMP, HeaderValue::from_static("true"));
        }
        for (name, value) in &self.0 {
            headers.insert(name, value.clone());
        }
        Ok(())
    }
}

fn is_passed(name: &str) -> bool {
    name.starts_with("x-codex-")
        || PASSED.contains(&name)
        || PASSED_ENDINGS.iter().any(|ending| name.starts_with("x-") && name.ends_with(ending))
}

const ACCOUNT_ID: HeaderName = HeaderName::from_static("chatgpt-account-id");
const FEDRAMP: HeaderName = HeaderName::from_static("x-openai-fedramp");
/// The header that routes a workspace's calls, as in the Codex CLI (0.169).
const ROUTING_OVERRIDE: HeaderName = HeaderName::from_static("x-openai-account-routing-override");
const SESSION_ID: HeaderName = HeaderName::from_static("session-id");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");
const VERSION: HeaderName = HeaderName::from_static("version");

/// The headers with the backend's id of a call, best first.
const REQUEST_IDS: [HeaderName; 4] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-oai-request-id"),
    HeaderName::from_static("x-openai-request-id"),
    HeaderName::from_static("cf-ray"),
];

/// The header with the answering model, which may be another than the one requested.
const MODEL: HeaderName = HeaderName::from_static("openai-model");

/// The header that announces a check of the whole answer before it is shown.
const SAFETY_BUFFERING: HeaderName = HeaderName::from_static("x-codex-safety-buffering-enabled");

const PASSED: [&str; 3] = ["openai-model", "x-models-etag", "x-reasoning-included"];

/// The endings of further limits' headers, whose names vary.
const PASSED_ENDINGS: [&str; 4] = ["-used-percent", "-window-minutes", "-reset-at", "-limit-name"];
