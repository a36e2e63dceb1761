//! The models and service tiers of one request (requested, sent, answering), for its headers and its log line.
//!
//! * The headers tell what is known when the head is sent. A buffered answer's head knows all; a stream's head knows
//!   what the backend said before its first output, and a head sent with a keepalive only the requested and sent names.
//! * The answering tier is reported if one was requested, or if it differs from the one sent.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::backend::event::answerer::Answerer;

/// The names known so far.
#[derive(Debug, Default)]
pub(in crate::server) struct Names {
    model_asked: Option<String>,
    model_sent: Option<String>,
    model_answered: Option<String>,
    tier_asked: Option<String>,
    is_priority: bool,
    tier_answered: Option<String>,
    is_substituted: bool,
}

impl Names {
    /// Records the client's model name; `None` if absent.
    pub(in crate::server) fn asked(&mut self, model: Option<&str>) {
        self.model_asked = model.map(cut);
    }

    /// Records the client's tier, and whether `priority`, the backend's one tier, is sent.
    pub(in crate::server) fn asked_tier(&mut self, tier: Option<&str>, is_priority: bool) {
        self.tier_asked = tier.map(cut);
        self.is_priority = is_priority;
    }

    /// Records the model sent. Returns whether it replaces another.
    pub(in crate::server) fn sent(&mut self, model: &str) -> bool {
        if self.model_sent.as_deref() == Some(model) {
            return false;
        }
        self.model_sent.replace(cut(model)).is_some_and(|before| before != model)
    }

    /// Records the answering model. Returns whether it is another than the one sent, for the first time.
    pub(in crate::server) fn answered(&mut self, answered: &Answerer) -> bool {
        update(&mut self.model_answered, answered.model());
        update(&mut self.tier_answered, answered.tier());
        answered.substitute().is_some() && !std::mem::replace(&mut self.is_substituted, true)
    }

    /// Adds the known names to an answer's head.
    ///
    /// `openai-model` is left out if it only repeats this proxy's choice: a Codex CLI (0.169) compares it with the
    /// model it requested, and tells its user of another one that the account "was flagged".
    pub(in crate::server) fn write(&self, headers: &mut HeaderMap) {
        if self.model_sent != self.model_asked
            && headers
                .get(UPSTREAM_MODEL)
                .is_some_and(|told| Some(told.as_bytes()) == self.model_sent.as_deref().map(str::as_bytes))
        {
            headers.remove(UPSTREAM_MODEL);
        }
        for (name, value) in [
            (MODEL_ASKED, self.model_asked.as_deref()),
            (MODEL_SENT, self.model_sent.as_deref()),
            (MODEL_ANSWERED, self.model_answered.as_deref()),
            (TIER_ASKED, self.tier_asked.as_deref()),
            (TIER_ANSWERED, self.told_tier()),
        ] {
            if let Some(value) = value.and_then(header_text) {
                headers.insert(name, value);
            }
        }
    }

    /// Returns the answering model.
    pub(in crate::server) fn model_answered(&self) -> Option<&str> {
        self.model_answered.as_deref()
    }

    /// Returns the service tier that the client asked for.
    pub(in crate::server) fn tier_asked(&self) -> Option<&str> {
        self.tier_asked.as_deref()
    }

    /// Returns the models asked, sent and answering, and the tier that answers, or else the one asked for.
    pub(in crate::server) fn into_parts(self) -> (Option<String>, Option<String>, Option<String>, Option<String>) {
        let tier = self.tier_answered.or(self.tier_asked.filter(|tier| is_word(tier)));
        (self.model_asked, self.model_sent, self.model_answered, tier)
    }

    /// Returns the answering tier, unless it is the usual one and the client asked for none.
    pub(in crate::server) fn told_tier(&self) -> Option<&str> {
        let usual = if self.is_priority { "priority" } else { "default" };
        self.tier_answered.as_deref().filter(|tier| self.tier_asked.is_some() || *tier != usual)
    }
}

/// Sets a name, unless it is unknown or the same.
fn update(known: &mut Option<String>, told: Option<&str>) {
    if let Some(told) = told.filter(|told| known.as_deref() != Some(told)) {
        *known = Some(cut(told));
    }
}

/// Truncates a name for the log.
fn cut(name: &str) -> String {
    if name.len() <= LONGEST_NAME { name.to_owned() } else { name.chars().take(LONGEST_NAME).collect() }
}

