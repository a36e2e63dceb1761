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
    /// A tool of the backend's own; `kind` is its type there.
    Hosted {
        /// `web_search` or `image_generation`.
        kind: &'static str,
        /// The tool as the client wrote it.
        definition: Object<'a>,
    },
}

/// A function the client runs.
#[derive(Debug, Clone)]
pub struct Function<'a> {
    /// Its name, never empty.
    pub name: Text<'a>,
    /// What it does.
    pub description: Option<&'a RawValue>,
    /// The JSON Schema of its arguments.
    pub parameters: Option<&'a RawValue>,
    /// Whether arguments must match the schema.
    pub strict: Option<&'a RawValue>,
    /// Examples of arguments, told behind the description.
    pub examples: Vec<&'a RawValue>,
}

/// A custom tool the client runs.
#[derive(Debug, Clone, Copy)]
pub struct Custom<'a> {
    /// Its name, never empty.
    pub name: Text<'a>,
    /// What it does.
    pub description: Option<&'a RawValue>,
    /// The form of its input.
    pub format: Option<&'a RawValue>,
}

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

/// How the web is to be searched.
#[derive(Debug, Default)]
pub struct WebSearch<'a> {
    /// How much of the web is read: `low`, `medium` or `high`.
    pub context_size: Option<Text<'a>>,
    /// Where the user is, roughly: `country`, `region`, `city`, `timezone`.
    pub location: Option<Object<'a>>,
    /// The only domains whose pages count, as an array.
    pub allowed_domains: Option<&'a RawValue>,
    /// The client is told which pages a search has found, and not only those that the text cites.
    pub tells_sources: bool,
}

impl<'a> Tool<'a> {
    /// The name of a tool the client runs.
    pub fn name(&self) -> Option<Text<'a>> {
        match self {
            Self::Function(tool) => Some(tool.name),
            Self::Custom(tool) => Some(tool.name),
            Self::Hosted { .. } => None,
        }
    }
}

impl<'a> ToolChoice<'a> {
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

/// The backend's type for a tool of its own.
pub fn hosted(kind: &str) -> Option<&'static str> {
    match kind {
        "image_generation" => Some("image_generation"),
        "web_search" => Some("web_search"),
        kind if kind.starts_with("web_search_preview") => Some("web_search"),
        _ => None,
    }
}

/// The fields of a place.
pub const PLACE: [&str; 4] = ["country", "region", "city", "timezone"];
