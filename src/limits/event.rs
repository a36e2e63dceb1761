//! The usage windows in the event `codex.rate_limits`, which takes the place of the headers on a WebSocket.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::limits::headers::LimitHeaders;

impl LimitHeaders {
    /// Reads an event as the headers that it stands for; `None` for the windows of a single feature. `mask` replaces what
    /// must not be kept in a text.
    pub fn of_event(event: &[u8], mask: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let event: Value = serde_json::from_slice(event).ok()?;
        let windows = event.get("rate_limits").filter(|windows| windows.is_object())?;
        if event.get("metered_limit_name").is_some_and(|name| !name.is_null() && name != PLAN) {
            return None;
        }
        let mut headers = HeaderMap::new();
        let mut add = |name: String, value: Option<&Value>| {
            let text = match value {
                None | Some(Value::Null) => return,
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(text)) {
                headers.insert(name, value);
            }
        };
        for position in ["primary", "secondary"] {
            for field in ["used_percent", "window_minutes", "reset_at"] {
                let value = windows.get(position).and_then(|window| window.get(field));
                add(format!("x-codex-{position}-{}", field.replace('_', "-")), value);
            }
        }
        add("x-codex-plan-type".to_owned(), event.get("plan_type"));
        for field in ["has_credits", "unlimited", "balance"] {
            let value = event.get("credits").and_then(|credits| credits.get(field));
            add(format!("x-codex-credits-{}", field.replace('_', "-")), value);
        }
        Some(Self::of(&headers, mask))
    }
}

/// The name of the limit of the plan as a whole.
const PLAN: &str = "codex";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_what_the_headers_would() {
        let event = br#"{"type":"codex.rate_limits","plan_type":"plus",
            "rate_limits":{"primary":{"used_percent":42.5,"window_minutes":10080,"reset_at":1786161248},"secondary":null},
            "credits":{"has_credits":true,"unlimited":false,"balance":"7"},"metered_limit_name":"codex"}"#;
        let limits = LimitHeaders::of_event(event, |_| None).unwrap().read(1_000);
        assert_eq!(limits.plan_type.as_deref(), Some("plus"));
        assert_eq!(limits.windows.len(), 1);
        assert_eq!((limits.windows[0].used_percent, limits.windows[0].resets_at), (42.5, Some(1_786_161_248)));
        let credits = limits.credits.unwrap();
        assert_eq!((credits.has_credits, credits.balance.as_deref()), (true, Some("7")));
        for other in [
            &br#"{"type":"codex.rate_limits","rate_limits":{},"metered_limit_name":"gpt_reserve"}"#[..],
            b"{\"rate_limits\":1}",
            b"",
        ] {
            assert!(LimitHeaders::of_event(other, |_| None).is_none());
        }
    }
}
