//! What the operator decided about serving.

use std::time::Duration;

use super::guard::Guard;
use crate::translate::chat::ReasoningFormat;

/// Limits and rules; none of them changes while the process runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may call.
    pub guard: Guard,
    /// Bytes of a request body at most, unpacked; more is answered with 413.
    pub max_body_size: usize,
    /// How long a client may be silent in the middle of a request body; longer is answered with 408.
    pub body_silence: Duration,
    /// How long a streamed answer may be silent before a keepalive is sent.
    pub keepalive: Duration,
    /// How chat shows reasoning.
    pub reasoning_format: ReasoningFormat,
    /// The operator's instructions, sent in place of the client's.
    pub instructions: Option<String>,
    /// POST requests worked on at once; more are answered with 503.
    pub max_concurrent: usize,
}

impl Default for Settings {
    /// 64 MiB, 60 s and 512 requests; only loopback, no web page, no key.
    fn default() -> Self {
        Self {
            guard: Guard::default(),
            max_body_size: 64 << 20,
            body_silence: Duration::from_secs(60),
            keepalive: Duration::from_secs(15),
            reasoning_format: ReasoningFormat::default(),
            instructions: None,
            max_concurrent: 512,
        }
    }
}
