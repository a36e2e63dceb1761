//! The account's usage windows: headers of every answer, the event on the stream, and the usage document.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

/// A usage window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimulatedWindow {
    /// The used share in percent.
    pub used_percent: f64,
    /// The length in minutes.
    pub minutes: u64,
    /// The seconds until the reset.
    pub resets_in_seconds: i64,
}

/// The windows of the simulated account. Since mid-2026 most accounts have one, a weekly one, in first position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The first window.
    pub primary: SimulatedWindow,
    /// The second window.
    pub secondary: Option<SimulatedWindow>,
    /// The Luna Reserve: a separate allowance of eligible accounts after their windows are used up.
    pub reserve: Option<SimulatedWindow>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            primary: SimulatedWindow { used_percent: 12.5, minutes: 10_080, resets_in_seconds: 332_661 },
            secondary: None,
            reserve: None,
        }
    }
}

impl Limits {
    /// An unused reserve.
    pub const FULL_RESERVE: SimulatedWindow =
        SimulatedWindow { used_percent: 0.0, minutes: 10_080, resets_in_seconds: 604_800 };

    /// Uses up both windows.
    pub(super) fn exhausted(mut self) -> Self {
        self.primary.used_percent = 100.0;
        self
    }

    /// Returns the headers of an answer.
    pub(super) fn headers(&self, plan: &str, now: i64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut add = |name: String, value: String| {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        };
        for (limit, window) in [
            ("codex-primary", Some(self.primary)),
            ("codex-secondary", self.secondary),
            ("base-model-inference-primary", self.reserve),
        ] {
            let Some(window) = window else { continue };
            add(format!("x-{limit}-used-percent"), window.used_percent.to_string());
            add(format!("x-{limit}-window-minutes"), window.minutes.to_string());
            add(format!("x-{limit}-reset-at"), (now + window.resets_in_seconds).to_string());
            add(format!("x-{limit}-reset-after-seconds"), window.resets_in_seconds.to_string());
        }
        if self.reserve.is_some() {
            add("x-base-model-inference-limit-name".to_owned(), RESERVE.to_owned());
        }
        for (name, value) in [
            ("x-codex-plan-type", plan),
            ("x-codex-active-limit", "premium"),
            ("x-codex-credits-has-credits", "False"),
            ("x-codex-credits-unlimited", "False"),
            ("x-codex-credits-balance", "0"),
        ] {
            add(name.to_owned(), value.to_owned());
        }
        headers
    }

    /// Returns the `codex.rate_limits` event.
    pub(super) fn event(&self, plan: &str, now: i64) -> Value {
        let window = |window: SimulatedWindow| {
            json!({
                "used_percent": window.used_percent,
                "window_minutes": window.minutes,
                "reset_at": now + window.resets_in_seconds,
            })
        };
        json!({
            "type": "codex.rate_limits",
            "plan_type": plan,
            "rate_limits": { "primary": window(self.primary), "secondary": self.secondary.map(window) },
            "credits": { "has_credits": false, "unlimited": false, "balance": null },
            "metered_limit_name": "codex",
            "limit_name": "codex",
        })
    }

    /// Returns the usage document. Its shares are whole numbers: the Codex CLI reads no others.
    pub(super) fn document(&self, plan: &str, now: i64) -> Value {
        let window = |window: SimulatedWindow| {
            #[expect(clippy::cast_possible_truncation, reason = "a share of a hundred")]
            let used_percent = window.used_percent.round() as i64;
            json!({
                "used_percent": used_percent,
                "limit_window_seconds": window.minutes * 60,
                "reset_after_seconds": window.resets_in_seconds,
                "reset_at": now + window.resets_in_seconds,
            })
        };
        let reached = self.primary.used_percent >= 100.0;
        let reserve = self.reserve.map(|reserve| {
            let spent = reserve.used_percent >= 100.0;
            let limit = json!({
                "allowed": !spent,
                "limit_reached": spent,
                "primary_window": window(reserve),
                "secondary_window": null,
            });
            json!({ "limit_name": RESERVE, "metered_feature": "base_model_inference", "rate_limit": limit })
        });
        json!({
            "plan_type": plan,
            "rate_limit": {
                "allowed": !reached,
                "limit_reached": reached,
                "primary_window": window(self.primary),
                "secondary_window": self.secondary.map(window),
            },
            "credits": {
                "has_credits": false, "unlimited": false, "balance": null, "approx_local_messages": null,
                "approx_cloud_messages": null,
            },
            "spend_control": { "reached": false, "individual_limit": null },
            "additional_rate_limits": Vec::from_iter(reserve),
            "rate_limit_reached_type": null,
            "rate_limit_reset_credits": { "available_count": 0 },
        })
    }
}

/// The name of the reserve and of its model (openai/codex#45132).
const RESERVE: &str = "gpt-reserve";
