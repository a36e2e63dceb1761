//! Validation of the items of `input`: types, keys, ids and texts.

use http::StatusCode;
use serde_json::{Map, Value};

use crate::settings::RefusedFiles;
use crate::validate::tools::Declared;
use crate::validate::{Context, Rejection, check_tool_name, content, is_name, only_words, required_text};
use crate::vault::Owner;

/// Checks each item by itself; [`crate::validate::history`] checks the relations between them.
pub(super) fn check(input: &[Value], tools: &Declared, context: Context<'_>) -> Result<(), Rejection> {
    for (index, item) in input.iter().enumerate() {
        let path = format!("input[{index}]");
        let Some(item) = item.as_object() else { return Err(Rejection::wrong_type(&path, "an object", item)) };
        check_item(item, &path, tools, context)?;
    }
    Ok(())
}

/// Returns the type of an item; a message may omit it.
pub(super) fn kind(item: &Map<String, Value>) -> Option<&str> {
    match item.get("type") {
        None if item.contains_key("role") => Some("message"),
        other => other.and_then(Value::as_str),
    }
}

fn check_item(item: &Map<String, Value>, path: &str, tools: &Declared, context: Context<'_>) -> Result<(), Rejection> {
    let Some(kind) = kind(item) else { return Err(Rejection::missing(&format!("{path}.type"))) };
    if kind == "item_reference" {
        return Err(not_found(item.get("id").and_then(Value::as_str).unwrap_or_default()));
    }
    let Some(rule) = RULES.iter().find(|rule| rule.kind == kind) else {
        let known: Vec<&str> = RULES.iter().map(|rule| rule.kind).collect();
        return Err(Rejection::unsupported(&format!("{path}.type"), &Value::from(kind), &known));
    };
    if let Some(key) =
        item.keys().find(|key| !COMMON_KEYS.contains(&key.as_str()) && !rule.keys.contains(&key.as_str()))
    {
        return Err(Rejection::unknown(&format!("{path}.{key}")));
    }
    if kind == "compaction_trigger" && item.contains_key("id") {
        // A request, not a conversation item: by the Codex CLI's source, the API refuses an id in it.
        return Err(Rejection::unknown(&format!("{path}.id")));
    }
    check_id(item.get("id"), rule.prefix, &format!("{path}.id"))?;
    rule.texts.iter().try_for_each(|key| required_text(item, key, path).map(drop))?;
    check_call(item, path, tools)?;
    match kind {
        "message" => check_message(item, path, context),
        "reasoning" => check_reasoning(item, path, context),
        "function_call_output" | "custom_tool_call_output" => {
            content::check_output(item.get("output"), path, context.refused_files)
        }
        "compaction" | "compaction_summary" => check_encrypted(item, Owner { model: "", ..context.owner }, context),
        _ => Ok(()),
    }
}

fn check_id(id: Option<&Value>, prefix: &str, path: &str) -> Result<(), Rejection> {
    let id = match id {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(id)) => id,
        Some(other) => return Err(Rejection::wrong_type(path, "a string", other)),
    };
    let length = id.chars().count();
    if length > MAX_ID {
        return Err(Rejection::too_long(path, MAX_ID, length));
    }
    if !is_name(id) {
        let message = format!(
            "Invalid '{path}': '{id}'. Expected an ID that contains letters, numbers, underscores, or dashes, but this \
             value contained additional characters."
        );
        return Err(Rejection::error(Some("invalid_value"), Some(path), message));
    }
    if !id.starts_with(prefix) {
        let message = format!("Invalid '{path}': '{id}'. Expected an ID that begins with '{prefix}'.");
        return Err(Rejection::error(Some("invalid_id_prefix"), Some(path), message));
    }
    Ok(())
}

fn check_call(item: &Map<String, Value>, path: &str, tools: &Declared) -> Result<(), Rejection> {
    if let Some(Value::String(call_id)) = item.get("call_id") {
        let length = call_id.chars().count();
        if length > MAX_ID {
            return Err(Rejection::too_long(&format!("{path}.call_id"), MAX_ID, length));
        }
        if call_id.is_empty() {
            return Err(Rejection::empty(&format!("{path}.call_id")));
        }
    }
    if let Some(Value::String(namespace)) = item.get("namespace")
        && !tools.has_namespace(namespace)
    {
        let message = format!("Namespace '{namespace}' not found in 'tools' parameter.");
        return Err(Rejection::error(Some("invalid_value"), Some(&format!("{path}.namespace")), message));
    }
    match item.get("name") {
        Some(Value::String(name)) => check_tool_name(name, &format!("{path}.name")),
        _ => Ok(()),
    }
}

