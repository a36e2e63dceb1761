//! Tools and the choice among them: the client's own JSON, with the values corrected that the backend refuses.
//!
//! * Corrected are names that the backend does not accept, schemas without properties, the preview name of web search,
//!   chat's nested form, and Anthropic's tools and choices, which some clients send here.
//! * A tool of another type passes byte for byte.

use serde_json::value::RawValue;

use crate::backend::request::names::{ToolNames, write_name};
use crate::backend::request::schema;
use crate::backend::request::tools::{write_custom_format, write_function};
use crate::conversation::ignored::Ignored;
use crate::conversation::tool::hosted;
use crate::dialect::messages;
use crate::fault::Fault;
use crate::json::{self, ArrayWriter, Object, ObjectWriter, Path, Text, push_string};

/// Writes an array of tools.
pub(super) fn write_all(tools: &[&RawValue], names: Option<&ToolNames>, out: &mut Vec<u8>) {
    let mut array = ArrayWriter::begin(out);
    for tool in tools {
        write_tool(tool, names, array.element());
    }
    array.end();
}

/// Writes the value of `tools`: an array of tools, or any other value.
pub(super) fn write_value(tools: &RawValue, names: Option<&ToolNames>, out: &mut Vec<u8>) {
    match elements(tools) {
        Some(tools) => write_all(&tools, names, out),
        None => out.extend_from_slice(tools.get().as_bytes()),
    }
}

/// Checks the tools in Anthropic's form; their keys without effect are listed.
pub(super) fn check(tools: &[&RawValue], ignored: &mut Ignored) -> Result<(), Fault> {
    let path = Path::Root.key("tools");
    // A search is faster than a parse, and nearly no tool has the key.
    let may_be = |tool: &RawValue| json::may_have(tool.get(), &["\"input_schema\""]);
    for (index, tool) in tools.iter().enumerate().filter(|(_, tool)| may_be(tool)) {
        if let Some((tool, _)) = typed(tool).filter(|(tool, _)| is_anthropics(tool)) {
            messages::tool::function(&tool, &path.index(index), ignored)?;
        }
    }
    Ok(())
}

/// Returns whether a tool has Anthropic's key for the schema, and no type or Anthropic's type for a function.
fn is_anthropics(tool: &Object<'_>) -> bool {
    let is_function = |kind: &RawValue| Text::of(kind).is_some_and(|kind| kind.is("custom"));
    tool.find("input_schema").is_some() && tool.find("type").is_none_or(is_function)
}

fn write_tool(raw: &RawValue, names: Option<&ToolNames>, out: &mut Vec<u8>) {
    let Some((tool, kind)) = typed(raw) else {
        out.extend_from_slice(raw.get().as_bytes());
        return;
    };
    match kind.as_str() {
        "function" if is_anthropics(&tool) => {
            match messages::tool::function(&tool, &Path::Root, &mut Ignored::default()) {
                Ok(function) => {
                    let mut object = ObjectWriter::begin(out);
                    write_function(&function, names, &mut object);
                    object.end();
                }
                // Only below other tools, whose contents are the client's own.
                Err(_) => out.extend_from_slice(raw.get().as_bytes()),
            }
        }
        "function" | "custom" | "namespace" => {
            let mut object = ObjectWriter::begin(out);
            write_flat(&tool, &kind, names, &mut object);
            object.end();
        }
        _ => match hosted(&kind).filter(|name| *name != kind) {
            Some(name) => {
                let mut object = ObjectWriter::begin(out);
                for (key, value) in tool.iter() {
                    match key {
                        "type" => object.string(key, name),
                        _ => object.raw(key, value),
                    };
                }
                object.end();
            }
            None => out.extend_from_slice(raw.get().as_bytes()),
        },
    }
}

fn write_flat(tool: &Object<'_>, kind: &str, names: Option<&ToolNames>, object: &mut ObjectWriter<'_>) {
    let nested = nested(tool, kind);
    let mut has_parameters = false;
    for (key, value) in tool.iter().filter(|(key, _)| nested.is_none() || *key != kind) {
        has_parameters |= key == "parameters";
        write_field(kind, key, value, names, object);
    }
    for (key, value) in nested.iter().flat_map(Object::iter).filter(|(key, _)| *key != "type") {
        has_parameters |= key == "parameters";
        write_field(kind, key, value, names, object);
    }
    if kind == "function" && !has_parameters {
        schema::write_parameters(None, object.key("parameters"));
    }
}

