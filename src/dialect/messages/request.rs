//! The request of the Messages API, as clients send it.
//!
//! * Any `anthropic-version` and any beta is accepted; a field without effect is listed rather than rejected. A field
//!   that cannot be honoured and would change the answer's meaning is a 400 that names it.
//! * `system` and messages of the role `system` are instructions: the former before the conversation, the latter in
//!   their place. Claude Code's billing line, which is addressed to Anthropic and not to the model, is left out.
//! * `max_tokens` is not enforced: an answer cut by an estimate would have an invented ending. `0` requests no answer
//!   at all.

use std::borrow::Cow;

use http::HeaderMap;
use serde_json::value::RawValue;

use super::{effort, format, history, session, tool};
use crate::conversation::Conversation;
use crate::conversation::content::Content;
use crate::conversation::settings::TierRequest;
use crate::conversation::turn::Turn;
use crate::dialect::{Ask, Form, check_stop};
use crate::fault::Fault;
use crate::json::{self, Object, Path, Text};

/// A client's settings for its answer.
#[derive(Debug, Clone, Default)]
pub struct MessagesShape {
    /// The amount of the model's reasoning shown.
    pub thinking: Thinking,
    /// The sequences that end the answer's text although the model goes on.
    pub stop: Vec<String>,
    /// Whether the client offers a web search.
    pub searches: bool,
    /// Whether the search is the client's only tool, so that the answer is about its results.
    pub only_searches: bool,
    /// Whether the client wants its prompt read and no answer: `max_tokens: 0`.
    pub wants_nothing: bool,
}

/// The amount of the model's reasoning that a client sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Thinking {
    /// No blocks of reasoning.
    #[default]
    Hidden,
    /// Blocks with the summary of the reasoning.
    Shown,
    /// Blocks without text, which contain only the reasoning to return.
    Omitted,
}

/// Reads the Messages request in `body`, sent with `headers`.
pub fn parse<'a>(body: &'a [u8], headers: &HeaderMap) -> Result<Ask<'a, MessagesShape>, Fault> {
    let object = json::body(body)?;
    let mut conversation = Conversation::default();
    let field = |key: &str| object.find(key).filter(|value| value.get() != "null");
    if let Some(system) = field("system") {
        instructions(system, &mut conversation)?;
    }
    let messages = json::required(&object, "messages", &Path::Root)?;
    let told = history::read(messages, &Path::Root.key("messages"), &mut conversation)?;
    let mut tools = tool::Tools::read(field("tools"), &told, &mut conversation)?;
    tools.choose(field("tool_choice"), &mut conversation)?;
    let mut shape = MessagesShape {
        searches: conversation.web_search.is_some(),
        only_searches: conversation.web_search.is_some() && conversation.tools.is_empty(),
        ..MessagesShape::default()
    };
    let wish = effort::read(&object, headers, told.effort, &mut conversation)?;
    shape.thinking = wish.thinking;
    conversation.summary = wish.summary;
    settings(&object, &mut conversation, &mut shape)?;
    if let Some(management) = field("context_management") {
        context_management(management, &mut conversation)?;
    }
    conversation.cache_key = session::of_headers(headers);
    conversation.session = field("metadata").and_then(session::of_metadata);
    conversation.ignored.add_unknown(&object, &KNOWN, &Path::Root);
    let model = field("model").map(|model| json::string(model, &Path::Root.key("model"))).transpose()?;
    let stream = field("stream").map(|flag| json::boolean(flag, &Path::Root.key("stream"))).transpose()?;
    let form = Form::Own(Box::new(conversation));
    Ok(Ask { model, effort: wish.effort.map(Cow::Owned), stream: stream.unwrap_or(false), shape, form })
}

/// Reads `system`: a string, or text blocks; each block is an instruction of its own.
fn instructions<'a>(value: &'a RawValue, conversation: &mut Conversation<'a>) -> Result<(), Fault> {
    let path = Path::Root.key("system");
    let mut texts = Vec::new();
    if let Some(text) = Text::of(value) {
        texts.push(text);
    } else {
        for (index, block) in json::array(value, &path)?.into_iter().enumerate() {
            let path = path.index(index);
            let block = json::object(block, &path)?;
            conversation.ignored.add_unknown(&block, &["type", "text", "cache_control", "citations"], &path);
            texts.push(json::text(json::required(&block, "text", &path)?, &path.key("text"))?);
        }
    }
    if let Some(first) = texts.first_mut() {
        *first = without_bill(*first);
    }
    let texts = texts.into_iter().filter(|text| !text.is_empty());
    conversation.turns.extend(texts.map(|text| Turn::Instruction(Content::Text(text))));
    Ok(())
}

