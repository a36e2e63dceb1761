//! `config`: the options in force and the place where each was set; the schema of the configuration file.
//!
//! * The text is itself a configuration file: each option is a key, with its origin in a comment. An option that is not set
//!   stands there as a comment alone.
//! * Keys are counted, never shown.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::config::Config;
use crate::cli::config::args::{Format, Options};
use crate::cli::config::origins::OptionOrigin;
use crate::cli::config::schema;
use crate::cli::error::CliError;

/// Writes the configuration file's schema.
pub(super) fn schema(output: &mut impl Write) -> Result<(), CliError> {
    Ok(writeln!(output, "{:#}", schema::schema())?)
}

/// Writes `options`, which are merged from all layers but the defaults, and their origins.
pub(super) fn show(config: &Config, options: Options, format: Format, output: &mut impl Write) -> Result<(), CliError> {
    let keys = options.api_key.len();
    let values = serde_json::to_value(options.or(Options::defaults()));
    let values = values.map_err(|error| CliError::Internal(error.to_string()))?;
    let Value::Object(mut values) = values else { return Err(CliError::Internal("options are no object".to_owned())) };
    let hidden = (keys > 0).then(|| format!("{keys} hidden"));
    values.insert(KEYS.to_owned(), hidden.into());
    let origin = |name: &str| config.origins.of(name);
    if format.json {
        let options = values.into_iter().map(|(name, value)| {
            let shown = ShownOption::new(value, origin(&name));
            (name, shown)
        });
        let report = ConfigReport { file: config.origins.file(), options: options.collect() };
        let text = serde_json::to_string_pretty(&report).map_err(|error| CliError::Internal(error.to_string()))?;
        return Ok(writeln!(output, "{text}")?);
    }
    for (name, value) in &values {
        let lines = assignments(name, value);
        let told = origin(name).map_or_else(|| "default".to_owned(), ToString::to_string);
        for line in &lines {
            writeln!(output, "{line:WIDTH$}  # {told}")?;
        }
        if lines.is_empty() && !value.is_object() {
            writeln!(output, "# {name} is not set")?;
        }
    }
    Ok(())
}

/// The document of `config show --json`.
#[derive(Serialize)]
struct ConfigReport<'c> {
    /// The configuration file, if it sets an option.
    file: Option<&'c Path>,
    options: std::collections::BTreeMap<String, ShownOption>,
}

/// An option in force.
#[derive(Serialize)]
struct ShownOption {
    /// `null` if it is not set and has no default.
    value: Value,
    /// `default`, `flag`, `variable` or `file`.
    origin: &'static str,
    /// The name of the variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<String>,
}

impl ShownOption {
    fn new(value: Value, origin: Option<&OptionOrigin>) -> Self {
        let (origin, variable) = match origin {
            None => ("default", None),
            Some(OptionOrigin::Flag) => ("flag", None),
            Some(OptionOrigin::Variable(name)) => ("variable", Some(name.clone())),
            Some(OptionOrigin::File(_)) => ("file", None),
        };
        Self { value, origin, variable }
    }
}

/// Returns the lines that set `name`; none if it is not set.
fn assignments(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(table) => nested(name, table),
        Value::Null => Vec::new(),
        Value::Array(list) if list.is_empty() => Vec::new(),
        value if name == KEYS => vec![format!("# {name}: {}", value.as_str().unwrap_or_default())],
        value => vec![format!("{name} = {}", literal(value))],
    }
}

fn nested(name: &str, table: &Map<String, Value>) -> Vec<String> {
    table.iter().flat_map(|(key, value)| assignments(&format!("{name}.{key}"), value)).collect()
}

/// Writes a value as TOML has it.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => toml_edit::Value::from(text.as_str()).to_string(),
        Value::Array(list) => format!("[{}]", list.iter().map(literal).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The option whose values are secrets.
const KEYS: &str = "api-key";
/// The column that origins stand behind, where the value leaves room.
const WIDTH: usize = 44;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(options: Options, is_json: bool) -> String {
        let mut config =
            Config::resolve(options.clone(), |name| (name == "HOME").then(|| "/home/u".into())).expect("resolved");
        config.origins.note("port", OptionOrigin::Variable("PORT".to_owned()));
        config.origins.note("default-model", OptionOrigin::File("/c.toml".into()));
        let mut output = Vec::new();
        show(&config, options, Format { json: is_json }, &mut output).expect("shown");
        String::from_utf8(output).expect("text")
    }

    fn some() -> Options {
        let alias = "gpt-4o=\"odd\" one".parse().expect("an alias");
        Options {
            port: Some(3000),
            default_model: Some("gpt-6-\"sol\"".to_owned()),
            api_key: vec!["CANARY".to_owned(), "CANARY2".to_owned()],
            model_alias: vec![alias],
            messages: toml_edit::de::from_str("models = { haiku = \"gpt-6-luna\" }").expect("a table"),
            creds_path: Some("/x\ny # z".into()),
            ..Options::default()
        }
    }

    #[test]
    fn what_is_shown_is_a_configuration_file_of_the_same_options() {
        let text = shown(some(), false);
        let read: Options = toml_edit::de::from_str(&text).expect("a configuration file");
        assert_eq!(read, Options { api_key: Vec::new(), ..some() }.or(Options::defaults()));
        assert!(!text.contains("CANARY") && text.contains("# api-key: 2 hidden"), "{text}");
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).expect("a line").to_owned();
        assert!(line("port").starts_with("port = 3000  ") && line("port").ends_with("  # PORT (environment)"));
        assert!(line("default-model").ends_with("# /c.toml"));
        assert!(line("host").ends_with("# default"));
        assert_eq!(line("# instructions-file"), "# instructions-file is not set");
        assert!(line("messages.models").starts_with("messages.models.haiku = \"gpt-6-luna\""));
    }

    #[test]
    fn the_document_has_value_and_origin_of_every_option() {
        let text = shown(some(), true);
        let report: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(report["file"], "/c.toml");
        assert_eq!(
            report["options"]["port"],
            serde_json::json!({"value": 3000, "origin": "variable", "variable": "PORT"})
        );
        assert_eq!(report["options"]["host"], serde_json::json!({"value": "localhost", "origin": "default"}));
        assert_eq!(report["options"]["instructions-file"]["value"], Value::Null);
        assert!(!text.contains("CANARY") && report["options"]["api-key"]["value"] == "2 hidden", "{text}");
    }
}
