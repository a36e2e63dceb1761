//! The usage windows in the headers of an answer.
//!
//! * `x-codex-primary-…` and `x-codex-secondary-…` are the plan's; any other `x-ID-primary-…` is a feature's, named by
//!   `x-ID-limit-name` (Codex CLI 0.147, `codex-api/src/rate_limits.rs`).
//! * A window without a length is left out: its position does not tell which one it is.
//! * Values are decimal; booleans are `True` and `False`, or `1` and `0`.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::limits::{PlanCredits, PlanLimits, UsageWindow};

/// The headers about usage of one answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitHeaders(Vec<(HeaderName, HeaderValue)>);

impl LimitHeaders {
    /// Takes the headers about usage out of `headers`. `mask` replaces what must not be kept in a text.
    pub fn of(headers: &HeaderMap, mask: impl Fn(&str) -> Option<String>) -> Self {
        let about_usage = headers.iter().filter(|(name, _)| is_about_usage(name.as_str()));
        let masked = |name: &HeaderName, value: &HeaderValue| {
            let is_text = TEXTS.iter().any(|ending| name.as_str().ends_with(ending));
            let masked = is_text.then(|| value.to_str().ok().and_then(&mask)).flatten();
            masked.map_or_else(|| Some(value.clone()), |text| HeaderValue::try_from(text).ok())
        };
        Self(about_usage.filter_map(|(name, value)| Some((name.clone(), masked(name, value)?))).collect())
    }

    /// Returns whether any window is told.
    pub fn tell_any(&self) -> bool {
        self.0.iter().any(|(name, _)| name.as_str().ends_with(USED))
    }

    /// Reads the headers, received at `observed_at` (Unix seconds).
    pub fn read(&self, observed_at: u64) -> PlanLimits {
        let mut windows: Vec<_> =
            POSITIONS.iter().filter_map(|position| self.window(PLAN, position, observed_at)).collect();
        for id in self.features() {
            let name = self.text(&format!("x-{id}-limit-name")).unwrap_or_else(|| id.to_owned());
            let of_feature = POSITIONS.iter().filter_map(|position| self.window(id, position, observed_at));
            windows.extend(of_feature.map(|window| UsageWindow { feature: Some(name.clone()), ..window }));
        }
        PlanLimits {
            observed_at,
            plan_type: self.text("x-codex-plan-type"),
            windows,
            credits: self.credits(),
            reached_type: self.text("x-codex-rate-limit-reached-type"),
        }
    }

    /// The ids of the features with a window of their own, in the order of the headers.
    fn features(&self) -> Vec<&str> {
        let ids = self
            .0
            .iter()
            .filter_map(|(name, _)| name.as_str().strip_prefix("x-")?.strip_suffix("-primary-used-percent"));
        ids.filter(|id| *id != PLAN).collect()
    }

    fn window(&self, id: &str, position: &str, observed_at: u64) -> Option<UsageWindow> {
        let field = |field: &str| self.text(&format!("x-{id}-{position}-{field}"));
        let used: f64 = field("used-percent")?.parse().ok().filter(|used: &f64| used.is_finite() && *used >= 0.0)?;
        let minutes: u64 = field("window-minutes")?.parse().ok().filter(|minutes| *minutes > 0)?;
        let after = || field("reset-after-seconds")?.parse::<u64>().ok()?.checked_add(observed_at);
        let resets_at = field("reset-at").and_then(|at| at.parse().ok()).or_else(after);
        Some(UsageWindow::new(minutes.checked_mul(60)?, used, resets_at))
    }

    fn credits(&self) -> Option<PlanCredits> {
        let is = |name: &str| self.text(name).and_then(|value| boolean(&value));
        Some(PlanCredits {
            has_credits: is("x-codex-credits-has-credits")?,
            unlimited: is("x-codex-credits-unlimited").unwrap_or_default(),
            balance: self.text("x-codex-credits-balance"),
        })
    }

