//! The body for the backend, written from a conversation.
//!
//! * The body is built from the list of fields that the backend accepts; a client's object is never copied with
//!   deletions. System and developer messages at the beginning become `instructions` ([`prompt`]); later ones keep
//!   their place.
//! * [`history`] puts calls and outputs into the order that the backend requires ([`pairing`]), [`content`] and
//!   [`tools`] write them, and [`replay`] puts remembered reasoning back.
//! * [`mod@body`] is a body from which reasoning can be removed; [`readdress`] changes its model, [`files`] moves files
//!   that the backend refuses, and [`sources`] leaves out the pages of searches.
//! * [`names`] and [`schema`] correct names and schemas that the backend would refuse; [`session`] is the cache key of
//!   a conversation.
//! * [`context`] is the input of a translation besides the client's body, and its result.

pub mod body;
pub(crate) mod call_id;
mod content;
pub mod context;
mod files;
mod history;
pub mod names;
pub(crate) mod pairing;
mod prompt;
mod readdress;
pub mod replay;
pub(crate) mod schema;
pub mod session;
mod sources;
pub(crate) mod tools;

use std::borrow::Cow;
use std::sync::Arc;

use content::Stretch;
use history::Item;
use prompt::Prompt;
use replay::{Replay, Replayed};

use crate::backend::request::context::{BackendRequest, Context, Outline, ServiceTier, write_reasoning};
use crate::backend::request::names::{ToolNames, write_name};
use crate::backend::request::pairing::MISSING_OUTPUT;
use crate::backend::request::session::{SessionKey, given_key};
use crate::conversation::Conversation;
use crate::conversation::call::{Call, CallReference, Payload};
use crate::conversation::content::Part;
use crate::conversation::settings::{ResponseFormat, SCHEMA_KEYS, TierRequest};
use crate::conversation::tool::Tool;
use crate::conversation::tool::ToolChoice;
use crate::conversation::turn::Turn;
use crate::json::{ArrayWriter, ObjectWriter, Path, Text};
use crate::models::effort::Effort;

/// Writes the body for `conversation`.
///
/// ```
/// use codex_proxy::backend::request::context::Context;
/// use codex_proxy::backend::request::translate;
/// use codex_proxy::dialect::chat::request::parse;
/// use codex_proxy::models::Models;
///
/// let ask = parse(br#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi!"}]}"#).unwrap();
/// let model = Models::default().resolve(ask.model.as_deref(), ask.effort.as_deref());
/// let translated = translate(ask.form.own().unwrap(), &Context::new(&model));
///
/// let body: serde_json::Value = serde_json::from_slice(&translated.body).unwrap();
/// assert_eq!(body["instructions"], "Be brief.");
/// assert_eq!(body["input"][0]["content"][0]["text"], "Hi!");
/// ```
pub fn translate(conversation: &Conversation<'_>, context: &Context<'_>) -> BackendRequest {
    let mut ignored = conversation.ignored.clone();
    let prompt = Prompt::split(conversation, context.instructions);
    let names = tool_names(conversation);
    let session_key = given_key(conversation.cache_key.as_deref(), context.session_header)
        .or_else(|| given_key(conversation.session.as_deref(), None))
        .unwrap_or_else(|| derived_key(conversation, context, &prompt));
    let mut body = context.buffer();
    let mut writer = ObjectWriter::begin(&mut body);
    writer.string("model", &context.model.model);
    writer.text("instructions", Text::from_escaped(&prompt.instructions));
    let (replayed, items) = write_input(&prompt, context, names.as_ref(), writer.key("input"));
    let input_end = writer.position();
    tools::write(conversation, names.as_ref(), &mut writer);
    let outline = Outline { items, input_end, tools_end: writer.position() };
    let summary = conversation.summary.filter(|_| context.model.effort != Some(Effort::None));
    write_reasoning(context.model, summary, None, &mut writer);
    writer.boolean("store", false).boolean("stream", true).json("include", included(conversation));
    if let Some(TierRequest { field, tier }) = &conversation.service_tier {
        match context.service_tier(Some(tier)) {
            ServiceTier::Unasked => {}
            ServiceTier::Priority => {
                writer.string("service_tier", "priority");
            }
            ServiceTier::Ignored => ignored.add(&Path::Root.key(field)),
        }
    }
    writer.string("prompt_cache_key", &session_key);
    write_text(conversation, &mut writer);
    writer.end();
    let (ignored, names) = (ignored.names(), names.map(Arc::new));
    let references = Vec::new();
    let Replayed { reasoning, left_out } = replayed;
    let reasoning_left_out = left_out || conversation.reasoning_left_out;
    BackendRequest {
        body,
        session_key,
        ignored,
        names,
        reasoning,
        reasoning_left_out,
        references,
        outline,
        may_move_files: true,
    }
}

