//! The messages of a conversation, by role.
//!
//! * Results of tools come before the rest of a user's message, regardless of their position in it.
//! * The model's texts, calls and reasoning keep their order. Reasoning is returned only in front of the item it led
//!   to.
//! * The API joins adjacent messages of one role into one turn, and so does this module.
//! * A message of the role `system` is an instruction in its place, or sets the effort from there on. So is the summary
//!   of a compaction.
//! * A message in chat's form is read by chat's parser: one of the role `developer`, `tool` or `function`, or one of the
//!   model with `tool_calls`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::block::{self, kind, shown};
use super::seal;
use super::server::ServerCalls;
use crate::backend::request::names::sent_name;
use crate::conversation::Conversation;
use crate::conversation::call::Call;
use crate::conversation::content::{Content, Part};
use crate::conversation::ignored::Ignored;
use crate::conversation::turn::Turn;
use crate::dialect::{chat, note_effort};
use crate::fault::Fault;
use crate::json::{self, Object, Path, Text};

/// The facts in messages besides their turns.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    /// The effort in the last system message that names one.
    pub(super) effort: Option<String>,
    /// The tools that system messages add, by their definitions or names, and remove, in order.
    pub(super) changes: Vec<ToolChange<'a>>,
}

/// A change of the tools in the middle of a conversation.
#[derive(Debug)]
pub(super) enum ToolChange<'a> {
    /// A tool is added by its definition.
    Added(&'a RawValue, String),
    /// A declared tool becomes callable.
    Switched(Text<'a>),
    /// A tool is no longer callable.
    Removed(Text<'a>),
}

/// Reads `messages` into `conversation`.
pub(super) fn read<'a>(
    messages: &'a RawValue,
    path: &Path<'_>,
    conversation: &mut Conversation<'a>,
) -> Result<Told<'a>, Fault> {
    let values = json::array(messages, path)?;
    if values.is_empty() {
        return Err(Fault::invalid(path.to_string(), format!("'{path}' is empty: send at least one message")));
    }
    let mut reading =
        Reading { told: Told::default(), conversation, last_user: None, server_calls: ServerCalls::default() };
    reading.last_user = values.iter().rposition(|value| role_of(value).as_deref() == Some("user"));
    if values.last().and_then(|value| role_of(value)).as_deref() == Some("assistant") {
        // The API would continue this message; here the model answers anew.
        reading.ignored().add(&path.index(values.len() - 1));
    }
    for (index, value) in values.into_iter().enumerate() {
        reading.message(index, value, &path.index(index))?;
    }
    let told = reading.told;
    leave_out_idle_reasoning(conversation);
    Ok(told)
}

/// Removes the reasoning of all but the last `count` turns that have any, and lets no remembered reasoning take its
/// place. A turn is everything after a user message, including the outputs of tools.
///
/// Clients that return no reasoning have it remembered for them: then a turn with calls counts.
pub(super) fn keep_reasoning_of_last(count: u64, conversation: &mut Conversation<'_>) {
    let returns_reasoning = conversation.turns.iter().any(|turn| matches!(turn, Turn::Reasoning(_)));
    let may_have_any = |turn: &Turn<'_>| match turn {
        Turn::Reasoning(_) => true,
        Turn::Assistant { calls, .. } => !returns_reasoning && !calls.is_empty(),
        Turn::User(_)
        | Turn::Instruction(_)
        | Turn::PlacedInstruction(_)
        | Turn::ToolOutput { .. }
        | Turn::Served(_)
        | Turn::Item(_) => false,
    };
    let (mut counted, mut is_counted, mut first_kept) = (0, false, conversation.turns.len());
    for (place, turn) in conversation.turns.iter().enumerate().rev() {
        is_counted |= may_have_any(turn);
        if matches!(turn, Turn::User(_)) || place == 0 {
            counted += u64::from(std::mem::take(&mut is_counted));
            if counted > count {
                break;
            }
            first_kept = place;
        }
    }
    let mut place = 0;
    conversation.turns.retain_mut(|turn| {
        place += 1;
        if place > first_kept {
            return true;
        }
        if let Turn::Assistant { calls, .. } = turn {
            calls.iter_mut().for_each(|call| call.forgets_reasoning = true);
        }
        !matches!(turn, Turn::Reasoning(_))
    });
}

