//! The order and the pairs of items that the backend accepts.
//!
//! * An item keeps its JSON, except for fields that the backend refuses: its id, and the values that
//!   [`pairing`](crate::backend::request::pairing) and [`names`](crate::backend::request::names) replace.
//! * An output before its call is sent after the calls made together with it, and so is the placeholder for a missing
//!   output. Everything else keeps its place.
//! * The output of a local shell is sent as that of a function.
//! * An output without a call becomes a user message that quotes it.
//! * Reasoning is sent only before an item it can have led to; the backend refuses it otherwise. Omitted reasoning is
//!   listed.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::backend::request::body::Reasoning;
use crate::backend::request::call_id;
use crate::backend::request::names::{ToolNames, write_name};
use crate::backend::request::pairing::{Family, Fate, MISSING_OUTPUT, Pairing, Point, orphan_heading};
use crate::conversation::ignored::Ignored;
use crate::dialect::responses::input::Entry;
use crate::dialect::responses::message::write_message;
use crate::dialect::responses::tools;
use crate::json::{ArrayWriter, Object, ObjectWriter, Text, escape};

/// The items of a conversation in the order to send.
#[derive(Debug)]
pub(super) struct History<'e, 'a> {
    entries: &'e [Entry<'a>],
    parts: Vec<Part>,
    calls: Vec<Point<'e>>,
    outputs: Vec<Point<'e>>,
    pairing: Pairing<'e>,
    steps: Vec<Step>,
}

/// The role of an entry in the pairs.
#[derive(Debug, Clone, Copy)]
enum Part {
    None,
    /// The call with this index.
    Call(usize),
    /// The output with this index.
    Output(usize),
}

/// One item to write.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// An entry, by its position.
    Entry(usize),
    /// The missing output of a call, by the call's index.
    Missing(usize),
    /// An output without a call, by its position.
    Orphan { position: usize, is_known: bool },
}

