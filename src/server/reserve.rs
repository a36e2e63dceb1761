//! The Luna Reserve: an allowance that some accounts have left when their plan's windows are spent.
//!
//! * Both its meter and its model are called `gpt-reserve`. The backend often refuses the model in a conversation that
//!   began with another one (openai/codex#41520, #46298), so the client is told and nothing is switched.

use crate::fault::{Fault, FaultKind};
use crate::models::Models;

/// Mentions the reserve in the error of a spent plan, if the account's list of models or the error itself names it.
pub(super) fn mention(error: &mut Fault, models: &Models) {
    if error.kind != FaultKind::UsageLimitReached {
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
