//! The tools a client offers, and the choice among them.
//!
//! * A tool with a schema is a function, and so is one in the form of OpenAI's APIs, `{"type":"function"}`. So are
//!   Anthropic's tools that a client runs itself (bash, text editor, memory): the API knows their schemas, and the
//!   backend receives them.
//! * A web search is the backend's own. A server-side search for tools is left out and listed: all tools are sent.
//! * Tools that would need Anthropic's servers or a screen are a 400.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::value::RawValue;

use super::history::{Told, ToolChange};
use crate::conversation::Conversation;
use crate::conversation::ignored::Ignored;
use crate::conversation::tool::{Function, Tool, ToolChoice, WebSearch};
use crate::dialect::chat;
use crate::fault::Fault;
use crate::json::{self, Object, Path, Text};

/// The tools besides those in the conversation.
#[derive(Debug, Default)]
pub(super) struct Tools<'a> {
    /// The name of the web search.
    search: Option<Text<'a>>,
    /// The number of tools with a schema of this program.
    built_in: usize,
}

impl<'a> Tools<'a> {
    /// Reads `tools`, and the changes to them in messages, into `conversation`.
    pub(super) fn read(
        tools: Option<&'a RawValue>,
        told: &Told<'a>,
        conversation: &mut Conversation<'a>,
    ) -> Result<Self, Fault> {
        let mut read = Self::default();
        let path = Path::Root.key("tools");
        let values = tools.map(|tools| json::array(tools, &path)).transpose()?.unwrap_or_default();
        for (index, value) in values.into_iter().enumerate() {
            read.tool(value, &path.index(index), conversation)?;
        }
        if !told.changes.is_empty() {
            read.change(&told.changes, conversation)?;
        }
        Ok(read)
    }

    /// Applies what messages change of the tools.
    fn change(&mut self, changes: &[ToolChange<'a>], conversation: &mut Conversation<'a>) -> Result<(), Fault> {
        let mut roster = Roster::default();
        roster.extend(&mut conversation.tools);
        let mut removed_search = None;
        for change in changes {
            match change {
                ToolChange::Added(definition, path) => {
                    self.tool(definition, &Path::Root.key(path), conversation)?;
                    roster.extend(&mut conversation.tools);
                }
                ToolChange::Switched(name) => {
                    roster.switch(*name, true);
                    if self.is_search(*name) && conversation.web_search.is_none() {
                        conversation.web_search = removed_search.take();
                    }
                }
                ToolChange::Removed(name) => {
                    roster.switch(*name, false);
                    if self.is_search(*name) {
                        removed_search = conversation.web_search.take().or(removed_search);
                    }
                }
            }
        }
        conversation.tools = roster.callable();
        Ok(())
    }

    fn is_search(&self, name: Text<'_>) -> bool {
        self.search.is_some_and(|own| own.decode() == name.decode())
    }

    fn tool(&mut self, value: &'a RawValue, path: &Path<'_>, conversation: &mut Conversation<'a>) -> Result<(), Fault> {
        let tool = json::object(value, path)?;
        let type_path = path.key("type");
        let kind = tool.find("type").filter(|value| value.get() != "null");
        let kind = kind.map(|kind| json::string(kind, &type_path)).transpose()?;
        let ignored = &mut conversation.ignored;
        match kind.as_deref() {
            None | Some("custom") => conversation.tools.push(Tool::Function(function(&tool, path, ignored)?)),
            Some("function") => conversation.tools.push(chat::tool::parse(value, path, ignored)?),
            // The public APIs of OpenAI name it without a date.
            Some(kind) if kind == "web_search" || kind.starts_with("web_search_") => {
                self.search = Some(tool.find("name").and_then(Text::of).unwrap_or(Text::from_escaped("web_search")));
                conversation.web_search = Some(web_search(&tool, path, ignored)?);
            }
            // Every tool is sent, so the model need not search for tools.
            Some(kind) if kind.starts_with("tool_search_tool_") => ignored.add(path),
            Some(kind) => match BUILT_IN.iter().find(|known| kind.starts_with(known.kind)) {
                Some(known) => {
                    self.built_in += 1;
                    if self.built_in > MOST_BUILT_IN {
                        let message = format!("'{path}': at most {MOST_BUILT_IN} tools may be of a type like '{kind}'");
                        return Err(Fault::invalid(path.to_string(), message));
                    }
                    conversation.tools.push(Tool::Function(known.function(&tool, path)?));
                }
                None => {
                    let message = format!("'{type_path}': tools of type '{kind}' are not available here");
                    return Err(Fault::unsupported(type_path.to_string(), message));
                }
            },
        }
        Ok(())
    }

    /// Reads `tool_choice`.
    pub(super) fn choose(
        &mut self,
        choice: Option<&'a RawValue>,
        conversation: &mut Conversation<'a>,
    ) -> Result<(), Fault> {
        let Some(value) = choice else { return Ok(()) };
        let path = Path::Root.key("tool_choice");
        // The forms of OpenAI's APIs: a word, or the type `function`.
        if Text::of(value).is_some() {
            conversation.tool_choice = Some(chat::choice::parse(value, &path, &mut conversation.ignored)?);
            return Ok(());
        }
        let choice = json::object(value, &path)?;
        if choice.find("type").and_then(Text::of).is_some_and(|kind| kind.is("function")) {
            conversation.tool_choice = Some(chat::choice::parse(value, &path, &mut conversation.ignored)?);
            return Ok(());
        }
        conversation.ignored.add_unknown(&choice, &["type", "name", "disable_parallel_tool_use"], &path);
        if let Some(flag) = choice.find("disable_parallel_tool_use").filter(|value| value.get() != "null") {
            conversation.one_call_at_a_time = json::boolean(flag, &path.key("disable_parallel_tool_use"))?;
        }
        let type_path = path.key("type");
        let kind = json::string(json::required(&choice, "type", &path)?, &type_path)?;
        let choice = match kind.as_ref() {
            "auto" => ToolChoice::Mode("auto"),
            "none" => ToolChoice::Mode("none"),
            "any" => ToolChoice::Mode("required"),
            "tool" => self.named(&choice, &path, conversation)?,
            other => {
                let message = format!("'{type_path}' must be auto, any, tool or none, but is '{other}'");
                return Err(Fault::invalid(type_path.to_string(), message));
            }
        };
        conversation.tool_choice = Some(choice);
        Ok(())
    }

    fn named(
        &self,
        choice: &Object<'a>,
        path: &Path<'_>,
        conversation: &mut Conversation<'a>,
    ) -> Result<ToolChoice<'a>, Fault> {
        let name_path = path.key("name");
        let name = json::text(json::required(choice, "name", path)?, &name_path)?;
        let is_named = |own: Text<'_>| own.decode() == name.decode();
        let has_search = conversation.web_search.is_some() && self.is_search(name);
        if conversation.tools.iter().filter_map(Tool::name).any(is_named) {
            return Ok(ToolChoice::Function(name));
        }
        if has_search {
            // The backend cannot be made to use its own tool by name, so that tool is left as the only one.
            conversation.tools.clear();
            return Ok(ToolChoice::Mode("required"));
        }
        let message = format!("'{name_path}': there is no tool '{}' in 'tools'", name.decode());
        Err(Fault::invalid(name_path.to_string(), message))
    }
}

