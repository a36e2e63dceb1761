//! The effort of the model's reasoning, and the amount of it that the client sees.
//!
//! * Effort: if `thinking` disables it, none; else by the last system message, else by `output_config`, else by the
//!   budget. One in the model's name comes before all of them.
//! * Without `thinking`, or with it disabled, there are no blocks of reasoning: they could not be added once it is
//!   known whether calls follow, and some clients turn a text into a list as soon as there is one.

use http::HeaderMap;
use serde_json::value::RawValue;

use super::request::Thinking;
use crate::conversation::Conversation;
use crate::dialect::note_effort;
use crate::fault::Fault;
use crate::json::{self, Object, Path, Text};
use crate::models::effort::Effort;

/// The request's settings of reasoning.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// The name of the effort.
    pub(super) effort: Option<String>,
    /// The amount of reasoning shown.
    pub(super) thinking: Thinking,
    /// The summary to request; none if no block would show it.
    pub(super) summary: Option<Text<'static>>,
}

/// Reads the settings of reasoning from the request `object` with `headers`; `told` is the effort of its last system
/// message.
pub(super) fn read(
    object: &Object<'_>,
    headers: &HeaderMap,
    told: Option<String>,
    conversation: &mut Conversation<'_>,
) -> Result<Wish, Fault> {
    // An unknown name is dropped, not rejected.
    let told = told.filter(|word| Effort::parse(word).is_some());
    let mut wish = Wish { effort: told, ..Wish::default() };
    if let Some(config) = object.find("output_config").filter(|value| value.get() != "null") {
        let path = Path::Root.key("output_config");
        let config = json::object(config, &path)?;
        conversation.ignored.add_unknown(&config, &["effort", "format"], &path);
        let word = config.find("effort").filter(|value| value.get() != "null");
        let word = word.map(|word| json::string(word, &path.key("effort"))).transpose()?;
        if let Some(word) = &word {
            note_effort(word, &path.key("effort"), &mut conversation.ignored);
        }
        let word = word.filter(|word| Effort::parse(word).is_some()).map(std::borrow::Cow::into_owned);
        wish.effort = wish.effort.or(word);
    }
    if let Some(thinking) = object.find("thinking").filter(|value| value.get() != "null") {
        wish.thinking(thinking, headers, conversation)?;
    }
    Ok(wish)
}

impl Wish {
    fn thinking(
        &mut self,
        value: &RawValue,
        headers: &HeaderMap,
        conversation: &mut Conversation<'_>,
    ) -> Result<(), Fault> {
        let path = Path::Root.key("thinking");
        let thinking = json::object(value, &path)?;
        conversation.ignored.add_unknown(&thinking, &["type", "budget_tokens", "display", "block_binding"], &path);
        let kind_path = path.key("type");
        let kind = json::string(json::required(&thinking, "type", &path)?, &kind_path)?;
        match kind.as_ref() {
            "disabled" => {
                self.effort = Some(Effort::None.as_str().to_owned());
                return Ok(());
            }
            "enabled" => {
                let budget = thinking.find("budget_tokens").filter(|value| value.get() != "null");
                if let Some(budget) = budget.filter(|_| self.effort.is_none()) {
                    let budget = json::unsigned(budget, &path.key("budget_tokens"))?;
                    self.effort = Some(effort_of(budget).as_str().to_owned());
                }
            }
            "adaptive" | "between_tools" => {}
            other => {
                let message =
                    format!("'{kind_path}' must be enabled, adaptive, between_tools or disabled, but is '{other}'");
                return Err(Fault::invalid(kind_path.to_string(), message));
            }
        }
        let display = thinking.find("display").and_then(Text::of);
        if display.is_some_and(|display| display.is("omitted")) || redacts(headers) {
            self.thinking = Thinking::Omitted;
        } else {
            self.thinking = Thinking::Shown;
            self.summary = Some(Text::from_escaped("auto"));
        }
        Ok(())
    }
}

/// Returns the effort for a budget of this many tokens.
const fn effort_of(budget: u64) -> Effort {
    match budget {
        0..4096 => Effort::Low,
        4096..16_384 => Effort::Medium,
        _ => Effort::High,
    }
}

/// Returns whether a beta requests reasoning without text.
fn redacts(headers: &HeaderMap) -> bool {
    let betas = headers.get_all("anthropic-beta").iter().filter_map(|value| value.to_str().ok());
    betas.flat_map(|list| list.split(',')).any(|beta| beta.trim().starts_with("redact-thinking-"))
}