/// Returns `text` without Claude Code's billing line, which changes with each request: a block of its own, or the first
/// line where a client has joined the blocks.
fn without_bill(text: Text<'_>) -> Text<'_> {
    let escaped = text.escaped();
    if !escaped.starts_with(BILLING) {
        return text;
    }
    let is_break = |rest: &str| rest.starts_with(r"\n") || rest.starts_with(r"\r");
    let mut at = BILLING.len();
    // An escaped backslash is two characters, of which the second begins no escape.
    while let Some(rest) = escaped.get(at..).filter(|rest| !rest.is_empty() && !is_break(rest)) {
        let length = if rest.starts_with('\\') { 2 } else { rest.chars().next().map_or(1, char::len_utf8) };
        at += length;
    }
    let mut rest = escaped.get(at..).unwrap_or_default();
    while is_break(rest) {
        rest = rest.get(2..).unwrap_or_default();
    }
    Text::from_escaped(rest)
}

/// Reads all settings of the answer, except for reasoning and tools.
fn settings<'a>(
    object: &Object<'a>,
    conversation: &mut Conversation<'a>,
    shape: &mut MessagesShape,
) -> Result<(), Fault> {
    let field = |key: &str| object.find(key).filter(|value| value.get() != "null");
    for key in REFUSED {
        if field(key).is_some_and(|value| value.get() != "[]") {
            let message = format!("'{key}' is not available: leave out {key}");
            return Err(Fault::unsupported(key, message));
        }
    }
    if let Some(value) = field("stop_sequences") {
        shape.stop = stop_sequences(value, &Path::Root.key("stop_sequences"))?;
    }
    conversation.format = format::read(object)?;
    if field("speed").and_then(Text::of).is_some_and(|speed| speed.is("fast")) {
        conversation.service_tier = Some(TierRequest { field: "speed", tier: Cow::Borrowed("priority") });
    }
    if let Some(value) = field("max_tokens") {
        shape.wants_nothing = json::unsigned(value, &Path::Root.key("max_tokens"))? == 0;
    }
    Ok(())
}

/// Reads stop sequences, of which none may be empty or only white space, as in the API.
fn stop_sequences(value: &RawValue, path: &Path<'_>) -> Result<Vec<String>, Fault> {
    let values = json::array(value, path)?;
    if values.len() > MOST_STOPS {
        let message = format!("'{path}' has {} sequences; at most {MOST_STOPS} are looked for", values.len());
        return Err(Fault::invalid(path.to_string(), message));
    }
    let mut sequences = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let path = path.index(index);
        let sequence = json::string(value, &path)?.into_owned();
        check_stop(&sequence, &path)?;
        if sequence.trim().is_empty() {
            let message = format!("'{path}' must hold more than white space");
            return Err(Fault::invalid(path.to_string(), message));
        }
        sequences.push(sequence);
    }
    Ok(sequences)
}

/// Reads `context_management`: reasoning is kept for the requested number of turns. Any other edit is listed and has no
/// effect.
fn context_management(management: &RawValue, conversation: &mut Conversation<'_>) -> Result<(), Fault> {
    let path = Path::Root.key("context_management");
    let management = json::object(management, &path)?;
    conversation.ignored.add_unknown(&management, &["edits"], &path);
    let path = path.key("edits");
    let edits = management.find("edits").filter(|value| value.get() != "null");
    let edits = edits.map(|edits| json::array(edits, &path)).transpose()?.unwrap_or_default();
    let mut least = None;
    for (index, edit) in edits.into_iter().enumerate() {
        let path = path.index(index);
        let edit = json::object(edit, &path)?;
        if !edit.find("type").and_then(Text::of).is_some_and(|kind| kind.begins_with("clear_thinking_")) {
            conversation.ignored.add(&path);
            continue;
        }
        let keep_path = path.key("keep");
        let keep = edit.find("keep").filter(|keep| keep.get().starts_with('{'));
        let count = keep.map(|keep| json::object(keep, &keep_path)).transpose()?.and_then(|keep| keep.find("value"));
        if let Some(count) = count.map(|count| json::unsigned(count, &keep_path.key("value"))).transpose()? {
            least = Some(least.map_or(count, |least: u64| least.min(count)));
        }
    }
    if let Some(count) = least {
        history::keep_reasoning_of_last(count, conversation);
    }
    Ok(())
}

/// How many stop sequences a request may have: each is looked for at every character of the answer.
const MOST_STOPS: usize = 64;
/// The beginning of Claude Code's billing line.
const BILLING: &str = "x-anthropic-billing-header:";
/// The fields whose omission would change the answer's meaning. Claude Code drops `safeguards` if the message names it.
const REFUSED: [&str; 2] = ["safeguards", "mcp_servers"];
/// The fields that are read, or that have no noticeable effect. `max_tokens` is listed as ignored, since it is not
/// enforced.
const KNOWN: [&str; 18] = [
    "model",
    "messages",
    "system",
    "stream",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "stop_sequences",
    "metadata",
    "service_tier",
    "speed",
    "cache_control",
    "context_management",
    "betas",
    "safeguards",
    "mcp_servers",
];
