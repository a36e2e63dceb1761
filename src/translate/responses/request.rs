//! From a Responses request to the backend's body.
//!
//! * Items, tools and content parts keep their JSON: what is unknown here may well be known there.
//! * Changed is only what the backend refuses: item ids, call ids that are too long, references to items, which it
//!   does not store, the `system` role, plain-text input, the preview name of web search, parameters outside its list.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::super::backend::{BackendRequest, Context, ServiceTier, write_reasoning};
use super::super::body::{Origin, Provenance, Reasoning};
use super::super::call_id;
use super::super::session::{SessionKey, given_key};
use super::compaction;
use super::reference::{self, References, RememberedItem};
use crate::openai::chat::tool;
use crate::openai::error::ApiError;
use crate::openai::json::{self, ArrayWriter, Object, ObjectWriter, Path, Text, push_string};
use crate::openai::responses::{Input, ResponsesRequest};

/// Translates `request`.
pub fn translate(request: &ResponsesRequest<'_>, context: &Context<'_>) -> Result<BackendRequest, ApiError> {
    let mut notes = Notes { ignored: ignored_parameters(&request.body), ..Notes::default() };
    let session_key = given_key(request.prompt_cache_key.as_deref(), context.session_header)
        .unwrap_or_else(|| derived_key(request, context));
    let mut body = Vec::new();
    let mut writer = ObjectWriter::begin(&mut body);
    writer.string("model", &context.model.model);
    match context.instructions {
        Some(operator) => writer.string("instructions", operator),
        None => writer.text("instructions", request.instructions.unwrap_or(Text::EMPTY)),
    };
    write_input(request, context, writer.key("input"), &mut notes)?;
    write_tools(request, &mut writer);
    let summary = request.reasoning.as_ref().and_then(|reasoning| reasoning.find("summary")).and_then(Text::of);
    write_reasoning(context.model, summary, request.reasoning.as_ref(), &mut writer);
    writer.boolean("store", false).boolean("stream", true);
    write_include(request, &mut writer);
    match context.service_tier(request.service_tier.as_deref()) {
        ServiceTier::Unasked => {}
        ServiceTier::Priority => {
            writer.string("service_tier", "priority");
        }
        ServiceTier::Ignored => notes.ignored.push("service_tier".to_owned()),
    }
    writer.string("prompt_cache_key", &session_key);
    if let Some(text) = request.body.find("text") {
        writer.raw("text", text);
    }
    if let Some(metadata) = request.body.find("client_metadata") {
        writer.raw("client_metadata", metadata);
    }
    writer.end();
    let Notes { ignored, reasoning, reasoning_left_out, references } = notes;
    Ok(BackendRequest { body, session_key, ignored, reasoning, reasoning_left_out, references: references.finish() })
}

/// What is learnt while the input is written.
#[derive(Debug, Default)]
struct Notes {
    ignored: Vec<String>,
    reasoning: Vec<Reasoning>,
    reasoning_left_out: bool,
    references: References,
}

/// Parameters of the client's that change nothing: those the backend refuses, and a wish to store the answer.
fn ignored_parameters(body: &Object<'_>) -> Vec<String> {
    let stores = body.find("store").is_some_and(|value| value.get() == "true");
    body.iter()
        .filter(|(key, value)| value.get() != "null" && !KNOWN.contains(key))
        .map(|(key, _)| key)
        .chain(stores.then_some("store"))
        .map(str::to_owned)
        .collect()
}

fn write_input(
    request: &ResponsesRequest<'_>,
    context: &Context<'_>,
    out: &mut Vec<u8>,
    notes: &mut Notes,
) -> Result<(), ApiError> {
    let mut input = ArrayWriter::begin(out);
    // The operator's instructions take the place of the client's, which lead the conversation instead.
    if let Some(text) = request.instructions.filter(|text| context.instructions.is_some() && !text.is_empty()) {
        write_plain_message("developer", text, input.object());
    }
    match &request.input {
        Input::Text(text) => write_plain_message("user", *text, input.object()),
        Input::Items(items) => {
            for (index, item) in items.iter().enumerate() {
                write_item(item, Place::of(index, context), context, &mut input, notes)?;
            }
        }
    }
    if request.asks_for_compaction && !request.input.last().is_some_and(compaction::is_trigger) {
        input.element().extend_from_slice(compaction::TRIGGER.as_bytes());
    }
    input.end();
    Ok(())
}

fn write_plain_message(role: &str, text: Text<'_>, mut message: ObjectWriter<'_>) {
    message.string("type", "message").string("role", role);
    write_text_content(role, text, &mut message);
    message.end();
}

