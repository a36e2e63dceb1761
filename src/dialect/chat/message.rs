//! The messages of a chat, by role.

use serde_json::value::RawValue;

use crate::conversation::call::CallReference;
use crate::conversation::content::{Content, Part};
use crate::conversation::ignored::Ignored;
use crate::conversation::turn::Turn;
use crate::dialect::chat::content::Parsed;
use crate::dialect::chat::{call, images};
use crate::fault::Fault;
use crate::json;
use crate::json::{Object, Path, Text};

/// Reads the messages in `value`.
pub(super) fn parse_all<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Vec<Turn<'a>>, Fault> {
    let values = json::array(value, path)?;
    if values.is_empty() {
        return Err(Fault::invalid(path.to_string(), format!("'{path}' is empty: send at least one message")));
    }
    let mut messages = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        parse(value, &path.index(index), &mut messages, ignored)?;
    }
    Ok(messages)
}

/// Appends the message in `value`; more than one if it has outputs of tools among its parts.
pub(in crate::dialect) fn parse<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    messages: &mut Vec<Turn<'a>>,
    ignored: &mut Ignored,
) -> Result<(), Fault> {
    let message = json::object(value, path)?;
    let role_path = path.key("role");
    let role = json::string(json::required(&message, "role", path)?, &role_path)?;
    let parsed = Parsed::of_message(&message, &role, path, ignored)?;
    match role.as_ref() {
        "system" | "developer" => {
            ignored.add_unknown(&message, &["role", "content", "name"], path);
            let content = named(parsed.content, &message, path, ignored);
            messages.push(Turn::Instruction(content));
        }
        "user" => user(parsed, &message, path, messages, ignored)?,
        "assistant" => messages.push(assistant(parsed, &message, path, ignored)?),
        "tool" => {
            ignored.add_unknown(&message, &["role", "content", "tool_call_id"], path);
            let id = json::required(&message, "tool_call_id", path)?;
            let call = CallReference::Id(json::text(id, &path.key("tool_call_id"))?);
            messages.push(Turn::ToolOutput { call, content: parsed.content, parts_apart: false });
        }
        "function" => {
            ignored.add_unknown(&message, &["role", "content", "name"], path);
            let name = json::required(&message, "name", path)?;
            let call = CallReference::Name(json::text(name, &path.key("name"))?);
            messages.push(Turn::ToolOutput { call, content: parsed.content, parts_apart: false });
        }
        other => {
            return Err(Fault::invalid(
                role_path.to_string(),
                format!("'{role_path}' must be system, developer, user, assistant or tool, but is '{other}'"),
            ));
        }
    }
    Ok(())
}

fn user<'a>(
    parsed: Parsed<'a>,
    message: &Object<'a>,
    path: &Path<'_>,
    messages: &mut Vec<Turn<'a>>,
    ignored: &mut Ignored,
) -> Result<(), Fault> {
    ignored.add_unknown(message, &["role", "content", "name", "images"], path);
    let content = parsed.content.between(None, images::of_message(message, path, ignored));
    if content.is_missing() && parsed.outputs.is_empty() {
        let path = path.key("content");
        return Err(Fault::invalid(path.to_string(), format!("'{path}' is missing or empty")));
    }
    messages.extend(parsed.outputs.into_iter().map(|(call, content)| Turn::ToolOutput {
        call,
        content,
        parts_apart: false,
    }));
    if !content.is_missing() {
        messages.push(Turn::User(named(content, message, path, ignored)));
    }
    Ok(())
}

fn assistant<'a>(
    parsed: Parsed<'a>,
    message: &Object<'a>,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Turn<'a>, Fault> {
    ignored.add_unknown(message, &ASSISTANT_KEYS, path);
    let refusal = message.find("refusal").map(|value| json::text(value, &path.key("refusal"))).transpose()?;
    let calls = call::merged(parsed.calls, call::of_message(message, path, ignored)?);
    let content = parsed.content.between(None, images::of_message(message, path, ignored));
    let content = named(content, message, path, ignored);
    Ok(Turn::Assistant { content, refusal, calls })
}

/// Puts the participant's name before `content`, if the message at `path` has a name and any content.
fn named<'a>(content: Content<'a>, message: &Object<'a>, path: &Path<'_>, ignored: &mut Ignored) -> Content<'a> {
    let Some(value) = message.find("name") else { return content };
    match Text::of(value) {
        Some(name) if !name.is_empty() && !content.is_missing() => content.between(Some(Part::Name(name)), Vec::new()),
        Some(name) if name.is_empty() => content,
        Some(_) | None => {
            ignored.add(&path.key("name"));
            content
        }
    }
}

const ASSISTANT_KEYS: [&str; 7] = ["role", "content", "name", "refusal", "tool_calls", "function_call", "images"];