fn check_message(item: &Map<String, Value>, path: &str, context: Context<'_>) -> Result<(), Rejection> {
    let role = required_text(item, "role", path)?;
    match role {
        "system" => return Err(Rejection::detail("System messages are not allowed")),
        "user" | "assistant" | "developer" => {}
        _ => return Err(Rejection::unsupported(&format!("{path}.role"), &Value::from(role), ROLES)),
    }
    if role != "assistant" && item.get("phase").is_some_and(|phase| !phase.is_null()) {
        return Err(Rejection::unknown(&format!("{path}.phase")));
    }
    only_words(item.get("phase"), &["commentary", "final_answer"], &format!("{path}.phase"))?;
    content::check_message(item.get("content"), role, path, context.refused_files)
}

fn check_reasoning(item: &Map<String, Value>, path: &str, context: Context<'_>) -> Result<(), Rejection> {
    match item.get("summary") {
        Some(Value::Array(parts)) => {
            content::check_parts(parts, &["summary_text"], &format!("{path}.summary"), RefusedFiles::default())?;
        }
        None | Some(Value::Null) => return Err(Rejection::missing(&format!("{path}.summary"))),
        Some(other) => return Err(Rejection::wrong_type(&format!("{path}.summary"), "an array", other)),
    }
    if let Some(Value::Array(parts)) = item.get("content") {
        content::check_parts(parts, &["reasoning_text", "text"], &format!("{path}.content"), RefusedFiles::default())?;
    }
    if item.get("encrypted_content").is_none_or(Value::is_null) {
        return Err(match item.get("id").and_then(Value::as_str) {
            Some(id) => not_found(id),
            None => Rejection::missing(&format!("{path}.encrypted_content")),
        });
    }
    check_encrypted(item, context.owner, context)
}

/// Reasoning is also bound to its model; a compaction to its account alone.
fn check_encrypted(item: &Map<String, Value>, owner: Owner<'_>, context: Context<'_>) -> Result<(), Rejection> {
    let text = item.get("encrypted_content").and_then(Value::as_str).unwrap_or_default();
    if context.vault.opens(text, owner) { Ok(()) } else { Err(Rejection::encrypted_content(text)) }
}

fn not_found(id: &str) -> Rejection {
    let message = format!(
        "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` set \
         to true, or remove this item from your input."
    );
    Rejection { status: StatusCode::NOT_FOUND, ..Rejection::error(None, Some("input"), message) }
}

/// The rules of one type of item.
struct Rule {
    kind: &'static str,
    /// The prefix of an id.
    prefix: &'static str,
    /// Keys beyond [`COMMON_KEYS`].
    keys: &'static [&'static str],
    /// Required keys with text values.
    texts: &'static [&'static str],
}

const fn rule(
    kind: &'static str,
    prefix: &'static str,
    keys: &'static [&'static str],
    texts: &'static [&'static str],
) -> Rule {
    Rule { kind, prefix, keys, texts }
}

const MAX_ID: usize = 64;
const ROLES: &[&str] = &["assistant", "developer", "user"];
const COMMON_KEYS: &[&str] = &["type", "id", "status", "internal_chat_message_metadata_passthrough"];

const RULES: &[Rule] = &[
    rule("message", "msg", &["role", "content", "phase"], &[]),
    rule("reasoning", "rs", &["summary", "content", "encrypted_content"], &[]),
    rule(
        "function_call",
        "fc",
        &["call_id", "name", "arguments", "namespace", "encrypted_function_args"],
        &["call_id", "name", "arguments"],
    ),
    rule("function_call_output", "fc", &["call_id", "output"], &["call_id"]),
    rule("custom_tool_call", "ctc", &["call_id", "name", "input", "namespace"], &["call_id", "name", "input"]),
    rule("custom_tool_call_output", "ctc", &["call_id", "output", "name"], &["call_id"]),
    rule("local_shell_call", "", &["call_id", "action"], &["call_id"]),
    rule("web_search_call", "ws", &["action"], &[]),
    rule("image_generation_call", "ig", &["revised_prompt", "result"], &[]),
    rule("tool_search_call", "", &["call_id", "execution", "arguments"], &[]),
    rule("tool_search_output", "", &["call_id", "execution", "tools"], &[]),
    rule("compaction", "", &["encrypted_content"], &["encrypted_content"]),
    rule("compaction_summary", "", &["encrypted_content"], &["encrypted_content"]),
    rule("context_compaction", "", &["encrypted_content"], &[]),
    rule("compaction_trigger", "", &[], &[]),
    rule("additional_tools", "", &["role", "tools"], &[]),
    // Codex CLI 0.169 sends it before each turn of a model with an effort that may change during it, such as
    // gpt-6.1-sol.
    rule("configuration_update", "", &["reasoning"], &[]),
    rule("agent_message", "", &["author", "recipient", "content"], &[]),
];