/// Returns whether `text` may be the name of a tier. Anything else that a client puts there is not recorded.
fn is_word(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Converts `text` to a header value; other characters become question marks.
fn header_text(text: &str) -> Option<HeaderValue> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return HeaderValue::try_from(text).ok().filter(|_| !text.is_empty());
    }
    let printable = |character: char| if matches!(character, ' '..='~') { character } else { '?' };
    let text: String = text.chars().map(printable).collect();
    Some(text.trim()).filter(|text| !text.is_empty()).and_then(|text| HeaderValue::try_from(text).ok())
}

const UPSTREAM_MODEL: HeaderName = HeaderName::from_static("openai-model");
const MODEL_ASKED: HeaderName = HeaderName::from_static("x-codex-proxy-model-asked");
const MODEL_SENT: HeaderName = HeaderName::from_static("x-codex-proxy-model-sent");
const MODEL_ANSWERED: HeaderName = HeaderName::from_static("x-codex-proxy-model-answered");
const TIER_ASKED: HeaderName = HeaderName::from_static("x-codex-proxy-tier-asked");
const TIER_ANSWERED: HeaderName = HeaderName::from_static("x-codex-proxy-tier-answered");

const LONGEST_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(names: &Names) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        names.write(&mut headers);
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let prefix = |name: &HeaderName| name.as_str().strip_prefix("x-codex-proxy-").unwrap().to_owned();
        headers.iter().map(|(name, value)| (prefix(name), text(value))).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn only_what_is_known_is_told_and_any_word_fits() {
        let mut names = Names::default();
        assert_eq!(told(&names), []);
        names.asked(Some(" gpt\n\u{e9}, 🤖 "));
        names.asked_tier(Some(""), false);
        assert_eq!(told(&names), [pair("model-asked", "gpt??, ?")]);
        names.asked(Some(&"x".repeat(9000)));
        assert_eq!(told(&names)[0].1.len(), LONGEST_NAME);
    }

    #[test]
    fn the_backends_word_for_the_model_that_was_sent_is_no_reroute() {
        let told = |asked: &str, sent: &str, answered: &'static str| {
            let mut names = Names::default();
            names.asked(Some(asked));
            names.sent(sent);
            let mut headers = HeaderMap::from_iter([(UPSTREAM_MODEL, HeaderValue::from_static(answered))]);
            names.write(&mut headers);
            headers.contains_key(UPSTREAM_MODEL)
        };
        assert!(told("gpt-6-sol", "gpt-6-sol", "gpt-6-sol"));
        assert!(!told("gpt-5.5", "gpt-6-sol", "gpt-6-sol"), "this proxy exchanged it");
        assert!(told("gpt-5.5", "gpt-6-sol", "gpt-6-luna") && told("gpt-6-sol", "gpt-6-sol", "gpt-6-luna"));
    }

    #[test]
    fn a_substitute_is_news_once() {
        let mut names = Names::default();
        assert!(!names.sent("gpt-5") && names.sent("gpt-6-sol") && !names.sent("gpt-6-sol"));
        let mut answered = Answerer::new("gpt-6-sol", false);
        assert!(!names.answered(&answered));
        answered.told("gpt-6-luna");
        assert!(names.answered(&answered) && !names.answered(&answered));
        names.answered(&Answerer::default());
        assert_eq!(told(&names), [pair("model-sent", "gpt-6-sol"), pair("model-answered", "gpt-6-luna")]);
    }

    #[test]
    fn a_tier_is_told_where_it_was_asked_for_or_differs() {
        for (asked, is_priority, answered, expected) in [
            (None, false, "default", vec![]),
            (None, false, "priority", vec![pair("tier-answered", "priority")]),
            (Some("fast"), true, "default", vec![pair("tier-asked", "fast"), pair("tier-answered", "default")]),
            (Some("flex"), false, "auto", vec![pair("tier-asked", "flex")]),
        ] {
            let mut names = Names::default();
            names.asked_tier(asked, is_priority);
            let mut told_of = Answerer::default();
            let event = format!(r#"{{"type":"response.completed","response":{{"service_tier":"{answered}"}}}}"#);
            told_of.note(&crate::backend::event::Event::parse(event.as_bytes()).unwrap());
            names.answered(&told_of);
            assert_eq!(told(&names), expected);
        }
    }
}
