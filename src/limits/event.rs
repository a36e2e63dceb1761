//! The usage windows in the event `codex.rate_limits`, which takes the place of the headers on a WebSocket.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Number;

use crate::limits::headers::LimitHeaders;

impl LimitHeaders {
    /// Reads an event as the headers that it stands for; `None` for the windows of a single feature. `mask` replaces what
    /// must not be kept in a text.
    pub fn of_event(event: &[u8], mask: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let event: RateLimits = serde_json::from_slice(event).ok()?;
        if event.metered_limit_name.is_some_and(|name| name != PLAN) {
            return None;
        }
        let mut headers = HeaderMap::new();
        let mut add = |name: String, value: String| {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        };
        for (position, window) in [("primary", event.rate_limits.primary), ("secondary", event.rate_limits.secondary)] {
            let Some(Window { used_percent, window_minutes, reset_at }) = window else { continue };
            for (field, value) in
                [("used-percent", used_percent), ("window-minutes", window_minutes), ("reset-at", reset_at)]
            {
                if let Some(value) = value {
                    add(format!("x-codex-{position}-{field}"), value.to_string());
                }
            }
        }
        if let Some(plan) = event.plan_type {
            add("x-codex-plan-type".to_owned(), plan);
        }
        if let Some(Credits { has_credits, unlimited, balance }) = event.credits {
            add("x-codex-credits-has-credits".to_owned(), has_credits.to_string());
            add("x-codex-credits-unlimited".to_owned(), unlimited.to_string());
            if let Some(balance) = balance {
                add("x-codex-credits-balance".to_owned(), balance);
            }
        }
        Some(Self::of(&headers, mask))
    }
}

/// The event, as far as it is read.
#[derive(Debug, Deserialize)]
struct RateLimits {
    #[serde(default)]
    plan_type: Option<String>,
    rate_limits: Windows,
    #[serde(default)]
    credits: Option<Credits>,
    #[serde(default)]
    metered_limit_name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Windows {
    #[serde(default)]
    primary: Option<Window>,
    #[serde(default)]
    secondary: Option<Window>,
}

#[derive(Debug, Deserialize)]
struct Window {
    #[serde(default)]
    used_percent: Option<Number>,
    #[serde(default)]
    window_minutes: Option<Number>,
    #[serde(default)]
    reset_at: Option<Number>,
}

#[derive(Debug, Deserialize)]
struct Credits {
    has_credits: bool,
    #[serde(default)]
    unlimited: bool,
    #[serde(default)]
    balance: Option<String>,
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
