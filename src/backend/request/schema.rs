//! Schemas of functions in the form that the backend accepts.
//!
//! The backend refuses an object schema without `properties`, even if it has none ("object schema missing properties",
//! containers/kubernetes-mcp-server#340, inboxapi/cli#106). Argument-less tools of many MCP servers have such schemas.

use serde_json::value::RawValue;

use crate::json::{Object, ObjectWriter, Text};

/// Writes `parameters` unchanged, except that a missing `type` becomes `object` and missing properties become none.
///
/// A schema of another type is left to the client, and so are the schemas inside this one.
pub(crate) fn write_parameters(parameters: Option<&RawValue>, out: &mut Vec<u8>) {
    let Some(parameters) = parameters.filter(|parameters| !is_nothing(parameters)) else {
        out.extend_from_slice(EMPTY.as_bytes());
        return;
    };
    let schema = serde_json::from_str::<Object<'_>>(parameters.get()).ok().filter(is_incomplete);
    let Some(schema) = schema else {
        out.extend_from_slice(parameters.get().as_bytes());
        return;
    };
    let mut object = ObjectWriter::begin(out);
    let (mut has_type, mut has_properties) = (false, false);
    for (key, value) in schema.iter() {
        has_type |= key == "type";
        has_properties |= key == "properties";
        match key {
            "type" if is_nothing(value) => object.string("type", "object"),
            "properties" if is_nothing(value) => object.json("properties", "{}"),
            _ => object.raw(key, value),
        };
    }
    if !has_type {
        object.string("type", "object");
    }
    if !has_properties {
        object.json("properties", "{}");
    }
    object.end();
}

/// Returns whether `schema` is an object's, as far as it tells, and lacks a part that the backend requires.
fn is_incomplete(schema: &Object<'_>) -> bool {
    let kind = schema.find("type");
    let is_object = kind.is_none_or(|kind| Text::of(kind).is_some_and(|kind| kind.decode() == "object"));
    is_object && (kind.is_none() || schema.find("properties").is_none_or(is_nothing))
}

/// Returns whether `value` is `null`, or the empty list that PHP makes of an empty object.
fn is_nothing(value: &RawValue) -> bool {
    let text = value.get();
    text == "null"
        || text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|inside| inside.trim().is_empty())
}

const EMPTY: &str = r#"{"type":"object","properties":{}}"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parameters: &str) -> String {
        let parameters = RawValue::from_string(parameters.to_owned()).unwrap();
        let mut out = Vec::new();
        write_parameters(Some(&parameters), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_missing_is_added_and_nothing_else_changes() {
        for (given, expected) in [
            ("null", EMPTY),
            ("{}", EMPTY),
            ("[]", EMPTY),
            (r#"{"type":"object"}"#, EMPTY),
            (r#"{"type":"object","properties":null}"#, EMPTY),
            (r#"{"type":"object","properties":[ ]}"#, EMPTY),
            (r#"{"properties":{"a":{}}}"#, r#"{"properties":{"a":{}},"type":"object"}"#),
            (
                r#"{"$schema":"x","properties":null,"n": 1.50,"type":null}"#,
                r#"{"$schema":"x","properties":{},"n":1.50,"type":"object"}"#,
            ),
            (
                r#"{"additionalProperties": {"type" : "string"}}"#,
                r#"{"additionalProperties":{"type" : "string"},"type":"object","properties":{}}"#,
            ),
        ] {
            assert_eq!(written(given), expected, "{given}");
        }
        let mut out = Vec::new();
        write_parameters(None, &mut out);
        assert_eq!(out, EMPTY.as_bytes());
    }

    #[test]
    fn a_whole_schema_and_one_of_another_type_stay_to_the_byte() {
        for given in [
            r#"{ "type" : "object", "properties" : { "a" : { "type" : "object" } } }"#,
            r#"{"type":"string"}"#,
            r#"{"type":["object","null"]}"#,
            "true",
            "7",
        ] {
            assert_eq!(written(given), given);
        }
    }
}
