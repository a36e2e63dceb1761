//! Calls in a history, and how outputs name them.

use serde_json::value::RawValue;

use crate::openai::error::ApiError;
use crate::openai::ignored::Ignored;
use crate::openai::json::{self, Object, Path, Text};

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

impl<'a> Call<'a> {
    /// The calls of an assistant's message at `path`: `tool_calls`, then the legacy `function_call`.
    pub(super) fn of_message(
        message: &Object<'a>,
        path: &Path<'_>,
        ignored: &mut Ignored,
    ) -> Result<Vec<Self>, ApiError> {
        let mut calls = Vec::new();
        if let Some(value) = message.find("tool_calls") {
            let path = path.key("tool_calls");
            for (index, call) in json::array(value, &path)?.iter().enumerate() {
                calls.push(Self::parse(call, &path.index(index), ignored)?);
            }
        }
        if let Some(value) = message.find("function_call") {
            let path = path.key("function_call");
            calls.push(Self::of_tool(None, false, &json::object(value, &path)?, &path, ignored)?);
        }
        Ok(calls)
    }

    fn parse(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<Self, ApiError> {
        let call = json::object(value, path)?;
        let id = json::text(json::required(&call, "id", path)?, &path.key("id"))?;
        // Some clients leave the type out; the inner object tells.
        let custom = call.find("custom").is_some();
        let field = if custom { "custom" } else { "function" };
        // The place of a call in a stream, which some clients keep; here it is its place in the list.
        ignored.add_unknown(&call, &["id", "type", "index", field], path);
        let tool_path = path.key(field);
        let tool = json::object(json::required(&call, field, path)?, &tool_path)?;
        Self::of_tool(Some(id), custom, &tool, &tool_path, ignored)
    }

    fn of_tool(
        id: Option<Text<'a>>,
        custom: bool,
        tool: &Object<'a>,
        path: &Path<'_>,
        ignored: &mut Ignored,
    ) -> Result<Self, ApiError> {
        let payload = if custom { "input" } else { "arguments" };
        ignored.add_unknown(tool, &["name", payload], path);
        let name = json::text(json::required(tool, "name", path)?, &path.key("name"))?;
        let payload = match tool.find(payload) {
            None => Payload::Text(Text::EMPTY),
            Some(value) => Text::of(value).map_or(Payload::Json(value), Payload::Text),
        };
        Ok(Self { id, custom, name, payload })
    }
}
