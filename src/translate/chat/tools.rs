//! Tools and the choice among them in the backend's flat form.

use crate::openai::chat::tool::{AllowedTool, Tool, ToolChoice};
use crate::openai::json::{ArrayWriter, Object, ObjectWriter, Path, Text, object};

/// Writes the array of tools.
pub(super) fn write_tools(tools: &[Tool<'_>], out: &mut Vec<u8>) {
    let mut array = ArrayWriter::begin(out);
    for tool in tools {
        let mut flat = array.object();
        match tool {
            Tool::Function(function) => write_function(function, &mut flat),
            Tool::Custom(custom) => write_custom(custom, &mut flat),
            Tool::Hosted { kind, definition } => {
                flat.string("type", kind);
                for (key, value) in definition.iter().filter(|(key, _)| *key != "type") {
                    flat.raw(key, value);
                }
            }
        }
        flat.end();
    }
    array.end();
}

fn write_function(function: &Object<'_>, flat: &mut ObjectWriter<'_>) {
    flat.string("type", "function");
    copy(function, "name", flat);
    copy(function, "description", flat);
    match function.find("parameters") {
        Some(parameters) => flat.raw("parameters", parameters),
        None => flat.json("parameters", r#"{"type":"object","properties":{}}"#),
    };
    match function.find("strict") {
        Some(strict) => flat.raw("strict", strict),
        None => flat.boolean("strict", false),
    };
}

fn write_custom(custom: &Object<'_>, flat: &mut ObjectWriter<'_>) {
    flat.string("type", "custom");
    copy(custom, "name", flat);
    copy(custom, "description", flat);
    let Some(raw) = custom.find("format") else { return };
    // Chat nests a grammar's two fields once more than the backend does.
    let format = object(raw, &Path::Root).unwrap_or_default();
    match format.find("grammar").and_then(|grammar| object(grammar, &Path::Root).ok()) {
        Some(grammar) => {
            let mut flat_format = ObjectWriter::begin(flat.key("format"));
            flat_format.string("type", "grammar");
            for (key, value) in grammar.iter() {
                flat_format.raw(key, value);
            }
            flat_format.end();
        }
        None => {
            flat.raw("format", raw);
        }
    }
}

/// Writes the value of `tool_choice`.
pub(super) fn write_choice(choice: &ToolChoice<'_>, out: &mut Vec<u8>) {
    match choice {
        ToolChoice::Mode(mode) => {
            out.push(b'"');
            out.extend_from_slice(mode.escaped().as_bytes());
            out.push(b'"');
        }
        ToolChoice::Function(name) => write_named("function", *name, ObjectWriter::begin(out)),
        ToolChoice::Custom(name) => write_named("custom", *name, ObjectWriter::begin(out)),
        ToolChoice::Allowed { mode, tools } => {
            let mut allowed = ObjectWriter::begin(out);
            allowed.string("type", "allowed_tools").text("mode", *mode);
            let mut array = ArrayWriter::begin(allowed.key("tools"));
            for tool in tools {
                match tool {
                    AllowedTool::Function(name) => write_named("function", *name, array.object()),
                    AllowedTool::Custom(name) => write_named("custom", *name, array.object()),
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

fn write_named(kind: &str, name: Text<'_>, mut object: ObjectWriter<'_>) {
    object.string("type", kind).text("name", name);
    object.end();
}

fn copy(from: &Object<'_>, key: &str, to: &mut ObjectWriter<'_>) {
    if let Some(value) = from.find(key) {
        to.raw(key, value);
    }
}
