//! What a client asks, whatever API it speaks.
//!
//! * A [`Conversation`] is what a dialect's parser makes of a request's bytes and what the backend's body is written from.
//! * It borrows from the bytes: texts stay in their escaped form, and what is only passed on stays raw JSON.
//! * [`ignored`] lists what of the request changes nothing.
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
use settings::ResponseFormat;
use tool::{Tool, ToolChoice, WebSearch};
use turn::Turn;

/// A conversation and how it is to go on.
#[derive(Debug, Default)]
pub struct Conversation<'a> {
    /// Its turns, in order.
    pub turns: Vec<Turn<'a>>,
    /// The tools the client offers.
    pub tools: Vec<Tool<'a>>,
    /// Which of them the model may or must use.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// The model may call one tool at a time only.
    pub one_call_at_a_time: bool,
    /// A search of the web that is asked for without a tool's name.
    pub web_search: Option<WebSearch<'a>>,
    /// The form the answer's text must have.
    pub format: Option<ResponseFormat<'a>>,
    /// How much the model is to say: `low`, `medium` or `high`.
    pub verbosity: Option<Text<'a>>,
    /// The summary of the model's reasoning to ask for, such as `auto`; none where the client sees none.
    pub summary: Option<Text<'a>>,
    /// The service tier the client asks for.
    pub service_tier: Option<Cow<'a, str>>,
    /// The client's own cache key.
    pub cache_key: Option<Cow<'a, str>>,
    /// The client's name for the session, where neither a cache key nor a header tells.
    pub session: Option<Cow<'a, str>>,
    /// Reasoning that the client gave back cannot be sent: it is another's, or leads to nothing.
    pub reasoning_left_out: bool,
    /// Fields that change nothing.
    pub ignored: Ignored,
}
