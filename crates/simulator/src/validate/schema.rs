//! Validation of JSON Schemas of tools and of structured output: an object at the root, and in strict mode closed and
//! complete.

use serde_json::{Map, Value};

use crate::validate::Rejection;

/// Checks a function's parameters.
///
/// An object must have `properties`, even if empty (openai/codex users behind inboxapi/cli#106, 2026-05-06,
/// containers/kubernetes-mcp-server#340); such a rule for nested objects is not known.
pub(super) fn check_parameters(
    parameters: Option<&Value>,
    function: &str,
    strict: Option<&Value>,
    path: &str,
) -> Result<(), Rejection> {
    let refuse = |cause: String| {
        let message = format!("Invalid schema for function '{function}': {cause}");
        Rejection::error(Some("invalid_function_parameters"), Some(path), message)
    };
    let schema = match parameters {
        None | Some(Value::Null) => return Err(refuse(NO_PROPERTIES.to_owned())),
        Some(Value::Object(schema)) if schema.is_empty() => return Err(refuse(NO_PROPERTIES.to_owned())),
        Some(Value::Object(schema)) => schema,
        Some(other) => return Err(Rejection::wrong_type(path, "an object", other)),
    };
    check_root(schema).and_then(|()| check_properties(schema)).map_err(refuse)?;
    check_strict(schema, strict).map_err(refuse)
}

/// Checks the schema of structured output.
pub(super) fn check_format(schema: &Map<String, Value>, name: &str, strict: Option<&Value>) -> Result<(), Rejection> {
    let refuse = |cause: String| {
        let message = format!("Invalid schema for response_format '{name}': {cause}");
        Rejection::error(Some("invalid_json_schema"), Some("text.format.schema"), message)
    };
    let is_strict = strict == Some(&Value::Bool(true));
    if is_strict || (!schema.is_empty() && !schema.contains_key("$ref")) {
        check_root(schema).map_err(refuse)?;
    }
    check_strict(schema, strict).map_err(refuse)
}

fn check_root(schema: &Map<String, Value>) -> Result<(), String> {
    if schema.get("type") == Some(&Value::from("object")) {
        return Ok(());
    }
    let given = match schema.get("type") {
        None | Some(Value::Null) => "None",
        Some(kind) => kind.as_str().unwrap_or("list"),
    };
    Err(format!("schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{given}\"'."))
}

fn check_properties(schema: &Map<String, Value>) -> Result<(), String> {
    match schema.get("properties") {
        None | Some(Value::Null) => Err(NO_PROPERTIES.to_owned()),
        Some(Value::Object(_)) => Ok(()),
        Some(other) => Err(format!("{other} is not of type 'object'.")),
    }
}

fn check_strict(schema: &Map<String, Value>, strict: Option<&Value>) -> Result<(), String> {
    if strict == Some(&Value::Bool(true)) {
        check_closed(&Value::Object(schema.clone()), &mut Vec::new())
    } else {
        Ok(())
    }
}

/// Checks strict mode: every part says what it describes, and every object forbids further properties and requires all
/// declared ones (can1357/oh-my-pi#920 for a forbidden keyword).
fn check_closed(schema: &Value, context: &mut Vec<String>) -> Result<(), String> {
    let refuse = |cause: &str| Err(format!("In context={}, {cause}", place(context)));
    let Some(object) = schema.as_object() else {
        return refuse(&format!("{schema} is not of type 'object'."));
    };
    if let Some(key) = UNSUPPORTED.iter().find(|key| object.contains_key(**key)) {
        return refuse(&format!("'{key}' is not permitted."));
    }
    if ["type", "$ref", "anyOf"].iter().all(|key| !object.contains_key(*key)) {
        return refuse("schema must have a 'type' key.");
    }
    if has_type(object, "array") && !object.contains_key("items") {
        return refuse("array schema missing items.");
    }
    if has_type(object, "object") || object.contains_key("properties") {
        check_object(object).or_else(|cause| refuse(&cause))?;
    }
    for (key, value) in object {
        let nested: Vec<(String, &Value)> = match (key.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(entries)) => {
                entries.iter().map(|(name, entry)| (format!("'{key}', '{name}'"), entry)).collect()
            }
            ("anyOf", Value::Array(entries)) => {
                entries.iter().enumerate().map(|(index, entry)| (format!("'{key}', '{index}'"), entry)).collect()
            }
            ("items", entry) => vec![("'items'".to_owned(), entry)],
            _ => Vec::new(),
        };
        for (step, entry) in nested {
            context.push(step);
            check_closed(entry, context)?;
            context.pop();
        }
    }
    Ok(())
}

fn has_type(object: &Map<String, Value>, name: &str) -> bool {
    match object.get("type") {
        Some(Value::Array(names)) => names.iter().any(|known| known == name),
        Some(known) => known == name,
        None => false,
    }
}

fn check_object(object: &Map<String, Value>) -> Result<(), String> {
    if object.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err("'additionalProperties' is required to be supplied and to be false.".to_owned());
    }
    let required: Vec<&str> =
        object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = object.get("properties").and_then(Value::as_object);
    match properties.into_iter().flat_map(Map::keys).find(|name| !required.contains(&name.as_str())) {
        Some(name) => Err(format!(
            "'required' is required to be supplied and to be an array including every key in properties. Missing \
             '{name}'."
        )),
        None => Ok(()),
    }
}

fn place(context: &[String]) -> String {
    format!("({})", context.join(", "))
}

const NO_PROPERTIES: &str = "In context=(), object schema missing properties.";
/// The keywords that strict schemas may not have
/// (<https://platform.openai.com/docs/guides/structured-outputs#supported-schemas>).
const UNSUPPORTED: [&str; 8] = ["allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"];