fn write_field(kind: &str, key: &str, value: &RawValue, names: Option<&ToolNames>, object: &mut ObjectWriter<'_>) {
    match (kind, key, Text::of(value)) {
        ("function" | "custom", "name", Some(name)) => write_name(name, names, object),
        ("custom", "format", _) => write_custom_format(value, object.key(key)),
        ("function", "parameters", _) => schema::write_parameters(Some(value), object.key(key)),
        ("namespace", "tools", _) => write_value(value, names, object.key(key)),
        _ => {
            object.raw(key, value);
        }
    }
}

/// Writes the choice among tools.
pub(super) fn write_choice(raw: &RawValue, names: Option<&ToolNames>, out: &mut Vec<u8>) {
    let Some((choice, kind)) = typed(raw) else {
        out.extend_from_slice(raw.get().as_bytes());
        return;
    };
    match (kind.as_str(), choice.find("name").and_then(Text::of)) {
        // Anthropic's choices.
        ("tool", Some(name)) => {
            let mut object = ObjectWriter::begin(out);
            object.string("type", "function");
            write_name(name, names, &mut object);
            return object.end();
        }
        ("any", _) => return push_string(out, "required"),
        ("auto" | "none", _) => return push_string(out, &kind),
        _ => {}
    }
    let mut object = ObjectWriter::begin(out);
    let nested = nested(&choice, &kind);
    let outer = choice.iter().filter(|(key, _)| nested.is_none() || *key != kind);
    for (key, value) in outer.chain(nested.iter().flat_map(Object::iter).filter(|(key, _)| *key != "type")) {
        match (key, Text::of(value), elements(value)) {
            ("name", Some(name), _) => write_name(name, names, &mut object),
            ("type", _, _) => {
                object.string(key, hosted(&kind).unwrap_or(&kind));
            }
            ("tools", _, Some(tools)) if kind == "allowed_tools" => {
                let mut array = ArrayWriter::begin(object.key(key));
                tools.iter().for_each(|tool| write_choice(tool, names, array.element()));
                array.end();
            }
            _ => {
                object.raw(key, value);
            }
        }
    }
    object.end();
}

/// Returns whether an Anthropic choice allows only one call at a time.
pub(super) fn allows_one_call(choice: &RawValue) -> bool {
    let flag = typed(choice).and_then(|(choice, _)| choice.find("disable_parallel_tool_use"));
    flag.is_some_and(|flag| flag.get() == "true")
}

/// Gives `each` every name of a function or custom tool in `tools`, including those in namespaces.
pub(super) fn names<'a>(tools: &[&'a RawValue], each: &mut dyn FnMut(Text<'a>)) {
    for (tool, kind) in tools.iter().filter_map(|tool| typed(tool)) {
        match kind.as_str() {
            "function" | "custom" => name(&tool, &kind).into_iter().for_each(&mut *each),
            "namespace" => tool.find("tools").into_iter().for_each(|tools| names_in(tools, each)),
            _ => {}
        }
    }
}

/// Gives `each` every name in the value of `tools`.
pub(super) fn names_in<'a>(tools: &'a RawValue, each: &mut dyn FnMut(Text<'a>)) {
    names(&elements(tools).unwrap_or_default(), each);
}

/// Gives `each` every name in the choice.
pub(super) fn chosen<'a>(choice: &'a RawValue, each: &mut dyn FnMut(Text<'a>)) {
    let Some((choice, kind)) = typed(choice) else { return };
    match nested(&choice, &kind).as_ref().unwrap_or(&choice) {
        allowed if kind == "allowed_tools" => {
            let tools = allowed.find("tools").and_then(elements).unwrap_or_default();
            tools.into_iter().for_each(|tool| chosen(tool, each));
        }
        _ => name(&choice, &kind).into_iter().for_each(each),
    }
}

fn name<'a>(tool: &Object<'a>, kind: &str) -> Option<Text<'a>> {
    let nested = nested(tool, kind);
    nested.as_ref().unwrap_or(tool).find("name").and_then(Text::of)
}

/// Returns the definition under the tool's own type, as in chat's nested form.
fn nested<'a>(tool: &Object<'a>, kind: &str) -> Option<Object<'a>> {
    let inner = tool.find(kind).filter(|_| tool.find("name").is_none())?;
    serde_json::from_str(inner.get()).ok()
}

fn typed(raw: &RawValue) -> Option<(Object<'_>, String)> {
    let tool = serde_json::from_str::<Object<'_>>(raw.get()).ok()?;
    if is_anthropics(&tool) {
        return Some((tool, "function".to_owned()));
    }
    let kind = tool.find("type").and_then(Text::of)?.decode().into_owned();
    Some((tool, kind))
}

fn elements(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}