fn role_of(message: &RawValue) -> Option<Cow<'_, str>> {
    let object = json::object(message, &Path::Root).ok()?;
    json::string(object.find("role")?, &Path::Root).ok()
}

struct Reading<'c, 'a> {
    told: Told<'a>,
    conversation: &'c mut Conversation<'a>,
    /// The index of the last user message.
    last_user: Option<usize>,
    /// The calls that the API's servers ran: a result may stand in a later message than its call.
    server_calls: ServerCalls<'a>,
}

impl<'a> Reading<'_, 'a> {
    fn message(&mut self, index: usize, value: &'a RawValue, path: &Path<'_>) -> Result<(), Fault> {
        let message = json::object(value, path)?;
        let role_path = path.key("role");
        let role = json::string(json::required(&message, "role", path)?, &role_path)?;
        let content = message.find("content").filter(|value| value.get() != "null");
        match role.as_ref() {
            role if is_chats(role, &message) => {
                let Conversation { turns, ignored, .. } = &mut *self.conversation;
                chat::message::parse(value, path, turns, ignored)
            }
            "user" => {
                self.ignored().add_unknown(&message, &["role", "content"], path);
                self.user(required(content, path)?, &path.key("content"))
            }
            "assistant" => {
                self.ignored().add_unknown(&message, &["role", "content"], path);
                self.assistant(required(content, path)?, &path.key("content"))
            }
            "system" => self.system(index, &message, content, path),
            other => {
                let message = format!("'{role_path}' must be user, assistant or system, but is '{other}'");
                Err(Fault::invalid(role_path.to_string(), message))
            }
        }
    }

    fn ignored(&mut self) -> &mut Ignored {
        &mut self.conversation.ignored
    }

    fn push(&mut self, turn: Turn<'a>) {
        self.conversation.turns.push(turn);
    }

    fn user(&mut self, content: &'a RawValue, path: &Path<'_>) -> Result<(), Fault> {
        if let Some(text) = Text::of(content) {
            self.push(Turn::User(Content::Text(text)));
            return Ok(());
        }
        let mut parts = Vec::new();
        let (mut is_result, values) = (false, json::array(content, path)?);
        let is_empty = values.is_empty();
        for (index, value) in values.into_iter().enumerate() {
            let path = path.index(index);
            let block = json::object(value, &path)?;
            if kind(&block, &path)?.is("tool_result") {
                let ignored = &mut self.conversation.ignored;
                let (call, content) = block::tool_result(&block, &path, ignored, block::output)?;
                self.push(Turn::ToolOutput { call, content, parts_apart: true });
                is_result = true;
            } else {
                shown(value, &block, &path, &mut parts, &mut self.conversation.ignored)?;
            }
        }
        if is_empty {
            return Err(Fault::invalid(path.to_string(), format!("'{path}' is empty")));
        }
        // A message of empty texts becomes an empty text, unless its results have content.
        if !parts.is_empty() || !is_result {
            self.push(Turn::User(one_or_more(parts)));
        }
        Ok(())
    }

    fn assistant(&mut self, content: &'a RawValue, path: &Path<'_>) -> Result<(), Fault> {
        if let Some(text) = Text::of(content) {
            if !text.is_empty() {
                let content = Content::Text(text);
                self.push(Turn::Assistant { content, refusal: None, calls: Vec::new() });
            }
            return Ok(());
        }
        let mut answer = Answer::default();
        for (index, value) in json::array(content, path)?.into_iter().enumerate() {
            let path = path.index(index);
            let block = json::object(value, &path)?;
            self.answer_block(&mut answer, value, &block, &path)?;
        }
        answer.end(self.conversation);
        Ok(())
    }

    fn answer_block(
        &mut self,
        answer: &mut Answer<'a>,
        value: &'a RawValue,
        block: &Object<'a>,
        path: &Path<'_>,
    ) -> Result<(), Fault> {
        let text = |key: &str| block.find(key).and_then(Text::of).unwrap_or(Text::EMPTY);
        match kind(block, path)?.decode().as_ref() {
            "tool_use" => {
                let call = block::tool_use(block, path, self.ignored())?;
                answer.calls.push(call);
            }
            "thinking" => self.reasoning(answer, text("signature"), text("thinking")),
            "redacted_thinking" => self.reasoning(answer, text("data"), Text::EMPTY),
            "server_tool_use" | "mcp_tool_use" => {
                answer.end(self.conversation);
                self.server_calls.begin(block, &mut self.conversation.turns);
            }
            "compaction" => {
                answer.end(self.conversation);
                self.compaction(block, path)?;
            }
            other if other.ends_with("_tool_result") && self.server_calls.has(text("tool_use_id"), other) => {
                answer.end(self.conversation);
                self.server_calls.finish(block, path, self.conversation)?;
            }
            _ => {
                if !answer.calls.is_empty() {
                    answer.end(self.conversation);
                }
                shown(value, block, path, &mut answer.said, &mut self.conversation.ignored)?;
            }
        }
        Ok(())
    }

    /// Takes the summary of what a client has cut off; nothing if it is empty.
    fn compaction(&mut self, block: &Object<'a>, path: &Path<'_>) -> Result<(), Fault> {
        self.ignored().add_unknown(block, &["type", "content", "cache_control"], path);
        let Some(content) = block.find("content").filter(|value| value.get() != "null") else { return Ok(()) };
        let heading = "Summary of the conversation so far:";
        let content = match block::output(content, &path.key("content"), self.ignored())? {
            Content::Text(text) if text.is_empty() => return Ok(()),
            Content::Text(text) => Content::Parts(vec![Part::Composed(format!(r"{heading}\n{}", text.escaped()))]),
            parts => parts.between(Some(Part::Text(Text::from_escaped(heading))), Vec::new()),
        };
        self.push(Turn::PlacedInstruction(content));
        Ok(())
    }

    /// Takes reasoning: under a seal of this program it is returned to the backend; any other belongs to another
    /// backend, or to none.
    fn reasoning(&mut self, answer: &mut Answer<'a>, seal: Text<'_>, text: Text<'_>) {
        answer.end(self.conversation);
        match seal::open(&seal.decode(), &text.decode()) {
            Some(reasoning) => self.push(Turn::Reasoning(reasoning)),
            None => self.conversation.reasoning_left_out = true,
        }
    }

    fn system(
        &mut self,
        index: usize,
        message: &Object<'a>,
        content: Option<&'a RawValue>,
        path: &Path<'_>,
    ) -> Result<(), Fault> {
        self.ignored().add_unknown(message, &["role", "content", "clear_at", "output_config"], path);
        let config_path = path.key("output_config");
        if let Some(config) = message.find("output_config").filter(|value| value.get() != "null") {
            let config = json::object(config, &config_path)?;
            self.ignored().add_unknown(&config, &["effort"], &config_path);
            if let Some(effort) = config.find("effort").and_then(Text::of) {
                note_effort(&effort.decode(), &config_path.key("effort"), self.ignored());
                self.told.effort = Some(effort.decode().into_owned());
            }
        }
        let Some(content) = content else { return Ok(()) };
        let clears = message.find("clear_at").and_then(Text::of).is_some_and(|when| when.is("next_user_message"));
        if clears && self.last_user.is_some_and(|last| last > index) {
            return Ok(());
        }
        if let Some(text) = Text::of(content) {
            if !text.is_empty() {
                self.push(Turn::PlacedInstruction(Content::Text(text)));
            }
            return Ok(());
        }
        let (mut parts, path) = (Vec::new(), path.key("content"));
        for (index, value) in json::array(content, &path)?.into_iter().enumerate() {
            let path = path.index(index);
            let block = json::object(value, &path)?;
            match kind(&block, &path)?.decode().as_ref() {
                "tool_addition" => self.added(&block, &path)?,
                "tool_removal" => {
                    let name = tool_name(&block, &path)?;
                    self.told.changes.push(ToolChange::Removed(name));
                    parts.push(Part::Composed(format!("Tool removed: {}", sent_name(name))));
                }
                _ => shown(value, &block, &path, &mut parts, &mut self.conversation.ignored)?,
            }
        }
        if !parts.is_empty() {
            self.push(Turn::PlacedInstruction(one_or_more(parts)));
        }
        Ok(())
    }

    fn added(&mut self, block: &Object<'a>, path: &Path<'_>) -> Result<(), Fault> {
        let path = path.key("tool");
        let value = json::required(block, "tool", &path)?;
        let tool = json::object(value, &path)?;
        let change = match tool.find("definition").filter(|value| value.get() != "null") {
            Some(definition) => ToolChange::Added(definition, path.key("definition").to_string()),
            None => ToolChange::Switched(tool_name(block, &path)?),
        };
        self.told.changes.push(change);
        Ok(())
    }
}

