//! Retries with another body. Each remedy is tried once per call, and only while the client has received nothing.
//!
//! * Reasoning of an earlier turn is refused: the same body without it.
//! * The model is not available to the account: its successor, if the operator allows it.
//! * The model does not support the effort: the nearest of those in the error.
//! * The backend does not name the sources of a search, or does not take them back: the same body without asking for
//!   them, or without those of earlier searches.
//! * The backend cannot be made to search: the same body with a free choice of tools.
//! * A file at a URL, or one in a tool's output, is refused: the same body with the URL as a text, or with the file in a
//!   message.
//!
//! [`Models`] remembers the second and the third, so that the next request is right at once.

use std::borrow::Cow;

use http::StatusCode;

use crate::fault::{Fault, names_file};
use crate::models::effort::Effort;
use crate::models::{Models, Resolution};
use crate::upstream::failed_attempt::FailedAttempt;
use crate::upstream::{BackendCall, Cut, words};

/// A call and the remedies tried for it.
#[derive(Debug)]
pub(super) struct Treated<'c> {
    call: Cow<'c, BackendCall>,
    cut: Cut,
    /// The rejection of a model after which its successor was sent.
    refused_model: Option<Fault>,
    is_refitted: bool,
}

impl<'c> Treated<'c> {
    /// Starts with `call` unchanged.
    pub(super) fn new(call: &'c BackendCall) -> Self {
        Self { call: Cow::Borrowed(call), cut: Cut::Foreign, refused_model: None, is_refitted: false }
    }

    /// The call to send.
    pub(super) fn call(&self) -> &BackendCall {
        &self.call
    }

    /// The reasoning to leave out of it.
    pub(super) fn cut(&self) -> Cut {
        self.cut
    }

    /// Changes the call to avoid `failed`. Returns `false` if no remedy applies.
    pub(super) fn treat(&mut self, failed: &FailedAttempt, models: &Models) -> bool {
        if words::is_of_encrypted_content(&failed.error) {
            return self.drop_reasoning();
        }
        self.replace_model(&failed.error, models)
            || self.refit_effort(&failed.error, models)
            || self.do_without_sources(&failed.error)
            || self.do_without_forced_search(&failed.error)
            || self.put_files_elsewhere(&failed.error)
    }

    /// Returns the client's error after the last one, `error`: if a model and its successor were rejected, the
    /// requested model's.
    pub(super) fn verdict(self, error: Fault) -> Fault {
        self.refused_model.filter(|_| words::is_of_model(&error)).unwrap_or(error)
    }

    fn drop_reasoning(&mut self) -> bool {
        if self.cut == Cut::All || !self.call.body.has_reasoning() {
            return false;
        }
        tracing::info!("the backend refuses reasoning of an earlier turn; retrying without it");
        self.call.body.refuse_reasoning();
        self.cut = Cut::All;
        true
    }

    fn replace_model(&mut self, error: &Fault, models: &Models) -> bool {
        if !words::is_of_model(error) {
            return false;
        }
        let refused = self.call.model.model.clone();
        let Some(successor) = models.replace_refused(&self.call.model) else { return false };
        if self.refused_model.is_some() {
            return false;
        }
        tracing::warn!(
            model = refused,
            successor = successor.model,
            "the backend denies this account the model; sending its successor from now on"
        );
        self.refused_model = Some(error.clone());
        self.send_as(successor)
    }

    fn refit_effort(&mut self, error: &Fault, models: &Models) -> bool {
        if error.param.as_deref() != Some(EFFORT)
            || !matches!(error.code(), Some("unsupported_value" | "invalid_value"))
        {
            return false;
        }
        let levels = supported(&error.message);
        if levels.is_empty() {
            return false;
        }
        let refused = self.call.model.effort;
        let Some(fitting) = models.refit(&self.call.model, levels) else { return false };
        if std::mem::replace(&mut self.is_refitted, true) {
            return false;
        }
        let word = |effort: Option<Effort>| effort.map_or("-", Effort::as_str);
        tracing::warn!(
            model = fitting.model,
            refused = word(refused),
            effort = word(fitting.effort),
            "the backend does not support this effort for the model; sending the nearest from now on"
        );
        self.send_as(fitting)
    }

