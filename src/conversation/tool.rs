//! The tools a client offers, and the choice among them.

use serde_json::value::RawValue;

use crate::json::{Object, Text};

/// One tool.
#[derive(Debug)]
pub enum Tool<'a> {
    /// A function the client runs.
    Function(Function<'a>),
    /// A custom tool the client runs.
    Custom(Custom<'a>),
    /// A tool run by the backend; `kind` is its type there.
    Hosted {
        /// `web_search` or `image_generation`.
        kind: &'static str,
        /// The client's definition of the tool.
        definition: Object<'a>,
    },
}

/// A function the client runs.
#[derive(Debug, Clone)]
pub struct Function<'a> {
    /// The function's name, never empty.
    pub name: Text<'a>,
    /// The function's description.
    pub description: Option<&'a RawValue>,
    /// The JSON Schema of the arguments.
    pub parameters: Option<&'a RawValue>,
    /// Whether the arguments must match the schema.
    pub strict: Option<&'a RawValue>,
    /// Examples of arguments, sent after the description.
    pub examples: Vec<&'a RawValue>,
}

/// A custom tool the client runs.
#[derive(Debug, Clone, Copy)]
pub struct Custom<'a> {
    /// The tool's name, never empty.
    pub name: Text<'a>,
    /// The tool's description.
    pub description: Option<&'a RawValue>,
    /// The format of the input.
    pub format: Option<&'a RawValue>,
}

/// The tools that the model may or must use.
#[derive(Debug)]
pub enum ToolChoice<'a> {
    /// `auto`, `none` or `required`.
    Mode(&'static str),
    /// The named function.
    Function(Text<'a>),
    /// The named custom tool.
    Custom(Text<'a>),
    /// One of several tools.
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
    /// A tool run by the backend.
    Hosted(&'static str),
}

/// The settings of a web search.
#[derive(Debug, Default)]
pub struct WebSearch<'a> {
    /// The amount of web content to read: `low`, `medium` or `high`.
    pub context_size: Option<Text<'a>>,
    /// The user's approximate location: `country`, `region`, `city`, `timezone`.
    pub location: Option<Object<'a>>,
    /// The only domains to search, as an array.
    pub allowed_domains: Option<&'a RawValue>,
    /// Whether the search reads the web as it is now, and not only what the backend has kept of it.
    pub is_live: bool,
    /// Whether the client receives all pages found, and not only those cited in the text.
    pub tells_sources: bool,
}

impl<'a> Tool<'a> {
    /// Returns the name of a tool run by the client.
    pub fn name(&self) -> Option<Text<'a>> {
        match self {
            Self::Function(tool) => Some(tool.name),
            Self::Custom(tool) => Some(tool.name),
            Self::Hosted { .. } => None,
        }
    }
}

impl<'a> ToolChoice<'a> {
    /// Returns the names of the tools in the choice.
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

/// Returns the backend's type for a tool that it runs itself.
pub fn hosted(kind: &str) -> Option<&'static str> {
    match kind {
        "image_generation" => Some("image_generation"),
        "web_search" => Some("web_search"),
        kind if kind.starts_with("web_search_preview") => Some("web_search"),
        _ => None,
    }
}

/// The fields of a location.
pub const PLACE: [&str; 4] = ["country", "region", "city", "timezone"];