impl<'e, 'a> History<'e, 'a> {
    /// Puts `entries` into order.
    pub(super) fn new(entries: &'e [Entry<'a>], ignored: &mut Ignored) -> Self {
        let (mut parts, mut calls, mut outputs) = (Vec::with_capacity(entries.len()), Vec::new(), Vec::new());
        let (shells, mut stretch) = (Shells::of(entries), 0);
        for (place, entry) in entries.iter().enumerate() {
            stretch += usize::from(!is_product(entry));
            let Some((family, is_call, key)) = shells.part_of(entry) else {
                parts.push(Part::None);
                continue;
            };
            let point = Point { family, key, place, stretch };
            let (list, part): (_, fn(usize) -> Part) =
                if is_call { (&mut calls, Part::Call) } else { (&mut outputs, Part::Output) };
            parts.push(part(list.len()));
            list.push(point);
        }
        let pairing = Pairing::new(&calls, &outputs);
        let mut history = Self { entries, parts, calls, outputs, pairing, steps: Vec::new() };
        history.steps = history.order();
        history.drop_stray_reasoning(ignored);
        history
    }

    fn order(&self) -> Vec<Step> {
        let mut steps = Vec::with_capacity(self.entries.len());
        // Outputs to send after the last of the calls made together.
        let mut due = Vec::new();
        for (position, part) in self.parts.iter().enumerate() {
            match *part {
                Part::Call(call) => {
                    steps.push(Step::Entry(position));
                    match self.output_place(call) {
                        None => due.push(Step::Missing(call)),
                        Some(place) if place < position => due.push(Step::Entry(place)),
                        Some(_) => {}
                    }
                }
                Part::Output(output) => match self.pairing.fates.get(output) {
                    Some(&Fate::Orphan { is_known }) => {
                        steps.append(&mut due);
                        steps.push(Step::Orphan { position, is_known });
                    }
                    Some(&Fate::Answers(call)) if self.calls.get(call).is_some_and(|call| call.place < position) => {
                        steps.push(Step::Entry(position));
                    }
                    Some(Fate::Answers(_)) | None => {}
                },
                Part::None => {
                    steps.append(&mut due);
                    steps.push(Step::Entry(position));
                }
            }
        }
        steps.append(&mut due);
        steps
    }

    /// Returns the position of the output of a call.
    fn output_place(&self, call: usize) -> Option<usize> {
        let output = self.pairing.outputs.get(call).copied().flatten()?;
        self.outputs.get(output).map(|output| output.place)
    }

    fn drop_stray_reasoning(&mut self, ignored: &mut Ignored) {
        let (mut kept, mut dropped) = (Vec::with_capacity(self.steps.len()), Vec::new());
        let mut is_product_next = false;
        for step in self.steps.drain(..).rev() {
            let entry = match step {
                Step::Entry(position) => self.entries.get(position),
                Step::Missing(_) | Step::Orphan { .. } => None,
            };
            match entry {
                Some(entry) if entry.kind == "reasoning" && !is_product_next => dropped.push(entry.place),
                entry => {
                    is_product_next = entry.is_some_and(is_product);
                    kept.push(step);
                }
            }
        }
        kept.reverse();
        self.steps = kept;
        dropped.iter().rev().for_each(|place| place.path(|path| ignored.add(path)));
    }

    /// Writes the items, and returns the positions of the reasoning among them.
    pub(super) fn write(
        &self,
        names: Option<&ToolNames>,
        input: &mut ArrayWriter<'_>,
        ignored: &mut Ignored,
    ) -> Vec<Reasoning> {
        let mut reasoning = Vec::new();
        for step in &self.steps {
            match *step {
                Step::Missing(call) => self.write_missing(call, input.object()),
                Step::Orphan { position, is_known } => {
                    if let Some(entry) = self.entries.get(position) {
                        write_orphan(entry, is_known, input.object(), ignored);
                    }
                }
                Step::Entry(position) => {
                    if let Some(entry) = self.entries.get(position) {
                        let out = input.element();
                        let start = out.len();
                        self.write_entry(entry, position, names, ObjectWriter::begin(out));
                        if entry.kind == "reasoning" {
                            let range = start..input.position();
                            reasoning.push(Reasoning { range, origin: entry.place.origin() });
                        }
                    }
                }
            }
        }
        reasoning
    }

    fn write_entry(&self, entry: &Entry<'_>, position: usize, names: Option<&ToolNames>, mut object: ObjectWriter<'_>) {
        let call = match self.parts.get(position) {
            Some(&Part::Call(call)) => Some(call),
            Some(&Part::Output(output)) => match self.pairing.fates.get(output) {
                Some(&Fate::Answers(call)) => Some(call),
                Some(Fate::Orphan { .. }) | None => None,
            },
            Some(Part::None) | None if entry.kind == "message" => return write_message(&entry.object, object),
            Some(Part::None) | None => None,
        };
        let id = call.and_then(|call| self.pairing.ids.get(call));
        let kind = call.and_then(|call| self.calls.get(call)).and_then(|call| output_kind(call.family));
        let kind = kind.filter(|_| matches!(self.parts.get(position), Some(Part::Output(_))));
        for (key, value) in entry.object.iter().filter(|(key, _)| *key != "id") {
            match (key, id, kind) {
                ("type", _, Some(kind)) => {
                    object.string(key, kind);
                }
                ("call_id", Some(id), _) => write_id(id, value, &mut object),
                _ => write_field(&entry.kind, key, value, names, &mut object),
            }
        }
        if let (Some(id), None) = (id, entry.object.find("call_id")) {
            object.string("call_id", id);
        }
        object.end();
    }

    fn write_missing(&self, call: usize, mut output: ObjectWriter<'_>) {
        let (Some(point), Some(id)) = (self.calls.get(call), self.pairing.ids.get(call)) else { return output.end() };
        output.string("type", output_kind(point.family).unwrap_or_default()).string("call_id", id);
        match point.family {
            // The official client does the same: codex-rs/core/src/context_manager/normalize.rs.
            Family::ToolSearch => {
                output.string("status", "completed").string("execution", "client").json("tools", "[]")
            }
            Family::Function | Family::Custom | Family::Served | Family::Named => {
                output.string("output", MISSING_OUTPUT)
            }
        };
        output.end();
    }
}

/// Writes the client's id of a call, or its replacement.
fn write_id(id: &str, own: &RawValue, object: &mut ObjectWriter<'_>) {
    match Text::of(own).filter(|own| own.decode() == id) {
        Some(own) => object.text("call_id", own),
        None => object.string("call_id", id),
    };
}

fn write_field(kind: &str, key: &str, value: &RawValue, names: Option<&ToolNames>, object: &mut ObjectWriter<'_>) {
    match (kind, key, Text::of(value)) {
        ("function_call" | "custom_tool_call" | "custom_tool_call_output", "name", Some(name)) => {
            write_name(name, names, object);
        }
        ("additional_tools" | "tool_search_output", "tools", _) => tools::write_value(value, names, object.key(key)),
        // An unknown kind of call, of which only the limit of the id is known.
        (_, "call_id", Some(id)) => {
            object.string(key, &call_id::fit(id.decode()));
        }
        _ => {
            object.raw(key, value);
        }
    }
}

