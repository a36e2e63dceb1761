//! Tools and the choice among them in the backend's flat form.

use serde_json::value::RawValue;

use crate::backend::request::names::{ToolNames, write_name};
use crate::backend::request::schema;
use crate::conversation::Conversation;
use crate::conversation::tool::{AllowedTool, ToolChoice};
use crate::conversation::tool::{Custom, Function, Tool};
use crate::conversation::tool::{PLACE, WebSearch};
use crate::json::{ArrayWriter, ObjectWriter, Path, Text, escape, object, push_string};

/// Writes tools, the choice among them and `parallel_tool_calls`: all three or none.
pub(super) fn write(conversation: &Conversation<'_>, names: Option<&ToolNames>, body: &mut ObjectWriter<'_>) {
    if conversation.tools.is_empty() && conversation.web_search.is_none() {
        return;
    }
    let mut array = ArrayWriter::begin(body.key("tools"));
    for tool in &conversation.tools {
        write_tool(tool, names, array.object());
    }
    if let Some(search) = &conversation.web_search {
        write_search(search, array.object());
    }
    array.end();
    match &conversation.tool_choice {
        // Without functions there is none to choose, while a search can be required or forbidden.
        Some(choice) if !conversation.tools.is_empty() || matches!(choice, ToolChoice::Mode(_)) => {
            write_choice(choice, names, body.key("tool_choice"));
        }
        Some(_) | None => {
            body.string("tool_choice", "auto");
        }
    }
    body.boolean("parallel_tool_calls", !conversation.one_call_at_a_time);
}

fn write_tool(tool: &Tool<'_>, names: Option<&ToolNames>, mut flat: ObjectWriter<'_>) {
    match tool {
        Tool::Function(function) => write_function(function, names, &mut flat),
        Tool::Custom(custom) => write_custom(custom, names, &mut flat),
        Tool::Hosted { kind, definition } => {
            flat.string("type", kind);
            for (key, value) in definition.iter().filter(|(key, _)| *key != "type") {
                flat.raw(key, value);
            }
        }
    }
    flat.end();
}

/// Writes the fields of a function.
pub(crate) fn write_function(function: &Function<'_>, names: Option<&ToolNames>, flat: &mut ObjectWriter<'_>) {
    flat.string("type", "function");
    write_name(function.name, names, flat);
    write_description(function, flat);
    schema::write_parameters(function.parameters, flat.key("parameters"));
    match function.strict {
        Some(strict) => flat.raw("strict", strict),
        None => flat.boolean("strict", false),
    };
}

/// Writes the description, followed by the examples as JSON lines.
fn write_description(function: &Function<'_>, flat: &mut ObjectWriter<'_>) {
    if function.examples.is_empty() {
        if let Some(description) = function.description {
            flat.raw("description", description);
        }
        return;
    }
    let mut text = function.description.and_then(Text::of).map(|text| text.escaped().to_owned()).unwrap_or_default();
    text.push_str(r"\n\nExamples:");
    for example in &function.examples {
        text.push_str(r"\n");
        text.push_str(&escape(example.get()));
    }
    flat.text("description", Text::from_escaped(&text));
}

fn write_custom(custom: &Custom<'_>, names: Option<&ToolNames>, flat: &mut ObjectWriter<'_>) {
    flat.string("type", "custom");
    write_name(custom.name, names, flat);
    if let Some(description) = custom.description {
        flat.raw("description", description);
    }
    if let Some(format) = custom.format {
        write_custom_format(format, flat.key("format"));
    }
}

/// Writes the format of a custom tool. Chat nests a grammar's two fields one level deeper than the backend.
pub(crate) fn write_custom_format(raw: &RawValue, out: &mut Vec<u8>) {
    let format = object(raw, &Path::Root).unwrap_or_default();
    match format.find("grammar").and_then(|grammar| object(grammar, &Path::Root).ok()) {
        Some(grammar) => {
            let mut flat = ObjectWriter::begin(out);
            flat.string("type", "grammar");
            for (key, value) in grammar.iter().filter(|(key, _)| *key != "type") {
                flat.raw(key, value);
            }
            flat.end();
        }
        None => out.extend_from_slice(raw.get().as_bytes()),
    }
}

fn write_search(search: &WebSearch<'_>, mut tool: ObjectWriter<'_>) {
    tool.string("type", "web_search");
    if search.is_live {
        tool.boolean("external_web_access", true);
    }
    if let Some(size) = search.context_size {
        tool.text("search_context_size", size);
    }
    if let Some(place) = &search.location {
        let mut location = ObjectWriter::begin(tool.key("user_location"));
        location.string("type", "approximate");
        for (key, value) in place.iter().filter(|(key, value)| PLACE.contains(key) && value.get() != "null") {
            location.raw(key, value);
        }
        location.end();
    }
    if let Some(domains) = search.allowed_domains {
        let mut filters = ObjectWriter::begin(tool.key("filters"));
        filters.raw("allowed_domains", domains);
        filters.end();
    }
    tool.end();
}

fn write_choice(choice: &ToolChoice<'_>, names: Option<&ToolNames>, out: &mut Vec<u8>) {
    match choice {
        ToolChoice::Mode(mode) => push_string(out, mode),
        ToolChoice::Function(name) => write_named("function", *name, names, ObjectWriter::begin(out)),
        ToolChoice::Custom(name) => write_named("custom", *name, names, ObjectWriter::begin(out)),
        ToolChoice::Allowed { mode, tools } => {
            let mut allowed = ObjectWriter::begin(out);
            allowed.string("type", "allowed_tools").text("mode", *mode);
            let mut array = ArrayWriter::begin(allowed.key("tools"));
            for tool in tools {
                match tool {
                    AllowedTool::Function(name) => write_named("function", *name, names, array.object()),
                    AllowedTool::Custom(name) => write_named("custom", *name, names, array.object()),
                    AllowedTool::Hosted(kind) => {
                        let mut tool = array.object();
                        tool.string("type", kind);
                        tool.end();
                    }
                }
            }
            array.end();
            allowed.end();
        }
    }
}

fn write_named(kind: &str, name: Text<'_>, names: Option<&ToolNames>, mut object: ObjectWriter<'_>) {
    object.string("type", kind);
    write_name(name, names, &mut object);
    object.end();
}
