//! The JSON Schema of the configuration file, made from the definition of the command line.
//!
//! * Draft 2020-12 (<https://json-schema.org/draft/2020-12>), as editors with a TOML plugin read it.
//! * A key's type follows from the name of its flag's value, its description from the flag's help.

use clap::{Arg, ArgAction, CommandFactory as _};
use serde_json::{Map, Value, json};

use crate::cli::config::args::{CommandLine, Options};

/// Returns the schema.
pub fn schema() -> Value {
    let defaults = defaults();
    let whole = CommandLine::command();
    let mut keys: Map<String, Value> =
        options(&whole).map(|(name, option)| (name.to_owned(), key(option, defaults.get(name)))).collect();
    let tiers = ["opus", "sonnet", "haiku"].map(|tier| {
        let description = format!("Model that stands for names with `{tier}`");
        (tier.to_owned(), json!({"type": "string", "description": description}))
    });
    let models = json!({"type": "object", "properties": Map::from_iter(tiers), "additionalProperties": false});
    let messages = json!({
        "type": "object",
        "description": "Settings of Anthropic's API",
        "properties": {"models": models},
        "additionalProperties": false,
    });
    keys.insert("messages".to_owned(), messages);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration file of codex-proxy",
        "type": "object",
        "properties": keys,
        "additionalProperties": false,
    })
}

/// Returns the flags that are keys of the file, with their long names.
pub fn options(whole: &clap::Command) -> impl Iterator<Item = (&str, &Arg)> {
    let named = whole.get_arguments().filter_map(|option| Some((option.get_long()?, option)));
    named.filter(|(name, _)| !ELSEWHERE.contains(name))
}

/// The defaults that are the same on every machine.
fn defaults() -> Map<String, Value> {
    let lowest = Options { threads: None, ..Options::defaults() };
    match serde_json::to_value(lowest) {
        Ok(Value::Object(defaults)) => defaults,
        Ok(_) | Err(_) => Map::new(),
    }
}

fn key(option: &Arg, default: Option<&Value>) -> Value {
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    // Behind the first bracket stand variable and default.
    let description = help.split(" [").next().unwrap_or_default();
    let mut key = type_of(option);
    if let Value::Object(key) = &mut key {
        key.insert("description".to_owned(), description.into());
        let default = default.filter(|default| !default.is_null() && **default != json!([]));
        key.extend(default.map(|default| ("default".to_owned(), default.clone())));
    }
    key
}

fn type_of(option: &Arg) -> Value {
    let value = option.get_value_names().and_then(<[_]>::first).map(clap::builder::Str::as_str).unwrap_or_default();
    let words: Vec<_> = option.get_possible_values().iter().map(|word| word.get_name().to_owned()).collect();
    let text = json!({"type": "string"});
    let list = json!({"type": "array", "items": text});
    match value {
        "BOOL" => json!({"type": "boolean"}),
        "PORT" => json!({"type": "integer", "minimum": 0, "maximum": u16::MAX}),
        "DAYS" => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
        "COUNT" => json!({"type": "integer", "minimum": 1}),
        "SIZE" => json!({"type": ["integer", "string"], "minimum": 1, "pattern": SIZE}),
        "FROM=TO" => json!({"anyOf": [{"type": "object", "additionalProperties": text}, list]}),
        _ if !words.is_empty() => json!({"enum": words}),
        _ if matches!(option.get_action(), ArgAction::Append) => json!({"anyOf": [text, list]}),
        _ => text,
    }
}

/// The flags that are no keys of the file.
const ELSEWHERE: [&str; 3] = ["config", "help", "version"];
/// What [`crate::cli::config::value::ByteSize`] takes.
const SIZE: &str = "^ *[0-9]+ *([kKmMgG]([iI]?[bB])?|[bB])? *$";

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(toml: &str) -> bool {
        toml_edit::de::from_str::<Options>(toml).is_ok()
    }

    /// Returns a value of the type, and one of another.
    fn samples(schema: &Value) -> (String, &'static str) {
        if let Some(words) = schema["enum"].as_array() {
            return (words[0].to_string(), "\"no such word\"");
        }
        match schema["type"].as_str() {
            Some("boolean") => ("true".to_owned(), "\"yes\""),
            Some("integer") => (schema["minimum"].to_string(), "\"1\""),
            Some("string") => ("\"a\"".to_owned(), "1"),
            Some("object") => ("{}".to_owned(), "1"),
            _ if schema["type"].is_array() => ("\"64MiB\"".to_owned(), "true"),
            _ => ("[\"a=b\"]".to_owned(), "1"),
        }
    }

    #[test]
    fn schema_and_file_agree_on_every_key_and_its_type() {
        let schema = schema();
        let keys = schema["properties"].as_object().expect("keys");
        assert!(keys.len() > 20, "{}", keys.len());
        for (name, key) in keys {
            let (right, wrong) = samples(key);
            assert!(is_taken(&format!("{name} = {right}")), "{name} = {right}");
            assert!(!is_taken(&format!("{name} = {wrong}")), "{name} = {wrong}");
            assert!(key["description"].as_str().is_some_and(|words| words.len() > 10), "{name}: {key}");
        }
        let serialized = serde_json::to_value(Options::default()).expect("JSON");
        let hidden = ["api-key"];
        let missing = |name: &&String| !keys.contains_key(*name);
        assert_eq!(serialized.as_object().expect("keys").keys().find(missing), None);
        assert_eq!(serialized.as_object().expect("keys").len() + hidden.len(), keys.len());
    }

    #[test]
    fn aliases_and_lists_have_both_forms() {
        for toml in ["model-alias = { a = \"b\" }", "allow-host = \"x\"", "allow-host = [\"x\", \"y\"]"] {
            assert!(is_taken(toml), "{toml}");
        }
    }
}
