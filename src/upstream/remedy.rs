//! Refusals that another body puts right. Each remedy is tried once a call, and only while the client has been sent nothing.
//!
//! * Reasoning of an earlier turn is refused: the same without it.
//! * The model is not available to the account: its successor, if the operator allows it.
//! * The model does not take the effort: the nearest of those the refusal names.
//! * The backend does not tell which pages a search finds: the same without the wish for them.
//!
//! The second and the third are remembered by [`Models`], so that the next request is right from the beginning.

use std::borrow::Cow;

use crate::fault::ApiError;
use crate::models::effort::Effort;
use crate::models::{Models, Resolution};
use crate::upstream::refusal;
use crate::upstream::refusal::Refusal;
use crate::upstream::{Call, Cut, encrypted};

/// One call with the remedies that have been tried for it.
#[derive(Debug)]
pub(super) struct Treated<'c> {
    call: Cow<'c, Call>,
    cut: Cut,
    /// The refusal of a model whose successor was sent then.
    refused_model: Option<ApiError>,
    is_refitted: bool,
}

impl<'c> Treated<'c> {
    /// `call` as it is.
    pub(super) fn new(call: &'c Call) -> Self {
        Self { call: Cow::Borrowed(call), cut: Cut::Foreign, refused_model: None, is_refitted: false }
    }

    /// The call to send.
    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    /// The reasoning to leave out of it.
    pub(super) fn cut(&self) -> Cut {
        self.cut
    }

    /// Changes the call so that what `refusal` refuses is not in it. False where nothing can be done.
    pub(super) fn treat(&mut self, refusal: &mut Refusal, models: &Models) -> bool {
        if encrypted::recognise(refusal) {
            return self.drop_reasoning();
        }
        self.replace_model(&refusal.error, models)
            || self.refit_effort(&refusal.error, models)
            || self.do_without_sources(&refusal.error)
    }

    /// What to tell the client of the last refusal, `error`: of a model and its successor, the model it asked for.
    pub(super) fn verdict(self, error: ApiError) -> ApiError {
        self.refused_model.filter(|_| refusal::is_of_model(&error)).unwrap_or(error)
    }

    fn drop_reasoning(&mut self) -> bool {
        if self.cut == Cut::All || !self.call.body.has_reasoning() {
            return false;
        }
        tracing::info!("the backend refuses reasoning of an earlier turn; trying again without it");
        self.call.body.refuse_reasoning();
        self.cut = Cut::All;
        true
    }

    fn replace_model(&mut self, error: &ApiError, models: &Models) -> bool {
        if !refusal::is_of_model(error) {
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
            "the backend does not let this account have the model; sending its successor from now on"
        );
        self.refused_model = Some(error.clone());
        self.send_as(successor)
    }

    fn refit_effort(&mut self, error: &ApiError, models: &Models) -> bool {
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
            "the backend does not take this effort for the model; sending the nearest from now on"
        );
        self.send_as(fitting)
    }

    fn do_without_sources(&mut self, error: &ApiError) -> bool {
        let is_named = |text: &str| text.contains("include") || text.contains("action.sources");
        if !error.param.as_deref().is_some_and(is_named) && !is_named(&error.message) {
            return false;
        }
        let Some(body) = self.call.body.without_sources() else { return false };
        tracing::info!("the backend does not tell which pages a search finds; trying again without asking for them");
        self.call.to_mut().body = body;
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

/// The efforts in the backend's list, "Supported values are: 'low', 'medium', and 'high'."; empty where it names none.
fn supported(message: &str) -> Vec<Effort> {
    // The words before the list may name efforts too: the refused one.
    let lower = message.to_ascii_lowercase();
    let Some((_, list)) = lower.split_once("supported values") else { return Vec::new() };
    let sentence = list.split('.').next().unwrap_or_default();
    let words = sentence.split(|letter: char| !letter.is_ascii_alphanumeric());
    let mut levels: Vec<_> = words.filter_map(Effort::on_the_wire).collect();
    levels.sort_unstable();
    levels.dedup();
    levels
}

/// The parameter that a refusal of an effort names.
const EFFORT: &str = "reasoning.effort";

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
