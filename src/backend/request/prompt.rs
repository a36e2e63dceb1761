//! The beginning of the prompt: instructions by the operator and the client.
//!
//! * The leading system and developer turns are `instructions`. If the operator has instructions, they become one
//!   developer message at the beginning of the conversation instead.
//! * JSON mode requires the word "json" in the conversation, and instructions do not count. An instruction with the
//!   word moves there with all that follow it, each as a developer message of its own, so that the order stays. The
//!   decision depends on the beginning of the conversation up to its first user message: the same on every turn.

use crate::backend::request::content;
use crate::backend::request::session::SessionKey;
use crate::conversation::Conversation;
use crate::conversation::settings::ResponseFormat;
use crate::conversation::turn::Turn;
use crate::json::{Text, escape};

/// The conversation, divided into its prompt and its turns.
pub(super) struct Prompt<'m, 'a> {
    /// The instructions, escaped.
    pub(super) instructions: String,
    /// Texts of developer turns at the beginning of the conversation, escaped.
    pub(super) leading: Vec<String>,
    /// The remaining turns.
    pub(super) turns: &'m [Turn<'a>],
    /// The texts that identify the conversation, regardless of their place: the instructions, and those they displaced.
    identity: [String; 2],
}

impl<'m, 'a> Prompt<'m, 'a> {
    pub(super) fn split(conversation: &'m Conversation<'a>, operator: Option<&str>) -> Self {
        let turns = conversation.turns.as_slice();
        let leading: Vec<String> = turns.iter().map_while(instruction_text).collect();
        let (mut own, turns) = match turns.split_at_checked(leading.len()) {
            // The backend requires a message to answer: a conversation of only instructions is sent as turns.
            Some((_, [])) | None => (Vec::new(), turns),
            Some((_, rest)) => (leading, rest),
        };
        own.retain(|text| !text.is_empty());
        let wants_word = matches!(conversation.format, Some(ResponseFormat::JsonObject)) && !begins_with_word(turns);
        match operator {
            None => Self::of_client(own, turns, wants_word),
            Some(operator) => Self::of_operator(escape(operator), &own, turns, wants_word),
        }
    }

    fn of_client(mut own: Vec<String>, turns: &'m [Turn<'a>], wants_word: bool) -> Self {
        let identity = [join(&own), String::new()];
        let has_word = own.iter().rposition(|text| wants_word && mentions_json(text));
        let leading = has_word.map(|first| own.split_off(first)).unwrap_or_default();
        Self { instructions: join(&own), leading, turns, identity }
    }

    fn of_operator(operator: String, own: &[String], turns: &'m [Turn<'a>], wants_word: bool) -> Self {
        let displaced = join(own);
        let identity = [operator.clone(), displaced.clone()];
        let mut leading = vec![displaced];
        let mut instructions = operator;
        if wants_word && !own.iter().any(|text| mentions_json(text)) && mentions_json(&instructions) {
            leading.insert(0, std::mem::take(&mut instructions));
        }
        leading.retain(|text| !text.is_empty());
        Self { instructions, leading, turns, identity }
    }

    /// Adds the identifying texts to the conversation's key.
    pub(super) fn identify(&self, key: &mut SessionKey) {
        self.identity.iter().for_each(|part| key.add(part));
    }
}

/// Returns whether a message up to the first user message contains the word "json".
fn begins_with_word(turns: &[Turn<'_>]) -> bool {
    for turn in turns {
        match turn {
            Turn::Instruction(content) | Turn::PlacedInstruction(content) | Turn::Assistant { content, .. }
                if content.mentions_json() =>
            {
                return true;
            }
            Turn::User(content) => return content.mentions_json(),
            Turn::Instruction(_)
            | Turn::PlacedInstruction(_)
            | Turn::Served(_)
            | Turn::Assistant { .. }
            | Turn::ToolOutput { .. }
            | Turn::Reasoning(_)
            | Turn::Item(_) => {}
        }
    }
    false
}

/// Returns the text of a system or developer message that has only text, escaped.
fn instruction_text(turn: &Turn<'_>) -> Option<String> {
    match turn {
        Turn::Instruction(content) => content::joined_text(content),
        Turn::User(_)
        | Turn::PlacedInstruction(_)
        | Turn::Served(_)
        | Turn::Assistant { .. }
        | Turn::ToolOutput { .. }
        | Turn::Reasoning(_)
        | Turn::Item(_) => None,
    }
}

fn mentions_json(escaped: &str) -> bool {
    Text::from_escaped(escaped).mentions_json()
}

fn join(texts: &[String]) -> String {
    texts.join(r"\n\n")
}
