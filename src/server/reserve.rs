//! The Luna Reserve: an allowance that some accounts have left when their plan's windows are spent.
//!
//! * Its meter is called `gpt-reserve`, and so is the model that draws on it. The backend often refuses it in a conversation that
//!   began with another model (openai/codex#41520, #46298), so the client is told and nothing is switched.

use crate::fault::{ApiError, ErrorKind};
use crate::models::Models;

/// Adds a sentence to the refusal of a spent plan if the account's list of models, or the refusal itself, names the reserve.
pub(super) fn mention(error: &mut ApiError, models: &Models) {
    if error.kind != ErrorKind::UsageLimitReached {
        return;
    }
    let is_named = error.details.as_ref().is_some_and(|details| details.names_reserve)
        || error.headers.iter().any(|(_, value)| value.as_bytes() == RESERVE.as_bytes())
        || models.live().find(RESERVE).is_some();
    if is_named {
        error.message.push_str(SENTENCE);
    }
}

const RESERVE: &str = "gpt-reserve";

const SENTENCE: &str = " This account may have another allowance left, the Luna Reserve: ask for the model gpt-reserve, best in \
                        a new conversation.";
