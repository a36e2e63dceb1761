//! One row of the ledger.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use crate::phases::PhaseTimes;

/// What is kept of one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LedgerEntry {
    /// When the request's head arrived, in Unix milliseconds.
    pub started_at: u64,
    /// The route's pattern without `/v1`, such as `/chat/completions`.
    pub route: Arc<str>,
    /// The name of the client's key; `None` where no key is needed.
    pub client: Option<Cow<'static, str>>,
    /// The client's name for the model; `None` if it named none.
    pub model_asked: Option<String>,
    /// The model sent to the backend.
    pub model_sent: Option<String>,
    /// The model that the backend says has answered.
    pub model_answered: Option<String>,
    /// The effort sent.
    pub effort: Option<String>,
    /// The service tier of the answer, or the one asked for.
    pub tier: Option<String>,
    /// Whether the client asked for a stream.
    pub is_stream: bool,
    /// Whether the answer was handed over to its end; `false` if the client left before.
    pub is_whole: bool,
    /// The answer's status; `None` if the client left before there was one.
    pub status: Option<u16>,
    /// The code of the error that ended the answer.
    pub error_code: Option<String>,
    /// The tokens of all calls to the backend, as far as it has counted them.
    pub tokens: Option<TokenCounts>,
    /// The time to the first visible event, in milliseconds.
    pub first_token_ms: Option<u64>,
    /// The time to the answer's end, in milliseconds.
    pub duration_ms: u64,
    /// The backend's id of the call.
    pub upstream_request_id: Option<String>,
    /// Where the time to the first visible event went.
    pub phases: PhaseTimes,
    /// Where the conversation's beginning differs from its last turn's, so that the backend's cache cannot serve the
    /// rest: the index of a message in the backend's `input`, or -1 for model, instructions or tools. `None` if it does
    /// not differ, or there was no turn before.
    pub prefix_break: Option<i64>,
}

/// The tokens of one answer, as the backend counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TokenCounts {
    /// Tokens of the request, cached ones included.
    #[serde(rename = "input_tokens")]
    pub input: u64,
    /// Tokens of the request served from the backend's cache.
    #[serde(rename = "cached_tokens")]
    pub cached: u64,
    /// Tokens of the answer, reasoning included.
    #[serde(rename = "output_tokens")]
    pub output: u64,
    /// Tokens of the answer spent on reasoning.
    #[serde(rename = "reasoning_tokens")]
    pub reasoning: u64,
}

impl TokenCounts {
    /// Adds the tokens of another call.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached: self.cached.saturating_add(other.cached),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
        }
    }

    /// Bounds each count by [`MOST_TOKENS`].
    #[must_use]
    pub fn bounded(self) -> Self {
        let bound = |count: u64| count.min(MOST_TOKENS);
        Self {
            input: bound(self.input),
            cached: bound(self.cached),
            output: bound(self.output),
            reasoning: bound(self.reasoning),
        }
    }

    /// Returns the share of the request's tokens served from the cache, from 0 to 1; `None` for a request of no tokens.
    pub fn cache_hit_share(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "no request has so many tokens")]
        let share = |cached: u64, input: u64| cached as f64 / input as f64;
        (self.input > 0).then(|| share(self.cached.min(self.input), self.input))
    }
}

/// The most tokens that count for one answer. A real one has a millionth of it; a larger count is a mistake of the backend,
/// and sums of it would leave the integers of SQLite and Prometheus.
pub const MOST_TOKENS: u64 = 1_000_000_000_000;