fn write_text_content(role: &str, text: Text<'_>, message: &mut ObjectWriter<'_>) {
    let mut parts = ArrayWriter::begin(message.key("content"));
    let mut part = parts.object();
    part.string("type", if role == "assistant" { "output_text" } else { "input_text" }).text("text", text);
    part.end();
    parts.end();
}

/// Where an item comes from.
#[derive(Debug, Clone, Copy)]
enum Place<'c> {
    /// The client's input, at this index.
    Input(usize),
    /// A turn that is remembered: the answer, or none for what was its input.
    Remembered(Option<&'c Arc<Provenance>>),
}

impl<'c> Place<'c> {
    /// That of the item at `index` of the whole conversation, which begins with what is remembered.
    fn of(index: usize, context: &Context<'c>) -> Self {
        match context.remembered.get(index) {
            Some(provenance) => Self::Remembered(provenance.as_ref()),
            None => Self::Input(index - context.remembered.len()),
        }
    }

    fn origin(self) -> Origin {
        match self {
            Self::Input(index) => Origin::Client(Some(index)),
            Self::Remembered(None) => Origin::Client(None),
            Self::Remembered(Some(provenance)) => Origin::Memory(Arc::clone(provenance)),
        }
    }

    /// Whether reasoning of this place may be sent to `model`.
    fn serves(self, model: &str) -> bool {
        !matches!(self, Self::Remembered(Some(provenance)) if !provenance.serves(model))
    }
}

/// Writes one item; `place` names it in errors.
fn write_item(
    raw: &RawValue,
    place: Place<'_>,
    context: &Context<'_>,
    input: &mut ArrayWriter<'_>,
    notes: &mut Notes,
) -> Result<(), ApiError> {
    let (root, earlier) = (Path::Root.key("input"), Path::Root.key("previous_response_id"));
    let path = &match place {
        Place::Input(index) => root.index(index),
        Place::Remembered(_) => earlier,
    };
    let item = json::object(raw, path)?;
    let role = item.find("role").and_then(Text::of);
    let kind = item.find("type").map(|kind| json::string(kind, &path.key("type"))).transpose()?;
    match kind.as_deref().unwrap_or(if role.is_some() { "message" } else { "" }) {
        "message" => write_message(&item, role, input.object()),
        "item_reference" => return write_referenced(&item, place, path, context, input, notes),
        // Its text alone cannot be given back to the model.
        "reasoning" if item.find("encrypted_content").is_none() => notes.ignored.push(path.to_string()),
        "reasoning" if !place.serves(&context.model.model) => notes.reasoning_left_out = true,
        "" => {
            let path = path.key("type");
            return Err(ApiError::invalid(path.to_string(), format!("'{path}' is missing")));
        }
        kind => {
            let out = input.element();
            let start = out.len();
            let mut object = ObjectWriter::begin(out);
            for (key, value) in item.iter().filter(|(key, _)| *key != "id") {
                match Text::of(value).filter(|_| key == "call_id").map(|id| call_id::fit(id.decode())) {
                    Some(Cow::Owned(id)) => object.string(key, &id),
                    Some(Cow::Borrowed(_)) | None => object.raw(key, value),
                };
            }
            object.end();
            if kind == "reasoning" {
                notes.reasoning.push(Reasoning { range: start..input.position(), origin: place.origin() });
            }
        }
    }
    Ok(())
}

/// Writes the item that takes the place of a reference.
fn write_referenced(
    reference: &Object<'_>,
    place: Place<'_>,
    path: &Path<'_>,
    context: &Context<'_>,
    input: &mut ArrayWriter<'_>,
    notes: &mut Notes,
) -> Result<(), ApiError> {
    let found = notes.references.resolve(reference, path, context)?;
    match &found {
        Some(RememberedItem { json, provenance }) => {
            let raw = serde_json::from_str::<&RawValue>(json).map_err(|_| reference::unknown(path))?;
            write_item(raw, Place::Remembered(Some(provenance)), context, input, notes)?;
        }
        None => notes.ignored.push(path.to_string()),
    }
    if let Place::Input(index) = place {
        notes.references.note(index, found.map(|item| item.json));
    }
    Ok(())
}

