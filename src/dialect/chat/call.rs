//! Calls in a chat history.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

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

/// Joins the `calls` of one message with those among its `blocks`. Some clients keep both forms of an answer, and a call
/// in both is one call.
pub(super) fn merged<'a>(blocks: Vec<Call<'a>>, calls: Vec<Call<'a>>) -> Vec<Call<'a>> {
    if blocks.is_empty() || calls.is_empty() {
        return [blocks, calls].concat();
    }
    let mut by_id: HashMap<Cow<'a, str>, VecDeque<Call<'a>>> = HashMap::new();
    for call in &blocks {
        by_id.entry(call.id.map(Text::decode).unwrap_or_default()).or_default().push_back(*call);
    }
    let mut merged = blocks;
    for call in calls {
        let id = call.id.map(Text::decode);
        // The calls of one id have the same order in both forms.
        let twin = id.and_then(|id| by_id.get_mut(&id)).and_then(VecDeque::pop_front);
        if !twin.is_some_and(|twin| is_same(&twin, &call)) {
            merged.push(call);
        }
    }
    merged
}

fn is_same(one: &Call<'_>, other: &Call<'_>) -> bool {
    one.custom == other.custom
        && one.name.decode() == other.name.decode()
        && json::is_same(&json_of(one.payload), &json_of(other.payload))
}

/// Returns the arguments, which are JSON in a string or JSON itself.
fn json_of<'a>(payload: Payload<'a>) -> Cow<'a, str> {
    match payload {
        Payload::Text(text) => text.decode(),
        Payload::Json(json) => Cow::Borrowed(json.get()),
    }
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
