//! JSON in the form in which its owner wrote it: comments, order, digits, repeated keys and white space stay.
//!
//! * A change is one insertion, replacement or removal in the text; everything around it keeps its bytes.
//! * Where a key is repeated, the last one counts, as it does for parsers.
//! * A new member goes to the end of its object, after a comment on the line of the member before it, with a comma at its own
//!   end only if that one had one. Taking it out again restores the text, unless the object was empty.

use jsonc_parser::ast::{self, Object, ObjectProp};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::{Map, Value};

use crate::cli::setup::edit::Document;

/// A text that holds one JSON object.
#[derive(Debug, Clone)]
pub(super) struct JsonText {
    text: String,
    /// Whether comments and commas at the end of an object or array are allowed.
    is_commented: bool,
}

impl JsonText {
    /// Takes `text`, which must hold an object; the error says where it does not. A blank text counts as `{}`.
    pub(super) fn parse(text: &str, is_commented: bool) -> Result<Self, String> {
        let text = if text.trim().is_empty() { EMPTY } else { text };
        let this = Self { text: text.to_owned(), is_commented };
        this.root()?;
        Ok(this)
    }

    fn root(&self) -> Result<Object<'_>, String> {
        let options = ParseOptions {
            allow_comments: self.is_commented,
            allow_trailing_commas: self.is_commented,
            allow_loose_object_property_names: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        let parsed = parse_to_ast(&self.text, &CollectOptions::default(), &options).map_err(|error| {
            let (line, column) = (error.line_display(), error.column_display());
            format!("is not valid in line {line}, column {column}: {}", error.kind())
        })?;
        match parsed.value {
            Some(ast::Value::Object(object)) => Ok(object),
            Some(_) | None => Err("holds no JSON object".to_owned()),
        }
    }

