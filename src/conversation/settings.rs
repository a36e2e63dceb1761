//! How the answer is to be.

use serde_json::value::RawValue;

use crate::json::Object;

/// The form an answer's text must have.
#[derive(Debug)]
pub enum ResponseFormat<'a> {
    /// Free text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON by a schema: the inner object with `name`, `schema`, `strict`, `description`.
    JsonSchema(Object<'a>),
    /// JSON by a schema that has no name.
    Schema {
        /// The JSON Schema.
        schema: &'a RawValue,
        /// Whether the answer must match it.
        strict: bool,
    },
}

/// What a schema of structured output consists of, in the order it is sent.
pub(crate) const SCHEMA_KEYS: [&str; 4] = ["name", "description", "schema", "strict"];