    fn do_without_sources(&mut self, error: &Fault) -> bool {
        let names =
            |word: &str| error.message.contains(word) || error.param.as_deref().is_some_and(|it| it.contains(word));
        let body = &self.call.body;
        let found = || body.without_found_pages().filter(|_| names("action.sources"));
        let asked = || body.without_sources().filter(|_| names("include") || names("action.sources"));
        let changed = if names("input[") { found().or_else(asked) } else { asked().or_else(found) };
        let Some(changed) = changed else { return false };
        tracing::info!("the backend refuses the sources of a search; retrying without them");
        self.call.to_mut().body = changed;
        true
    }

    fn do_without_forced_search(&mut self, error: &Fault) -> bool {
        if error.kind.row().status != StatusCode::BAD_REQUEST
            || !(error.param.as_deref() == Some(CHOICE) || error.message.to_ascii_lowercase().contains("tool choice"))
        {
            return false;
        }
        let Some(body) = self.call.body.without_forced_search() else { return false };
        tracing::info!("the backend cannot be made to search; retrying with a free choice of tools");
        self.call.to_mut().body = body;
        true
    }

    fn put_files_elsewhere(&mut self, error: &Fault) -> bool {
        if !self.call.may_move_files || !is_of_files(error) {
            return false;
        }
        let body = &self.call.body;
        let moved = || body.without_files_in_outputs();
        let named = || body.without_file_urls();
        let is_in_output = error.param.as_deref().is_some_and(|param| param.contains("].output"));
        let changed = if is_in_output { moved().or_else(named) } else { named().or_else(moved) };
        let Some(changed) = changed else { return false };
        tracing::info!("the backend refuses a file in this place; retrying with it in another form");
        self.call.to_mut().body = changed;
        true
    }

    fn send_as(&mut self, model: Resolution) -> bool {
        match self.call.readdressed(model) {
            Ok(call) => {
                self.call = Cow::Owned(call);
                true
            }
            Err(error) => {
                tracing::error!(%error, "the body cannot be changed");
                false
            }
        }
    }
}

/// Returns whether `error` may be the rejection of a file: it names one, or a part of the conversation.
fn is_of_files(error: &Fault) -> bool {
    let names_part = |param: &str| param.contains("].output") || param.contains("].content");
    let message = error.message.to_ascii_lowercase();
    error.kind.row().status == StatusCode::BAD_REQUEST
        && (error.param.as_deref().is_some_and(names_part)
            || error.code().is_some_and(names_file)
            || ["input_file", "file_url", "file_data", "downloading"].iter().any(|word| message.contains(word)))
}

/// Reads the efforts in the backend's list, "Supported values are: 'low', 'medium', and 'high'."; empty if there is no
/// list.
fn supported(message: &str) -> Vec<Effort> {
    // The text before the list may name the refused effort.
    let lower = message.to_ascii_lowercase();
    let Some((_, list)) = lower.split_once("supported values") else { return Vec::new() };
    let sentence = list.split('.').next().unwrap_or_default();
    let words = sentence.split(|letter: char| !letter.is_ascii_alphanumeric());
    let mut levels: Vec<_> = words.filter_map(Effort::on_the_wire).collect();
    levels.sort_unstable();
    levels.dedup();
    levels
}

/// The parameter in the rejection of an effort.
const EFFORT: &str = "reasoning.effort";

/// The parameter in the rejection of a choice of tools.
const CHOICE: &str = "tool_choice";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::remedy::Effort::{High, Low, Max, Medium, None as Off, Xhigh};

    #[test]
    fn the_list_is_read_however_it_is_written() {
        for (message, levels) in [
            (
                "Unsupported value: 'none' is not supported with the 'gpt-6-astra' model. Supported values are: 'low', \
                 'medium', 'high', 'xhigh', and 'max'.",
                &[Low, Medium, High, Xhigh, Max][..],
            ),
            ("Unsupported value: 'max'. Supported values are: `none` and \"low\".", &[Off, Low]),
            ("supported values: low, medium or high. Use 'max' with another model.", &[Low, Medium, High]),
            ("Supported values are: ['high', 'low', 'low', 'ultra', 'galactic']", &[Low, High]),
            ("Supported values are: 'low'", &[Low]),
            ("Unsupported value: 'none' is not supported with the 'gpt-6-astra' model.", &[]),
            ("Supported values are: .", &[]),
            ("", &[]),
        ] {
            assert_eq!(supported(message), levels, "{message}");
        }
    }
}
