//! Calls in a chat history.

use serde_json::value::RawValue;

use crate::conversation::call::{Call, Payload};
use crate::conversation::ignored::Ignored;
use crate::fault::Fault;
use crate::json;
use crate::json::{Object, Path, Text};

/// Reads the calls of an assistant's message at `path`: `tool_calls`, then the legacy `function_call`.
pub(super) fn of_message<'a>(
    message: &Object<'a>,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Vec<Call<'a>>, Fault> {
    let mut calls = Vec::new();
    if let Some(value) = message.find("tool_calls") {
        let path = path.key("tool_calls");
        for (index, call) in json::array(value, &path)?.iter().enumerate() {
            calls.push(parse(call, &path.index(index), ignored)?);
        }
    }
    if let Some(value) = message.find("function_call") {
        let path = path.key("function_call");
        calls.push(of_tool(None, false, &json::object(value, &path)?, &path, ignored)?);
    }
    Ok(calls)
}

fn parse<'a>(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<Call<'a>, Fault> {
    let call = json::object(value, path)?;
    let id = json::text(json::required(&call, "id", path)?, &path.key("id"))?;
    // Some clients omit the type; the inner object determines it.
    let custom = call.find("custom").is_some();
    let field = if custom { "custom" } else { "function" };
    // `index` is the place of a call in a stream, which some clients keep; here the place in the list counts.
    ignored.add_unknown(&call, &["id", "type", "index", field], path);
    let tool_path = path.key(field);
    let tool = json::object(json::required(&call, field, path)?, &tool_path)?;
    of_tool(Some(id), custom, &tool, &tool_path, ignored)
}

fn of_tool<'a>(
    id: Option<Text<'a>>,
    custom: bool,
    tool: &Object<'a>,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Call<'a>, Fault> {
    let payload = if custom { "input" } else { "arguments" };
    ignored.add_unknown(tool, &["name", payload], path);
    let name = json::text(json::required(tool, "name", path)?, &path.key("name"))?;
    let payload = match tool.find(payload) {
        None => Payload::Text(Text::EMPTY),
        Some(value) => Text::of(value).map_or(Payload::Json(value), Payload::Text),
    };
    Ok(Call { id, custom, name, payload, forgets_reasoning: false })
}
