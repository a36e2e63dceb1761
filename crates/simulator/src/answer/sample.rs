//! Generates a value that a JSON Schema accepts, plausible for the property's name.
//!
//! * `$ref`, `const`, `enum`, alternatives without a default and nested objects are followed; patterns are not solved.
//! * Recursion stops after a few levels with the smallest valid value.

use serde_json::{Map, Value, json};

/// The properties of an object to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// The required ones.
    Required,
    /// All declared ones.
    All,
}

/// Generates a value for `schema`.
pub(crate) fn sample(schema: &Value, fill: Fill) -> Value {
    Sampler { root: schema, fill }.value(schema, "", 0)
}

struct Sampler<'a> {
    root: &'a Value,
    fill: Fill,
}

impl Sampler<'_> {
    fn value(&self, schema: &Value, name: &str, depth: usize) -> Value {
        let Some(object) = schema.as_object() else { return json!({}) };
        if let Some(value) = object.get("const") {
            return value.clone();
        }
        if let Some(value) = object.get("enum").and_then(Value::as_array).and_then(|values| values.first()) {
            return value.clone();
        }
        if let Some(target) = object.get("$ref").and_then(Value::as_str).and_then(|path| self.resolve(path)) {
            return if depth > MAX_DEPTH { Value::Null } else { self.value(target, name, depth + 1) };
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(alternatives) = object.get(key).and_then(Value::as_array) {
                return self.value(preferred(alternatives, depth), name, depth + 1);
            }
        }
        if let Some(parts) = object.get("allOf").and_then(Value::as_array) {
            return self.merged(parts, name, depth);
        }
        match type_of(object, depth) {
            "object" => self.object(object, depth),
            "array" => self.array(object, name, depth),
            "string" => Value::String(text(object, name)),
            "integer" => json!(integer(object)),
            "number" => whole(number(object)),
            "boolean" => json!(true),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Map<String, Value>, depth: usize) -> Value {
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema.get("properties").and_then(Value::as_object);
        let chosen = properties
            .into_iter()
            .flatten()
            .filter(|(name, _)| required.contains(&name.as_str()) || (self.fill == Fill::All && depth <= MAX_DEPTH));
        Value::Object(chosen.map(|(name, property)| (name.clone(), self.value(property, name, depth + 1))).collect())
    }

    fn array(&self, schema: &Map<String, Value>, name: &str, depth: usize) -> Value {
        let least = schema.get("minItems").and_then(Value::as_u64);
        let count = if depth > MAX_DEPTH { least.unwrap_or(0) } else { least.unwrap_or(1) };
        let empty = json!({ "type": "string" });
        let items = schema.get("items").unwrap_or(&empty);
        Value::Array((0..count).map(|_| self.value(items, name, depth + 1)).collect())
    }

    fn merged(&self, parts: &[Value], name: &str, depth: usize) -> Value {
        let mut all = Map::new();
        for part in parts {
            match self.value(part, name, depth + 1) {
                Value::Object(fields) => all.extend(fields),
                other => return other,
            }
        }
        Value::Object(all)
    }

    fn resolve(&self, path: &str) -> Option<&Value> {
        match path.strip_prefix('#')? {
            "" => Some(self.root),
            pointer => self.root.pointer(pointer),
        }
    }
}

/// Returns the first alternative other than null; null at depth, so that recursion ends.
fn preferred(alternatives: &[Value], depth: usize) -> &Value {
    const NULL: &Value = &Value::Null;
    let is_null = |schema: &&Value| schema.get("type") == Some(&Value::from("null"));
    let null = alternatives.iter().find(is_null);
    let other = alternatives.iter().find(|schema| !is_null(schema));
    if depth > MAX_DEPTH { null.or(other) } else { other.or(null) }.unwrap_or(NULL)
}

fn type_of(schema: &Map<String, Value>, depth: usize) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            let names: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            if depth > MAX_DEPTH && names.contains(&"null") {
                return "null";
            }
            names.into_iter().find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.contains_key("properties") => "object",
        _ if schema.contains_key("items") => "array",
        _ => "string",
    }
}

fn number(schema: &Map<String, Value>) -> f64 {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let mut value: f64 = 1.0;
    value = bound("minimum").map_or(value, |least| value.max(least));
    value = bound("exclusiveMinimum").map_or(value, |least| if value > least { value } else { least + 1.0 });
    value = bound("maximum").map_or(value, |most| value.min(most));
    value = bound("exclusiveMaximum").map_or(value, |most| if value < most { value } else { most - 1.0 });
    bound("multipleOf").filter(|step| *step > 0.0).map_or(value, |step| (value / step).ceil() * step)
}

/// Writes a whole number without a fraction, as models do.
fn whole(number: f64) -> Value {
    if number.fract() == 0.0 { json!(truncated(number)) } else { json!(number) }
}

fn integer(schema: &Map<String, Value>) -> i64 {
    truncated(number(schema).ceil())
}

#[expect(clippy::cast_possible_truncation, reason = "a bound beyond 64 bits saturates")]
fn truncated(number: f64) -> i64 {
    number as i64
}

