//! What the operator decided about serving.

use std::sync::Arc;
use std::time::Duration;

use crate::dialect::chat::options::ReasoningFormat;
use crate::server::guard::Guard;

/// Limits and rules; none of them changes while the process runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may call.
    pub guard: Guard,
    /// Bytes of a request body at most, unpacked; more is answered with 413.
    pub max_body_size: usize,
    /// Bytes that the bodies of all requests in progress take, unpacked; more are answered with 503. One body always fits.
    pub body_memory: usize,
    /// How long a client may be silent in the middle of a request body; longer is answered with 408.
    pub body_silence: Duration,
    /// How long a streamed answer may be silent before a keepalive is sent.
    pub keepalive: Duration,
    /// POST requests worked on at once; more are answered with 503.
    pub max_concurrent: usize,
    /// How chat answers show reasoning.
    pub reasoning_format: ReasoningFormat,
    /// Whether a chat's earlier reasoning is kept in memory and given back to the model on the next turn.
    pub reasoning_replay: bool,
    /// Whether a request is refused rather than answered by another model than the one it was sent to.
    pub strict_model: bool,
    /// Sent as `instructions` in place of the client's own, which then become a leading developer message.
    pub instructions: Option<Arc<str>>,
    /// Whether bodies are logged, without credentials.
    pub log_bodies: bool,
}

impl Default for Settings {
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
        }
    }
}