/// Writes a user message that quotes an output without a waiting call.
fn write_orphan(entry: &Entry<'_>, is_known: bool, mut message: ObjectWriter<'_>, ignored: &mut Ignored) {
    let id = entry.object.find("call_id").or_else(|| entry.object.find("id")).and_then(Text::of).unwrap_or(Text::EMPTY);
    let heading = format!("{} {}:", orphan_heading(is_known), id.escaped());
    let output = entry.object.find("output").or_else(|| entry.object.find("tools"));
    message.string("type", "message").string("role", "user");
    let mut parts = ArrayWriter::begin(message.key("content"));
    let write_text = |text: &str, parts: &mut ArrayWriter<'_>| {
        let mut part = parts.object();
        part.string("type", "input_text").text("text", Text::from_escaped(text));
        part.end();
    };
    let listed = output
        .filter(|_| entry.kind != "tool_search_output")
        .and_then(|output| serde_json::from_str::<Vec<&RawValue>>(output.get()).ok());
    match (output, listed) {
        (_, Some(listed)) => {
            write_text(&heading, &mut parts);
            for (index, part) in listed.into_iter().enumerate() {
                if is_users(part) {
                    parts.element().extend_from_slice(part.get().as_bytes());
                } else {
                    entry.place.path(|path| ignored.add(&path.key("output").index(index)));
                }
            }
        }
        (Some(output), None) => {
            let quoted = Text::of(output).map_or_else(|| escape(output.get()), |text| text.escaped().to_owned());
            write_text(&format!(r"{heading}\n{quoted}"), &mut parts);
        }
        (None, None) => write_text(&format!(r"{heading}\n"), &mut parts),
    }
    parts.end();
    message.end();
}

/// Returns whether a part of an output may be placed in a user's message.
fn is_users(part: &RawValue) -> bool {
    let part = serde_json::from_str::<Object<'_>>(part.get()).unwrap_or_default();
    part.find("type").and_then(Text::of).is_some_and(|kind| kind.begins_with("input_"))
}

/// The calls of local shells, by the ids of their items. The public API names a call in its output by either id.
struct Shells<'e>(HashMap<Cow<'e, str>, Cow<'e, str>>);

impl<'e> Shells<'e> {
    fn of(entries: &'e [Entry<'_>]) -> Self {
        let text = |entry: &'e Entry<'_>, key: &str| entry.object.find(key).and_then(Text::of).map(Text::decode);
        if !entries.iter().any(|entry| entry.kind == SHELL_OUTPUT) {
            return Self(HashMap::new());
        }
        let calls = entries.iter().filter(|entry| entry.kind == "local_shell_call");
        Self(calls.filter_map(|entry| Some((text(entry, "id")?, text(entry, "call_id")?))).collect())
    }

    /// Returns the family and id of an entry that is a call or an output, and whether it is a call.
    fn part_of(&self, entry: &'e Entry<'_>) -> Option<(Family, bool, Cow<'e, str>)> {
        let (family, is_call) = match entry.kind.as_ref() {
            // A function's output answers a local shell's call: codex-rs/core/src/context_manager/normalize.rs.
            "function_call" | "local_shell_call" => (Family::Function, true),
            "function_call_output" | SHELL_OUTPUT => (Family::Function, false),
            "custom_tool_call" => (Family::Custom, true),
            "custom_tool_call_output" => (Family::Custom, false),
            "tool_search_call" if !runs_at_backend(entry) => (Family::ToolSearch, true),
            "tool_search_output" if !runs_at_backend(entry) => (Family::ToolSearch, false),
            _ => return None,
        };
        let id = |key: &str| entry.object.find(key).and_then(Text::of).map(Text::decode);
        let id = match id("call_id") {
            None if entry.kind == SHELL_OUTPUT => id("id").map(|id| self.0.get(&id).cloned().unwrap_or(id)),
            id => id,
        };
        id.map(|id| (family, is_call, id))
    }
}

/// The output of a local shell in the public API, which the backend does not have.
const SHELL_OUTPUT: &str = "local_shell_call_output";

fn runs_at_backend(entry: &Entry<'_>) -> bool {
    entry.object.find("execution").and_then(Text::of).is_some_and(|execution| execution.is("server"))
}

/// Returns the type of the output that answers a call of `family`.
fn output_kind(family: Family) -> Option<&'static str> {
    match family {
        Family::Function => Some("function_call_output"),
        Family::Custom => Some("custom_tool_call_output"),
        Family::ToolSearch => Some("tool_search_output"),
        Family::Served | Family::Named => None,
    }
}

/// Returns whether the model may have produced `entry` after reasoning.
fn is_product(entry: &Entry<'_>) -> bool {
    match entry.kind.as_ref() {
        "message" => entry.has_role("assistant"),
        "reasoning" => true,
        kind => kind.ends_with("_call"),
    }
}
