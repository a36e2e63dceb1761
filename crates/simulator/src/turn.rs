//! The parts of an accepted request that determine its answer.

use serde_json::{Map, Value};

/// An accepted request.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    /// The request's body.
    pub(super) body: Map<String, Value>,
    /// The size of the body in bytes, the measure of its tokens.
    pub(super) size: usize,
    /// The request's account.
    pub(super) account_id: String,
    /// The tools callable by name, in the order of declaration.
    pub(super) tools: Vec<Tool>,
}

/// A tool run by the client.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) kind: ToolKind,
}

/// The input of a tool's call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ToolKind {
    /// Arguments with this schema.
    Function(Value),
    /// A free text.
    Custom,
}

/// The answer's format.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Format {
    Text,
    JsonObject,
    JsonSchema(Value),
}

/// The tools that must or may be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    None,
    Auto,
    Required,
    /// These, by name.
    Forced(Vec<String>),
}

impl Turn {
    pub(super) fn new(body: Map<String, Value>, size: usize, account_id: String) -> Self {
        let mut tools = Vec::new();
        collect_tools(body.get("tools"), None, &mut tools);
        for item in items(&body) {
            if item.get("type") == Some(&Value::from("additional_tools")) {
                collect_tools(item.get("tools"), None, &mut tools);
            }
        }
        Self { body, size, account_id, tools }
    }

    pub(super) fn model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn cache_key(&self) -> Option<&str> {
        self.body.get("prompt_cache_key").and_then(Value::as_str)
    }

    pub(super) fn parallel(&self) -> bool {
        self.body.get("parallel_tool_calls") != Some(&Value::Bool(false))
    }

    /// Returns whether reasoning summaries were requested.
    pub(super) fn wants_summary(&self) -> bool {
        let reasoning = self.body.get("reasoning");
        reasoning.and_then(|reasoning| reasoning.get("summary")).is_some_and(Value::is_string)
    }

    /// Returns whether the request asks for its own compaction.
    pub(super) fn wants_compaction(&self) -> bool {
        self.last_item().and_then(|item| item.get("type")) == Some(&Value::from("compaction_trigger"))
    }

    pub(super) fn format(&self) -> Format {
        let format = self.body.get("text").and_then(|text| text.get("format"));
        match format.and_then(|format| format.get("type")).and_then(Value::as_str) {
            Some("json_object") => Format::JsonObject,
            Some("json_schema") => {
                Format::JsonSchema(format.and_then(|format| format.get("schema")).cloned().unwrap_or(Value::Null))
            }
            _ => Format::Text,
        }
    }

    pub(super) fn choice(&self) -> Choice {
        match self.body.get("tool_choice") {
            Some(Value::String(word)) if word == "none" => Choice::None,
            Some(Value::String(word)) if word == "required" => Choice::Required,
            Some(Value::Object(choice)) => {
                let name = |tool: &Value| tool.get("name").and_then(Value::as_str).map(str::to_owned);
                let allowed = choice.get("tools").and_then(Value::as_array);
                match allowed {
                    Some(_) if choice.get("mode") != Some(&Value::from("required")) => Choice::Auto,
                    Some(allowed) => Choice::Forced(allowed.iter().filter_map(name).take(1).collect()),
                    None => Choice::Forced(
                        choice.get("name").and_then(Value::as_str).map(str::to_owned).into_iter().collect(),
                    ),
                }
            }
            _ => Choice::Auto,
        }
    }

    /// Returns the text of the last user message, its parts joined by a line break.
    pub(super) fn last_user_text(&self) -> String {
        let Some(item) = items(&self.body).filter(|item| is_user(item)).last() else { return String::new() };
        match item.get("content") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => {
                let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
                texts.join("\n")
            }
            _ => String::new(),
        }
    }

    /// Returns whether the last item is the user's message, not a tool's output.
    pub(super) fn user_spoke_last(&self) -> bool {
        self.last_item().is_some_and(is_user)
    }

    /// Returns whether the answer is to include this extra content.
    pub(super) fn includes(&self, what: &str) -> bool {
        let included = self.body.get("include").and_then(Value::as_array);
        included.into_iter().flatten().any(|entry| entry == what)
    }

    /// Counts the parts of this type in the last user message and after it.
    pub(super) fn count_parts(&self, kind: &str) -> usize {
        let all: Vec<&Map<String, Value>> = items(&self.body).collect();
        let from = all.iter().rposition(|item| is_user(item)).unwrap_or(0);
        let contents = all[from.min(all.len())..].iter().flat_map(|item| [item.get("content"), item.get("output")]);
        let parts = contents.flatten().filter_map(Value::as_array).flatten();
        parts.filter(|part| part.get("type") == Some(&Value::from(kind))).count()
    }

    /// Returns the outputs of tools at the end of the input, as texts, looking past developer messages behind them.
    pub(super) fn tool_outputs(&self) -> Vec<String> {
        let all: Vec<&Map<String, Value>> = items(&self.body).collect();
        let from_the_end = all.iter().rev().skip_while(|item| is_developer(item));
        let mut outputs: Vec<String> = from_the_end.map_while(|item| output_text(item)).collect();
        outputs.reverse();
        outputs
    }

    /// The last item that is no developer message: Claude Code puts some of those behind what its user says.
    fn last_item(&self) -> Option<&Map<String, Value>> {
        items(&self.body).filter(|item| !is_developer(item)).last()
    }
}

fn items(body: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    body.get("input").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

fn is_user(item: &Map<String, Value>) -> bool {
    item.get("role") == Some(&Value::from("user"))
}

fn is_developer(item: &Map<String, Value>) -> bool {
    item.get("role") == Some(&Value::from("developer"))
}

fn output_text(item: &Map<String, Value>) -> Option<String> {
    let kind = item.get("type")?.as_str()?;
    if !matches!(kind, "function_call_output" | "custom_tool_call_output") {
        return None;
    }
    Some(match item.get("output")? {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let shown = parts.iter().map(|part| match part.get("text").and_then(Value::as_str) {
                Some(text) => text.to_owned(),
                None => format!("({})", part.get("type").and_then(Value::as_str).unwrap_or("part")),
            });
            shown.collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    })
}

fn collect_tools(tools: Option<&Value>, namespace: Option<&str>, found: &mut Vec<Tool>) {
    for tool in tools.and_then(Value::as_array).into_iter().flatten() {
        let Some(name) = tool.get("name").and_then(Value::as_str) else { continue };
        let kind = match tool.get("type").and_then(Value::as_str) {
            Some("function") => ToolKind::Function(tool.get("parameters").cloned().unwrap_or(Value::Null)),
            Some("custom") => ToolKind::Custom,
            Some("namespace") => {
                collect_tools(tool.get("tools"), Some(name), found);
                continue;
            }
            _ => continue,
        };
        found.push(Tool { name: name.to_owned(), namespace: namespace.map(str::to_owned), kind });
    }
}