    fn text(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.iter().find(|(known, _)| known.as_str() == name)?;
        let text = value.to_str().ok()?.trim();
        (!text.is_empty() && text.len() <= LONGEST).then(|| text.to_owned())
    }
}

fn is_about_usage(name: &str) -> bool {
    name.strip_prefix("x-").is_some_and(|name| ENDINGS.iter().any(|ending| name.ends_with(ending)))
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "True" | "true" | "1" => Some(true),
        "False" | "false" | "0" => Some(false),
        _ => None,
    }
}

/// The limit id of the plan as a whole.
const PLAN: &str = "codex";
const POSITIONS: [&str; 2] = ["primary", "secondary"];
const USED: &str = "-used-percent";
const ENDINGS: [&str; 10] = [
    USED,
    "-window-minutes",
    "-reset-at",
    "-reset-after-seconds",
    "-limit-name",
    "-plan-type",
    "-rate-limit-reached-type",
    "-credits-has-credits",
    "-credits-unlimited",
    "-credits-balance",
];
/// The endings of headers whose value is any text.
const TEXTS: [&str; 4] = ["-limit-name", "-plan-type", "-rate-limit-reached-type", "-credits-balance"];
/// Longer than any plan's or limit's name.
const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> PlanLimits {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        LimitHeaders::of(&pairs.iter().map(pair).collect(), |_| None).read(1_000)
    }

    #[test]
    fn windows_of_plan_and_features_are_read_by_their_length() {
        let limits = read(&[
            ("x-codex-primary-used-percent", "12.5"),
            ("x-codex-primary-window-minutes", "10080"),
            ("x-codex-primary-reset-at", "5000"),
            ("x-codex-secondary-used-percent", "3"),
            ("x-codex-secondary-window-minutes", "300"),
            ("x-codex-secondary-reset-after-seconds", "60"),
            ("x-base-model-inference-primary-used-percent", "0"),
            ("x-base-model-inference-primary-window-minutes", "10080"),
            ("x-base-model-inference-limit-name", "gpt-reserve"),
            ("x-codex-plan-type", "plus"),
            ("x-codex-credits-has-credits", "True"),
            ("x-codex-credits-unlimited", "0"),
            ("x-codex-turn-state", "opaque"),
        ]);
        let told: Vec<_> =
            limits.windows.iter().map(|window| (window.title(), window.used_percent, window.resets_at)).collect();
        let expected = [
            ("weekly".to_owned(), 12.5, Some(5_000)),
            ("5-hour".to_owned(), 3.0, Some(1_060)),
            ("weekly of gpt-reserve".to_owned(), 0.0, None),
        ];
        assert_eq!(told, expected);
        assert_eq!((limits.plan_type.as_deref(), limits.observed_at), (Some("plus"), 1_000));
        assert_eq!(limits.credits, Some(PlanCredits { has_credits: true, unlimited: false, balance: None }));
    }

    #[test]
    fn what_cannot_be_read_is_not_told() {
        for pairs in [
            &[("x-codex-primary-used-percent", "40")][..],
            &[("x-codex-primary-used-percent", "NaN"), ("x-codex-primary-window-minutes", "300")],
            &[("x-codex-primary-used-percent", "-1"), ("x-codex-primary-window-minutes", "300")],
            &[("x-codex-primary-used-percent", "4"), ("x-codex-primary-window-minutes", "18446744073709551615")],
            &[("x-codex-primary-window-minutes", "300")],
        ] {
            assert_eq!(read(pairs).windows, [], "{pairs:?}");
        }
    }

    #[test]
    fn a_text_is_masked_and_other_headers_are_not_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("x-codex-primary-limit-name", HeaderValue::from_static("token"));
        headers.insert("x-codex-turn-state", HeaderValue::from_static("token"));
        headers.insert("set-cookie", HeaderValue::from_static("token"));
        let kept = LimitHeaders::of(&headers, |text| Some(text.replace("token", "***")));
        assert_eq!(format!("{kept:?}").matches("token").count(), 0);
        assert!(format!("{kept:?}").contains("***") && !kept.tell_any());
    }
}
