//! TOML in the form in which its owner wrote it; `toml_edit` keeps it.

use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, Item, Table, TableLike};

use crate::cli::setup::edit::Document;

/// A TOML document that is printed as it was read.
#[derive(Debug, Clone)]
pub(super) struct TomlText {
    document: DocumentMut,
    /// Whether its lines end in CR LF, which the library does not keep.
    has_carriage_returns: bool,
}

impl TomlText {
    /// Takes `text`; the error says where it is wrong, or that the rest of it could not be kept.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let has_carriage_returns = text.contains("\r\n");
        let document: DocumentMut = text.replace("\r\n", "\n").parse().map_err(|error: toml_edit::TomlError| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            format!("is not valid in line {line}: {}", error.message().replace('\n', " "))
        })?;
        let this = Self { document, has_carriage_returns };
        let is_kept = text.is_empty() || this.text() == text || this.text() == format!("{text}\n");
        is_kept.then_some(this).ok_or_else(|| "mixes line ends and could not be kept as it is".to_owned())
    }

    fn table(&self, path: &[&str]) -> Option<&dyn TableLike> {
        let root: &dyn TableLike = self.document.as_table();
        path.iter().try_fold(root, |table, key| table.get(key)?.as_table_like())
    }

    fn item(&self, path: &[&str]) -> Option<&Item> {
        let (last, parents) = path.split_last()?;
        self.table(parents)?.get(last)
    }

    /// The table at `path`, which is made if it is not there.
    fn table_mut(&mut self, path: &[&str]) -> Result<&mut dyn TableLike, String> {
        let mut table: &mut dyn TableLike = self.document.as_table_mut();
        for key in path {
            let item = table.entry(key).or_insert_with(|| {
                let mut made = Table::new();
                made.set_implicit(true);
                Item::Table(made)
            });
            table = item.as_table_like_mut().ok_or_else(|| format!("has a value at {key} that is no table"))?;
        }
        Ok(table)
    }
}

impl Document for TomlText {
    fn text(&self) -> String {
        let text = self.document.to_string();
        if self.has_carriage_returns { text.replace('\n', "\r\n") } else { text }
    }

    fn value(&self, path: &[&str]) -> Option<Value> {
        self.item(path).map(decoded)
    }

    fn set(&mut self, path: &[&str], value: &Value) -> Result<(), String> {
        let Some((last, parents)) = path.split_last() else { return Ok(()) };
        let table = self.table_mut(parents)?;
        let mut item = encoded(value);
        if let (Some(new), Some(old)) = (item.as_value_mut(), table.get(last).and_then(Item::as_value)) {
            *new.decor_mut() = old.decor().clone();
        }
        table.insert(last, item);
        Ok(())
    }

    fn remove(&mut self, path: &[&str]) {
        let Some((last, parents)) = path.split_last() else { return };
        if self.table(parents).is_some()
            && let Ok(table) = self.table_mut(parents)
        {
            table.remove(last);
        }
    }

    fn put_back(&mut self, path: &[&str], original: &Self) -> Result<(), String> {
        let Some((last, parents)) = path.split_last() else { return Ok(()) };
        if let Some(item) = original.item(path).cloned() {
            self.table_mut(parents)?.insert(last, item);
        }
        Ok(())
    }

    fn is_bare(&self, path: &[&str]) -> bool {
        self.table(path).is_some_and(TableLike::is_empty)
    }
}

fn decoded(item: &Item) -> Value {
    if let Some(table) = item.as_table_like() {
        return table.iter().map(|(key, item)| (key.to_owned(), decoded(item))).collect::<Map<_, _>>().into();
    }
    let Some(value) = item.as_value() else { return Value::Null };
    match value {
        toml_edit::Value::String(text) => text.value().as_str().into(),
        toml_edit::Value::Integer(number) => (*number.value()).into(),
        toml_edit::Value::Float(number) => (*number.value()).into(),
        toml_edit::Value::Boolean(flag) => (*flag.value()).into(),
        toml_edit::Value::Datetime(time) => time.value().to_string().into(),
        toml_edit::Value::Array(values) => {
            values.iter().map(|value| decoded(&Item::Value(value.clone()))).collect::<Vec<_>>().into()
        }
        toml_edit::Value::InlineTable(_) => Value::Null,
    }
}

/// TOML has no null: it becomes an empty text. The table of tools has none.
fn encoded(value: &Value) -> Item {
    match value {
        Value::Null => toml_edit::value(""),
        Value::Bool(flag) => toml_edit::value(*flag),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| toml_edit::value(number.as_f64().unwrap_or_default()), toml_edit::value)
        }
        Value::String(text) => toml_edit::value(text),
        Value::Array(values) => {
            let values = values.iter().filter_map(|value| encoded(value).into_value().ok());
            toml_edit::value(values.collect::<Array>())
        }
        Value::Object(members) => {
            let mut table = Table::new();
            for (key, value) in members {
                table.insert(key, encoded(value));
            }
            Item::Table(table)
        }
    }
}