/// Tools while messages add, remove and restore them. Each change takes the same time, however many tools there are.
#[derive(Debug, Default)]
struct Roster<'a> {
    /// The tools in order; `None` for one whose name was defined anew.
    tools: Vec<Option<Tool<'a>>>,
    named: HashMap<String, Named>,
}

/// The tools of one name.
#[derive(Debug, Default)]
struct Named {
    places: Vec<usize>,
    is_removed: bool,
}

impl<'a> Roster<'a> {
    /// Takes all of `tools`. A later definition replaces the earlier ones of its name.
    fn extend(&mut self, tools: &mut Vec<Tool<'a>>) {
        for tool in tools.drain(..) {
            if let Some(name) = tool.name() {
                let place = self.tools.len();
                let named = self.named.entry(name.decode().into_owned()).or_default();
                let replaced = std::mem::replace(named, Named { places: vec![place], is_removed: false });
                for place in replaced.places {
                    if let Some(slot) = self.tools.get_mut(place) {
                        *slot = None;
                    }
                }
            }
            self.tools.push(Some(tool));
        }
    }

    /// Removes the tools of this name, or restores them. A name without tools changes nothing.
    fn switch(&mut self, name: Text<'_>, is_on: bool) {
        if let Some(named) = self.named.get_mut(name.decode().as_ref()) {
            named.is_removed = !is_on;
        }
    }

    /// The tools that are not removed.
    fn callable(mut self) -> Vec<Tool<'a>> {
        for place in self.named.values().filter(|named| named.is_removed).flat_map(|named| &named.places) {
            if let Some(slot) = self.tools.get_mut(*place) {
                *slot = None;
            }
        }
        self.tools.into_iter().flatten().collect()
    }
}

/// Reads a tool with a schema.
pub(in crate::dialect) fn function<'a>(
    tool: &Object<'a>,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Function<'a>, Fault> {
    ignored.add_unknown(tool, &FUNCTION_KEYS, path);
    let schema = json::required(tool, "input_schema", path)?;
    json::object(schema, &path.key("input_schema"))?;
    let examples_path = path.key("input_examples");
    let examples = tool.find("input_examples").filter(|value| value.get() != "null");
    Ok(Function {
        name: name(tool, path)?,
        description: tool.find("description").filter(|value| value.get() != "null"),
        parameters: Some(schema),
        strict: tool.find("strict").filter(|value| value.get() != "null"),
        examples: examples.map(|examples| json::array(examples, &examples_path)).transpose()?.unwrap_or_default(),
    })
}

fn name<'a>(tool: &Object<'a>, path: &Path<'_>) -> Result<Text<'a>, Fault> {
    let (value, path) = (json::required(tool, "name", path)?, path.key("name"));
    let name = json::text(value, &path)?;
    if name.is_empty() {
        return Err(Fault::invalid(path.to_string(), format!("'{path}' is empty")));
    }
    Ok(name)
}