fn text(schema: &Map<String, Value>, name: &str) -> String {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let mut text = by_format(format).unwrap_or_else(|| by_name(name)).to_owned();
    if let Some(least) = schema.get("minLength").and_then(Value::as_u64) {
        while (text.chars().count() as u64) < least {
            text.push('x');
        }
    }
    if let Some(most) = schema.get("maxLength").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok()) {
        text = text.chars().take(most).collect();
    }
    text
}

fn by_format(format: &str) -> Option<&'static str> {
    Some(match format {
        "date-time" => "2026-01-02T03:04:05Z",
        "date" => "2026-01-02",
        "time" => "03:04:05Z",
        "duration" => "PT1S",
        "email" => "simulated@example.com",
        "uri" | "url" => "https://example.com/simulated",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        "hostname" => "example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        _ => return None,
    })
}

/// Returns a plausible text for a property's name.
fn by_name(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase();
    let known = WORDS.iter().find(|(needles, _)| needles.iter().any(|needle| name.contains(needle)));
    known.map_or("simulated", |(_, word)| word)
}

const MAX_DEPTH: usize = 6;

/// Parts of property names with plausible texts; the first match counts.
const WORDS: &[(&[&str], &str)] = &[
    (&["patch"], PATCH),
    (&["subagent"], "general"),
    (&["city", "location", "place"], "Paris"),
    (&["country"], "France"),
    (&["command", "cmd", "script"], "echo simulated"),
    (&["workdir", "cwd", "dir", "folder"], "."),
    (&["path", "file"], "README.md"),
    (&["url", "uri", "link"], "https://example.com/simulated"),
    (&["email"], "simulated@example.com"),
    (&["glob", "pattern", "regex"], "*"),
    (&["query", "search"], "simulated query"),
    (&["datetime", "timestamp"], "2026-01-02T03:04:05Z"),
    (&["date", "day"], "2026-01-02"),
    (&["time"], "03:04:05"),
    (&["unit"], "celsius"),
    (&["language", "lang"], "en"),
    (&["expression", "formula"], "1 + 1"),
];

/// A patch that adds one small file.
pub(crate) const PATCH: &str = "*** Begin Patch\n*** Add File: simulated.txt\n+simulated\n*** End Patch";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_properties_get_fitting_values() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": { "type": "string" },
                "command": { "type": "array", "items": { "type": "string" } },
                "filePath": { "type": "string" },
                "unit": { "type": "string", "enum": ["kelvin", "celsius"] },
                "count": { "type": "integer", "minimum": 3, "maximum": 9 },
                "when": { "anyOf": [{ "type": "null" }, { "type": "string", "format": "date" }] },
                "left_out": { "type": "string" },
            },
            "required": ["city", "command", "filePath", "unit", "count", "when"],
        });
        let expected = json!({
            "city": "Paris",
            "command": ["echo simulated"],
            "filePath": "README.md",
            "unit": "kelvin",
            "count": 3,
            "when": "2026-01-02",
        });
        assert_eq!(sample(&schema, Fill::Required), expected);
        assert_eq!(sample(&schema, Fill::All)["left_out"], "simulated");
    }

    #[test]
    fn references_and_recursion_end() {
        let schema = json!({
            "$defs": {
                "node": {
                    "type": "object",
                    "properties": { "value": { "type": "number" }, "next": { "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] } },
                    "required": ["value", "next"],
                },
            },
            "$ref": "#/$defs/node",
        });
        let value = sample(&schema, Fill::All);
        assert_eq!(value["value"], 1);
        assert!(value.to_string().contains("null"));
        assert_eq!(sample(&json!({}), Fill::All), json!("simulated"));
        assert_eq!(sample(&Value::Null, Fill::Required), json!({}));
    }

    #[test]
    fn a_value_keeps_to_its_limits() {
        for (schema, expected) in [
            (json!({ "const": 7 }), json!(7)),
            (json!({ "type": ["null", "integer"], "exclusiveMinimum": 4 }), json!(5)),
            (json!({ "type": ["null"] }), Value::Null),
            (json!({ "type": "number", "exclusiveMaximum": 1, "multipleOf": 0.25 }), json!(0)),
            (json!({ "type": "number", "minimum": 1.2, "multipleOf": 0.5 }), json!(1.5)),
            (json!({ "type": "string", "minLength": 12 }), json!("simulatedxxx")),
            (json!({ "type": "string", "maxLength": 3 }), json!("sim")),
            (json!({ "items": { "type": "boolean" }, "minItems": 2 }), json!([true, true])),
            (
                json!({ "allOf": [{ "properties": { "a": { "const": 1 } } }, { "properties": { "b": { "const": 2 } } }] }),
                json!({ "a": 1, "b": 2 }),
            ),
            (json!({ "allOf": [{ "type": "string" }] }), json!("simulated")),
        ] {
            assert_eq!(sample(&schema, Fill::All), expected, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_is_made_of_itself_ends() {
        let schema = json!({
            "type": "object",
            "properties": { "children": { "type": "array", "items": { "$ref": "#" } }, "next": { "type": ["object", "null"] } },
            "required": ["children"],
        });
        let value = sample(&schema, Fill::All);
        assert!(value["children"][0]["children"].is_array(), "{value}");
        assert!(value.to_string().len() < 1000, "{value}");
    }
}
