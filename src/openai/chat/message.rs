//! The messages of a conversation, by role.

use serde_json::value::RawValue;

use super::content::Content;
use crate::openai::error::ApiError;
use crate::openai::json::{self, Object, Path, Text};

/// One message.
#[derive(Debug)]
pub enum Message<'a> {
    /// `system` or `developer`.
    Instruction(Content<'a>),
    /// `user`.
    User(Content<'a>),
    /// `assistant`.
    Assistant {
        /// What it said.
        content: Content<'a>,
        /// What it refused to say.
        refusal: Option<Text<'a>>,
        /// What it called, in order.
        calls: Vec<Call<'a>>,
    },
    /// `tool`, or the legacy `function`.
    ToolOutput {
        /// Which call it answers.
        call: CallReference<'a>,
        /// What the tool returned.
        content: Content<'a>,
    },
}

/// A call in the history.
#[derive(Debug)]
pub struct Call<'a> {
    /// Its id; the legacy form has none.
    pub id: Option<Text<'a>>,
    /// A custom tool, called with free-form input.
    pub custom: bool,
    /// The tool.
    pub name: Text<'a>,
    /// Arguments or input.
    pub payload: Payload<'a>,
}

/// What a tool was called with.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// A string, as it should be.
    Text(Text<'a>),
    /// JSON that the client has not put into a string.
    Json(&'a RawValue),
}

/// How a tool's output names its call.
#[derive(Debug, Clone, Copy)]
pub enum CallReference<'a> {
    /// By id.
    Id(Text<'a>),
    /// By the function's name, in the legacy form.
    Name(Text<'a>),
}

/// The messages in `value`.
pub(super) fn parse_all<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    ignored: &mut Vec<String>,
) -> Result<Vec<Message<'a>>, ApiError> {
    let messages = json::array(value, path)?;
    if messages.is_empty() {
        return Err(ApiError::invalid(path.to_string(), format!("'{path}' is empty: send at least one message")));
    }
    messages.iter().enumerate().map(|(index, message)| Message::parse(message, &path.index(index), ignored)).collect()
}

impl<'a> Message<'a> {
    fn parse(value: &'a RawValue, path: &Path<'_>, ignored: &mut Vec<String>) -> Result<Self, ApiError> {
        let message = json::object(value, path)?;
        let role_path = path.key("role");
        let role = json::string(json::required(&message, "role", path)?, &role_path)?;
        let content = Content::parse(&message, path, ignored)?;
        match role.as_ref() {
            "system" | "developer" => Ok(Self::Instruction(content)),
            "user" => Self::user(content, &message, path, ignored),
            "assistant" => Self::assistant(content, &message, path, ignored),
            "tool" => {
                let id = json::required(&message, "tool_call_id", path)?;
                let call = CallReference::Id(json::text(id, &path.key("tool_call_id"))?);
                Ok(Self::ToolOutput { call, content })
            }
            "function" => {
                let name = json::required(&message, "name", path)?;
                Ok(Self::ToolOutput { call: CallReference::Name(json::text(name, &path.key("name"))?), content })
            }
            other => Err(ApiError::invalid(
                role_path.to_string(),
                format!("'{role_path}' must be system, developer, user, assistant or tool, but is '{other}'"),
            )),
        }
    }

    fn user(
        content: Content<'a>,
        message: &Object<'a>,
        path: &Path<'_>,
        ignored: &mut Vec<String>,
    ) -> Result<Self, ApiError> {
        let empty = match &content {
            Content::Absent => true,
            Content::Text(_) => false,
            Content::Parts(parts) => parts.is_empty(),
        };
        if empty {
            let path = path.key("content");
            return Err(ApiError::invalid(path.to_string(), format!("'{path}' is missing or empty")));
        }
        if message.find("name").is_some() {
            ignored.push(path.key("name").to_string());
        }
        Ok(Self::User(content))
    }

    fn assistant(
        content: Content<'a>,
        message: &Object<'a>,
        path: &Path<'_>,
        ignored: &mut Vec<String>,
    ) -> Result<Self, ApiError> {
        let refusal = message.find("refusal").map(|value| json::text(value, &path.key("refusal"))).transpose()?;
        let mut calls = Vec::new();
        if let Some(value) = message.find("tool_calls") {
            let path = path.key("tool_calls");
            for (index, call) in json::array(value, &path)?.iter().enumerate() {
                calls.push(Call::parse(call, &path.index(index))?);
            }
        }
        if let Some(value) = message.find("function_call") {
            calls.push(Call::parse_legacy(value, &path.key("function_call"))?);
        }
        for name in ["audio", "images"] {
            if message.find(name).is_some_and(|value| value.get() != "[]") {
                ignored.push(path.key(name).to_string());
            }
        }
        Ok(Self::Assistant { content, refusal, calls })
    }
}

impl<'a> Call<'a> {
    fn parse(value: &'a RawValue, path: &Path<'_>) -> Result<Self, ApiError> {
        let call = json::object(value, path)?;
        let id = json::text(json::required(&call, "id", path)?, &path.key("id"))?;
        // Some clients leave the type out; the inner object tells.
        let custom = call.find("custom").is_some();
        let (field, payload_field) = if custom { ("custom", "input") } else { ("function", "arguments") };
        let tool_path = path.key(field);
        let tool = json::object(json::required(&call, field, path)?, &tool_path)?;
        Self::of_tool(Some(id), custom, &tool, payload_field, &tool_path)
    }

    fn parse_legacy(value: &'a RawValue, path: &Path<'_>) -> Result<Self, ApiError> {
        Self::of_tool(None, false, &json::object(value, path)?, "arguments", path)
    }

    fn of_tool(
        id: Option<Text<'a>>,
        custom: bool,
        tool: &Object<'a>,
        payload_field: &str,
        path: &Path<'_>,
    ) -> Result<Self, ApiError> {
        let name = json::text(json::required(tool, "name", path)?, &path.key("name"))?;
        let payload = match tool.find(payload_field) {
            None => Payload::Text(Text::EMPTY),
            Some(value) => Text::of(value).map_or(Payload::Json(value), Payload::Text),
        };
        Ok(Self { id, custom, name, payload })
    }
}
