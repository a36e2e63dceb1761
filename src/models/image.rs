//! The models that make images.
//!
//! * The backend's image endpoints take the model as a field of the request, and the Codex CLI sends [`DEFAULT`] (0.155).
//!   They answer for any name, and do not say which model has answered: a made-up name gets an image too (reports of
//!   September 2026). So an image model's name passes as it is, and nothing is claimed about who answers.
//! * A name of another kind (`dall-e-3`, a chat model's) means [`DEFAULT`].

use crate::models::name::{self, Name};
use crate::models::{Models, Resolution};

impl Models {
    /// Resolves a request for an image by the model `asked`. Never fails.
    pub fn resolve_image(&self, asked: Option<&str>) -> Resolution {
        let asked = asked.map(str::trim).filter(|name| !name.is_empty());
        let Some(asked) = asked else { return Resolution::meaning(DEFAULT.to_owned()) };
        if let Some((Name::Known(target), _)) = name::aliased(asked, &self.aliases, |_| false) {
            return Resolution::meaning(target);
        }
        let asked = asked.to_ascii_lowercase();
        let model = asked.rsplit('/').next().unwrap_or(&asked);
        match FAMILIES.iter().any(|family| model.starts_with(family)) {
            true => Resolution::meaning(model.to_owned()),
            false => Resolution { foreign: true, ..Resolution::meaning(DEFAULT.to_owned()) },
        }
    }
}

/// The model of a request that names none.
const DEFAULT: &str = "gpt-image-2";

/// The beginnings of image models' names.
const FAMILIES: [&str; 2] = ["gpt-image-", "chatgpt-image-"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_models_name_passes_and_any_other_means_the_default() {
        let models = Models::new(vec![("painter".to_owned(), "gpt-image-2.5-flare".to_owned())], None);
        for (asked, sent, foreign) in [
            (None, DEFAULT, false),
            (Some(" "), DEFAULT, false),
            (Some("gpt-image-1"), "gpt-image-1", false),
            (Some(" GPT-Image-2.5-Sunburst "), "gpt-image-2.5-sunburst", false),
            (Some("openai/gpt-image-2"), "gpt-image-2", false),
            (Some("chatgpt-image-latest"), "chatgpt-image-latest", false),
            (Some("painter"), "gpt-image-2.5-flare", false),
            (Some("dall-e-3"), DEFAULT, true),
            (Some("gpt-6.1-sol"), DEFAULT, true),
            (Some("gpt-image"), DEFAULT, true),
        ] {
            let resolution = models.resolve_image(asked);
            assert_eq!((resolution.model.as_str(), resolution.foreign), (sent, foreign), "{asked:?}");
            assert_eq!(resolution.effort, None);
        }
    }
}
