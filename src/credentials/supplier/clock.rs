//! The issuer's time, inferred from its tokens.
//!
//! * A token's expiry is measured by a clock, and this machine's may be days off: a flat battery, a virtual machine
//!   that slept, a wrong time zone set by hand. The issuer's clock is the one that counts.
//! * A token just issued is valid. If it appears expired, or issued in the future, this machine's clock is off by the
//!   time since the token's `iat`, and is corrected by that from then on.
//! * Each refresh replaces the correction, so a clock that is set right is trusted again.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::credentials::document::{Login, REFRESH_MARGIN, TRUSTED_WITHOUT_EXPIRY};
use crate::oauth::claims::Claims;
use crate::platform::unix_now;

/// This machine's clock with a correction from the issuer's tokens.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// How far this machine's clock is ahead of the issuer's, in seconds.
    ahead: AtomicI64,
}

impl Clock {
    /// Returns the issuer's time in Unix seconds.
    pub(super) fn now(&self) -> u64 {
        self.correct(local())
    }

    /// Updates the correction from a login with a token just issued.
    pub(super) fn learn(&self, login: &Login) {
        let ahead = ahead(login, local());
        let before = self.ahead.swap(ahead, Ordering::Relaxed);
        if ahead != 0 && before.abs_diff(ahead) > TOLERANCE.unsigned_abs() {
            let direction = if ahead > 0 { "ahead of" } else { "behind" };
            tracing::warn!(
                "this machine's clock is {} {direction} the token issuer's; tokens are used by the issuer's time, but the \
                 clock should be set",
                duration(ahead.unsigned_abs())
            );
        }
    }

    fn correct(&self, local: u64) -> u64 {
        local.saturating_add_signed(-self.ahead.load(Ordering::Relaxed))
    }
}

/// Returns how many seconds `local` (Unix seconds) is ahead of the issuer of a login's new token; 0 without a reason to
/// think so.
fn ahead(login: &Login, local: u64) -> i64 {
    let Some(expires_at) = login.expires_at else { return 0 };
    let issued_at = match Claims::of(login.access.token.expose()).issued_at {
        Some(issued_at) => issued_at,
        // Without `iat`, a token just issued still cannot be expired.
        None if expires_at <= local => expires_at.saturating_sub(TRUSTED_WITHOUT_EXPIRY),
        None => return 0,
    };
    let (Ok(local_time), Ok(issuers_time)) = (i64::try_from(local), i64::try_from(issued_at)) else { return 0 };
    let ahead = local_time.saturating_sub(issuers_time);
    let looks_spent = expires_at < local.saturating_add(REFRESH_MARGIN) && expires_at > issued_at;
    if ahead < -TOLERANCE || (ahead > TOLERANCE && looks_spent) { ahead } else { 0 }
}

fn local() -> u64 {
    unix_now().as_secs()
}

/// Formats `seconds` exactly enough to find the mistake.
fn duration(seconds: u64) -> String {
    match seconds {
        0..HOUR => format!("{} min", seconds.div_ceil(60)),
        HOUR..TWO_DAYS => format!("{} h", seconds / HOUR),
        _ => format!("{} days", seconds / (24 * HOUR)),
    }
}

/// Tolerance for two good clocks and a slow answer, in seconds.
const TOLERANCE: i64 = 60;
const HOUR: u64 = 3600;
const TWO_DAYS: u64 = 48 * HOUR;

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::credentials::AuthDocument;

    const NOW: u64 = 1_795_600_000;
    const DAY: u64 = 24 * HOUR;

    /// Returns how far ahead the clock appears with these claims.
    fn seems_ahead(issued_at: Option<u64>, expires_at: u64) -> i64 {
        let mut claims = serde_json::json!({ "exp": expires_at });
        if let Some(issued_at) = issued_at {
            claims["iat"] = issued_at.into();
        }
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
        ahead(&AuthDocument::from_access_token(&token, Some("a")).login().unwrap(), NOW)
    }

    #[test]
    fn a_new_token_tells_a_wrong_clock_from_a_right_one() {
        let days = |days: i64| days * i64::try_from(DAY).unwrap();
        assert_eq!(seems_ahead(Some(NOW), NOW + 10 * DAY), 0);
        assert_eq!(seems_ahead(Some(NOW - 50), NOW + 1800), 0, "a short life and a slow answer");
        assert_eq!(seems_ahead(Some(NOW - 11 * DAY), NOW - DAY), days(11));
        assert_eq!(seems_ahead(Some(NOW - 10 * DAY + 1800), NOW + 1800), days(10) - 1800, "nearly expired at birth");
        assert_eq!(seems_ahead(Some(NOW + 11 * DAY), NOW + 21 * DAY), days(-11));
        assert_eq!(seems_ahead(Some(NOW - DAY), NOW + 9 * DAY), 0, "one that the issuer had given before");
        assert_eq!(seems_ahead(Some(NOW - 30), NOW - 60), 0, "expired by the issuer's own time");
        assert_eq!(seems_ahead(None, NOW - DAY), days(9));
        assert_eq!(seems_ahead(None, NOW + 1800), 0, "a short life");
        assert_eq!(seems_ahead(None, NOW + 10 * DAY), 0);
    }

    #[test]
    fn what_was_learned_is_allowed_for_until_the_next_token() {
        let clock = Clock::default();
        let at = |issued_at: u64| {
            let claims = serde_json::json!({ "iat": issued_at, "exp": issued_at + 10 * DAY });
            let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
            AuthDocument::from_access_token(&token, Some("a")).login().unwrap()
        };
        let far_off = at(local() - 11 * DAY);
        assert!(far_off.is_expired(clock.now()));
        clock.learn(&far_off);
        assert!(!far_off.needs_refresh_soon(clock.now()));
        clock.learn(&at(local()));
        assert!(far_off.is_expired(clock.now()));
    }

    #[test]
    fn durations_in_words() {
        let words = [61, 3 * HOUR, 47 * HOUR, 11 * DAY].map(duration);
        assert_eq!(words, ["2 min", "3 h", "47 h", "11 days"]);
    }
}
