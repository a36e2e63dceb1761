//! The limits that a client's key sets: a highest effort, and a list of models.
//!
//! * An effort that the client asks for is never lowered to the limit: it would get another answer than it asked for. The
//!   caller refuses it.
//! * An effort that nobody asked for is lowered. The limit holds for it all the same, so that it is sent even where it
//!   would be left to the backend.

use crate::models::effort::Effort;
use crate::models::{Models, Resolution};

impl Models {
    /// Like [`Models::resolve`], for a client whose key allows efforts up to `most`. The result may
    /// [exceed](Resolution::exceeds) that.
    pub fn resolve_within(&self, asked: Option<&str>, effort: Option<&str>, most: Option<Effort>) -> Resolution {
        self.within(self.resolve(asked, effort), most)
    }

    /// Returns `resolution` for a client whose key allows efforts up to `most`. The result may
    /// [exceed](Resolution::exceeds) that.
    pub fn within(&self, resolution: Resolution, most: Option<Effort>) -> Resolution {
        match most {
            Some(_) => self.sent_as(resolution.model.clone(), Resolution { most_effort: most, ..resolution }),
            None => resolution,
        }
    }

    /// Returns whether a request for `name` would be sent to `model`, as a conversation or for an image. A name of another
    /// family means no model, not the default one.
    pub fn means(&self, name: &str, model: &str) -> bool {
        let is_it = |resolution: Resolution| !resolution.foreign && resolution.model == model;
        is_it(self.resolve(Some(name), None)) || is_it(self.resolve_image(Some(name)))
    }

    /// Returns whether `name` means any model.
    pub fn is_known(&self, name: &str) -> bool {
        !self.resolve(Some(name), None).foreign || !self.resolve_image(Some(name)).foreign
    }
}

/// Returns the effort to send in place of `effort` under the limit `most`: one above it only if the client `asked` for an
/// effort, or if the model has no other. `levels` are the model's, empty if unknown, and `default` is what the backend
/// would choose.
pub(super) fn effort(
    most: Effort,
    effort: Option<Effort>,
    asked: Option<Effort>,
    levels: &[Effort],
    default: Option<Effort>,
) -> Option<Effort> {
    let wanted = match effort {
        Some(effort) if effort <= most || asked.is_some() => return Some(effort),
        Some(_) => most,
        None if most == Effort::Max || default.is_some_and(|default| default <= most) => return None,
        None => most.min(default.unwrap_or(USUAL)),
    };
    let lowest = levels.iter().copied().min();
    levels.iter().copied().filter(|level| *level <= wanted).max().or(lowest).or(Some(wanted))
}

/// What the backend is expected to choose where no catalogue says.
const USUAL: Effort = Effort::Medium;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::effort::Effort::{High, Low, Max, Medium, Minimal, None as Off, Xhigh};

    #[test]
    fn an_effort_that_nobody_asked_for_is_lowered_and_one_asked_for_is_not() {
        let levels = [Low, Medium, High, Xhigh];
        for (most, sent, asked, default, expected) in [
            (Medium, Some(Low), None, None, Some(Low)),
            (Medium, Some(High), None, None, Some(Medium)),
            (Medium, Some(High), Some(High), None, Some(High)),
            (Medium, None, None, Some(Medium), None),
            (Medium, None, None, Some(High), Some(Medium)),
            (Low, None, None, None, Some(Low)),
            (High, None, None, None, Some(Medium)),
            (Max, None, None, None, None),
            (Off, None, None, None, Some(Low)),
        ] {
            assert_eq!(effort(most, sent, asked, &levels, default), expected, "{most} {sent:?} {asked:?} {default:?}");
        }
        assert_eq!(effort(Minimal, None, None, &[], None), Some(Minimal), "of a model that nobody knows");
    }

    #[test]
    fn what_exceeds_the_limit_is_told() {
        let models = Models::default();
        let resolved = |model: &str, effort: Option<&str>, most| models.resolve_within(Some(model), effort, Some(most));
        for (model, asked, most, sent, exceeds) in [
            ("gpt-6-sol", Some("high"), Medium, Some(High), true),
            ("gpt-6-sol-high", None, Medium, Some(High), true),
            ("gpt-6-sol", Some("medium"), Medium, Some(Medium), false),
            ("gpt-5.1-codex-mini", None, Low, Some(Medium), true),
            ("gpt-5.1-codex-mini", Some("low"), Low, Some(Medium), true),
            ("gpt-5.1", None, Low, Some(Low), false),
            ("gpt-7-unheard-of", None, Low, Some(Low), false),
        ] {
            let resolution = resolved(model, asked, most);
            assert_eq!((resolution.effort, resolution.exceeds()), (sent, exceeds), "{model} {asked:?} {most}");
        }
        assert_eq!(models.resolve_within(Some("gpt-5"), None, None), models.resolve(Some("gpt-5"), None));
    }

    #[test]
    fn neither_a_successor_nor_another_level_passes_the_limit() {
        let models = Models::default();
        let sent = models.resolve_within(Some("gpt-6-sol"), Some("low"), Some(Low));
        assert_eq!(models.refit(&sent, vec![Medium, High]), None);
        assert!(models.resolve_within(Some("gpt-6-sol"), Some("low"), Some(Low)).exceeds(), "it is known from now on");
        let sent = models.resolve_within(Some("gpt-5"), Some("low"), Some(Low));
        assert!(!sent.exceeds());
        assert_eq!(models.replace_refused(&sent), None, "gpt-6-sol takes no low effort");
    }

    #[test]
    fn a_name_means_what_a_request_for_it_would_be_sent_to() {
        let models = Models::new(vec![("fast".to_owned(), "gpt-6-luna".to_owned())], None);
        for (name, model, expected) in [
            ("gpt-6-sol", "gpt-6-sol", true),
            ("GPT-6-Sol-high", "gpt-6-sol", true),
            ("fast", "gpt-6-luna", true),
            ("gpt-6-sol", "gpt-6-luna", false),
            ("gpt-4o", &models.resolve(Some("gpt-4o"), None).model, false),
            ("gpt-image-2", "gpt-image-2", true),
            ("dall-e-3", "gpt-image-2", false),
        ] {
            assert_eq!(models.means(name, model), expected, "{name} {model}");
        }
        assert!(models.is_known("fast") && models.is_known("gpt-image-1") && !models.is_known("gpt-4o"));
        let sent = models.resolve(Some("gpt-5"), None);
        assert!(models.means("gpt-5", "gpt-5"));
        let successor = models.replace_refused(&sent).expect("a successor");
        assert!(models.means("gpt-5", &successor.model) && !models.means("gpt-5", "gpt-5"));
    }
}