/// Returns whether a message has chat's form, unmistakably.
fn is_chats(role: &str, message: &Object<'_>) -> bool {
    let has_calls = || ["tool_calls", "function_call"].iter().any(|key| message.find(key).is_some());
    matches!(role, "developer" | "tool" | "function") || (role == "assistant" && has_calls())
}

/// Returns the name of the tool in a change.
fn tool_name<'a>(block: &Object<'a>, path: &Path<'_>) -> Result<Text<'a>, Fault> {
    let value = json::required(block, "tool", path)?;
    if let Some(name) = Text::of(value) {
        return Ok(name);
    }
    let tool = json::object(value, path)?;
    let name = tool.find("name").or_else(|| tool.find("tool_name")).and_then(Text::of);
    name.ok_or_else(|| Fault::invalid(path.to_string(), format!("'{path}' names no tool")))
}

/// A message by the model while it is read.
#[derive(Default)]
struct Answer<'a> {
    said: Vec<Part<'a>>,
    calls: Vec<Call<'a>>,
}

impl<'a> Answer<'a> {
    /// Adds the texts and calls so far as a turn.
    fn end(&mut self, conversation: &mut Conversation<'a>) {
        let (said, calls) = (std::mem::take(&mut self.said), std::mem::take(&mut self.calls));
        if !said.is_empty() || !calls.is_empty() {
            let content = if said.is_empty() { Content::Absent } else { one_or_more(said) };
            conversation.turns.push(Turn::Assistant { content, refusal: None, calls });
        }
    }
}

