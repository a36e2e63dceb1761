//! The request of Chat Completions, as clients send it.
//!
//! * [`ChatRequest::parse`] either gives a request that can be translated or an error that names the field.
//! * Whatever is only passed on stays raw JSON. A field that is `null` counts as absent.
//! * What has no counterpart upstream but does no harm is listed in [`ChatRequest::ignored`], keys inside messages, parts and
//!   tools too; what would change the answer's shape is refused.
//! * Shapes of other APIs are understood where they cannot mean anything else: Anthropic's tools and blocks, Ollama's images.

mod blocks;
pub mod call;
pub mod choice;
pub mod content;
pub mod message;
pub mod search;
mod stop;
pub mod tool;

use std::borrow::Cow;

use choice::ToolChoice;
use message::Message;
use search::WebSearch;
use serde_json::value::RawValue;
use tool::Tool;

use super::error::ApiError;
use super::ignored::Ignored;
use super::json::{self, Object, Path, Text};
use crate::models::effort::Effort;

/// A chat request whose shape is sound.
#[derive(Debug)]
pub struct ChatRequest<'a> {
    /// The model's name as the client wrote it.
    pub model: Option<Cow<'a, str>>,
    /// `reasoning_effort`, or the effort in it, if it is a word that means something, else `reasoning.effort`.
    pub effort: Option<Cow<'a, str>>,
    nested_effort: Option<Cow<'a, str>>,
    /// `reasoning.summary`, or the summary in an object under `reasoning_effort`.
    pub reasoning_summary: Option<Text<'a>>,
    /// The conversation; nothing if it stands under `input`.
    pub messages: Vec<Message<'a>>,
    /// The body is a Responses request, of which this says only how the answer is to be.
    pub has_input: bool,
    /// The client wants chunks.
    pub stream: bool,
    /// The client wants a usage chunk.
    pub include_usage: bool,
    /// `tools`, or the legacy `functions`.
    pub tools: Vec<Tool<'a>>,
    /// `tool_choice`, or the legacy `function_call`.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether the model may call several tools at once.
    pub parallel_tool_calls: Option<bool>,
    /// The client uses `functions` and expects `function_call` back.
    pub legacy_functions: bool,
    /// `web_search_options`.
    pub web_search: Option<WebSearch<'a>>,
    /// `response_format`.
    pub response_format: Option<ResponseFormat<'a>>,
    /// `verbosity`.
    pub verbosity: Option<Text<'a>>,
    /// `service_tier`.
    pub service_tier: Option<Cow<'a, str>>,
    /// `prompt_cache_key`.
    pub prompt_cache_key: Option<Cow<'a, str>>,
    /// `stop`: up to four texts, none of them empty.
    pub stop: Vec<String>,
    /// Fields that change nothing here.
    pub ignored: Ignored,
}

/// The form an answer's text must have.
#[derive(Debug)]
pub enum ResponseFormat<'a> {
    /// Free text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON by a schema: the inner object with `name`, `schema`, `strict`, `description`.
    JsonSchema(Object<'a>),
}

impl<'a> ChatRequest<'a> {
    /// The request in `body`.
    pub fn parse(body: &'a [u8]) -> Result<Self, ApiError> {
        let mut request = Self::empty();
        let object = json::body(body)?;
        let is_empty = |messages: &RawValue| messages.get().trim_matches(['[', ']', ' ', '\n', '\r', '\t']).is_empty();
        // Cursor's agent sends Responses bodies here.
        request.has_input = object.find("input").is_some() && object.find("messages").is_none_or(is_empty);
        for (key, value) in object.iter() {
            if value.get() != "null" && (!request.has_input || ANSWER_KEYS.contains(&key)) {
                request.field(key, value)?;
            }
        }
        if request.has_input {
            return Ok(request);
        }
        if request.effort.as_deref().and_then(Effort::parse).is_none() {
            request.effort = request.nested_effort.take();
        }
        let searches = |tool: &Tool<'_>| matches!(tool, Tool::Hosted { kind: "web_search", .. });
        if request.web_search.is_some() && request.tools.iter().any(searches) {
            request.web_search = None;
            request.ignored.add(&Path::Root.key("web_search_options"));
        }
        if object.find("messages").is_none() {
            return Err(ApiError::invalid("messages", "'messages' is missing"));
        }
        Ok(request)
    }

    fn empty() -> Self {
        Self {
            model: None,
            effort: None,
            nested_effort: None,
            reasoning_summary: None,
            messages: Vec::new(),
            has_input: false,
            stream: false,
            include_usage: false,
            tools: Vec::new(),
            tool_choice: None,
            parallel_tool_calls: None,
            legacy_functions: false,
            web_search: None,
            response_format: None,
            verbosity: None,
            service_tier: None,
            prompt_cache_key: None,
            stop: Vec::new(),
            ignored: Ignored::default(),
        }
    }

