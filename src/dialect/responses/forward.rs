//! The translation of a Responses request into the backend's body.
//!
//! * Items, tools and content parts keep their JSON: a value unknown here may be known to the backend.
//! * Only values that the backend refuses are changed: items as described in [`input`] and
//!   [`history`](crate::dialect::responses::history), tools as described in [`tools`], and parameters outside its list.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::backend::request::context::{BackendRequest, Context, Outline, ServiceTier, shown_summary, write_reasoning};
use crate::backend::request::names::ToolNames;
use crate::backend::request::session::{SessionKey, given_key};
use crate::conversation::ignored::Ignored;
use crate::dialect::chat::request::ANSWER_KEYS;
use crate::dialect::note_effort;
use crate::dialect::responses::compaction;
use crate::dialect::responses::frame::FRAME_KEYS;
use crate::dialect::responses::history::History;
use crate::dialect::responses::input;
use crate::dialect::responses::input::{Entry, Found};
use crate::dialect::responses::message::write_plain_message;
use crate::dialect::responses::reference::References;
use crate::dialect::responses::request::{Input, ResponsesRequest};
use crate::dialect::responses::text::TextSettings;
use crate::dialect::responses::tools;
use crate::fault::Fault;
use crate::json::{ArrayWriter, Object, ObjectWriter, Path, Text, escape, push_string};

/// Translates `request`.
pub fn translate(request: &ResponsesRequest<'_>, context: &Context<'_>) -> Result<BackendRequest, Fault> {
    let mut ignored = request.ignored.clone();
    ignore_parameters(request, context, &mut ignored);
    tools::check(&request.tools, &mut ignored)?;
    let mut references = References::default();
    let mut found = Vec::new();
    let (entries, reasoning_left_out) = match &request.input {
        Input::Text(_) => (Vec::new(), false),
        Input::Items(items) => {
            let items = input::Items::read(items, context, &mut references, &mut ignored)?;
            items.entries(&mut found, context, &mut ignored)?
        }
    };
    let begins_with_word = match &request.input {
        Input::Text(text) => text.mentions_json(),
        Input::Items(_) => input::begins_with_word(&entries),
    };
    let text = TextSettings::read(&request.body, &mut ignored)?;
    let prompt = Prompt::new(request, context.instructions, text.wants_json() && !begins_with_word);
    let names = tool_names(request, &entries);
    let history = History::new(&entries, &mut ignored);
    let session_key = given_key(request.prompt_cache_key.as_deref(), context.session_header)
        .unwrap_or_else(|| derived_key(request, context));
    let mut body = context.buffer();
    let mut writer = ObjectWriter::begin(&mut body);
    writer.string("model", &context.model.model);
    writer.text("instructions", Text::from_escaped(prompt.instructions.as_deref().unwrap_or_default()));
    let mut input = ArrayWriter::noting_starts(writer.key("input"));
    for text in &prompt.leading {
        write_plain_message("developer", Text::from_escaped(text), input.object());
    }
    if let Input::Text(text) = &request.input {
        write_plain_message("user", *text, input.object());
    }
    let reasoning = history.write(names.as_ref(), &mut input, &mut ignored);
    if request.asks_for_compaction && !request.input.last().is_some_and(compaction::is_trigger) {
        input.element().extend_from_slice(compaction::TRIGGER.as_bytes());
    }
    let items = input.end_with_starts();
    let input_end = writer.position();
    write_tools(request, names.as_ref(), &mut writer);
    let outline = Outline { items, input_end, tools_end: writer.position() };
    let summary = request.reasoning.as_ref().and_then(|reasoning| reasoning.find("summary")).and_then(Text::of);
    let summary = if request.answers_chat { shown_summary(context.model, summary) } else { summary };
    write_reasoning(context.model, summary, request.reasoning.as_ref(), &mut writer);
    writer.boolean("store", false).boolean("stream", true);
    write_include(request, &mut writer);
    match context.service_tier(request.service_tier.as_deref()) {
        ServiceTier::Unasked => {}
        ServiceTier::Priority => {
            writer.string("service_tier", "priority");
        }
        ServiceTier::Ignored => ignored.add(&Path::Root.key("service_tier")),
    }
    writer.string("prompt_cache_key", &session_key);
    text.write(&mut writer);
    if let Some(programs) = access_programs(request, context) {
        writer.raw("access_programs", programs);
    }
    if let Some(metadata) = request.body.find("client_metadata") {
        writer.raw("client_metadata", metadata);
    }
    writer.end();
    let (ignored, names) = (ignored.names(), names.map(Arc::new));
    let references = found.into_iter().filter_map(Found::reference).collect();
    Ok(BackendRequest {
        body,
        session_key,
        ignored,
        names,
        reasoning,
        reasoning_left_out,
        references,
        outline,
        may_move_files: false,
    })
}

/// Lists the client's parameters without effect: those the backend refuses, and a request to store the answer.
fn ignore_parameters(request: &ResponsesRequest<'_>, context: &Context<'_>, ignored: &mut Ignored) {
    let is_passed = |key: &str| {
        KNOWN.contains(&key)
            || (request.is_frame && FRAME_KEYS.contains(&key))
            || (key == "access_programs" && access_programs(request, context).is_some())
            || (request.answers_chat && (key == "messages" || ANSWER_KEYS.contains(&key)))
    };
    for (key, value) in request.body.iter() {
        if value.get() != "null" && !is_passed(key) {
            ignored.add(&Path::Root.key(key));
        }
    }
    ignore_efforts(&request.body, ignored);
    if request.body.find("store").is_some_and(|value| value.get() == "true") {
        ignored.add(&Path::Root.key("store"));
    }
}