/// Reads a web search. Its maximum number of searches and its blocked domains cannot be sent to the backend, and are
/// listed.
fn web_search<'a>(tool: &Object<'a>, path: &Path<'_>, ignored: &mut Ignored) -> Result<WebSearch<'a>, Fault> {
    ignored.add_unknown(tool, &["type", "name", "allowed_domains", "user_location", "cache_control"], path);
    let domains_path = path.key("allowed_domains");
    let domains = tool.find("allowed_domains").filter(|value| value.get() != "null");
    if let Some(domains) = domains {
        json::array(domains, &domains_path)?;
    }
    let location = tool.find("user_location").filter(|value| value.get() != "null");
    let location = location.map(|location| json::object(location, &path.key("user_location"))).transpose()?;
    let allowed_domains = domains.filter(|value| value.get() != "[]");
    Ok(WebSearch { context_size: None, location, allowed_domains, is_live: true, tells_sources: true })
}

/// A tool whose schema is known to the API.
struct BuiltIn {
    /// The beginning of its type, before a date.
    kind: &'static str,
    /// The description as a JSON string.
    description: LazyLock<Box<RawValue>>,
    schema: LazyLock<Box<RawValue>>,
}

impl BuiltIn {
    fn function<'a>(&'static self, tool: &Object<'a>, path: &Path<'_>) -> Result<Function<'a>, Fault> {
        Ok(Function {
            name: name(tool, path)?,
            description: Some(&self.description),
            parameters: Some(&self.schema),
            strict: None,
            examples: Vec::new(),
        })
    }
}

/// Parses a constant as JSON; a malformed one would lose its tool, and a test reads each.
fn raw(json: &str) -> Box<RawValue> {
    serde_json::from_str(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

static BUILT_IN: [BuiltIn; 3] = [
    BuiltIn {
        kind: "bash_",
        description: LazyLock::new(|| {
            raw(
                r#""Runs a command in a persistent bash session and returns its output. Set restart to begin a new session.""#,
            )
        }),
        schema: LazyLock::new(|| {
            raw(r#"{"type":"object","properties":{
"command":{"type":"string","description":"The command to run."},
"restart":{"type":"boolean","description":"Whether to begin a new session instead."}}}"#)
        }),
    },
    BuiltIn {
        kind: "text_editor_",
        description: LazyLock::new(|| {
            raw(
                r#""Views, creates and edits text files. view shows a file, or a range of its lines, or the entries of a directory; create writes a whole file; str_replace replaces text that occurs exactly once; insert puts text behind a line; undo_edit takes the last edit of a file back where it is supported.""#,
            )
        }),
        schema: LazyLock::new(|| {
            raw(r#"{"type":"object","properties":{
"command":{"type":"string","enum":["view","create","str_replace","insert","undo_edit"],"description":"What to do."},
"path":{"type":"string","description":"The absolute path of a file or directory."},
"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: the first and the last line, counted from 1; -1 is the end."},
"file_text":{"type":"string","description":"For create: the content of the file."},
"old_str":{"type":"string","description":"For str_replace: the text to replace."},
"new_str":{"type":"string","description":"For str_replace and insert: the new text."},
"insert_line":{"type":"integer","description":"For insert: the line behind which the text goes; 0 is the beginning."},
"insert_text":{"type":"string","description":"For insert: the text."}},"required":["command","path"]}"#)
        }),
    },
    BuiltIn {
        kind: "memory_",
        description: LazyLock::new(|| {
            raw(
                r#""Keeps notes in files under /memories that last beyond this conversation. view shows a file or the directory; create writes a file; str_replace and insert edit one; delete and rename do that to a file or directory.""#,
            )
        }),
        schema: LazyLock::new(|| {
            raw(r#"{"type":"object","properties":{
"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"],"description":"What to do."},
"path":{"type":"string","description":"A path under /memories."},
"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: the first and the last line."},
"file_text":{"type":"string","description":"For create: the content of the file."},
"old_str":{"type":"string","description":"For str_replace: the text to replace."},
"new_str":{"type":"string","description":"For str_replace: the new text."},
"insert_line":{"type":"integer","description":"For insert: the line behind which the text goes."},
"insert_text":{"type":"string","description":"For insert: the text."},
"old_path":{"type":"string","description":"For rename: the present path."},
"new_path":{"type":"string","description":"For rename: the new path."}},"required":["command"]}"#)
        }),
    },
];

/// The most tools with a schema of this program, which is many times longer than what asks for it.
const MOST_BUILT_IN: usize = 1000;
/// The keys that are read, or that have no noticeable effect.
const FUNCTION_KEYS: [&str; 10] = [
    "type",
    "name",
    "description",
    "input_schema",
    "strict",
    "input_examples",
    "cache_control",
    "defer_loading",
    "eager_input_streaming",
    "allowed_callers",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_tool_is_json() {
        for tool in &BUILT_IN {
            assert!(tool.description.get().starts_with('"'), "{}", tool.kind);
            assert!(tool.schema.get().starts_with('{'), "{}", tool.kind);
        }
    }
}
