//! The fields of spans and events, as the log writes them.
//!
//! * A field recorded twice has its last value.
//! * Control characters of a value are escaped in a human-readable line, so that untrusted text can neither begin a new line
//!   nor control the terminal. A line of JSON has them as `\\u001b`.

use std::error::Error;
use std::fmt::{self, Debug, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};

use crate::excerpt::escape_into;

/// Fields by name, in the order in which they were recorded first.
#[derive(Debug, Clone, Default)]
pub(super) struct LogFields(pub(super) Map<String, Value>);

impl LogFields {
    /// Returns the text of a field; none if it is no text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Returns the whole number of a field.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    /// Returns the milliseconds of a field.
    pub(super) fn millis(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Value::as_f64)
    }

    /// Appends ` name=value` for each field but the message.
    pub(super) fn write_pairs(&self, line: &mut String) -> fmt::Result {
        for (name, value) in self.0.iter().filter(|(name, _)| *name != MESSAGE) {
            write!(line, " {name}=")?;
            match value.as_str() {
                Some(text) => escape_into(line, text)?,
                None => write!(line, "{value}")?,
            }
        }
        Ok(())
    }

    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for LogFields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}"));
    }
}

/// The field with an event's text.
pub(super) const MESSAGE: &str = "message";
