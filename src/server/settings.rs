//! The server's settings.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::dialect::chat::options::ReasoningFormat;
use crate::server::guard::Guard;

/// The server's limits and rules, constant while the process runs.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The access rules.
    pub guard: Guard,
    /// The largest request body in bytes, decompressed; a larger one is answered with 413.
    pub max_body_size: usize,
    /// The most bytes of all requests' bodies, decompressed; more are answered with 503. One body always fits.
    pub body_memory: usize,
    /// The longest silence in the middle of a request body; a longer one is answered with 408.
    pub body_silence: Duration,
    /// The longest silence of a streamed answer before a keepalive is sent.
    pub keepalive: Duration,
    /// The most concurrent POST requests; more are answered with 503.
    pub max_concurrent: usize,
    /// The form of reasoning in chat answers.
    pub reasoning_format: ReasoningFormat,
    /// Whether a chat's reasoning is kept in memory and returned to the model on the next turn.
    pub reasoning_replay: bool,
    /// Whether a request is refused rather than answered by another model than the one sent.
    pub strict_model: bool,
    /// The `instructions` sent in place of the client's own, which then become a leading developer message.
    pub instructions: Option<Arc<str>>,
    /// Whether bodies are logged, without credentials.
    pub log_bodies: bool,
    /// The backend that answers.
    pub mode: ServerMode,
}

/// The backend that answers a server's requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerMode {
    /// ChatGPT Codex.
    #[default]
    Live,
    /// The simulator: no model answers.
    Demo,
}

impl Default for ServerSettings {
    /// 64 MiB a body and 512 MiB for all, 60 s and 512 requests; only loopback, no web page, no key.
    fn default() -> Self {
        Self {
            guard: Guard::default(),
            max_body_size: 64 << 20,
            body_memory: 512 << 20,
            body_silence: Duration::from_secs(60),
            keepalive: Duration::from_secs(15),
            max_concurrent: 512,
            reasoning_format: ReasoningFormat::default(),
            reasoning_replay: true,
            strict_model: false,
            instructions: None,
            log_bodies: false,
            mode: ServerMode::Live,
        }
    }
}
