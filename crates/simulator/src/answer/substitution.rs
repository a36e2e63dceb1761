//! Answers by another model than the one requested, stated in one place of the answer.
//!
//! * The backend substitutes models for safety and during retirement. The official client reads the model from the
//!   head's `openai-model`, from `response.headers` of any event, and from `response.metadata` events, whose `headers`
//!   hold a string or an array of strings (Codex CLI 0.147, `codex-api/src/sse/responses.rs`).
//! * Every other place still names the requested model: those are echoes.

use serde_json::{Value, json};

/// The answering model, and the place that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substitution {
    /// The answering model.
    pub model: String,
    /// The place.
    pub told: Told,
}

/// The place in an answer that names its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Everywhere, as for a model with a longer name.
    Everywhere,
    /// The header `openai-model` of the answer's head.
    Head,
    /// `response.model` of every event that has one.
    Created,
    /// `response.headers` of `response.created`, as an array.
    EventHeaders,
    /// A `response.metadata` event before any item.
    Metadata,
    /// A `response.metadata` event after the first deltas.
    LateMetadata,
    /// `response.model` of the last event.
    Completed,
}

impl Substitution {
    /// Substitutes `model`, named at `told`.
    pub fn new(model: &str, told: Told) -> Self {
        Self { model: model.to_owned(), told }
    }

    /// Returns the head's `openai-model` if it differs from the default.
    pub(crate) fn header(&self) -> Option<&str> {
        matches!(self.told, Told::Head | Told::Everywhere).then_some(self.model.as_str())
    }

    /// Names the model in `events`, with the first deltas before the index `middle`.
    pub(crate) fn tell(&self, events: &mut Vec<Value>, middle: usize) {
        match self.told {
            Told::Head => {}
            Told::Everywhere => {
                self.tell_in_responses(events);
                self.tell_in_metadata(events);
            }
            Told::Created => self.tell_in_responses(events),
            Told::EventHeaders => {
                let created = events.iter_mut().find(|event| event["type"] == "response.created");
                if let Some(created) = created {
                    created["response"]["headers"] = json!({ "OpenAI-Model": [self.model] });
                }
            }
            Told::Metadata => self.tell_in_metadata(events),
            Told::LateMetadata => {
                let event = json!({
                    "type": "response.metadata",
                    "headers": { "openai-model": self.model },
                    "metadata": { "openai_verification_recommendation": ["trusted_access_for_cyber"] },
                });
                events.insert(middle.min(events.len()), event);
            }
            Told::Completed => {
                if let Some(last) = events.last_mut() {
                    last["response"]["model"] = self.model.as_str().into();
                }
            }
        }
    }

    fn tell_in_responses(&self, events: &mut [Value]) {
        for model in events.iter_mut().filter_map(|event| event.pointer_mut("/response/model")) {
            *model = self.model.as_str().into();
        }
    }

    fn tell_in_metadata(&self, events: &mut [Value]) {
        for event in events.iter_mut().filter(|event| event["type"] == "response.metadata") {
            event["headers"]["openai-model"] = self.model.as_str().into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Value> {
        let response = json!({ "model": "asked" });
        vec![
            json!({ "type": "response.created", "response": response }),
            json!({ "type": "response.metadata", "headers": { "openai-model": "asked" } }),
            json!({ "type": "response.output_text.delta" }),
            json!({ "type": "response.completed", "response": response }),
        ]
    }

    #[test]
    fn another_model_is_named_in_its_place_alone() {
        for (told, head, places) in [
            (Told::Everywhere, Some("other"), vec![0, 1, 3]),
            (Told::Head, Some("other"), vec![]),
            (Told::Created, None, vec![0, 3]),
            (Told::EventHeaders, None, vec![0]),
            (Told::Metadata, None, vec![1]),
            (Told::LateMetadata, None, vec![3]),
            (Told::Completed, None, vec![3]),
        ] {
            let substitution = Substitution::new("other", told);
            let mut changed = events();
            substitution.tell(&mut changed, 3);
            let named = changed.iter().enumerate().filter(|(_, event)| event.to_string().contains("other"));
            assert_eq!(named.map(|(place, _)| place).collect::<Vec<_>>(), places, "{told:?}");
            assert_eq!(substitution.header(), head, "{told:?}");
            assert_eq!(changed.len(), events().len() + usize::from(told == Told::LateMetadata));
        }
    }
}