/// Returns one text like a string's content, so that a client may change between the two forms.
fn one_or_more(mut parts: Vec<Part<'_>>) -> Content<'_> {
    match (parts.len(), parts.pop()) {
        (_, None) => Content::Text(Text::EMPTY),
        (1, Some(Part::Text(text))) => Content::Text(text),
        (_, Some(last)) => {
            parts.push(last);
            Content::Parts(parts)
        }
    }
}

/// Removes reasoning without a following item, which the backend would refuse. Claude Code keeps answers of reasoning
/// alone.
fn leave_out_idle_reasoning(conversation: &mut Conversation<'_>) {
    let mut leads = false;
    let mut keep: Vec<bool> = Vec::with_capacity(conversation.turns.len());
    for turn in conversation.turns.iter().rev() {
        match turn {
            Turn::Assistant { .. } | Turn::Served(_) | Turn::Item(_) => leads = true,
            Turn::User(_) | Turn::Instruction(_) | Turn::PlacedInstruction(_) | Turn::ToolOutput { .. } => {
                leads = false;
            }
            Turn::Reasoning(_) => {}
        }
        keep.push(leads || !matches!(turn, Turn::Reasoning(_)));
    }
    conversation.reasoning_left_out |= keep.iter().any(|keep| !keep);
    let mut keep = keep.into_iter().rev();
    conversation.turns.retain(|_| keep.next().unwrap_or(true));
}

fn required<'a>(content: Option<&'a RawValue>, path: &Path<'_>) -> Result<&'a RawValue, Fault> {
    let path = path.key("content");
    content.ok_or_else(|| Fault::invalid(path.to_string(), format!("'{path}' is missing")))
}
