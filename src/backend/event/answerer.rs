//! The model and the service tier that answer, and the tokens spent, as far as the backend has told them.
//!
//! * The backend names the model in the head's `openai-model`, in `response.model` and `response.headers` of any event,
//!   and in the `headers` of `response.metadata`, whose values are strings or arrays of strings (Codex CLI 0.147,
//!   `codex-api/src/sse/responses.rs`).
//! * Some of these only echo the request. So a field that names another model is believed, and no later echo reverts
//!   it; the official client warns of any such field too.
//! * A tier of `auto` is such an echo and is ignored.

use std::borrow::Cow;
use std::sync::Arc;

use crate::backend::event::failure::Failure;
use crate::backend::event::{Event, Usage};
use crate::fault::Details;
use crate::json::{Object, Raw};
use crate::models::same::same_model;

/// The known facts about the model, tier, account and tokens of one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answerer {
    account: Arc<str>,
    sent: String,
    is_strict: bool,
    model: Option<String>,
    differs: bool,
    tier: Option<String>,
    is_held: bool,
    usage: Option<Usage>,
}

impl Answerer {
    /// Creates the state for an answer to a request for the model `sent`. A strict answer may come from no other model.
    pub fn new(sent: &str, is_strict: bool) -> Self {
        Self { sent: sent.to_owned(), is_strict, ..Self::default() }
    }

    /// Sets the answering account.
    #[must_use]
    pub fn for_account(self, account: Arc<str>) -> Self {
        Self { account, ..self }
    }

    /// Returns the answering account; empty if unknown.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Returns the requested model; empty if unknown.
    pub fn sent(&self) -> &str {
        &self.sent
    }

    /// Returns the answering model, by the backend's own name.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Returns the best known name: the answering model's, else the requested model's.
    pub fn name(&self) -> &str {
        self.model().unwrap_or(&self.sent)
    }

    /// Returns the service tier of the answer.
    pub fn tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }

    /// Returns the answering model, if it is another than the requested one.
    pub fn substitute(&self) -> Option<&str> {
        self.model().filter(|_| self.differs)
    }

    /// Returns the tokens of the answer, whatever its end: a failed one is charged too.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Returns whether the backend has said that it holds the answer back for a check.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Records that the backend holds the answer back for a check (Codex CLI 0.147, `codex-api/src/safety_buffering.rs`).
    pub fn held(&mut self) {
        self.is_held = true;
    }

    /// Returns the failure of a strict request that a substitute answers.
    pub fn refused(&self) -> Option<Failure> {
        let substitute = self.substitute().filter(|_| self.is_strict)?;
        let message = format!(
            "{substitute} answers in place of {}, which this proxy is set to refuse (--strict-model)",
            self.sent
        );
        Some(Failure {
            code: Some(MODEL_SUBSTITUTED.to_owned()),
            message: Some(message),
            details: Details { substitute: Some(substitute.into()), ..Details::default() },
            ..Failure::default()
        })
    }

    /// Records that the backend names `model`.
    pub fn told(&mut self, model: &str) {
        let model = model.trim();
        if model.is_empty() || model.len() > LONGEST_NAME {
            return;
        }
        let differs = !self.sent.is_empty() && !same_model(&self.sent, model);
        // Of two names for the requested model, the longer one is more specific.
        let says_more = self.model().is_none_or(|known| known.len() < model.len());
        if differs || (!self.differs && says_more) {
            self.model = Some(model.to_owned());
            self.differs = differs;
        }
    }

    /// Records the facts in `event`.
    pub fn note(&mut self, event: &Event<'_>) {
        self.is_held |= event.safety_buffering.is_some_and(|check| !matches!(check.get(), "null" | "false"));
        if let Some(headers) = event.headers {
            self.note_headers(headers);
        }
        let Some(view) = &event.response else { return };
        self.usage = view.usage.or(self.usage);
        if let Some(model) = view.model.and_then(string) {
            self.told(&model);
        }
        if let Some(headers) = view.headers {
            self.note_headers(headers);
        }
        let tier = view.service_tier.and_then(string).filter(|tier| tier != "auto" && tier.len() <= LONGEST_NAME);
        if let Some(tier) = tier.filter(|tier| self.tier() != Some(tier)) {
            self.tier = Some(tier.into_owned());
        }
    }

    fn note_headers(&mut self, headers: Raw<'_>) {
        let headers: Object<'_> = serde_json::from_str(headers.get()).unwrap_or_default();
        for (_, value) in headers.iter().filter(|(name, _)| is_model_header(name)) {
            let listed = || serde_json::from_str::<Vec<Raw<'_>>>(value.get()).ok()?.into_iter().find_map(string);
            if let Some(model) = string(value.into()).or_else(listed) {
                self.told(&model);
            }
        }
    }
}

