//! What goes before the conversation: instructions, the operator's and the client's.
//!
//! * The leading system and developer messages are `instructions`. With instructions of the operator's they become one
//!   developer message at the beginning of the conversation instead.
//! * JSON mode wants the word "json" in the conversation, where instructions do not count. An instruction that has it moves
//!   there with all that follow it, each as a developer message of its own, so that the order stays. What decides is the
//!   beginning of the conversation up to its first user message: the same on every turn.

use super::content;
use crate::openai::chat::message::Message;
use crate::openai::chat::{ChatRequest, ResponseFormat};
use crate::openai::json::{Text, escape};
use crate::translate::session::SessionKey;

/// The conversation, divided into what goes before it and itself.
pub(super) struct Prompt<'m, 'a> {
    /// Escaped.
    pub(super) instructions: String,
    /// Texts of developer messages at the beginning of the conversation, escaped.
    pub(super) leading: Vec<String>,
    /// The rest.
    pub(super) messages: &'m [Message<'a>],
    /// What identifies the conversation, wherever it is sent: the instructions, and those they displaced.
    identity: [String; 2],
}

impl<'m, 'a> Prompt<'m, 'a> {
    pub(super) fn split(request: &'m ChatRequest<'a>, operator: Option<&str>) -> Self {
        let messages = request.messages.as_slice();
        let leading: Vec<String> = messages.iter().map_while(instruction_text).collect();
        let (mut own, messages) = match messages.split_at_checked(leading.len()) {
            // The backend wants something to answer: a conversation of nothing but instructions is sent as messages.
            Some((_, [])) | None => (Vec::new(), messages),
            Some((_, rest)) => (leading, rest),
        };
        own.retain(|text| !text.is_empty());
        let wants_word =
            matches!(request.response_format, Some(ResponseFormat::JsonObject)) && !begins_with_word(messages);
        match operator {
            None => Self::of_client(own, messages, wants_word),
            Some(operator) => Self::of_operator(escape(operator), &own, messages, wants_word),
        }
    }

    fn of_client(mut own: Vec<String>, messages: &'m [Message<'a>], wants_word: bool) -> Self {
        let identity = [join(&own), String::new()];
        let has_word = own.iter().rposition(|text| wants_word && mentions_json(text));
        let leading = has_word.map(|first| own.split_off(first)).unwrap_or_default();
        Self { instructions: join(&own), leading, messages, identity }
    }

    fn of_operator(operator: String, own: &[String], messages: &'m [Message<'a>], wants_word: bool) -> Self {
        let displaced = join(own);
        let identity = [operator.clone(), displaced.clone()];
        let mut leading = vec![displaced];
        let mut instructions = operator;
        if wants_word && !own.iter().any(|text| mentions_json(text)) && mentions_json(&instructions) {
            leading.insert(0, std::mem::take(&mut instructions));
        }
        leading.retain(|text| !text.is_empty());
        Self { instructions, leading, messages, identity }
    }

    /// Adds what identifies the conversation to its key.
    pub(super) fn identify(&self, key: &mut SessionKey) {
        self.identity.iter().for_each(|part| key.add(part));
    }
}

/// Whether a message up to the first of the user's has the word "json".
fn begins_with_word(messages: &[Message<'_>]) -> bool {
    for message in messages {
        match message {
            Message::Instruction(content) | Message::Assistant { content, .. } if content.mentions_json() => {
                return true;
            }
            Message::User(content) => return content.mentions_json(),
            Message::Instruction(_) | Message::Assistant { .. } | Message::ToolOutput { .. } => {}
        }
    }
    false
}

/// The text of a system or developer message that is nothing but text, escaped.
fn instruction_text(message: &Message<'_>) -> Option<String> {
    match message {
        Message::Instruction(content) => content::joined_text(content),
        Message::User(_) | Message::Assistant { .. } | Message::ToolOutput { .. } => None,
    }
}

fn mentions_json(escaped: &str) -> bool {
    Text::from_escaped(escaped).mentions_json()
}

fn join(texts: &[String]) -> String {
    texts.join(r"\n\n")
}
