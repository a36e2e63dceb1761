//! The tools a client offers and which of them the model may or must use.

use serde_json::value::RawValue;

use crate::openai::error::ApiError;
use crate::openai::json::{self, Object, Path, Text};

/// One tool.
#[derive(Debug)]
pub enum Tool<'a> {
    /// A function the client runs: `name`, `description`, `parameters`, `strict`.
    Function(Object<'a>),
    /// A custom tool the client runs: `name`, `description`, `format`.
    Custom(Object<'a>),
    /// A tool of the backend's own; `kind` is its type there.
    Hosted {
        /// `web_search` or `image_generation`.
        kind: &'static str,
        /// The tool as the client wrote it.
        definition: Object<'a>,
    },
}

/// Which tools the model may or must use.
#[derive(Debug)]
pub enum ToolChoice<'a> {
    /// `auto`, `none` or `required`.
    Mode(Text<'a>),
    /// This function.
    Function(Text<'a>),
    /// This custom tool.
    Custom(Text<'a>),
    /// One of these.
    Allowed {
        /// `auto` or `required`.
        mode: Text<'a>,
        /// The tools to choose from.
        tools: Vec<AllowedTool<'a>>,
    },
}

/// A tool named in `allowed_tools`.
#[derive(Debug, Clone, Copy)]
pub enum AllowedTool<'a> {
    /// A function.
    Function(Text<'a>),
    /// A custom tool.
    Custom(Text<'a>),
    /// A tool of the backend's own.
    Hosted(&'static str),
}

/// The tools in `value`.
pub(super) fn parse_tools<'a>(value: &'a RawValue, path: &Path<'_>) -> Result<Vec<Tool<'a>>, ApiError> {
    json::array(value, path)?.iter().enumerate().map(|(index, tool)| Tool::parse(tool, &path.index(index))).collect()
}

/// The legacy functions in `value`.
pub(super) fn parse_functions<'a>(value: &'a RawValue, path: &Path<'_>) -> Result<Vec<Tool<'a>>, ApiError> {
    let functions = json::array(value, path)?;
    let parse = |(index, function): (usize, &&'a RawValue)| {
        let path = path.index(index);
        named(json::object(function, &path)?, &path).map(Tool::Function)
    };
    functions.iter().enumerate().map(parse).collect()
}

impl<'a> Tool<'a> {
    fn parse(value: &'a RawValue, path: &Path<'_>) -> Result<Self, ApiError> {
        let tool = json::object(value, path)?;
        let type_path = path.key("type");
        let kind = json::string(json::required(&tool, "type", path)?, &type_path)?;
        match kind.as_ref() {
            "function" => inner(tool, "function", path).map(Self::Function),
            "custom" => inner(tool, "custom", path).map(Self::Custom),
            other => match hosted(other) {
                Some(kind) => Ok(Self::Hosted { kind, definition: tool }),
                None => Err(ApiError::invalid(path.to_string(), format!("'{type_path}': unknown tool type '{other}'"))),
            },
        }
    }

    /// The name of a tool the client runs.
    pub fn name(&self) -> Option<Text<'a>> {
        match self {
            Self::Function(tool) | Self::Custom(tool) => tool.find("name").and_then(Text::of),
            Self::Hosted { .. } => None,
        }
    }
}

impl<'a> ToolChoice<'a> {
    pub(super) fn parse(value: &'a RawValue, path: &Path<'_>) -> Result<Self, ApiError> {
        if let Some(mode) = Text::of(value) {
            return match mode.escaped() {
                "auto" | "none" | "required" => Ok(Self::Mode(mode)),
                // The word of some other providers for the same thing.
                "any" => Ok(Self::Mode(Text::from_escaped("required"))),
                other => Err(ApiError::invalid(
                    path.to_string(),
                    format!("'{path}' must be auto, none, required or name a tool, but is '{other}'"),
                )),
            };
        }
        let choice = json::object(value, path)?;
        let type_path = path.key("type");
        match json::string(json::required(&choice, "type", path)?, &type_path)?.as_ref() {
            "function" => tool_name(choice, "function", path).map(Self::Function),
            "custom" => tool_name(choice, "custom", path).map(Self::Custom),
            "allowed_tools" => Self::allowed(choice, path),
            "auto" => Ok(Self::Mode(Text::from_escaped("auto"))),
            other => Err(ApiError::unsupported(
                path.to_string(),
                format!("'{type_path}': the backend cannot be made to use a tool of type '{other}'"),
            )),
        }
    }

    pub(super) fn parse_legacy(value: &'a RawValue, path: &Path<'_>) -> Result<Self, ApiError> {
        if Text::of(value).is_some() {
            return Self::parse(value, path);
        }
        let choice = json::object(value, path)?;
        Ok(Self::Function(json::text(json::required(&choice, "name", path)?, &path.key("name"))?))
    }

    fn allowed(choice: Object<'a>, path: &Path<'_>) -> Result<Self, ApiError> {
        let inner_path = path.key("allowed_tools");
        let (choice, path) = match choice.find("allowed_tools") {
            Some(inner) => (json::object(inner, &inner_path)?, &inner_path),
            None => (choice, path),
        };
        let mode = json::text(json::required(&choice, "mode", path)?, &path.key("mode"))?;
        let tools_path = path.key("tools");
        let tools = json::array(json::required(&choice, "tools", path)?, &tools_path)?;
        let parse = |(index, tool): (usize, &&'a RawValue)| AllowedTool::parse(tool, &tools_path.index(index));
        Ok(Self::Allowed { mode, tools: tools.iter().enumerate().map(parse).collect::<Result<_, _>>()? })
    }
}

impl<'a> AllowedTool<'a> {
    fn parse(value: &'a RawValue, path: &Path<'_>) -> Result<Self, ApiError> {
        let tool = json::object(value, path)?;
        let type_path = path.key("type");
        let kind = json::string(json::required(&tool, "type", path)?, &type_path)?;
        match kind.as_ref() {
            "function" => tool_name(tool, "function", path).map(Self::Function),
            "custom" => tool_name(tool, "custom", path).map(Self::Custom),
            other => hosted(other).map(Self::Hosted).ok_or_else(|| {
                ApiError::invalid(type_path.to_string(), format!("'{type_path}': unknown tool type '{other}'"))
            }),
        }
    }
}

/// The backend's type for a tool of its own.
pub fn hosted(kind: &str) -> Option<&'static str> {
    match kind {
        "image_generation" => Some("image_generation"),
        "web_search" => Some("web_search"),
        kind if kind.starts_with("web_search_preview") => Some("web_search"),
        _ => None,
    }
}

/// The definition of a tool: nested under its type as chat has it, or flat as the Responses API has it.
fn inner<'a>(tool: Object<'a>, field: &str, path: &Path<'_>) -> Result<Object<'a>, ApiError> {
    let inner_path = path.key(field);
    match tool.find(field) {
        Some(definition) => named(json::object(definition, &inner_path)?, &inner_path),
        None if tool.find("name").is_some() => named(tool, path),
        None => Err(ApiError::invalid(inner_path.to_string(), format!("'{inner_path}' is missing"))),
    }
}

fn tool_name<'a>(tool: Object<'a>, field: &str, path: &Path<'_>) -> Result<Text<'a>, ApiError> {
    let definition = inner(tool, field, path)?;
    json::text(json::required(&definition, "name", path)?, &path.key("name"))
}

fn named<'a>(definition: Object<'a>, path: &Path<'_>) -> Result<Object<'a>, ApiError> {
    json::text(json::required(&definition, "name", path)?, &path.key("name"))?;
    Ok(definition)
}
