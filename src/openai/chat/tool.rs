//! The tools a client offers.

use serde_json::value::RawValue;

use crate::openai::error::ApiError;
use crate::openai::ignored::Ignored;
use crate::openai::json::{self, Object, Path, Text};

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
#[derive(Debug, Clone, Copy)]
pub struct Function<'a> {
    /// Its name, never empty.
    pub name: Text<'a>,
    /// What it does.
    pub description: Option<&'a RawValue>,
    /// The JSON Schema of its arguments.
    pub parameters: Option<&'a RawValue>,
    /// Whether arguments must match the schema.
    pub strict: Option<&'a RawValue>,
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

/// The tools in `value`.
pub(super) fn parse_tools<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Vec<Tool<'a>>, ApiError> {
    let tools = json::array(value, path)?;
    tools.iter().enumerate().map(|(index, tool)| Tool::parse(tool, &path.index(index), ignored)).collect()
}

/// The legacy functions in `value`.
pub(super) fn parse_functions<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Vec<Tool<'a>>, ApiError> {
    let parse = |(index, function): (usize, &&'a RawValue)| {
        let path = path.index(index);
        let function = json::object(function, &path)?;
        ignored.add_unknown(&function, &FUNCTION_KEYS, &path);
        Function::of(&function, "parameters", &path).map(Tool::Function)
    };
    json::array(value, path)?.iter().enumerate().map(parse).collect()
}

impl<'a> Tool<'a> {
    fn parse(value: &'a RawValue, path: &Path<'_>, ignored: &mut Ignored) -> Result<Self, ApiError> {
        let tool = json::object(value, path)?;
        // Anthropic's tools have a key of their own for the schema, and often no type.
        if tool.find("input_schema").is_some() && tool.find("function").is_none() {
            ignored.add_unknown(&tool, &["type", "name", "description", "input_schema", "strict"], path);
            return Function::of(&tool, "input_schema", path).map(Self::Function);
        }
        let type_path = path.key("type");
        let kind = json::string(json::required(&tool, "type", path)?, &type_path)?;
        match kind.as_ref() {
            "function" => Definition::find(&tool, "function", path)?.function(ignored).map(Self::Function),
            "custom" => Definition::find(&tool, "custom", path)?.custom(ignored).map(Self::Custom),
            other => match hosted(other) {
                Some(kind) => Ok(Self::Hosted { kind, definition: tool }),
                None => Err(ApiError::invalid(path.to_string(), format!("'{type_path}': unknown tool type '{other}'"))),
            },
        }
    }

    /// The name of a tool the client runs.
    pub fn name(&self) -> Option<Text<'a>> {
        match self {
            Self::Function(tool) => Some(tool.name),
            Self::Custom(tool) => Some(tool.name),
            Self::Hosted { .. } => None,
        }
    }
}

impl<'a> Function<'a> {
    /// The function in `definition`, its schema under the key `schema`.
    fn of(definition: &Object<'a>, schema: &str, path: &Path<'_>) -> Result<Self, ApiError> {
        Ok(Self {
            name: name(definition, path)?,
            description: definition.find("description"),
            parameters: definition.find(schema),
            strict: definition.find("strict"),
        })
    }
}

/// The definition of a tool: nested under its type as chat has it, or flat as the Responses API has it.
pub(super) enum Definition<'t, 'a, 'p> {
    Nested { outer: &'t Object<'a>, inner: Object<'a>, field: &'static str, path: &'t Path<'p> },
    Flat { tool: &'t Object<'a>, path: &'t Path<'p> },
}

impl<'t, 'a, 'p> Definition<'t, 'a, 'p> {
    pub(super) fn find(tool: &'t Object<'a>, field: &'static str, path: &'t Path<'p>) -> Result<Self, ApiError> {
        match tool.find(field) {
            Some(inner) => {
                let inner = json::object(inner, &path.key(field))?;
                Ok(Self::Nested { outer: tool, inner, field, path })
            }
            None if tool.find("name").is_some() => Ok(Self::Flat { tool, path }),
            None => {
                let path = path.key(field);
                Err(ApiError::invalid(path.to_string(), format!("'{path}' is missing")))
            }
        }
    }

    /// The name alone, which is all that a choice has.
    pub(super) fn name(&self, ignored: &mut Ignored) -> Result<Text<'a>, ApiError> {
        self.read(&["name"], ignored, name)
    }

    fn function(&self, ignored: &mut Ignored) -> Result<Function<'a>, ApiError> {
        self.read(&FUNCTION_KEYS, ignored, |definition, path| Function::of(definition, "parameters", path))
    }

    fn custom(&self, ignored: &mut Ignored) -> Result<Custom<'a>, ApiError> {
        self.read(&["name", "description", "format"], ignored, |definition, path| {
            let (description, format) = (definition.find("description"), definition.find("format"));
            Ok(Custom { name: name(definition, path)?, description, format })
        })
    }

    fn read<T>(
        &self,
        known: &[&str],
        ignored: &mut Ignored,
        read: impl Fn(&Object<'a>, &Path<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        match self {
            Self::Nested { outer, inner, field, path } => {
                ignored.add_unknown(outer, &["type", field], path);
                let path = path.key(field);
                ignored.add_unknown(inner, known, &path);
                read(inner, &path)
            }
            Self::Flat { tool, path } => {
                ignored.add_unknown(tool, &[known, &["type"]].concat(), path);
                read(tool, path)
            }
        }
    }
}

/// The name in an object at `path`, which must have one.
pub(super) fn name<'a>(definition: &Object<'a>, path: &Path<'_>) -> Result<Text<'a>, ApiError> {
    let value = json::required(definition, "name", path)?;
    let path = path.key("name");
    let name = json::text(value, &path)?;
    match name.is_empty() {
        true => Err(ApiError::invalid(path.to_string(), format!("'{path}' is empty"))),
        false => Ok(name),
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

const FUNCTION_KEYS: [&str; 4] = ["name", "description", "parameters", "strict"];
