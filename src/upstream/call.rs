//! A request to the backend.

use std::sync::Arc;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName};

use crate::backend::request::body::Body;
use crate::backend::request::names::ToolNames;
use crate::models::Resolution;

/// One request to the backend.
#[derive(Debug, Clone)]
pub struct BackendCall {
    /// The model and effort in the body.
    pub model: Resolution,
    /// Whether an answer by another model is a failure.
    pub strict_model: bool,
    /// The body, from which reasoning can be removed.
    pub body: Body,
    /// Whether files in it that the backend refuses may be sent in another form.
    pub may_move_files: bool,
    /// The conversation's cache key, for the `session-id` header.
    pub session_key: String,
    /// The tools' names changed for the backend.
    pub names: Option<Arc<ToolNames>>,
    /// The client's own headers to forward, chosen by [`BackendCall::passed_headers`]; none for most clients.
    pub client_headers: Option<Box<HeaderMap>>,
}

impl BackendCall {
    /// Copies the call for another model or effort. The error is a body that is no JSON object.
    pub(super) fn readdressed(&self, model: Resolution) -> Result<Self, serde_json::Error> {
        Ok(Self { body: self.body.readdressed(&model)?, model, ..self.clone() })
    }

    /// Returns whether the client is a Codex CLI, by its `originator` or `User-Agent`.
    pub fn is_from_codex(client: &HeaderMap) -> bool {
        let names_codex = |name: HeaderName| {
            client.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with("codex"))
        };
        names_codex(ORIGINATOR) || names_codex(USER_AGENT)
    }

    /// Selects the headers of a Codex client that the backend uses. `Authorization` is never among them.
    pub fn passed_headers(client: &HeaderMap) -> HeaderMap {
        if !Self::is_from_codex(client) {
            return HeaderMap::new();
        }
        let means_something = |name: &str| {
            PASSED.contains(&name) || (name.starts_with("x-codex-") && !name.starts_with("x-codex-proxy-"))
        };
        client
            .iter()
            .filter(|(name, _)| means_something(name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

pub(super) const ORIGINATOR: HeaderName = HeaderName::from_static("originator");

const PASSED: [&str; 4] = ["session-id", "thread-id", "x-client-request-id", "x-openai-subagent"];

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_a_codex_client_is_listened_to_and_never_its_key() {
        let sent = [
            ("user-agent", "codex_exec/0.169.0 (Debian 12; x86_64)"),
            ("authorization", "Bearer sk-x"),
            ("session-id", "s"),
            ("x-codex-window-id", "w"),
            ("cookie", "c"),
        ];
        let passed = BackendCall::passed_headers(&headers(&sent));
        assert_eq!(passed, headers(&[("session-id", "s"), ("x-codex-window-id", "w")]));
        let other = [("user-agent", "curl/8"), ("session-id", "s"), ("x-codex-window-id", "w")];
        assert!(BackendCall::passed_headers(&headers(&other)).is_empty());
    }
}
