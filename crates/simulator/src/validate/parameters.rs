//! Validation of top-level parameters: the allow-list and the value of each.

use serde_json::{Map, Value};

use crate::catalogue::CatalogueModel;
use crate::validate::{Context, Rejection, enumerate, only_keys, only_words, schema};

/// Checks everything but input and tools.
pub(super) fn check(body: &Map<String, Value>, context: Context<'_>) -> Result<(), Rejection> {
    if let Some(name) = body.keys().find(|name| !ALLOWED.contains(&name.as_str())) {
        return Err(unsupported(name));
    }
    let model = check_model(body, context)?;
    check_instructions(body, context)?;
    if body.get("store") != Some(&Value::Bool(false)) {
        return Err(Rejection::detail("Store must be set to false"));
    }
    if body.get("stream") != Some(&Value::Bool(true)) {
        return Err(Rejection::detail("Stream must be set to true"));
    }
    check_input(body)?;
    check_stream_options(body)?;
    check_include(body.get("include"))?;
    check_client_metadata(body.get("client_metadata"))?;
    check_access_programs(body.get("access_programs"), context)?;
    check_shared(body, model)?;
    check_lite(body, context)
}

fn unsupported(name: &str) -> Rejection {
    Rejection::detail(format!("Unsupported parameter: {name}"))
}

fn check_model<'a>(body: &Map<String, Value>, context: Context<'a>) -> Result<&'a CatalogueModel, Rejection> {
    let name = body.get("model").and_then(Value::as_str).unwrap_or("None");
    context.catalogue.model(name).ok_or_else(|| {
        Rejection::detail(format!("The '{name}' model is not supported when using Codex with a ChatGPT account."))
    })
}

fn check_instructions(body: &Map<String, Value>, context: Context<'_>) -> Result<(), Rejection> {
    match body.get("instructions") {
        Some(Value::String(_)) => Ok(()),
        None | Some(Value::Null) if context.lite => Ok(()),
        None | Some(Value::Null) => Err(Rejection::detail("Instructions are required")),
        Some(other) => Err(Rejection::wrong_type("instructions", "a string", other)),
    }
}

fn check_input(body: &Map<String, Value>) -> Result<(), Rejection> {
    match body.get("input") {
        Some(Value::Array(_)) => Ok(()),
        None | Some(_) => Err(Rejection::detail("Input must be a list")),
    }
}

fn check_shared(body: &Map<String, Value>, model: &CatalogueModel) -> Result<(), Rejection> {
    match body.get("parallel_tool_calls") {
        None | Some(Value::Bool(_)) => {}
        Some(other) => return Err(Rejection::wrong_type("parallel_tool_calls", "a boolean", other)),
    }
    check_reasoning(body.get("reasoning"), model)?;
    check_text(body.get("text"))?;
    check_service_tier(body.get("service_tier"), model)?;
    check_cache_key(body.get("prompt_cache_key"))
}

fn check_stream_options(body: &Map<String, Value>) -> Result<(), Rejection> {
    match body.get("stream_options") {
        None => Ok(()),
        Some(Value::Object(options)) if options.keys().all(|key| key == "reasoning_summary_delivery") => Ok(()),
        Some(_) => Err(unsupported("stream_options")),
    }
}

fn check_include(include: Option<&Value>) -> Result<(), Rejection> {
    let entries = match include {
        None => return Ok(()),
        Some(Value::Array(entries)) => entries,
        Some(other) => return Err(Rejection::wrong_type("include", "an array", other)),
    };
    entries
        .iter()
        .enumerate()
        .try_for_each(|(index, entry)| only_words(Some(entry), INCLUDES, &format!("include[{index}]")))
}

fn check_client_metadata(metadata: Option<&Value>) -> Result<(), Rejection> {
    match metadata {
        None => Ok(()),
        Some(Value::Object(entries)) => match entries.iter().find(|(_, value)| !value.is_string()) {
            Some((key, value)) => Err(Rejection::wrong_type(&format!("client_metadata.{key}"), "a string", value)),
            None => Ok(()),
        },
        Some(other) => Err(Rejection::wrong_type("client_metadata", "an object", other)),
    }
}

/// The backend refuses the parameter to accounts without the programme (vm0-ai/vm0#35465, 2026-09-18).
fn check_access_programs(programs: Option<&Value>, context: Context<'_>) -> Result<(), Rejection> {
    let programs = match programs {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(programs)) => programs,
        Some(other) => return Err(Rejection::wrong_type("access_programs", "an object", other)),
    };
    match programs.keys().next().filter(|_| !context.access_programs) {
        None => Ok(()),
        Some(name) => {
            let path = format!("access_programs.{name}");
            let message = format!("Unsupported parameter: '{path}' is not enabled for this organization.");
            Err(Rejection::error(Some("unsupported_parameter"), Some(&path), message))
        }
    }
}

