//! The conversation's session, as named by Anthropic's clients.
//!
//! * Claude Code names its session in one header, and a sub-agent, which has a different prompt, in a second.
//! * `metadata.user_id` identifies a person. Claude Code puts the session into it: as JSON today, after `_session_`
//!   before 2026.

use std::borrow::Cow;

use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Path};

/// Returns the session in the headers.
pub(super) fn of_headers<'a>(headers: &HeaderMap) -> Option<Cow<'a, str>> {
    let text = |name: &str| headers.get(name)?.to_str().ok().filter(|value| !value.is_empty());
    let session = text("x-claude-code-session-id")?;
    Some(Cow::Owned(match text("x-claude-code-agent-id") {
        Some(agent) => format!("{session}:{agent}"),
        None => session.to_owned(),
    }))
}

/// Returns the session in `metadata`. The whole `user_id` would be one key for all of a person's conversations.
pub(super) fn of_metadata<'a>(metadata: &RawValue) -> Option<Cow<'a, str>> {
    #[derive(Deserialize)]
    struct Session {
        session_id: String,
    }
    let metadata = json::object(metadata, &Path::Root).ok()?;
    let user = json::string(metadata.find("user_id")?, &Path::Root).ok()?;
    let session = match serde_json::from_str::<Session>(&user) {
        Ok(session) => session.session_id,
        Err(_) => user.split_once("_session_")?.1.to_owned(),
    };
    (!session.is_empty()).then_some(Cow::Owned(session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_wherever_it_stands() {
        let metadata = |user: &str| {
            let json = serde_json::json!({ "user_id": user }).to_string();
            of_metadata(&serde_json::from_str::<Box<RawValue>>(&json).unwrap()).map(Cow::into_owned)
        };
        assert_eq!(metadata(r#"{"device_id":"d","account_uuid":"","session_id":"s-1"}"#).as_deref(), Some("s-1"));
        assert_eq!(metadata("user_ab_account_cd_session_s-2").as_deref(), Some("s-2"));
        for nobody in ["user-17", "", r#"{"session_id":""}"#, "user_session_"] {
            assert_eq!(metadata(nobody), None, "{nobody}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(of_headers(&headers), None);
        headers.insert("x-claude-code-session-id", "s".parse().unwrap());
        assert_eq!(of_headers(&headers).as_deref(), Some("s"));
        headers.insert("x-claude-code-agent-id", "a".parse().unwrap());
        assert_eq!(of_headers(&headers).as_deref(), Some("s:a"));
    }
}
