//! The tools a chat client offers.

use serde_json::value::RawValue;

use crate::conversation::ignored::Ignored;
use crate::conversation::tool::{Custom, Function, Tool, hosted};
use crate::fault::Fault;
use crate::json;
use crate::json::{Object, Path, Text};

/// Reads the tools in `value`.
pub(super) fn parse_tools<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Vec<Tool<'a>>, Fault> {
    let tools = json::array(value, path)?;
    tools.iter().enumerate().map(|(index, tool)| parse(tool, &path.index(index), ignored)).collect()
}

/// Reads the legacy functions in `value`.
pub(super) fn parse_functions<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Vec<Tool<'a>>, Fault> {
    let parse = |(index, function): (usize, &&'a RawValue)| {
        let path = path.index(index);
        let function = json::object(function, &path)?;
        ignored.add_unknown(&function, &FUNCTION_KEYS, &path);
        function_of(&function, "parameters", &path).map(Tool::Function)
    };
    json::array(value, path)?.iter().enumerate().map(parse).collect()
}

/// Reads the tool in `value`.
pub(in crate::dialect) fn parse<'a>(
    value: &'a RawValue,
    path: &Path<'_>,
    ignored: &mut Ignored,
) -> Result<Tool<'a>, Fault> {
    let tool = json::object(value, path)?;
    // Anthropic's tools have a different key for the schema, and often no type.
    if tool.find("input_schema").is_some() && tool.find("function").is_none() {
        ignored.add_unknown(&tool, &["type", "name", "description", "input_schema", "strict"], path);
        return function_of(&tool, "input_schema", path).map(Tool::Function);
    }
    let type_path = path.key("type");
    let kind = json::string(json::required(&tool, "type", path)?, &type_path)?;
    match kind.as_ref() {
        "function" => Definition::find(&tool, "function", path)?.function(ignored).map(Tool::Function),
        "custom" => Definition::find(&tool, "custom", path)?.custom(ignored).map(Tool::Custom),
        other => match hosted(other) {
            Some(kind) => Ok(Tool::Hosted { kind, definition: tool }),
            None => Err(Fault::invalid(path.to_string(), format!("'{type_path}': unknown tool type '{other}'"))),
        },
    }
}

/// Reads the function in `definition`, with its schema under the key `schema`.
fn function_of<'a>(definition: &Object<'a>, schema: &str, path: &Path<'_>) -> Result<Function<'a>, Fault> {
    Ok(Function {
        name: name(definition, path)?,
        description: definition.find("description"),
        parameters: definition.find(schema),
        strict: definition.find("strict"),
        examples: Vec::new(),
    })
}

/// The definition of a tool: nested under its type as in chat, or flat as in the Responses API.
pub(super) enum Definition<'t, 'a, 'p> {
    Nested { outer: &'t Object<'a>, inner: Object<'a>, field: &'static str, path: &'t Path<'p> },
    Flat { tool: &'t Object<'a>, path: &'t Path<'p> },
}

impl<'t, 'a, 'p> Definition<'t, 'a, 'p> {
    pub(super) fn find(tool: &'t Object<'a>, field: &'static str, path: &'t Path<'p>) -> Result<Self, Fault> {
        match tool.find(field) {
            Some(inner) => {
                let inner = json::object(inner, &path.key(field))?;
                Ok(Self::Nested { outer: tool, inner, field, path })
            }
            None if tool.find("name").is_some() => Ok(Self::Flat { tool, path }),
            None => {
                let path = path.key(field);
                Err(Fault::invalid(path.to_string(), format!("'{path}' is missing")))
            }
        }
    }

    /// Returns the name alone, the only field of a choice.
    pub(super) fn name(&self, ignored: &mut Ignored) -> Result<Text<'a>, Fault> {
        self.read(&["name"], ignored, name)
    }

    fn function(&self, ignored: &mut Ignored) -> Result<Function<'a>, Fault> {
        self.read(&FUNCTION_KEYS, ignored, |definition, path| function_of(definition, "parameters", path))
    }

    fn custom(&self, ignored: &mut Ignored) -> Result<Custom<'a>, Fault> {
        self.read(&["name", "description", "format"], ignored, |definition, path| {
            let (description, format) = (definition.find("description"), definition.find("format"));
            Ok(Custom { name: name(definition, path)?, description, format })
        })
    }

    fn read<T>(
        &self,
        known: &[&str],
        ignored: &mut Ignored,
        read: impl Fn(&Object<'a>, &Path<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
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

/// Returns the required name of an object at `path`.
pub(super) fn name<'a>(definition: &Object<'a>, path: &Path<'_>) -> Result<Text<'a>, Fault> {
    let value = json::required(definition, "name", path)?;
    let path = path.key("name");
    let name = json::text(value, &path)?;
    match name.is_empty() {
        true => Err(Fault::invalid(path.to_string(), format!("'{path}' is empty"))),
        false => Ok(name),
    }
}

const FUNCTION_KEYS: [&str; 4] = ["name", "description", "parameters", "strict"];