    /// Calls `work` with the member at `path`, if there is one.
    fn with_member<T>(&self, path: &[&str], work: impl FnOnce(&ObjectProp<'_>) -> T) -> Option<T> {
        let root = self.root().ok()?;
        let (last, parents) = path.split_last()?;
        let parent = parents.iter().try_fold(&root, |object, key| member(object, key)?.value.as_object())?;
        member(parent, last).map(work)
    }

    fn raw(&self, path: &[&str]) -> Option<&str> {
        let range = self.with_member(path, |member| member.value.range())?;
        self.text.get(range.start..range.end)
    }

    fn newline(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    /// The white space of one level: that of the first member of the whole, else two spaces.
    fn unit(&self, root: &Object<'_>) -> String {
        let first = root.properties.first().map(|first| indent_at(&self.text, first.range.start));
        first.flatten().filter(|indent| !indent.is_empty()).unwrap_or("  ").to_owned()
    }

    /// Puts a member at the end of `object`.
    fn inserted(&self, root: &Object<'_>, object: &Object<'_>, key: &str, value: &Value) -> String {
        let text = self.text.as_str();
        let newline = self.newline();
        let unit = self.unit(root);
        let outer = line_indent(text, object.range.start);
        let first = object.properties.first();
        let own = first.and_then(|first| indent_at(text, first.range.start));
        let indent = own.map_or_else(|| format!("{outer}{unit}"), str::to_owned);
        let is_spread = first.is_none() || own.is_some();
        let shown = if is_spread { laid_out(value, &unit, &format!("{newline}{indent}")) } else { on_one_line(value) };
        let member = format!("{}: {shown}", Value::from(key));
        let Some(last) = object.properties.last() else {
            let place = end_of_comments(text, object.range.start + 1);
            let (before, rest) = text.split_at(place);
            let close = object.range.end - 1 - place;
            let inside = rest.get(..close).unwrap_or_default();
            let kept = if inside.contains('\n') { inside.to_owned() } else { format!("{newline}{outer}") };
            return format!("{before}{newline}{indent}{member}{kept}{}", rest.get(close..).unwrap_or_default());
        };
        let comma = comma_after(text, last.range.end);
        let anchor = comma.map_or(last.range.end, |comma| comma + 1);
        let place = end_of_comments(text, anchor);
        let between = text.get(anchor..place).unwrap_or_default();
        let is_own_line = is_spread || between.contains("//");
        let lead = if is_own_line { format!("{newline}{indent}") } else { " ".to_owned() };
        let (own_comma, new_comma) = if comma.is_some() { ("", ",") } else { (",", "") };
        let (before, after) = (text.get(..anchor).unwrap_or_default(), text.get(place..).unwrap_or_default());
        format!("{before}{own_comma}{between}{lead}{member}{new_comma}{after}")
    }

    /// Takes the member at `index` out of `object`, with the white space before it and its comma.
    fn without(&self, object: &Object<'_>, index: usize) -> String {
        let text = self.text.as_str();
        let Some(range) = object.properties.get(index).map(|member| member.range) else { return text.to_owned() };
        let before = before_white_space(text, range.start);
        let own_comma = comma_after(text, range.end);
        let end = own_comma.map_or(range.end, |comma| comma + 1);
        let mut head = text.get(..before).unwrap_or_default().to_owned();
        let previous = index.checked_sub(1).and_then(|index| object.properties.get(index));
        if let (None, Some(previous)) = (own_comma, previous)
            && let Some(comma) = comma_after(text, previous.range.end)
        {
            head.replace_range(comma..=comma, "");
        }
        let tail = text.get(end..).unwrap_or_default();
        let since = previous.map_or(object.range.start + 1, |previous| previous.range.end);
        if object.properties.len() == 1 && text.get(since..before).is_some_and(|rest| rest.trim().is_empty()) {
            let inside = text.get(end..object.range.end - 1).unwrap_or_default();
            if inside.trim().is_empty() {
                return format!(
                    "{}{}",
                    text.get(..since).unwrap_or_default(),
                    text.get(object.range.end - 1..).unwrap_or_default()
                );
            }
        }
        // What follows on the line must not become part of a comment.
        let is_open = ends_in_line_comment(text.get(since..before).unwrap_or_default());
        let is_safe = tail.trim_start_matches([' ', '\t', '\r']).starts_with('\n');
        let separator = if is_open && !is_safe { self.newline() } else { "" };
        format!("{head}{separator}{tail}")
    }

    fn replaced(&self, range: jsonc_parser::common::Range, with: &str) -> String {
        let (before, after) = (self.text.get(..range.start), self.text.get(range.end..));
        format!("{}{with}{}", before.unwrap_or_default(), after.unwrap_or_default())
    }
}

impl Document for JsonText {
    fn text(&self) -> String {
        self.text.clone()
    }

    fn value(&self, path: &[&str]) -> Option<Value> {
        self.with_member(path, |member| decoded(&member.value))
    }

    fn set(&mut self, path: &[&str], value: &Value) -> Result<(), String> {
        let root = self.root()?;
        let mut object = &root;
        for (depth, key) in path.iter().enumerate() {
            let rest = path.get(depth + 1..).unwrap_or_default();
            let Some(found) = member(object, key) else {
                self.text = self.inserted(&root, object, key, &nested(rest, value));
                return Ok(());
            };
            if rest.is_empty() {
                let indent = line_indent(&self.text, found.range.start).to_owned();
                let shown = laid_out(value, &self.unit(&root), &format!("{}{indent}", self.newline()));
                self.text = self.replaced(found.value.range(), &shown);
                return Ok(());
            }
            let named = || path.get(..=depth).unwrap_or_default().join(".");
            object = found.value.as_object().ok_or_else(|| format!("has a value at {} that is no object", named()))?;
        }
        Ok(())
    }

    fn remove(&mut self, path: &[&str]) {
        let Some((last, parents)) = path.split_last() else { return };
        let Ok(root) = self.root() else { return };
        let parent = parents.iter().try_fold(&root, |object, key| member(object, key)?.value.as_object());
        let Some(parent) = parent else { return };
        let index = parent.properties.iter().rposition(|member| member.name.as_str() == *last);
        if let Some(index) = index {
            self.text = self.without(parent, index);
        }
    }

    fn put_back(&mut self, path: &[&str], original: &Self) -> Result<(), String> {
        let Some(raw) = original.raw(path) else { return Ok(()) };
        if self.raw(path).is_none() {
            self.set(path, &Value::Null)?;
        }
        if let Some(range) = self.with_member(path, |member| member.value.range()) {
            self.text = self.replaced(range, raw);
        }
        Ok(())
    }

    fn is_bare(&self, path: &[&str]) -> bool {
        let inside = self.raw(path).and_then(|raw| raw.strip_prefix('{')?.strip_suffix('}'));
        inside.is_some_and(|inside| inside.trim().is_empty())
    }
}

/// Writes `value` over several lines, each after `lead`, a line break and white space; what is short stands on one line.
pub(super) fn laid_out(value: &Value, unit: &str, lead: &str) -> String {
    let short = on_one_line(value);
    if short.chars().count() <= SHORT {
        return short;
    }
    let inner = format!("{lead}{unit}");
    let (open, items, close) = match value {
        Value::Object(members) => {
            let write = |(key, value)| format!("{}: {}", Value::from(key), laid_out(value, unit, &inner));
            ('{', members.iter().map(|(key, value)| write((key.as_str(), value))).collect::<Vec<_>>(), '}')
        }
        Value::Array(items) => ('[', items.iter().map(|item| laid_out(item, unit, &inner)).collect(), ']'),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return short,
    };
    format!("{open}{inner}{}{lead}{close}", items.join(&format!(",{inner}")))
}

fn on_one_line(value: &Value) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let members =
                members.iter().map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), on_one_line(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(on_one_line).collect::<Vec<_>>().join(", ")),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

fn member<'o, 't>(object: &'o Object<'t>, key: &str) -> Option<&'o ObjectProp<'t>> {
    object.properties.iter().rfind(|member| member.name.as_str() == key)
}

/// Wraps `value` into an object for each of `path`.
fn nested(path: &[&str], value: &Value) -> Value {
    path.iter().rev().fold(value.clone(), |value, key| Map::from_iter([((*key).to_owned(), value)]).into())
}

fn decoded(value: &ast::Value<'_>) -> Value {
    match value {
        ast::Value::StringLit(text) => text.value.as_ref().into(),
        ast::Value::NumberLit(number) => serde_json::from_str(number.value).unwrap_or_default(),
        ast::Value::BooleanLit(flag) => flag.value.into(),
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::Array(array) => array.elements.iter().map(decoded).collect::<Vec<_>>().into(),
        ast::Value::Object(object) => {
            let members = object.properties.iter();
            members
                .map(|member| (member.name.as_str().to_owned(), decoded(&member.value)))
                .collect::<Map<_, _>>()
                .into()
        }
    }
}

/// The white space before `position` on its line, if nothing else stands there.
fn indent_at(text: &str, position: usize) -> Option<&str> {
    let line = text.get(..position)?;
    let line = line.get(line.rfind('\n')? + 1..)?;
    line.trim_matches([' ', '\t']).is_empty().then_some(line)
}

/// The white space at the beginning of the line of `position`.
fn line_indent(text: &str, position: usize) -> &str {
    let before = text.get(..position).unwrap_or_default();
    let line = before.get(before.rfind('\n').map_or(0, |newline| newline + 1)..).unwrap_or_default();
    line.get(..line.len() - line.trim_start_matches([' ', '\t']).len()).unwrap_or_default()
}

/// The end of `text[..position]` without the spaces at its end and the one line break before these.
fn before_white_space(text: &str, position: usize) -> usize {
    let before = text.get(..position).unwrap_or_default().trim_end_matches([' ', '\t']);
    let before = before.strip_suffix('\n').map_or(before, |line| line.strip_suffix('\r').unwrap_or(line));
    before.len()
}

/// The end of the comments that follow `from` on its line; `from` if there are none.
fn end_of_comments(text: &str, from: usize) -> usize {
    let mut end = from;
    loop {
        let rest = text.get(end..).unwrap_or_default();
        let trimmed = rest.trim_start_matches([' ', '\t']);
        let start = text.len() - trimmed.len();
        if trimmed.starts_with("//") {
            let line = trimmed.find('\n').map_or(trimmed, |newline| trimmed.get(..newline).unwrap_or_default());
            return start + line.strip_suffix('\r').unwrap_or(line).len();
        }
        let block = trimmed.starts_with("/*").then(|| trimmed.find("*/")).flatten();
        match block {
            Some(length) if !trimmed.get(..length).unwrap_or_default().contains('\n') => end = start + length + 2,
            Some(_) | None => return end,
        }
    }
}

/// Where the comma stands that follows `from`, beyond white space and comments.
fn comma_after(text: &str, from: usize) -> Option<usize> {
    let mut position = from;
    loop {
        let rest = text.get(position..)?;
        let trimmed = rest.trim_start();
        position = text.len() - trimmed.len();
        if trimmed.starts_with("//") {
            position += trimmed.find('\n')?;
        } else if trimmed.starts_with("/*") {
            position += trimmed.find("*/")? + 2;
        } else {
            return trimmed.starts_with(',').then_some(position);
        }
    }
}

/// Whether a comment that lasts to the end of its line is open at the end of `text`, which holds white space, commas and
/// comments.
fn ends_in_line_comment(text: &str) -> bool {
    let mut rest = text;
    while let Some(start) = rest.find('/') {
        let comment = rest.get(start..).unwrap_or_default();
        let end = if comment.starts_with("/*") { comment.find("*/").map(|end| end + 2) } else { comment.find('\n') };
        let Some(end) = end else { return comment.starts_with("//") };
        rest = comment.get(end..).unwrap_or_default();
    }
    false
}

/// The longest object or list, in characters, that stands on one line.
const SHORT: usize = 120;
const EMPTY: &str = "{}\n";
