//! The tools that the model may or must use, in chat's form.

use serde_json::value::RawValue;

use crate::conversation::ignored::Ignored;
use crate::conversation::tool::{AllowedTool, ToolChoice, hosted};
use crate::dialect::chat::tool;
use crate::dialect::chat::tool::Definition;
use crate::fault::Fault;
use crate::json;
use crate::json::{Object, Path, Text};

/// Reads the choice in `value`.
pub(in crate::dialect) fn parse<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<ToolChoice<'a>, Fault> {
    if let Some(word) = Text::of(value).map(Text::decode) {
        return mode(&word).map(ToolChoice::Mode).ok_or_else(|| {
            let message = format!("'{path}' must be auto, none, required or name a tool, but is '{word}'");
            Fault::invalid(path.to_string(), message)
        });
    }
    let choice = json::object(value, path)?;
    let type_path = path.key("type");
    match json::string(json::required(&choice, "type", path)?, &type_path)?.as_ref() {
        "function" => Definition::find(&choice, "function", path)?.name(ignored).map(ToolChoice::Function),
        "custom" => Definition::find(&choice, "custom", path)?.name(ignored).map(ToolChoice::Custom),
        "allowed_tools" => allowed(choice, path, ignored),
        // Anthropic's type for a function by its name.
        "tool" => {
            ignored.add_unknown(&choice, &["type", "name"], path);
            tool::name(&choice, path).map(ToolChoice::Function)
        }
        other => match mode(other) {
            Some(mode) => {
                ignored.add_unknown(&choice, &["type"], path);
                Ok(ToolChoice::Mode(mode))
            }
            None => Err(Fault::unsupported(
                path.to_string(),
                format!("'{type_path}': the backend cannot be made to use a tool of type '{other}'"),
            )),
        },
    }
}

/// Reads the legacy `function_call`: a string, or an object with a name.
pub(super) fn parse_legacy<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<ToolChoice<'a>, Fault> {
    if Text::of(value).is_some() {
        return parse(value, path, ignored);
    }
    let choice = json::object(value, path)?;
    ignored.add_unknown(&choice, &["name"], path);
    tool::name(&choice, path).map(ToolChoice::Function)
}

fn allowed<'a>(choice: Object<'a>, path: &Path<'_>, ignored: &mut Ignored) -> Result<ToolChoice<'a>, Fault> {
    let inner_path = path.key("allowed_tools");
    let (choice, path) = match choice.find("allowed_tools") {
        Some(inner) => {
            ignored.add_unknown(&choice, &["type", "allowed_tools"], path);
            (json::object(inner, &inner_path)?, &inner_path)
        }
        None => (choice, path),
    };
    ignored.add_unknown(&choice, &["type", "mode", "tools"], path);
    let mode = json::text(json::required(&choice, "mode", path)?, &path.key("mode"))?;
    let tools_path = path.key("tools");
    let tools = json::array(json::required(&choice, "tools", path)?, &tools_path)?;
    let parse = |(index, tool): (usize, &&'a RawValue)| allowed_tool(tool, &tools_path.index(index), ignored);
    Ok(ToolChoice::Allowed { mode, tools: tools.iter().enumerate().map(parse).collect::<Result<_, _>>()? })
}

fn allowed_tool<'a>(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<AllowedTool<'a>, Fault> {
    let tool = json::object(value, path)?;
    let type_path = path.key("type");
    let kind = json::string(json::required(&tool, "type", path)?, &type_path)?;
    match kind.as_ref() {
        "function" => Definition::find(&tool, "function", path)?.name(ignored).map(AllowedTool::Function),
        "custom" => Definition::find(&tool, "custom", path)?.name(ignored).map(AllowedTool::Custom),
        other => {
            ignored.add_unknown(&tool, &["type"], path);
            hosted(other).map(AllowedTool::Hosted).ok_or_else(|| {
                Fault::invalid(type_path.to_string(), format!("'{type_path}': unknown tool type '{other}'"))
            })
        }
    }
}

/// Returns the backend's name of a mode.
fn mode(word: &str) -> Option<&'static str> {
    match word {
        "auto" => Some("auto"),
        "none" => Some("none"),
        // `any` is some other providers' name for the same mode.
        "required" | "any" => Some("required"),
        _ => None,
    }
}