fn check_reasoning(reasoning: Option<&Value>, model: &CatalogueModel) -> Result<(), Rejection> {
    let reasoning = match reasoning {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(reasoning)) => reasoning,
        Some(other) => return Err(Rejection::wrong_type("reasoning", "an object", other)),
    };
    only_keys(reasoning, &["effort", "summary", "context"], "reasoning")?;
    only_words(reasoning.get("summary"), &["auto", "concise", "detailed"], "reasoning.summary")?;
    only_words(reasoning.get("context"), &["auto", "current_turn", "all_turns"], "reasoning.context")?;
    check_effort(reasoning.get("effort"), model)
}

fn check_effort(effort: Option<&Value>, model: &CatalogueModel) -> Result<(), Rejection> {
    let word = match effort {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(word)) => word,
        Some(other) => return Err(Rejection::wrong_type("reasoning.effort", "a string", other)),
    };
    let accepted = model.accepted_efforts();
    if accepted.contains(&word.as_str()) {
        return Ok(());
    }
    if !EFFORTS.contains(&word.as_str()) {
        return Err(Rejection::unsupported("reasoning.effort", &Value::from(word.as_str()), EFFORTS));
    }
    let message = format!(
        "Unsupported value: '{word}' is not supported with the '{}' model. Supported values are: {}.",
        model.slug,
        enumerate(&accepted)
    );
    Err(Rejection::error(Some("unsupported_value"), Some("reasoning.effort"), message))
}

fn check_text(text: Option<&Value>) -> Result<(), Rejection> {
    let text = match text {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(text)) => text,
        Some(other) => return Err(Rejection::wrong_type("text", "an object", other)),
    };
    only_keys(text, &["verbosity", "format"], "text")?;
    only_words(text.get("verbosity"), &["low", "medium", "high"], "text.verbosity")?;
    match text.get("format") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(format)) => check_format(format),
        Some(other) => Err(Rejection::wrong_type("text.format", "an object", other)),
    }
}

fn check_format(format: &Map<String, Value>) -> Result<(), Rejection> {
    let kind = crate::validate::required_text(format, "type", "text.format")?;
    match kind {
        "text" | "json_object" => only_keys(format, &["type"], "text.format"),
        "json_schema" => {
            only_keys(format, &["type", "name", "schema", "strict", "description"], "text.format")?;
            let name = crate::validate::required_text(format, "name", "text.format")?;
            if !crate::validate::is_name(name) || name.len() > 64 {
                return Err(Rejection::error(Some("invalid_value"), Some("text.format.name"), NAME_PATTERN));
            }
            match format.get("schema") {
                Some(Value::Object(schema)) => schema::check_format(schema, name, format.get("strict")),
                None | Some(Value::Null) => Err(Rejection::missing("text.format.schema")),
                Some(other) => Err(Rejection::wrong_type("text.format.schema", "an object", other)),
            }
        }
        _ => {
            Err(Rejection::unsupported("text.format.type", &Value::from(kind), &["json_object", "json_schema", "text"]))
        }
    }
}

fn check_service_tier(tier: Option<&Value>, model: &CatalogueModel) -> Result<(), Rejection> {
    match tier {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(tier)) if tier == "priority" && model.priority_tier => Ok(()),
        Some(Value::String(tier)) => Err(Rejection::detail(format!("Unsupported service_tier: {tier}"))),
        Some(other) => Err(Rejection::wrong_type("service_tier", "a string", other)),
    }
}

fn check_cache_key(key: Option<&Value>) -> Result<(), Rejection> {
    match key {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(key)) => match key.chars().count() {
            length @ 65.. => Err(Rejection::too_long("prompt_cache_key", 64, length)),
            _ => Ok(()),
        },
        Some(other) => Err(Rejection::wrong_type("prompt_cache_key", "a string", other)),
    }
}

/// The lighter shape's rules apply only if it is announced.
fn check_lite(body: &Map<String, Value>, context: Context<'_>) -> Result<(), Rejection> {
    if !context.lite {
        return Ok(());
    }
    if body.get("reasoning").and_then(|reasoning| reasoning.get("context")) != Some(&Value::from("all_turns")) {
        let message = format!("{LITE} requires `reasoning.context` to be `all_turns`.");
        return Err(Rejection::error(Some("unsupported_value"), Some("reasoning.context"), message));
    }
    if body.get("parallel_tool_calls") != Some(&Value::Bool(false)) {
        let message = format!("{LITE} requires `parallel_tool_calls` to be false.");
        return Err(Rejection::error(Some("unsupported_value"), Some("parallel_tool_calls"), message));
    }
    Ok(())
}

const ALLOWED: &[&str] = &[
    "model",
    "instructions",
    "input",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "store",
    "stream",
    "stream_options",
    "include",
    "service_tier",
    "prompt_cache_key",
    "text",
    "client_metadata",
    "access_programs",
];

const INCLUDES: &[&str] = &[
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
    "message.input_image.image_url",
];

const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];
const LITE: &str = "X-OpenAI-Internal-Codex-Responses-Lite";
const NAME_PATTERN: &str = "Invalid 'text.format.name': string does not match pattern. Expected a string that matches \
    the pattern '^[a-zA-Z0-9_-]+$'.";
