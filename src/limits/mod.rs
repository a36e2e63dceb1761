//! The plan's usage windows: how much of each is spent, and when it begins anew. Pure.
//!
//! * The backend tells them in the headers of every answer ([`headers`]) and on its usage page ([`page`]).
//! * A window is identified by its length, never by its position: the first one has been five hours, a week and a
//!   month.
//! * [`board`] keeps the newest reading and its age.

pub mod board;
mod event;
pub mod headers;
pub mod page;

use serde::{Deserialize, Serialize};

/// A usage window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageWindow {
    /// The name: `5-hour`, `weekly`, `30-day` …
    pub name: String,
    /// The feature of the window; `None` for the plan as a whole.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub feature: Option<String>,
    /// The used share in percent.
    pub used_percent: f64,
    /// The length in seconds.
    pub window_seconds: u64,
    /// The next reset, in Unix seconds.
    pub resets_at: Option<u64>,
}

impl UsageWindow {
    /// Creates a window named after its length of `window_seconds`.
    pub fn new(window_seconds: u64, used_percent: f64, resets_at: Option<u64>) -> Self {
        Self { name: name(window_seconds), feature: None, used_percent, window_seconds, resets_at }
    }

    /// Returns the name with the feature: `weekly`, `weekly of GPT-5.3-Codex-Spark`.
    pub fn title(&self) -> String {
        match &self.feature {
            Some(feature) => format!("{} of {feature}", self.name),
            None => self.name.clone(),
        }
    }
}

/// The credits bought beside the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanCredits {
    /// Whether there are any.
    pub has_credits: bool,
    /// Whether they have no end.
    pub unlimited: bool,
    /// The balance in the backend's own form.
    pub balance: Option<String>,
}

/// What the backend has told about the plan's usage at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanLimits {
    /// When it was told, in Unix seconds.
    pub observed_at: u64,
    /// The plan in the backend's spelling.
    pub plan_type: Option<String>,
    /// The windows: those of the plan, then those of features, each in the backend's order.
    pub windows: Vec<UsageWindow>,
    /// The credits, if told.
    pub credits: Option<PlanCredits>,
    /// The kind of the limit that is reached, such as `rate_limit_reached`.
    pub reached_type: Option<String>,
}

impl PlanLimits {
    /// Returns the age in seconds at `now` (Unix seconds).
    pub fn age(&self, now: u64) -> u64 {
        now.saturating_sub(self.observed_at)
    }

    /// Returns whether a window has not begun anew since it was read, so that its share still counts at `now`.
    pub fn is_current(window: &UsageWindow, now: u64) -> bool {
        window.resets_at.is_none_or(|at| at > now)
    }
}

/// Names a window of this length.
fn name(seconds: u64) -> String {
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        604_800 => "weekly".to_owned(),
        seconds if seconds >= DAY && seconds % DAY == 0 => format!("{}-day", seconds / DAY),
        seconds if seconds >= HOUR => format!("{}-hour", seconds.div_ceil(HOUR)),
        seconds => format!("{}-minute", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_named_by_its_length() {
        for (seconds, expected) in
            [(604_800, "weekly"), (18_000, "5-hour"), (2_592_000, "30-day"), (900, "15-minute"), (86_400, "1-day")]
        {
            assert_eq!(name(seconds), expected);
        }
    }

    #[test]
    fn a_window_that_has_begun_anew_is_not_current() {
        let window = |resets_at| UsageWindow::new(18_000, 90.0, resets_at);
        assert!(PlanLimits::is_current(&window(None), 100) && PlanLimits::is_current(&window(Some(101)), 100));
        assert!(!PlanLimits::is_current(&window(Some(100)), 100));
    }
}
