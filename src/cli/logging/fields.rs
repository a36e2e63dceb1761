//! The fields of spans and events, as the log writes them.
//!
//! * A field recorded twice has its last value.
//! * Control characters of a value are escaped in a human-readable line, so that untrusted text can neither begin a new line
//!   nor control the terminal. A line of JSON has them as `\\u001b`.

use std::error::Error;
use std::fmt::{self, Debug, Write as _};

use serde_json::Value;
use tracing::field::{Field, Visit};

use crate::excerpt::escape_into;

/// Fields by name, in the order in which they were recorded first. They are few, so a name is found by comparing.
#[derive(Debug, Clone, Default)]
pub(super) struct LogFields(Vec<(&'static str, Value)>);

impl LogFields {
    /// Returns a field.
    pub(super) fn find(&self, name: &str) -> Option<&Value> {
        self.0.iter().find_map(|(known, value)| (*known == name).then_some(value))
    }

    /// Returns the text of a field; none if it is no text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.find(name).and_then(Value::as_str)
    }

    /// Returns the whole number of a field.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.find(name).and_then(Value::as_u64)
    }

    /// Returns the milliseconds of a field.
    pub(super) fn millis(&self, name: &str) -> Option<f64> {
        self.find(name).and_then(Value::as_f64)
    }

    /// Sets a field; a value that it had is forgotten.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Returns whether there is no field.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets each of `others`.
    pub(super) fn extend(&mut self, others: &Self) {
        others.iter().for_each(|(name, value)| self.set(name, value.clone()));
    }

    /// Iterates over the fields in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// Appends ` name=value` for each field but the message.
    pub(super) fn write_pairs(&self, line: &mut String) -> fmt::Result {
        for (name, value) in self.iter().filter(|(name, _)| *name != MESSAGE) {
            write!(line, " {name}=")?;
            match value.as_str() {
                Some(text) => escape_into(line, text)?,
                None => write!(line, "{value}")?,
            }
        }
        Ok(())
    }
}

impl Visit for LogFields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field.name(), value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field.name(), format!("{value:?}"));
    }
}

/// The field with an event's text.
pub(super) const MESSAGE: &str = "message";
