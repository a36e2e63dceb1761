//! A client's request, independent of its API.
//!
//! * A [`Conversation`] is the result of a dialect's parser and the source of the backend's body.
//! * It borrows from the request's bytes: texts stay in their escaped form, and forwarded values stay raw JSON.
//! * [`ignored`] lists the request's fields without effect.
//!
//! Pure: no I/O, no clock, no runtime.

pub mod call;
pub mod content;
pub mod ignored;
pub mod settings;
pub mod tool;
pub mod turn;

use std::borrow::Cow;

use crate::json::Text;
use ignored::Ignored;
use settings::{ResponseFormat, TierRequest};
use tool::{Tool, ToolChoice, WebSearch};
use turn::Turn;

/// A conversation and the settings for its next answer.
#[derive(Debug, Default)]
pub struct Conversation<'a> {
    /// The turns, in order.
    pub turns: Vec<Turn<'a>>,
    /// The tools the client offers.
    pub tools: Vec<Tool<'a>>,
    /// The tools among them that the model may or must use.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether the model may call only one tool at a time.
    pub one_call_at_a_time: bool,
    /// A web search requested without a tool's name.
    pub web_search: Option<WebSearch<'a>>,
    /// The format of the answer's text.
    pub format: Option<ResponseFormat<'a>>,
    /// The length of the answer: `low`, `medium` or `high`.
    pub verbosity: Option<Text<'a>>,
    /// The requested summary of the model's reasoning, such as `auto`; none if the client does not see summaries.
    pub summary: Option<Text<'a>>,
    /// The service tier the client asks for.
    pub service_tier: Option<TierRequest<'a>>,
    /// The client's own cache key.
    pub cache_key: Option<Cow<'a, str>>,
    /// The client's name for the session, if neither a cache key nor a header gives one.
    pub session: Option<Cow<'a, str>>,
    /// Whether reasoning returned by the client cannot be sent: it belongs to another model or account, or precedes
    /// nothing it led to.
    pub reasoning_left_out: bool,
    /// Fields without effect.
    pub ignored: Ignored,
}
