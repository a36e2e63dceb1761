//! Validation across items: calls and their outputs, reasoning and its product, the position of a compaction's trigger.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::validate::{Rejection, items};

/// Checks that each call has one later output, each output its call, that reasoning is followed by its product, and
/// that a compaction's trigger is last.
pub(super) fn check(input: &[Value]) -> Result<(), Rejection> {
    check_trigger(input)?;
    check_calls(input)?;
    check_reasoning(input)
}

/// The message is the backend's (Wei-Shaw/sub2api#6366, james-6-23/codex2api#546).
fn check_trigger(input: &[Value]) -> Result<(), Rejection> {
    let is_trigger = |(_, item): &(usize, &Map<String, Value>)| items::kind(item) == Some("compaction_trigger");
    match objects(input).find(is_trigger) {
        Some((index, _)) if index + 1 < input.len() => {
            let message = "The 'compaction_trigger' item must be the final input item.";
            Err(Rejection::error(None, Some("input"), message))
        }
        _ => Ok(()),
    }
}

fn check_calls(input: &[Value]) -> Result<(), Rejection> {
    let mut calls: Vec<(Family, &str)> = Vec::new();
    let mut open: HashMap<(Family, &str), usize> = HashMap::new();
    let begin = |call, calls: &mut Vec<_>, open: &mut HashMap<_, _>| {
        calls.push(call);
        *open.entry(call).or_default() += 1;
    };
    for (_, item) in objects(input) {
        let Some(call_id) = item.get("call_id").and_then(Value::as_str) else { continue };
        match items::kind(item) {
            Some("function_call" | "local_shell_call") => begin((Family::Function, call_id), &mut calls, &mut open),
            Some("custom_tool_call") => begin((Family::Custom, call_id), &mut calls, &mut open),
            Some("tool_search_call") if runs_at_client(item) => {
                begin((Family::ToolSearch, call_id), &mut calls, &mut open);
            }
            Some("tool_search_output") if !runs_at_client(item) => {}
            Some(kind @ ("function_call_output" | "custom_tool_call_output" | "tool_search_output")) => {
                let family = match kind {
                    "function_call_output" => Family::Function,
                    "custom_tool_call_output" => Family::Custom,
                    _ => Family::ToolSearch,
                };
                match open.get_mut(&(family, call_id)).filter(|count| **count > 0) {
                    Some(count) => *count -= 1,
                    None => return Err(no_call(family, call_id)),
                }
            }
            _ => {}
        }
    }
    match calls.iter().find(|call| open.get(*call).is_some_and(|count| *count > 0)) {
        Some((family, call_id)) => Err(no_output(*family, call_id)),
        None => Ok(()),
    }
}

fn check_reasoning(input: &[Value]) -> Result<(), Rejection> {
    for (index, item) in objects(input) {
        if items::kind(item) != Some("reasoning") {
            continue;
        }
        let next = input.get(index + 1).and_then(Value::as_object);
        if !next.is_some_and(is_product) {
            let id = item.get("id").and_then(Value::as_str).unwrap_or("rs_unnamed");
            let message = format!("Item '{id}' of type 'reasoning' was provided without its required following item.");
            return Err(Rejection::error(None, Some("input"), message));
        }
    }
    Ok(())
}

/// Returns whether the model may have produced this item after reasoning.
fn is_product(item: &Map<String, Value>) -> bool {
    match items::kind(item) {
        Some("message") => item.get("role") == Some(&Value::from("assistant")),
        Some(kind) => matches!(
            kind,
            "reasoning"
                | "function_call"
                | "custom_tool_call"
                | "local_shell_call"
                | "web_search_call"
                | "image_generation_call"
                | "tool_search_call"
        ),
        None => false,
    }
}

/// Returns whether the client runs a tool search, and returns its output.
fn runs_at_client(item: &Map<String, Value>) -> bool {
    item.get("execution") != Some(&Value::from("server"))
}

fn objects(input: &[Value]) -> impl Iterator<Item = (usize, &Map<String, Value>)> {
    input.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_object()?)))
}

fn no_output(family: Family, call_id: &str) -> Rejection {
    let message = match family {
        Family::Function => format!("No tool output found for function call {call_id}."),
        Family::Custom => format!("No tool output found for custom tool call {call_id}."),
        Family::ToolSearch => format!("No tool output found for tool search call {call_id}."),
    };
    Rejection::error(None, Some("input"), message)
}

fn no_call(family: Family, call_id: &str) -> Rejection {
    let message = match family {
        Family::Function => format!("No tool call found for function call output with call_id {call_id}."),
        Family::Custom => format!("No tool call found for custom tool call output with call_id {call_id}."),
        Family::ToolSearch => format!("No tool call found for tool search output with call_id {call_id}."),
    };
    Rejection::error(None, Some("input"), message)
}

/// The pairing of outputs with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Family {
    Function,
    Custom,
    /// The official client pairs these too (codex-rs/core/src/context_manager/normalize.rs, 2026-10); the backend's
    /// message for an unpaired one is unknown, and modelled on the others.
    ToolSearch,
}
