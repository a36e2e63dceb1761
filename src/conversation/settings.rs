//! Settings of the answer.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json::Object;

/// The format of an answer's text.
#[derive(Debug)]
pub enum ResponseFormat<'a> {
    /// Free text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that follows a schema: the inner object with `name`, `schema`, `strict`, `description`.
    JsonSchema(Object<'a>),
    /// JSON that follows a schema without a name.
    Schema {
        /// The JSON Schema.
        schema: &'a RawValue,
        /// Whether the answer must match it.
        strict: bool,
    },
}

/// A service tier that the client asks for.
#[derive(Debug)]
pub struct TierRequest<'a> {
    /// The field of the request that asks for it.
    pub field: &'static str,
    /// The tier's name.
    pub tier: Cow<'a, str>,
}

/// The keys of a structured output's schema, in the order they are sent.
pub(crate) const SCHEMA_KEYS: [&str; 4] = ["name", "description", "schema", "strict"];
