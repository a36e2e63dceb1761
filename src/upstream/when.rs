//! The time of a retry, from a failure's body, its message and its head.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::backend::event::failure::Failure;
use crate::fault::{Fault, FaultKind};
use crate::humanize;
use crate::platform::unix_now;

/// Returns the time until the failure's usage window resets, if its body says so.
pub(super) fn resets_in(failure: &Failure) -> Option<Duration> {
    let from_now = |at: u64| at.saturating_sub(unix_now().as_secs());
    failure.resets_in_seconds().or_else(|| failure.resets_at().map(from_now)).map(Duration::from_secs)
}

/// Reads the time in "try again in 11.054s", "in 250ms" or "in 3 seconds".
pub(super) fn try_again_in(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    let (_, rest) = lower.split_once("try again in")?;
    let rest = rest.trim_start();
    let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
    let (number, unit) = rest.split_at_checked(end)?;
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim_start();
    let seconds = match unit {
        _ if unit.starts_with("ms") => number / 1000.0,
        _ if unit.starts_with('s') => number,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// Reads the time in a head. The headers in milliseconds are finer, so they come first (Codex CLI 0.169 reads them).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    let fine = ["retry-after-ms", "x-ms-retry-after-ms"].into_iter().find_map(number);
    fine.map(Duration::from_millis).or_else(|| number("retry-after").map(Duration::from_secs))
}

/// Adds the reset of a spent usage window to its error, in the message and as `Retry-After`.
pub(super) fn say_reset(error: &mut Fault, resets_in: Option<Duration>) {
    let is_spent = matches!(error.kind, FaultKind::UsageLimitReached | FaultKind::InsufficientQuota);
    let Some(wait) = resets_in.filter(|_| is_spent && error.retry_after.is_none()) else { return };
    error.retry_after = Some(wait);
    let seconds = wait.as_secs();
    let named = error.details.as_ref().and_then(|details| details.resets_at.as_ref()?.as_u64());
    let at = named.unwrap_or_else(|| unix_now().as_secs().saturating_add(seconds));
    let sentence = error.message.trim_end().trim_end_matches('.');
    let at = humanize::instant(at).map(|at| format!(", at {at}")).unwrap_or_default();
    error.message = format!("{sentence}. It resets in {}{at}.", humanize::duration(seconds));
}

/// Returns the time until all spent windows reset, from a head's limit headers.
pub(super) fn limits_reset_in(headers: &[(HeaderName, HeaderValue)]) -> Option<Duration> {
    let number = |window: &str, fact: &str| -> Option<f64> {
        let name = format!("x-codex-{window}-{fact}");
        let (_, value) = headers.iter().find(|(found, _)| found.as_str() == name)?;
        value.to_str().ok()?.trim().parse().ok()
    };
    let until = |window: &str| -> Option<f64> {
        number(window, "used-percent").filter(|used| *used >= 100.0)?;
        let from_now = || Some(number(window, "reset-at")? - unix_now().as_secs_f64());
        number(window, "reset-after-seconds").or_else(from_now)
    };
    let longest = ["primary", "secondary"].into_iter().filter_map(until).reduce(f64::max)?;
    Duration::try_from_secs_f64(longest.ceil()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_finest_wait_of_a_head_counts() {
        let seconds = ("retry-after", "3");
        assert_eq!(retry_after(&headers(&[seconds])), Some(Duration::from_secs(3)));
        assert_eq!(retry_after(&headers(&[seconds, ("retry-after-ms", "2500")])), Some(Duration::from_millis(2500)));
        assert_eq!(retry_after(&headers(&[("x-ms-retry-after-ms", "40")])), Some(Duration::from_millis(40)));
        assert_eq!(retry_after(&headers(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")])), None);
    }

    #[test]
    fn a_reset_is_said_once_and_only_of_spent_windows() {
        let mut error = Fault::new(FaultKind::UsageLimitReached, "The usage limit has been reached.");
        say_reset(&mut error, Some(Duration::from_secs(3 * 3600 + 12 * 60)));
        say_reset(&mut error, Some(Duration::from_secs(60)));
        let beginning = "The usage limit has been reached. It resets in 3 hours 12 minutes, at 2";
        assert!(error.message.starts_with(beginning) && error.message.ends_with(" UTC."), "{}", error.message);
        assert_eq!(error.retry_after, Some(Duration::from_secs(11_520)));
        let mut other = Fault::new(FaultKind::RateLimited, "slow down");
        say_reset(&mut other, Some(Duration::from_secs(9)));
        assert_eq!((other.message.as_str(), other.retry_after), ("slow down", None));
    }

    #[test]
    fn limit_headers_tell_when_all_spent_windows_are_open() {
        let told = |pairs: &[(&'static str, &'static str)]| {
            let headers = headers(pairs);
            let listed: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            limits_reset_in(&listed)
        };
        let primary = [("x-codex-primary-used-percent", "100"), ("x-codex-primary-reset-after-seconds", "60")];
        assert_eq!(told(&primary), Some(Duration::from_secs(60)));
        let secondary =
            [("x-codex-secondary-used-percent", "100.0"), ("x-codex-secondary-reset-after-seconds", "90.2")];
        assert_eq!(told(&[primary, secondary].concat()), Some(Duration::from_secs(91)));
        assert_eq!(told(&[("x-codex-primary-used-percent", "99"), primary[1]]), None);
        assert_eq!(told(&[("x-codex-primary-used-percent", "100"), ("x-codex-primary-reset-at", "5")]), None);
    }
}
