//! The backend's usage page, `wham/usage`: read, and written in the same shape for clients that ask for it.
//!
//! * Every level of the page may be null or absent.
//! * The Codex CLI (0.147, `codex-backend-openapi-models`) reads whole numbers alone, and needs the plan.

use serde::{Deserialize, Serialize};

use crate::limits::{PlanCredits, PlanLimits, UsageWindow};

/// Reads the page `body`, received at `observed_at` (Unix seconds); `None` if it is no such page.
pub fn read(body: &[u8], observed_at: u64) -> Option<PlanLimits> {
    let page: Page = serde_json::from_slice(body).ok()?;
    let plan = page.rate_limit.into_iter().flat_map(|limit| limit.windows(None));
    let others = page.additional_rate_limits.unwrap_or_default().into_iter();
    let others = others.flat_map(|other| {
        let feature = other.limit_name;
        other.rate_limit.into_iter().flat_map(move |limit| limit.windows(feature.clone()))
    });
    Some(PlanLimits {
        observed_at,
        plan_type: page.plan_type,
        windows: plan.chain(others).collect(),
        credits: page.credits.and_then(Credits::read),
        reached_type: page.rate_limit_reached_type.and_then(Reached::kind),
    })
}

/// Writes `limits` as the page, at `now` (Unix seconds); `None` without a plan, which the page needs.
pub fn write(limits: &PlanLimits, now: u64) -> Option<Vec<u8>> {
    let features = limits.windows.iter().filter_map(|window| window.feature.as_deref());
    let mut names: Vec<&str> = features.collect();
    names.dedup();
    let additional = names.into_iter().map(|name| AdditionalOut {
        limit_name: name,
        metered_feature: name,
        rate_limit: LimitOut::of(limits, Some(name), now),
    });
    let page = PageOut {
        plan_type: limits.plan_type.as_deref()?,
        rate_limit: LimitOut::of(limits, None, now),
        credits: limits.credits.as_ref(),
        additional_rate_limits: additional.collect(),
        rate_limit_reached_type: limits.reached_type.as_deref().map(|kind| ReachedOut { r#type: kind }),
    };
    serde_json::to_vec(&page).ok()
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    plan_type: Option<String>,
    #[serde(default)]
    rate_limit: Option<Limit>,
    #[serde(default)]
    credits: Option<Credits>,
    #[serde(default)]
    additional_rate_limits: Option<Vec<Additional>>,
    #[serde(default)]
    rate_limit_reached_type: Option<Reached>,
}

#[derive(Deserialize)]
struct Additional {
    limit_name: Option<String>,
    rate_limit: Option<Limit>,
}

#[derive(Deserialize)]
struct Limit {
    primary_window: Option<Reported>,
    secondary_window: Option<Reported>,
}

#[derive(Deserialize)]
struct Reported {
    used_percent: Option<f64>,
    limit_window_seconds: Option<u64>,
    reset_at: Option<u64>,
}

#[derive(Deserialize)]
struct Credits {
    has_credits: Option<bool>,
    unlimited: Option<bool>,
    #[serde(default)]
    balance: Option<serde_json::Value>,
}

/// The kind of a reached limit: an object with a type, or the type alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reached {
    Named(String),
    Typed { r#type: String },
    Other(serde::de::IgnoredAny),
}

impl Reached {
    fn kind(self) -> Option<String> {
        match self {
            Self::Named(kind) | Self::Typed { r#type: kind } => Some(kind),
            Self::Other(_) => None,
        }
    }
}

impl Credits {
    fn read(self) -> Option<PlanCredits> {
        let balance = self.balance.and_then(|balance| match balance {
            serde_json::Value::String(text) => Some(text),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        Some(PlanCredits { has_credits: self.has_credits?, unlimited: self.unlimited.unwrap_or_default(), balance })
    }
}

impl Limit {
    fn windows(self, feature: Option<String>) -> impl Iterator<Item = UsageWindow> {
        let reported = [self.primary_window, self.secondary_window].into_iter().flatten();
        reported.filter_map(move |window| {
            let told = UsageWindow::new(window.limit_window_seconds?, window.used_percent?, window.reset_at);
            Some(UsageWindow { feature: feature.clone(), ..told })
        })
    }
}

#[derive(Serialize)]
struct PageOut<'a> {
    plan_type: &'a str,
    rate_limit: LimitOut,
    credits: Option<&'a PlanCredits>,
    additional_rate_limits: Vec<AdditionalOut<'a>>,
    rate_limit_reached_type: Option<ReachedOut<'a>>,
}

#[derive(Serialize)]
struct ReachedOut<'a> {
    r#type: &'a str,
}

#[derive(Serialize)]
struct AdditionalOut<'a> {
    limit_name: &'a str,
    metered_feature: &'a str,
    rate_limit: LimitOut,
}

#[derive(Serialize)]
struct LimitOut {
    allowed: bool,
    limit_reached: bool,
    primary_window: Option<WindowOut>,
    secondary_window: Option<WindowOut>,
}

#[derive(Serialize)]
struct WindowOut {
    used_percent: u64,
    limit_window_seconds: u64,
    reset_after_seconds: u64,
    reset_at: u64,
}

impl LimitOut {
    /// The windows of `feature`, or of the plan.
    fn of(limits: &PlanLimits, feature: Option<&str>, now: u64) -> Self {
        let of_feature = limits.windows.iter().filter(|window| window.feature.as_deref() == feature);
        let current = |window: &UsageWindow| PlanLimits::is_current(window, now);
        let limit_reached = of_feature.clone().any(|window| window.used_percent >= 100.0 && current(window));
        let mut windows = of_feature.map(|window| WindowOut::of(window, now));
        Self {
            allowed: !limit_reached,
            limit_reached,
            primary_window: windows.next(),
            secondary_window: windows.next(),
        }
    }
}

impl WindowOut {
    fn of(window: &UsageWindow, now: u64) -> Self {
        let resets_at = window.resets_at.unwrap_or(now.saturating_add(window.window_seconds));
        let used = if PlanLimits::is_current(window, now) { window.used_percent.round() } else { 0.0 };
        Self {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share, cut to its range")]
            used_percent: used.clamp(0.0, 1000.0) as u64,
            limit_window_seconds: window.window_seconds,
            reset_after_seconds: resets_at.saturating_sub(now),
            reset_at: resets_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_with_their_features() {
        let body = br#"{"plan_type":"plus","rate_limit":{"allowed":true,
            "primary_window":{"used_percent":40,"limit_window_seconds":604800,"reset_at":1786161248},
            "secondary_window":{"used_percent":7.5,"limit_window_seconds":18000}},
            "credits":null,
            "additional_rate_limits":[{"limit_name":"Spark","rate_limit":{"primary_window":
                {"used_percent":1,"limit_window_seconds":2592000,"reset_at":1},"secondary_window":null}}]}"#;
        let limits = read(body, 7).unwrap();
        let names: Vec<_> = limits.windows.iter().map(UsageWindow::title).collect();
        assert_eq!(names, ["weekly", "5-hour", "30-day of Spark"]);
        assert_eq!((limits.windows[0].used_percent, limits.windows[0].resets_at), (40.0, Some(1_786_161_248)));
        assert_eq!((limits.observed_at, limits.plan_type.as_deref()), (7, Some("plus")));
    }

    #[test]
    fn every_level_may_be_absent() {
        for body in [
            "{}",
            r#"{"rate_limit":null,"credits":{"balance":5},"rate_limit_reached_type":7}"#,
            r#"{"rate_limit":{},"additional_rate_limits":[{}]}"#,
        ] {
            assert_eq!(read(body.as_bytes(), 0).map(|limits| limits.windows), Some(Vec::new()), "{body}");
        }
        assert_eq!(read(b"<html>", 0), None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut limits = PlanLimits {
            observed_at: 500,
            plan_type: Some("pro".to_owned()),
            windows: vec![UsageWindow::new(604_800, 12.0, Some(2_000)), UsageWindow::new(18_000, 100.0, Some(3_000))],
            credits: Some(PlanCredits { has_credits: true, unlimited: false, balance: Some("5".to_owned()) }),
            reached_type: Some("rate_limit_reached".to_owned()),
        };
        let reserve = UsageWindow::new(604_800, 3.0, Some(9_000));
        limits.windows.push(UsageWindow { feature: Some("gpt-reserve".to_owned()), ..reserve });
        let page = write(&limits, 1_000).unwrap();
        assert_eq!(read(&page, 500), Some(limits.clone()));
        let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
        assert_eq!(page["rate_limit"]["limit_reached"], true);
        assert_eq!(page["rate_limit"]["primary_window"]["reset_after_seconds"], 1_000);
        assert_eq!(page["additional_rate_limits"][0]["rate_limit"]["allowed"], true);
        limits.plan_type = None;
        assert_eq!(write(&limits, 1_000), None);
    }

    #[test]
    fn a_window_that_has_begun_anew_is_empty() {
        let windows = vec![UsageWindow::new(18_000, 100.0, Some(900))];
        let limits = PlanLimits {
            observed_at: 0,
            plan_type: Some("plus".to_owned()),
            windows,
            credits: None,
            reached_type: None,
        };
        let page: serde_json::Value = serde_json::from_slice(&write(&limits, 1_000).unwrap()).unwrap();
        assert_eq!(page["rate_limit"]["primary_window"]["used_percent"], 0);
        assert_eq!(page["rate_limit"]["allowed"], true);
    }
}
