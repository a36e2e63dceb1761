//! Structured output: the JSON Schema that the answer's text must match.
//!
//! The schema is sent unchanged. The backend enforces one only if it meets its strict rules: each object lists all its
//! properties as required and allows no others. For any other schema strictness is not requested.

use std::collections::HashSet;

use serde_json::Value;

use crate::conversation::settings::ResponseFormat;
use crate::fault::ApiError;
use crate::json::{self, Object, Path};

/// Reads the format in `output_config.format`, or in the older `output_format`.
pub(super) fn read<'a>(object: &Object<'a>) -> Result<Option<ResponseFormat<'a>>, ApiError> {
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
        return Err(ApiError::invalid(kind_path.to_string(), message));
    }
    let schema = json::required(&format, "schema", &path)?;
    let strict = schema.get().len() <= LONGEST_STRICT
        && serde_json::from_str::<Value>(schema.get()).is_ok_and(|schema| is_strict(&schema));
    Ok(Some(ResponseFormat::Schema { schema, strict }))
}

/// Returns whether each object in `schema` requires all its properties and allows no others.
fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => {
            let is_object =
                object.get("type").is_some_and(|kind| kind == "object") || object.contains_key("properties");
            (!is_object || is_closed(object)) && object.values().all(is_strict)
        }
        Value::Array(values) => values.iter().all(is_strict),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn is_closed(object: &serde_json::Map<String, Value>) -> bool {
    let is_sealed = object.get("additionalProperties") == Some(&Value::Bool(false));
    let required = object.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let required: HashSet<&str> = required.iter().filter_map(Value::as_str).collect();
    let properties = object.get("properties").and_then(Value::as_object);
    let is_required = |name: &String| required.contains(name.as_str());
    is_sealed && properties.is_none_or(|properties| properties.keys().all(is_required))
}

/// A longer schema is never strict: the names and values of a strict one have at most 120,000 characters
/// (<https://platform.openai.com/docs/guides/structured-outputs#supported-schemas>). So none is parsed that would take
/// much memory.
const LONGEST_STRICT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_closed_schema_is_strict() {
        let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
            "additionalProperties": false});
        assert!(is_strict(&closed));
        assert!(is_strict(&json!({"type": "string"})));
        for open in [
            json!({"type": "object", "properties": {"a": {}}, "required": ["a"]}),
            json!({"type": "object", "properties": {"a": {}}, "additionalProperties": false}),
            json!({"type": "array", "items": {"type": "object", "properties": {}}}),
            json!({"type": "object", "properties": {"a": {"type": "object"}}, "required": ["a"], "additionalProperties": false}),
        ] {
            assert!(!is_strict(&open), "{open}");
        }
    }
}
