//! Does it work? One sentence, and never a good one beside a spent plan.

use maud::{Markup, html};

use crate::humanize;
use crate::ledger::LedgerEntry;
use crate::limits::{PlanLimits, UsageWindow};
use crate::page::view::PageView;
use crate::page::words;

/// Whether requests can be expected to be answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict<'v> {
    /// There is no login.
    SignedOut,
    /// The login has ended, or cannot be used, for this reason.
    LoginBroken(&'v str),
    /// This window of the plan is spent.
    Exhausted(&'v UsageWindow),
    /// The newest request to a model has failed, and not by its client's fault.
    Failing(&'v LedgerEntry),
    /// The newest request to a model was answered.
    Working(&'v LedgerEntry),
    /// Nothing has been asked yet.
    Untried,
}

impl<'v> Verdict<'v> {
    /// Judges what is known: the login first, then the plan, then the newest request.
    pub(super) fn of(view: &'v PageView) -> Self {
        let login = &view.login;
        if !login.is_there {
            return login.error.as_deref().map_or(Self::SignedOut, Self::LoginBroken);
        }
        if let Some(error) = &login.error {
            return Self::LoginBroken(error);
        }
        if login.is_expired && !login.is_renewable {
            return Self::LoginBroken("the access token has expired, and nothing can renew it");
        }
        if let Some(window) = view.exhausted() {
            return Self::Exhausted(window);
        }
        match view.last_answer() {
            Some(entry) if is_failure(entry) => Self::Failing(entry),
            Some(entry) => Self::Working(entry),
            None => Self::Untried,
        }
    }

    /// Renders the sentence.
    pub(super) fn render(&self, now: u64) -> Markup {
        let (class, sign, headline, detail) = match self {
            Self::SignedOut => ("bad", "✕", "Not signed in", html! { "Requests cannot be answered." }),
            Self::LoginBroken(reason) => ("bad", "✕", "The login does not work", html! { (reason) }),
            Self::Exhausted(window) => {
                let again = window.resets_at.map(|at| html! { " Answers come again " (words::relative(at, now)) "." });
                (
                    "bad",
                    "✕",
                    "The plan's limit is reached",
                    html! { "The " (window.title()) " window is spent." (again.unwrap_or_default()) },
                )
            }
            Self::Failing(entry) => {
                let code = entry.error_code.as_deref().unwrap_or("no code");
                let status = entry.status.map_or_else(String::new, |status| status.to_string());
                ("warn", "!", "The last request failed", html! { (status) " " (code) ", " (age(entry, now)) "." })
            }
            Self::Working(entry) => ("ok", "✓", "It works", html! { "Last answer " (age(entry, now)) "." }),
            Self::Untried => ("ok", "✓", "Ready", html! { "Nothing has been asked of a model yet." }),
        };
        html! { p class=(class) { span class="sign" aria-hidden="true" { (sign) } " " strong { (headline) "." } " " (detail) } }
    }
}

/// Returns the fullest spent window of the plan as a whole that has not begun anew at `now`.
pub(super) fn exhausted(limits: &PlanLimits, now: u64) -> Option<&UsageWindow> {
    let current =
        limits.windows.iter().filter(|window| window.feature.is_none() && PlanLimits::is_current(window, now));
    let fullest = current.max_by(|one, other| {
        one.used_percent.total_cmp(&other.used_percent).then(one.resets_at.cmp(&other.resets_at))
    })?;
    (fullest.used_percent >= 100.0 || limits.reached_type.is_some()).then_some(fullest)
}

/// Returns whether a request failed by the fault of the proxy, the login or the backend.
fn is_failure(entry: &LedgerEntry) -> bool {
    let is_clients = entry.status.is_some_and(|status| (400..500).contains(&status) && status != 401 && status != 429);
    entry.error_code.is_some() && !is_clients
}

fn age(entry: &LedgerEntry, now: u64) -> Markup {
    words::relative((entry.started_at + entry.duration_ms) / 1000, now.max(entry.started_at / 1000))
}

/// Describes how much of `window` is left, in whole percent; never more than there is.
pub(super) fn left(window: &UsageWindow) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 100")]
    let left = (100.0 - window.used_percent).clamp(0.0, 100.0).floor() as u64;
    left
}

/// Names a plan for people.
pub(super) fn plan(plan: Option<&str>) -> &str {
    plan.map_or("unknown", humanize::plan)
}