/// Returns the contents to request of the answer.
fn included(conversation: &Conversation<'_>) -> &'static str {
    let tells_sources = conversation.web_search.as_ref().is_some_and(|search| search.tells_sources);
    if tells_sources { body::INCLUDE_WITH_SOURCES } else { body::INCLUDE }
}

/// Writes the conversation, and returns the reasoning put back into it, and where its items begin.
fn write_input(
    prompt: &Prompt<'_, '_>,
    context: &Context<'_>,
    names: Option<&ToolNames>,
    out: &mut Vec<u8>,
) -> (Replayed, Vec<usize>) {
    let mut replay = Replay::new(context);
    let mut input = ArrayWriter::noting_starts(out);
    for text in &prompt.leading {
        write_message("developer", input.element(), |out| {
            let mut parts = ArrayWriter::begin(out);
            content::write_text("input_text", Text::from_escaped(text), &mut parts);
            parts.end();
        });
    }
    let items = history::normalise(prompt.turns);
    for (position, item) in items.iter().enumerate() {
        replay.before(item, items.get(position + 1), &mut input);
        if let Item::Reasoning(reasoning) = item {
            replay.sealed(reasoning, &mut input);
        }
        write_item(item, names, &mut input);
    }
    let starts = input.end_with_starts();
    (replay.finish(), starts)
}

fn write_item(item: &Item<'_, '_>, names: Option<&ToolNames>, input: &mut ArrayWriter<'_>) {
    match item {
        Item::User(content) => {
            write_message("user", input.element(), |out| content::write_input(content, out));
        }
        Item::Developer(content) => {
            if content::joined_text(content).is_none_or(|text| !text.is_empty()) {
                write_message("developer", input.element(), |out| content::write_input(content, out));
            }
        }
        // The backend has no field for names, and the model would imitate a name inside the assistant's own text.
        Item::Author(name) => {
            write_message("developer", input.element(), |out| content::write_author(*name, out));
        }
        Item::Assistant { content, refusal } => {
            for stretch in content::stretches(content, *refusal) {
                match stretch {
                    Stretch::Said(texts) => {
                        write_message("assistant", input.element(), |out| content::write_said(&texts, out));
                    }
                    // The backend accepts images and files only from users; a changed role is better than a lost part.
                    Stretch::Shown(parts) => {
                        write_message("user", input.element(), |out| content::write_shown(&parts, out));
                    }
                }
            }
        }
        Item::Call { id, custom, name, payload, .. } => {
            let (kind, field) = if *custom { ("custom_tool_call", "input") } else { ("function_call", "arguments") };
            let mut call = input.object();
            call.string("type", kind).string("call_id", id);
            write_name(*name, names, &mut call);
            write_payload(field, *payload, &mut call);
            call.end();
        }
        // Reasoning is written by the code that records its position.
        Item::Reasoning(_) => {}
        Item::Raw(json) => input.element().extend_from_slice(json.as_bytes()),
        Item::Output { id, custom, content, parts_apart } => {
            let mut output = begin_output(id, *custom, input);
            content::write_output(content, *parts_apart, output.key("output"));
            output.end();
        }
        Item::MissingOutput { id, custom } => {
            let mut output = begin_output(id, *custom, input);
            output.string("output", MISSING_OUTPUT);
            output.end();
        }
        Item::Served { id, call } => {
            let mut item = input.object();
            item.string("type", "function_call").string("call_id", id).text("name", Text::from_escaped(&call.name));
            write_payload("arguments", call.payload, &mut item);
            item.end();
            let mut output = begin_output(id, false, input);
            match &call.output {
                Some(content) => content::write_output(content, true, output.key("output")),
                None => {
                    output.string("output", MISSING_OUTPUT);
                }
            }
            output.end();
        }
        Item::Orphan { orphan, content } => {
            write_message("user", input.element(), |out| content::write_orphan(orphan, content, out));
        }
    }
}

/// Writes a turn alone, its calls and outputs under the client's ids and names; a legacy function gets an id from its
/// name. Reasoning, and what only a whole conversation can place, is left to [`translate`].
pub(crate) fn write_turn(turn: &Turn<'_>, input: &mut ArrayWriter<'_>) {
    match turn {
        Turn::Instruction(content) | Turn::PlacedInstruction(content) => {
            write_item(&Item::Developer(content), None, input);
        }
        Turn::User(content) => write_item(&Item::User(content), None, input),
        Turn::Assistant { content, refusal, calls } => {
            for part in content.parts() {
                if let Part::Name(name) = part {
                    write_item(&Item::Author(*name), None, input);
                }
            }
            write_item(&Item::Assistant { content, refusal: *refusal }, None, input);
            for &Call { id, custom, name, payload, .. } in calls {
                let id = id.map_or_else(|| legacy_id(name), Text::decode);
                write_item(&Item::Call { id, original_id: None, custom, name, payload }, None, input);
            }
        }
        Turn::ToolOutput { call, content, parts_apart } => {
            let id = match *call {
                CallReference::Id(id) => id.decode(),
                CallReference::Name(name) => legacy_id(name),
            };
            write_item(&Item::Output { id, custom: false, content, parts_apart: *parts_apart }, None, input);
        }
        Turn::Served(_) | Turn::Reasoning(_) | Turn::Item(_) => {}
    }
}

/// Returns the id of all calls of a legacy function; calls and outputs are paired by it in order.
fn legacy_id(name: Text<'_>) -> Cow<'_, str> {
    Cow::Owned(format!("call_legacy_{}", name.decode()))
}

fn write_payload(key: &str, payload: Payload<'_>, call: &mut ObjectWriter<'_>) {
    match payload {
        Payload::Text(text) => call.text(key, text),
        Payload::Json(raw) => call.string(key, raw.get()),
    };
}

fn write_message(role: &str, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let mut message = ObjectWriter::begin(out);
    message.string("type", "message").string("role", role);
    content(message.key("content"));
    message.end();
}

fn begin_output<'w>(id: &str, custom: bool, input: &'w mut ArrayWriter<'_>) -> ObjectWriter<'w> {
    let mut output = input.object();
    let kind = if custom { "custom_tool_call_output" } else { "function_call_output" };
    output.string("type", kind).string("call_id", id);
    output
}

fn write_text(conversation: &Conversation<'_>, body: &mut ObjectWriter<'_>) {
    if conversation.format.is_none() && conversation.verbosity.is_none() {
        return;
    }
    let mut text = ObjectWriter::begin(body.key("text"));
    if let Some(verbosity) = conversation.verbosity {
        text.text("verbosity", verbosity);
    }
    if let Some(format) = &conversation.format {
        write_format(format, ObjectWriter::begin(text.key("format")));
    }
    text.end();
}

/// Writes the format of the answer's text.
pub(crate) fn write_format(format: &ResponseFormat<'_>, mut object: ObjectWriter<'_>) {
    match format {
        ResponseFormat::Text => {
            object.string("type", "text");
        }
        ResponseFormat::JsonObject => {
            object.string("type", "json_object");
        }
        ResponseFormat::Schema { schema, strict } => {
            object
                .string("type", "json_schema")
                .string("name", "response")
                .raw("schema", schema)
                .boolean("strict", *strict);
        }
        ResponseFormat::JsonSchema(schema) => {
            object.string("type", "json_schema");
            if schema.find("name").is_none() {
                object.string("name", "response");
            }
            for key in SCHEMA_KEYS {
                if let Some(value) = schema.find(key) {
                    object.raw(key, value);
                }
            }
        }
    }
    object.end();
}

fn derived_key(conversation: &Conversation<'_>, context: &Context<'_>, prompt: &Prompt<'_, '_>) -> String {
    // A conversation keeps its key if its model is retired between two turns.
    let mut key = SessionKey::new(&context.model.meant);
    prompt.identify(&mut key);
    for name in conversation.tools.iter().filter_map(Tool::name) {
        key.add(name.escaped());
    }
    let first = prompt.turns.iter().find_map(|message| match message {
        Turn::User(content) => Some(content),
        Turn::Instruction(_)
        | Turn::PlacedInstruction(_)
        | Turn::Served(_)
        | Turn::Assistant { .. }
        | Turn::ToolOutput { .. }
        | Turn::Reasoning(_)
        | Turn::Item(_) => None,
    });
    if let Some(content) = first {
        content::identify(content, &mut key);
    }
    key.finish()
}

/// Returns the names to send in place of those in `conversation`.
fn tool_names<'a>(conversation: &Conversation<'a>) -> Option<ToolNames> {
    ToolNames::of(&|each: &mut dyn FnMut(Text<'a>)| {
        conversation.tools.iter().filter_map(Tool::name).for_each(&mut *each);
        conversation.tool_choice.iter().flat_map(ToolChoice::names).for_each(&mut *each);
        for message in &conversation.turns {
            if let Turn::Assistant { calls, .. } = message {
                calls.iter().for_each(|call| each(call.name));
            }
        }
    })
}