/// Returns whether a header of this name tells the answering model.
pub fn is_model_header(name: &str) -> bool {
    MODEL_HEADERS.iter().any(|header| header.eq_ignore_ascii_case(name))
}

fn string(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    let escaped = raw.text()?.escaped();
    if escaped.contains('\\') { serde_json::from_str(raw.get()).map(Cow::Owned).ok() } else { Some(escaped.into()) }
}

/// The failure code of a substituted model.
pub const MODEL_SUBSTITUTED: &str = "model_substituted";

const MODEL_HEADERS: [&str; 2] = ["openai-model", "x-openai-model"];

/// The longest model name in bytes; longer names are noise.
const LONGEST_NAME: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(events: &[&str]) -> Answerer {
        let mut answered = Answerer::new("gpt-6.1-sol", false);
        for event in events {
            answered.note(&Event::read(event.as_bytes()).unwrap());
        }
        answered
    }

    #[test]
    fn an_answer_is_held_once_an_event_says_so() {
        let held = |events: &[&str]| after(events).is_held();
        assert!(held(&[r#"{"type":"response.in_progress","safety_buffering":{"use_cases":["cyber"],"reasons":[]}}"#]));
        assert!(held(&[r#"{"type":"x","safety_buffering":{}}"#, r#"{"type":"response.in_progress"}"#]));
        assert!(!held(&[r#"{"type":"response.in_progress","safety_buffering":null}"#, r#"{"type":"x"}"#]));
    }

    #[test]
    fn every_place_is_read() {
        for event in [
            r#"{"type":"response.created","response":{"model":"gpt-6-luna"}}"#,
            r#"{"type":"response.completed","response":{"model":"gpt-6-luna","usage":null}}"#,
            r#"{"type":"response.in_progress","response":{"headers":{"OpenAI-Model":"gpt-6-luna"}}}"#,
            r#"{"type":"response.in_progress","response":{"tools":[{"headers":{}}],"model":"gpt-6-luna"}}"#,
            r#"{"type":"response.created","response":{"model":"gpt-6.1-sol","headers":{"x-openai-model":["gpt-6-luna","x"]}}}"#,
            r#"{"type":"response.metadata","headers":{"x":1,"openai-model":[null,"gpt-6-luna"]},"metadata":{}}"#,
            r#"{"type":"codex.response.metadata","headers":{"openai-model":"gpt-6-luna"}}"#,
        ] {
            assert_eq!(after(&[event]).substitute(), Some("gpt-6-luna"), "{event}");
        }
        for event in [
            r#"{"type":"response.created","response":{"model":null}}"#,
            r#"{"type":"response.created","response":5}"#,
            r#"{"type":"response.metadata","headers":["openai-model"]}"#,
            r#"{"type":"response.metadata","headers":{"openai-model":{"a":1}}}"#,
            r#"{"type":"response.output_item.added","item":{"model":"gpt-6-luna"}}"#,
        ] {
            assert_eq!(after(&[event]).model(), None, "{event}");
        }
    }

    #[test]
    fn no_echo_takes_a_substitute_back() {
        let told = |model: &str| format!(r#"{{"type":"response.created","response":{{"model":"{model}"}}}}"#);
        let (echo, snapshot, other) = (told("gpt-6.1-sol"), told("gpt-6.1-sol-2026-09-29"), told("gpt-6-luna"));
        assert_eq!(after(&[&other, &echo, &snapshot]).name(), "gpt-6-luna");
        assert_eq!(after(&[&echo, &snapshot, &echo]).name(), "gpt-6.1-sol-2026-09-29");
        assert_eq!(after(&[&snapshot]).substitute(), None);
        assert_eq!(after(&[&snapshot, &other]).substitute(), Some("gpt-6-luna"));
        assert_eq!(after(&[]).name(), "gpt-6.1-sol");
    }

    #[test]
    fn only_a_strict_request_refuses() {
        let mut answered = Answerer::new("a", true);
        answered.told("a");
        assert_eq!(answered.refused(), None);
        answered.told("b");
        let failure = answered.refused().unwrap();
        assert_eq!(failure.code.as_deref(), Some(MODEL_SUBSTITUTED));
        assert!(failure.message.unwrap().starts_with("b answers in place of a,"));
        assert_eq!(after(&[r#"{"type":"response.created","response":{"model":"b"}}"#]).refused(), None);
    }

    #[test]
    fn the_last_tier_that_says_something_counts() {
        let told =
            |kind: &str, tier: &str| format!(r#"{{"type":"response.{kind}","response":{{"service_tier":"{tier}"}}}}"#);
        assert_eq!(after(&[&told("created", "auto")]).tier(), None);
        assert_eq!(after(&[&told("created", "priority"), &told("completed", "default")]).tier(), Some("default"));
    }
}
