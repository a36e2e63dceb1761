//! Structured output: the JSON Schema that the answer's text must match.
//!
//! The schema is sent unchanged. The backend enforces one only if it meets its strict rules, and refuses any other: the
//! root is an object, each object lists all its properties as required and allows no others, and each part says what it
//! describes. For such a schema strictness is requested, for others not.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::conversation::settings::ResponseFormat;
use crate::fault::Fault;
use crate::json::{self, Object, Path};

/// Reads the format in `output_config.format`, or in the older `output_format`.
pub(super) fn read<'a>(object: &Object<'a>) -> Result<Option<ResponseFormat<'a>>, Fault> {
    let present = |object: &Object<'a>, key: &str| object.find(key).filter(|value| value.get() != "null");
    let config_path = Path::Root.key("output_config");
    let config = present(object, "output_config").map(|config| json::object(config, &config_path)).transpose()?;
    let (value, path) = match config.as_ref().and_then(|config| present(config, "format")) {
        Some(format) => (format, config_path.key("format")),
        None => match present(object, "output_format") {
            Some(format) => (format, Path::Root.key("output_format")),
            None => return Ok(None),
        },
    };
    let format = json::object(value, &path)?;
    let kind_path = path.key("type");
    let kind = json::string(json::required(&format, "type", &path)?, &kind_path)?;
    if kind != "json_schema" {
        let message = format!("'{kind_path}' must be json_schema, but is '{kind}'");
        return Err(Fault::invalid(kind_path.to_string(), message));
    }
    let schema = json::required(&format, "schema", &path)?;
    let strict = schema.get().len() <= LONGEST_STRICT
        && serde_json::from_str::<Value>(schema.get()).is_ok_and(|schema| is_strict(&schema));
    Ok(Some(ResponseFormat::Schema { schema, strict }))
}

/// Returns whether the backend enforces `schema`, whose root has to be an object.
fn is_strict(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "object") && schema.get("anyOf").is_none() && is_strict_part(schema)
}

/// Returns whether `schema`, a whole one or a part, says what it describes, closes its objects, and has only keywords
/// that the backend enforces.
fn is_strict_part(schema: &Value) -> bool {
    let Some(object) = schema.as_object() else { return false };
    let is_told = ["type", "$ref", "anyOf"].iter().any(|key| object.contains_key(*key));
    let is_supported = UNSUPPORTED.iter().all(|key| !object.contains_key(*key));
    let is_array = names_type(object, "array");
    let is_object = names_type(object, "object") || object.contains_key("properties");
    is_told
        && is_supported
        && (!is_array || object.contains_key("items"))
        && (!is_object || is_closed(object))
        && ["properties", "$defs", "definitions"].iter().all(|key| match object.get(*key) {
            Some(parts) => parts.as_object().is_some_and(|parts| parts.values().all(is_strict_part)),
            None => true,
        })
        && object.get("items").is_none_or(is_strict_part)
        && object
            .get("anyOf")
            .is_none_or(|choices| choices.as_array().is_some_and(|all| all.iter().all(is_strict_part)))
}

/// Returns whether the `type` of a schema is `name`, or a list with it.
fn names_type(object: &Map<String, Value>, name: &str) -> bool {
    match object.get("type") {
        Some(Value::Array(names)) => names.iter().any(|known| known == name),
        Some(known) => known == name,
        None => false,
    }
}

/// Returns whether an object requires all its properties and allows no others.
fn is_closed(object: &Map<String, Value>) -> bool {
    let is_sealed = object.get("additionalProperties") == Some(&Value::Bool(false));
    let required = object.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let required: HashSet<&str> = required.iter().filter_map(Value::as_str).collect();
    let properties = object.get("properties").and_then(Value::as_object);
    let is_required = |name: &String| required.contains(name.as_str());
    is_sealed && properties.is_none_or(|properties| properties.keys().all(is_required))
}

/// The keywords that strict schemas may not have: the documented ones
/// (<https://platform.openai.com/docs/guides/structured-outputs#supported-schemas>), and those that hold further schemas
/// besides.
const UNSUPPORTED: [&str; 12] = [
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "propertyNames",
    "prefixItems",
    "contains",
];
/// A longer schema is never strict: the names and values of a strict one have at most 120,000 characters
/// (<https://platform.openai.com/docs/guides/structured-outputs#supported-schemas>). So none is parsed that would take
/// much memory.
const LONGEST_STRICT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_parts_of_a_schema_are_looked_at() {
        let closed = |properties: Value| {
            let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
            json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
        };
        let text = json!({"type": "string"});
        // A property may be called like a keyword, and a value may look like a schema.
        for strict in [
            closed(json!({"type": text, "properties": text, "items": text, "allOf": text})),
            closed(json!({"a": {"type": "object", "additionalProperties": false}})),
            closed(json!({"a": {"enum": [{"type": "object"}], "type": "string"}})),
        ] {
            assert!(is_strict(&strict), "{strict}");
        }
        let mut half = closed(json!({"a": text, "b": text}));
        half["required"] = json!(["a"]);
        let mut defined = closed(json!({"a": {"$ref": "#/$defs/b"}}));
        defined["$defs"] = json!({"b": {"type": ["object", "null"]}});
        for open in [half, defined, text, json!(true), json!({"type": "object"})] {
            assert!(!is_strict(&open), "{open}");
        }
    }
}
