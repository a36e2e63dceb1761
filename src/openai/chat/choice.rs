//! Which tools the model may or must use.

use serde_json::value::RawValue;

use super::tool::{self, Definition, hosted};
use crate::openai::error::ApiError;
use crate::openai::ignored::Ignored;
use crate::openai::json::{self, Object, Path, Text};

/// Which tools the model may or must use.
#[derive(Debug)]
pub enum ToolChoice<'a> {
    /// `auto`, `none` or `required`.
    Mode(&'static str),
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

impl<'a> ToolChoice<'a> {
    pub(super) fn parse(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<Self, ApiError> {
        if let Some(word) = Text::of(value) {
            return mode(word.escaped()).map(Self::Mode).ok_or_else(|| {
                let found = word.escaped();
                let message = format!("'{path}' must be auto, none, required or name a tool, but is '{found}'");
                ApiError::invalid(path.to_string(), message)
            });
        }
        let choice = json::object(value, path)?;
        let type_path = path.key("type");
        match json::string(json::required(&choice, "type", path)?, &type_path)?.as_ref() {
            "function" => Definition::find(&choice, "function", path)?.name(ignored).map(Self::Function),
            "custom" => Definition::find(&choice, "custom", path)?.name(ignored).map(Self::Custom),
            "allowed_tools" => Self::allowed(choice, path, ignored),
            // Anthropic's word for a function by its name.
            "tool" => {
                ignored.add_unknown(&choice, &["type", "name"], path);
                tool::name(&choice, path).map(Self::Function)
            }
            other => match mode(other) {
                Some(mode) => {
                    ignored.add_unknown(&choice, &["type"], path);
                    Ok(Self::Mode(mode))
                }
                None => Err(ApiError::unsupported(
                    path.to_string(),
                    format!("'{type_path}': the backend cannot be made to use a tool of type '{other}'"),
                )),
            },
        }
    }

    /// The legacy `function_call`: a word, or an object with a name.
    pub(super) fn parse_legacy(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<Self, ApiError> {
        if Text::of(value).is_some() {
            return Self::parse(value, path, ignored);
        }
        let choice = json::object(value, path)?;
        ignored.add_unknown(&choice, &["name"], path);
        tool::name(&choice, path).map(Self::Function)
    }

    fn allowed(choice: Object<'a>, path: &Path<'_>, ignored: &mut Ignored) -> Result<Self, ApiError> {
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
        let parse = |(index, tool): (usize, &&'a RawValue)| AllowedTool::parse(tool, &tools_path.index(index), ignored);
        Ok(Self::Allowed { mode, tools: tools.iter().enumerate().map(parse).collect::<Result<_, _>>()? })
    }

    /// The names of the tools it names.
    pub fn names(&self) -> Vec<Text<'a>> {
        match self {
            Self::Mode(_) => Vec::new(),
            Self::Function(name) | Self::Custom(name) => vec![*name],
            Self::Allowed { tools, .. } => tools
                .iter()
                .filter_map(|tool| match tool {
                    AllowedTool::Function(name) | AllowedTool::Custom(name) => Some(*name),
                    AllowedTool::Hosted(_) => None,
                })
                .collect(),
        }
    }
}

impl<'a> AllowedTool<'a> {
    fn parse(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<Self, ApiError> {
        let tool = json::object(value, path)?;
        let type_path = path.key("type");
        let kind = json::string(json::required(&tool, "type", path)?, &type_path)?;
        match kind.as_ref() {
            "function" => Definition::find(&tool, "function", path)?.name(ignored).map(Self::Function),
            "custom" => Definition::find(&tool, "custom", path)?.name(ignored).map(Self::Custom),
            other => {
                ignored.add_unknown(&tool, &["type"], path);
                hosted(other).map(Self::Hosted).ok_or_else(|| {
                    ApiError::invalid(type_path.to_string(), format!("'{type_path}': unknown tool type '{other}'"))
                })
            }
        }
    }
}

/// The backend's word for a way to choose.
fn mode(word: &str) -> Option<&'static str> {
    match word {
        "auto" => Some("auto"),
        "none" => Some("none"),
        // The second is the word of some other providers for the same thing.
        "required" | "any" => Some("required"),
        _ => None,
    }
}