/// Lists the words that name no effort.
fn ignore_efforts(body: &Object<'_>, ignored: &mut Ignored) {
    for key in ["reasoning", "reasoning_effort"] {
        let Some(value) = body.find(key) else { continue };
        let path = Path::Root.key(key);
        match (Text::of(value), object(value).and_then(|object| object.find("effort")).and_then(Text::of)) {
            (Some(word), _) => note_effort(&word.decode(), &path, ignored),
            (None, Some(word)) => note_effort(&word.decode(), &path.key("effort"), ignored),
            (None, None) => {}
        }
    }
}

fn object(raw: &RawValue) -> Option<Object<'_>> {
    serde_json::from_str(raw.get()).ok()
}

/// Returns the account's programmes that the official client names. The backend refuses them to any other account, so
/// a parameter of that name by any other client is not sent.
fn access_programs<'a>(request: &ResponsesRequest<'a>, context: &Context<'_>) -> Option<&'a RawValue> {
    request.body.find("access_programs").filter(|_| context.is_codex)
}

/// The operator's instructions and the client's, by the place to which each is sent.
struct Prompt<'a> {
    instructions: Option<Cow<'a, str>>,
    /// Developer messages at the beginning of the conversation, escaped.
    leading: Vec<Cow<'a, str>>,
}

impl<'a> Prompt<'a> {
    /// Divides the instructions. JSON mode requires the word "json" in the conversation, and instructions do not count:
    /// instructions with the word move there if `wants_word`: if the conversation does not begin with it.
    fn new(request: &ResponsesRequest<'a>, operator: Option<&str>, wants_word: bool) -> Self {
        let has_word = |text: &str| wants_word && Text::from_escaped(text).mentions_json();
        let own = request.instructions.filter(|text| !text.is_empty()).map(|text| Cow::Borrowed(text.escaped()));
        let Some(operator) = operator.map(escape) else {
            return match own {
                Some(own) if has_word(&own) => Self { instructions: None, leading: vec![own] },
                own => Self { instructions: own, leading: Vec::new() },
            };
        };
        // The operator's instructions replace the client's, which lead the conversation instead.
        if has_word(&operator) && !own.as_deref().is_some_and(has_word) {
            return Self { instructions: None, leading: [Cow::Owned(operator)].into_iter().chain(own).collect() };
        }
        Self { instructions: Some(Cow::Owned(operator)), leading: own.into_iter().collect() }
    }
}

/// Writes tools, the choice among them and `parallel_tool_calls`: all three or none.
fn write_tools(request: &ResponsesRequest<'_>, names: Option<&ToolNames>, body: &mut ObjectWriter<'_>) {
    if request.tools.is_empty() {
        return;
    }
    tools::write_all(&request.tools, names, body.key("tools"));
    match request.body.find("tool_choice") {
        Some(choice) => tools::write_choice(choice, names, body.key("tool_choice")),
        None => {
            body.string("tool_choice", "auto");
        }
    }
    match request.body.find("parallel_tool_calls") {
        Some(parallel) => body.raw("parallel_tool_calls", parallel),
        None => {
            let is_one = request.body.find("tool_choice").is_some_and(tools::allows_one_call);
            body.boolean("parallel_tool_calls", !is_one)
        }
    };
}

/// Returns the names to send in place of those in `request`.
fn tool_names<'a>(request: &ResponsesRequest<'a>, entries: &[Entry<'a>]) -> Option<ToolNames> {
    ToolNames::of(&|each: &mut dyn FnMut(Text<'a>)| {
        tools::names(&request.tools, each);
        if let Some(choice) = request.body.find("tool_choice") {
            tools::chosen(choice, each);
        }
        for entry in entries {
            match entry.kind.as_ref() {
                "function_call" | "custom_tool_call" | "custom_tool_call_output" => {
                    entry.object.find("name").and_then(Text::of).into_iter().for_each(&mut *each);
                }
                "additional_tools" | "tool_search_output" => {
                    if let Some(inner) = entry.object.find("tools") {
                        tools::names_in(inner, each);
                    }
                }
                _ => {}
            }
        }
    })
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

/// Adds the beginning of a conversation: instructions in messages, and the first user message.
fn add_beginning(items: &[&RawValue], key: &mut SessionKey) {
    for item in items {
        let item = serde_json::from_str::<Object<'_>>(item.get()).unwrap_or_default();
        let role = item.find("role").and_then(Text::of).map(Text::decode);
        let content = item.find("content");
        if let (Some("system" | "developer" | "user"), Some(content)) = (role.as_deref(), content) {
            add_content(content, key);
        }
        if role.as_deref() == Some("user") {
            return;
        }
    }
}

/// Adds a text, which counts the same alone or as a part.
fn add_content(content: &RawValue, key: &mut SessionKey) {
    if let Some(text) = Text::of(content) {
        return key.add(text.escaped());
    }
    for part in serde_json::from_str::<Vec<&RawValue>>(content.get()).unwrap_or_default() {
        let object = serde_json::from_str::<Object<'_>>(part.get()).unwrap_or_default();
        let is_text = object.find("type").and_then(Text::of).is_some_and(|kind| kind.is("input_text"));
        let text = object.find("text").and_then(Text::of).filter(|_| is_text);
        key.add(text.map_or(part.get(), Text::escaped));
    }
}

const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";

/// The parameters that are forwarded, or handled here without mention.
const KNOWN: [&str; 19] = [
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
    "response_format",
    "service_tier",
    "store",
    "stream",
    "text",
    "tool_choice",
    "tools",
    "verbosity",
];
