//! The default answers of the simulated model.
//!
//! * After the output of a tool: a text that quotes it.
//! * A tool that is forced, required, named in the user's last message, or the only function: a call of it, with
//!   arguments that its schema accepts. All named tools are called at once if parallel calls are allowed.
//! * A JSON format: a document that its schema accepts.
//! * Otherwise a text that declares itself simulated and quotes the user.

pub(super) mod envelope;
pub(super) mod frame;
pub(super) mod output;
pub(super) mod perform;
pub(super) mod sample;
pub(super) mod substitution;

use serde_json::{Value, json};

use crate::answer::output::{Citation, Output};
use crate::answer::sample::{Fill, sample};
use crate::turn::{Choice, Format, Tool, ToolKind, Turn};

/// Plans the items of the answer to `turn`.
pub(crate) fn plan(turn: &Turn) -> Vec<Output> {
    if turn.wants_compaction() {
        return vec![Output::Compaction];
    }
    let mut outputs = Vec::new();
    if turn.wants_summary() {
        outputs.push(reasoning());
    }
    let calls = calls(turn);
    if calls.is_empty() {
        outputs.extend(hosted(turn));
        outputs.push(Output::answer(text(turn)));
    } else {
        outputs.extend(calls);
    }
    outputs
}

/// Returns a reasoning item with a summary of two parts.
pub(crate) fn reasoning() -> Output {
    let parts =
        ["**Simulating a thought**\n\nNo model is asked. 🤔", "**Composing the answer**\n\nI quote what I was sent."];
    Output::Reasoning { parts: parts.map(str::to_owned).to_vec(), raw: false }
}

/// Returns a call of `tool` with suitable arguments.
pub(crate) fn call(tool: &Tool) -> Output {
    let (name, namespace) = (tool.name.clone(), tool.namespace.clone());
    match &tool.kind {
        ToolKind::Function(schema) => {
            let arguments = sample(schema, Fill::Required).to_string();
            Output::FunctionCall { name, namespace, arguments }
        }
        ToolKind::Custom => {
            let input = if name.contains("patch") { sample::PATCH } else { "simulated input, “quoted” ✔" };
            Output::CustomCall { name, namespace, input: input.to_owned() }
        }
    }
}

/// Returns a web search and a text that cites its result twice.
pub(crate) fn search(turn: &Turn) -> Vec<Output> {
    let query: String = turn.last_user_text().chars().take(80).collect();
    let text = "Simulated search result: the café “Example” is open – see the source.".to_owned();
    let url = "https://example.com/simulated?utm_source=simulation".to_owned();
    let cite = |cited: &str| {
        let start = text.find(cited).map_or(0, |offset| text[..offset].chars().count());
        let end = start + cited.chars().count();
        Citation { url: url.clone(), title: "Example, a simulated page".to_owned(), start, end }
    };
    let citations = vec![cite("the café “Example” is open"), cite("see the source.")];
    let message = Output::Message { text, phase: "final_answer", citations };
    let sources =
        if turn.includes("web_search_call.action.sources") { vec![url, UNCITED.to_owned()] } else { Vec::new() };
    vec![Output::WebSearch { query, sources }, message]
}

/// Returns a minimal image.
pub(crate) fn picture() -> Vec<Output> {
    vec![Output::Image(PIXEL.to_owned()), Output::answer("A simulated picture: one pixel.")]
}

fn calls(turn: &Turn) -> Vec<Output> {
    if !turn.user_spoke_last() && !turn.tool_outputs().is_empty() {
        return Vec::new();
    }
    let mut chosen = chosen_tools(turn);
    if !turn.parallel() {
        chosen.truncate(1);
    }
    chosen.into_iter().map(call).collect()
}

fn chosen_tools(turn: &Turn) -> Vec<&Tool> {
    let text = turn.last_user_text();
    let mentioned = || turn.tools.iter().filter(|tool| mentions(&text, &tool.name)).collect::<Vec<_>>();
    match turn.choice() {
        Choice::None => Vec::new(),
        Choice::Forced(names) => turn.tools.iter().filter(|tool| names.contains(&tool.name)).collect(),
        Choice::Required => match mentioned() {
            found if found.is_empty() => turn.tools.first().into_iter().collect(),
            found => found,
        },
        Choice::Auto => match (mentioned(), turn.tools.as_slice()) {
            (found, [only]) if found.is_empty() && matches!(only.kind, ToolKind::Function(_)) => vec![only],
            (found, _) => found,
        },
    }
}

/// Returns whether `text` contains `name` as a word.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
    text.match_indices(name).any(|(start, found)| {
        let before = text[..start].chars().next_back();
        let after = text[start + found.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Returns the items of the backend's own tools that the user names.
fn hosted(turn: &Turn) -> Vec<Output> {
    let text = turn.last_user_text();
    let declared = |kind: &str| {
        let tools = turn.body.get("tools").and_then(Value::as_array);
        tools.into_iter().flatten().any(|tool| tool.get("type") == Some(&Value::from(kind)))
    };
    // A client that searches for its user says so in words.
    let is_named = |kind: &str| mentions(&text, kind) || mentions(&text, &kind.replace('_', " "));
    let asked = |kind: &str| turn.user_spoke_last() && declared(kind) && is_named(kind);
    let mut outputs = Vec::new();
    if asked("web_search") {
        outputs.extend(search(turn));
    }
    if asked("image_generation") {
        outputs.extend(picture());
    }
    outputs
}

fn text(turn: &Turn) -> String {
    match turn.format() {
        Format::JsonSchema(schema) => sample(&schema, Fill::All).to_string(),
        Format::JsonObject => json!({ "simulation": true, "you_said": turn.last_user_text() }).to_string(),
        Format::Text => prose(turn),
    }
}

fn prose(turn: &Turn) -> String {
    let mut text = DISCLAIMER.to_owned();
    let outputs = turn.tool_outputs();
    for output in &outputs {
        text.push_str(&format!("\n\nThe tool returned: “{}”", excerpt(output)));
    }
    if outputs.is_empty() {
        text.push_str(&format!("\n\nYou said: “{}”", excerpt(&turn.last_user_text())));
    }
    for (kind, noun) in [("input_image", "image"), ("input_file", "file")] {
        match turn.count_parts(kind) {
            0 => {}
            1 => text.push_str(&format!("\n\nI received 1 {noun}.")),
            count => text.push_str(&format!("\n\nI received {count} {noun}s.")),
        }
    }
    text.push_str("\n\nÀ bientôt 👋🏽");
    text
}

/// Returns the text, shortened to its beginning and end if it is very long.
fn excerpt(text: &str) -> String {
    let length = text.chars().count();
    if length <= LONGEST_QUOTE {
        return text.to_owned();
    }
    let head: String = text.chars().take(LONGEST_QUOTE / 2).collect();
    let tail: String = text.chars().skip(length - LONGEST_QUOTE / 2).collect();
    format!("{head} … {tail}")
}

/// The beginning of every text.
pub(crate) const DISCLAIMER: &str = "This is a simulation: no model was asked. 🎭";

/// A page that a search finds and its text does not cite.
const UNCITED: &str = "https://example.org/uncited";

const LONGEST_QUOTE: usize = 16_384;

const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_mentioned_as_a_word() {
        assert!(mentions("call `get_weather`, please", "get_weather"));
        assert!(mentions("bash", "bash"));
        assert!(!mentions("get_weather_now", "get_weather"));
        assert!(!mentions("rebash", "bash"));
    }
}