fn write_message(item: &Object<'_>, role: Option<Text<'_>>, mut message: ObjectWriter<'_>) {
    let role = match role.map(Text::escaped) {
        Some("system") => Some("developer"),
        other => other,
    };
    message.string("type", "message");
    for (key, value) in item.iter().filter(|(key, _)| !matches!(*key, "type" | "id")) {
        match (key, role, Text::of(value)) {
            ("role", Some(role), _) => {
                message.text("role", Text::from_escaped(role));
            }
            ("content", _, Some(text)) => write_text_content(role.unwrap_or_default(), text, &mut message),
            _ => {
                message.raw(key, value);
            }
        }
    }
    message.end();
}

/// Tools, the choice among them and whether they may run in parallel: all three or none.
fn write_tools(request: &ResponsesRequest<'_>, body: &mut ObjectWriter<'_>) {
    if request.tools.is_empty() {
        return;
    }
    let mut tools = ArrayWriter::begin(body.key("tools"));
    for tool in &request.tools {
        write_tool(tool, tools.element());
    }
    tools.end();
    match request.body.find("tool_choice") {
        Some(choice) => body.raw("tool_choice", choice),
        None => body.string("tool_choice", "auto"),
    };
    match request.body.find("parallel_tool_calls") {
        Some(parallel) => body.raw("parallel_tool_calls", parallel),
        None => body.boolean("parallel_tool_calls", true),
    };
}

fn write_tool(raw: &RawValue, out: &mut Vec<u8>) {
    let renamed = serde_json::from_str::<Object<'_>>(raw.get()).ok().and_then(|tool| {
        let kind = tool.find("type").and_then(Text::of)?.escaped();
        let name = tool::hosted(kind).filter(|name| *name != kind)?;
        Some((tool, name))
    });
    let Some((tool, name)) = renamed else {
        out.extend_from_slice(raw.get().as_bytes());
        return;
    };
    let mut object = ObjectWriter::begin(out);
    for (key, value) in tool.iter() {
        match key {
            "type" => object.string(key, name),
            _ => object.raw(key, value),
        };
    }
    object.end();
}

fn write_include(request: &ResponsesRequest<'_>, body: &mut ObjectWriter<'_>) {
    let mut include = ArrayWriter::begin(body.key("include"));
    let mut present = false;
    for entry in &request.include {
        present |= Text::of(entry).is_some_and(|entry| entry.decode() == ENCRYPTED_REASONING);
        include.element().extend_from_slice(entry.get().as_bytes());
    }
    if !present {
        push_string(include.element(), ENCRYPTED_REASONING);
    }
    include.end();
}

fn derived_key(request: &ResponsesRequest<'_>, context: &Context<'_>) -> String {
    // A conversation goes on under its key when its model is retired between two turns.
    let mut key = SessionKey::new(&context.model.meant);
    key.add(request.instructions.unwrap_or(Text::EMPTY).escaped());
    for tool in &request.tools {
        let tool = serde_json::from_str::<Object<'_>>(tool.get()).unwrap_or_default();
        key.add(tool.find("name").map_or("", RawValue::get));
    }
    match &request.input {
        Input::Text(text) => key.add(text.escaped()),
        Input::Items(items) => add_beginning(items, &mut key),
    }
    key.finish()
}

/// Adds what a conversation begins with: instructions that are messages, and the first message of the user's.
fn add_beginning(items: &[&RawValue], key: &mut SessionKey) {
    for item in items {
        let item = serde_json::from_str::<Object<'_>>(item.get()).unwrap_or_default();
        let role = item.find("role").and_then(Text::of).map(Text::escaped);
        let content = item.find("content");
        if let (Some("system" | "developer" | "user"), Some(content)) = (role, content) {
            add_content(content, key);
        }
        if role == Some("user") {
            return;
        }
    }
}

/// A text counts the same whether it stands alone or as a part.
fn add_content(content: &RawValue, key: &mut SessionKey) {
    if let Some(text) = Text::of(content) {
        return key.add(text.escaped());
    }
    for part in serde_json::from_str::<Vec<&RawValue>>(content.get()).unwrap_or_default() {
        let object = serde_json::from_str::<Object<'_>>(part.get()).unwrap_or_default();
        let is_text = object.find("type").and_then(Text::of).is_some_and(|kind| kind.escaped() == "input_text");
        let text = object.find("text").and_then(Text::of).filter(|_| is_text);
        key.add(text.map_or(part.get(), Text::escaped));
    }
}

const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";

/// Parameters that are sent on, or that are decided here and need no mention.
const KNOWN: [&str; 17] = [
    "background",
    "client_metadata",
    "include",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt_cache_key",
    "reasoning",
    "reasoning_effort",
    "service_tier",
    "store",
    "stream",
    "text",
    "tool_choice",
    "tools",
];