    fn field(&mut self, key: &str, value: &'a RawValue) -> Result<(), ApiError> {
        let path = &Path::Root.key(key);
        match key {
            "model" => self.model = Some(json::string(value, path)?),
            "messages" => self.messages = message::parse_all(value, path, &mut self.ignored)?,
            "stream" => self.stream = json::boolean(value, path)?,
            "stream_options" => self.stream_options(value, path)?,
            "tools" => self.tools.extend(tool::parse_tools(value, path, &mut self.ignored)?),
            "tool_choice" => self.tool_choice = Some(ToolChoice::parse(value, path, &mut self.ignored)?),
            "parallel_tool_calls" => self.parallel_tool_calls = Some(json::boolean(value, path)?),
            "functions" => {
                self.legacy_functions = true;
                self.tools.extend(tool::parse_functions(value, path, &mut self.ignored)?);
            }
            "function_call" => {
                if self.tool_choice.is_none() {
                    self.tool_choice = Some(ToolChoice::parse_legacy(value, path, &mut self.ignored)?);
                }
            }
            "web_search_options" => self.web_search = Some(WebSearch::parse(value, path, &mut self.ignored)?),
            "response_format" => self.response_format = Some(ResponseFormat::parse(value, path, &mut self.ignored)?),
            // Some tools put the Responses API's object here.
            "reasoning_effort" if json::kind(value) == "an object" => {
                let (effort, summary) = self.reasoning(value, path)?;
                self.effort = effort;
                self.reasoning_summary = self.reasoning_summary.or(summary);
            }
            "reasoning_effort" => self.effort = Some(json::string(value, path)?),
            "reasoning" => {
                let (effort, summary) = self.reasoning(value, path)?;
                self.nested_effort = effort;
                self.reasoning_summary = summary.or(self.reasoning_summary);
            }
            "verbosity" => self.verbosity = Some(json::text(value, path)?),
            "service_tier" => self.service_tier = Some(json::string(value, path)?),
            "prompt_cache_key" => self.prompt_cache_key = Some(json::string(value, path)?),
            "stop" => self.stop = stop::parse(value, path)?,
            _ => self.without_counterpart(key, value, path)?,
        }
        Ok(())
    }

    fn stream_options(&mut self, value: &'a RawValue, path: &Path<'_>) -> Result<(), ApiError> {
        let options = json::object(value, path)?;
        self.ignored.add_unknown(&options, &["include_usage"], path);
        if let Some(flag) = options.find("include_usage") {
            self.include_usage = json::boolean(flag, &path.key("include_usage"))?;
        }
        Ok(())
    }

    /// The effort and summary in an object; its other keys change nothing.
    fn reasoning(
        &mut self,
        value: &'a RawValue,
        path: &Path<'_>,
    ) -> Result<(Option<Cow<'a, str>>, Option<Text<'a>>), ApiError> {
        let reasoning = json::object(value, path)?;
        self.ignored.add_unknown(&reasoning, &["effort", "summary"], path);
        let effort = reasoning.find("effort").map(|effort| json::string(effort, &path.key("effort"))).transpose()?;
        let summary = reasoning.find("summary").map(|summary| json::text(summary, &path.key("summary"))).transpose()?;
        Ok((effort, summary))
    }

    /// A parameter the backend has nothing for: refused where the client would get another answer than it asked for,
    /// otherwise listed.
    fn without_counterpart(&mut self, key: &str, value: &RawValue, path: &Path<'_>) -> Result<(), ApiError> {
        match key {
            "n" => match json::unsigned(value, path)? {
                1 => return Ok(()),
                _ => return Err(unsupported(key, "only one choice can be generated")),
            },
            "logprobs" => {
                if json::boolean(value, path)? {
                    return Err(unsupported(key, "log probabilities are not available"));
                }
                return Ok(());
            }
            "modalities" => {
                if value.get().contains("\"audio\"") {
                    return Err(unsupported(key, "audio output is not available"));
                }
                return Ok(());
            }
            "audio" => return Err(unsupported(key, "audio output is not available")),
            "prediction" => return Err(unsupported(key, "predicted outputs are not available")),
            _ => self.ignored.add(path),
        }
        Ok(())
    }
}

impl<'a> ResponseFormat<'a> {
    fn parse(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<Self, ApiError> {
        let format = json::object(value, path)?;
        let type_path = path.key("type");
        let kind = json::required(&format, "type", path)?;
        match json::string(kind, &type_path)?.as_ref() {
            "text" => {
                ignored.add_unknown(&format, &["type"], path);
                Ok(Self::Text)
            }
            "json_object" => {
                ignored.add_unknown(&format, &["type"], path);
                Ok(Self::JsonObject)
            }
            "json_schema" => {
                let (outer, path) = (path, path.key("json_schema"));
                // Some clients send the Responses form, which has no inner object.
                let schema = match format.find("json_schema") {
                    Some(inner) => {
                        ignored.add_unknown(&format, &["type", "json_schema"], outer);
                        let inner = json::object(inner, &path)?;
                        ignored.add_unknown(&inner, &SCHEMA_KEYS, &path);
                        inner
                    }
                    None => {
                        ignored.add_unknown(&format, &[SCHEMA_KEYS.as_slice(), &["type"]].concat(), outer);
                        format
                    }
                };
                json::required(&schema, "schema", &path)?;
                Ok(Self::JsonSchema(schema))
            }
            other => Err(ApiError::invalid(
                type_path.to_string(),
                format!("'{type_path}' must be text, json_object or json_schema, but is '{other}'"),
            )),
        }
    }
}

/// What a schema of structured output consists of, in the order it is sent.
pub(crate) const SCHEMA_KEYS: [&str; 4] = ["name", "description", "schema", "strict"];

/// What says how the answer is to be, and not what it is an answer to.
pub(crate) const ANSWER_KEYS: [&str; 8] =
    ["stream", "stream_options", "n", "logprobs", "modalities", "audio", "prediction", "stop"];

fn unsupported(key: &str, reason: &str) -> ApiError {
    ApiError::unsupported(key, format!("'{key}' is not supported: {reason}"))
}
