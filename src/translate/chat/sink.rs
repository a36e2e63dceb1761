//! What a chat answer is made of, and the two places it can go.

use crate::openai::error::ApiError;
use crate::openai::json::Text;
use crate::translate::event::Usage;

/// How a client wants to see the model's reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReasoningFormat {
    /// In the field `reasoning_content`, as most clients read it.
    #[default]
    ReasoningContent,
    /// In the field `reasoning`.
    Reasoning,
    /// Inside the content, between `<think>` and `</think>`.
    ThinkTags,
    /// Not at all.
    None,
}

impl ReasoningFormat {
    /// The field that carries reasoning, where one does.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Reasoning => "reasoning",
            Self::ReasoningContent | Self::ThinkTags | Self::None => "reasoning_content",
        }
    }
}

/// What is the same in every chunk of an answer, and how the client asked for it.
#[derive(Debug, Clone)]
pub struct AnswerMeta {
    /// Unix seconds.
    pub created: u64,
    /// The backend model that was asked for; the sink is told which one answers.
    pub model: String,
    /// The id of the answer should the backend not give one.
    pub fallback_id: String,
    /// The client asked for a usage chunk (`stream_options.include_usage`).
    pub include_usage: bool,
    /// The request used `functions`, so the answer uses `function_call`.
    pub legacy_functions: bool,
    /// How reasoning is shown.
    pub reasoning: ReasoningFormat,
}

/// The two kinds of call a client runs itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// A function with JSON arguments.
    Function,
    /// A custom tool with free-form input.
    Custom,
}

impl CallKind {
    /// The call's `type`, which is also the field that holds it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Custom => "custom",
        }
    }

    /// The field with what the tool is called with.
    pub const fn payload_field(self) -> &'static str {
        match self {
            Self::Function => "arguments",
            Self::Custom => "input",
        }
    }
}

/// The beginning of a call.
#[derive(Debug, Clone, Copy)]
pub struct CallHead<'a> {
    /// Its place among the answer's calls, counted from 0.
    pub index: usize,
    /// Function or custom.
    pub kind: CallKind,
    /// The id the tool's output must name.
    pub id: Text<'a>,
    /// The tool.
    pub name: Text<'a>,
}

/// A generated image. It may be long, so it is copied only to where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// The format's name, such as `png`.
    pub format: Text<'a>,
    /// The image in base64.
    pub base64: Text<'a>,
}

impl Image<'_> {
    /// Appends the data URL of the image, escaped as a JSON string's inside.
    pub fn write_url(&self, out: &mut Vec<u8>) {
        for piece in ["data:image/", self.format.escaped(), ";base64,", self.base64.escaped()] {
            out.extend_from_slice(piece.as_bytes());
        }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model had said all it had to say.
    Stop,
    /// The client is to run the calls.
    ToolCalls,
    /// The same, in the legacy form.
    FunctionCall,
    /// The answer was cut at a token limit.
    Length,
    /// The answer was cut by a content filter.
    ContentFilter,
}

impl FinishReason {
    /// That of an incomplete answer, by the backend's reason.
    pub fn of_incomplete(reason: Option<&str>) -> Self {
        if reason == Some("content_filter") { Self::ContentFilter } else { Self::Length }
    }

    /// The API's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::ToolCalls => "tool_calls",
            Self::FunctionCall => "function_call",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Receives the pieces of an answer in order. Texts come escaped and are passed on as they are.
pub trait Sink: Send + Unpin {
    /// The backend's id for the answer; comes before anything else, if it comes.
    fn identify(&mut self, id: &str);
    /// The model that answers, by the best name known so far. One answer has one name: what comes after it was said to a
    /// client does not count.
    fn model(&mut self, name: &str);
    /// More of the answer's text.
    fn content(&mut self, text: Text<'_>, out: &mut Vec<u8>);
    /// More of a refusal.
    fn refusal(&mut self, text: Text<'_>, out: &mut Vec<u8>);
    /// More of the reasoning.
    fn reasoning(&mut self, text: Text<'_>, out: &mut Vec<u8>);
    /// A call begins.
    fn call(&mut self, head: CallHead<'_>, out: &mut Vec<u8>);
    /// More of the arguments of the call at `index`.
    fn arguments(&mut self, index: usize, kind: CallKind, text: Text<'_>, out: &mut Vec<u8>);
    /// A citation, as a JSON object in chat's shape.
    fn annotation(&mut self, json: &[u8], out: &mut Vec<u8>);
    /// A generated image.
    fn image(&mut self, image: Image<'_>, out: &mut Vec<u8>);
    /// The answer is whole.
    fn finish(&mut self, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>);
    /// The answer has failed after some of it was sent.
    fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>);
}
