//! Times, numbers and plans in words. Pure.
//!
//! ```
//! use codex_proxy::humanize;
//!
//! assert_eq!(humanize::duration(100_000), "1 day 3 hours");
//! assert_eq!(humanize::relative(1_000, 4_600), "1 hour ago");
//! assert_eq!((humanize::count(1_234).as_str(), humanize::millis(1_234).as_str()), ("1.2k", "1.2s"));
//! assert_eq!(humanize::plan("pro"), "Pro (More)");
//! assert_eq!(humanize::instant(1_786_000_000).as_deref(), Some("2026-08-06 07:06 UTC"));
//! assert_eq!(humanize::rfc3339(1_786_000_000).as_deref(), Some("2026-08-06T07:06:40Z"));
//! ```

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Formats `seconds` in its two largest units: `9 days 23 hours`, `1 minute`, `less than a minute`.
pub fn duration(seconds: u64) -> String {
    let units = [("day", seconds / 86_400), ("hour", seconds / 3600 % 24), ("minute", seconds / 60 % 60)];
    let words: Vec<String> = units
        .into_iter()
        .skip_while(|(_, count)| *count == 0)
        .take(2)
        .filter(|(_, count)| *count > 0)
        .map(|(unit, count)| format!("{count} {unit}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if words.is_empty() { "less than a minute".to_owned() } else { words.join(" ") }
}

/// Formats `at` relative to `now` (both Unix seconds): `in 3 hours`, `5 minutes ago`.
pub fn relative(at: u64, now: u64) -> String {
    if at > now { format!("in {}", duration(at - now)) } else { format!("{} ago", duration(now - at)) }
}

/// Returns ChatGPT's display name of the issuer's `plan`, as of 2026-09. An unknown plan stays as it is.
pub fn plan(plan: &str) -> &str {
    match plan {
        "free" => "Free",
        "go" => "Go",
        "plus" => "Plus",
        "prolite" => "Pro",
        "pro" => "Pro (More)",
        "promax" => "Pro (Max)",
        "team" => "Team",
        "business" => "Business",
        "self_serve_business_prolite" => "Business (Pro)",
        "self_serve_business_usage_based" => "Business (usage-based)",
        "enterprise" | "ent26" => "Enterprise",
        "enterprise_cbp_usage_based" => "Enterprise (usage-based)",
        "enterprise_cbp_automation" => "Enterprise (automation)",
        "enterprise_cbp_trial" => "Enterprise (trial)",
        "edu" | "education" => "Edu",
        unknown => unknown,
    }
}

/// Formats `at` (Unix seconds) as RFC 3339 has it: `2026-11-26T04:10:00Z`. That ends with the year 9999, [`LAST`]: `None` for
/// a later time.
pub fn rfc3339(at: u64) -> Option<String> {
    date_time(at)?.format(&Rfc3339).ok()
}

/// Formats `at` (Unix seconds) as a date and a time of day: `2026-11-26 04:10 UTC`; `None` for a time after [`LAST`].
pub fn instant(at: u64) -> Option<String> {
    date_time(at).map(|at| format!("{} {:02}:{:02} UTC", at.date(), at.hour(), at.minute()))
}

fn date_time(at: u64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(at).ok()?).ok()
}

/// The last second of the year 9999 in UTC, in Unix seconds: a year has four digits in RFC 3339.
pub const LAST: u64 = 253_402_300_799;

/// Formats a count in at most five characters: `999`, `1.2k`, `345k`, `6.7M`.
pub fn count(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    let units = ["k", "M", "G", "T", "P", "E"];
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut rest = number as f64 / 1000.0;
    let mut units = units.into_iter();
    let mut unit = units.next().unwrap_or_default();
    while rest >= 999.5 {
        rest /= 1000.0;
        unit = units.next().unwrap_or(unit);
    }
    if rest < 9.95 { format!("{rest:.1}{unit}") } else { format!("{rest:.0}{unit}") }
}

/// Formats milliseconds in at most five characters: `820ms`, `1.2s`, `45s`, `12m`.
pub fn millis(time: u64) -> String {
    match time {
        0..1000 => format!("{time}ms"),
        1000..9950 => format!("{}.{}s", (time + 50) / 1000, (time + 50) % 1000 / 100),
        9950..599_500 => format!("{}s", (time + 500) / 1000),
        _ => format!("{}m", time / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_have_the_names_that_chatgpt_shows() {
        for (spelt, shown) in [
            ("plus", "Plus"),
            ("prolite", "Pro"),
            ("pro", "Pro (More)"),
            ("promax", "Pro (Max)"),
            ("enterprise_cbp_trial", "Enterprise (trial)"),
            ("law", "law"),
            ("hc_consumption", "hc_consumption"),
        ] {
            assert_eq!(plan(spelt), shown);
        }
    }

    #[test]
    fn two_largest_units() {
        for (seconds, words) in [
            (0, "less than a minute"),
            (59, "less than a minute"),
            (60, "1 minute"),
            (3_600, "1 hour"),
            (3_661, "1 hour 1 minute"),
            (86_400 + 59, "1 day"),
            (86_400 + 120, "1 day"),
            (9 * 86_400 + 23 * 3_600 + 59 * 60, "9 days 23 hours"),
        ] {
            assert_eq!(duration(seconds), words, "{seconds}");
        }
        assert_eq!(relative(7_300, 100), "in 2 hours");
        assert_eq!(relative(100, 7_300), "2 hours ago");
    }

    #[test]
    fn an_instant_is_a_date_and_a_time() {
        assert_eq!(instant(1_795_666_259).as_deref(), Some("2026-11-26 04:10 UTC"));
        assert_eq!(instant(0).as_deref(), Some("1970-01-01 00:00 UTC"));
    }

    #[test]
    fn a_time_that_no_calendar_holds_is_never_an_empty_text() {
        assert_eq!(rfc3339(LAST).as_deref(), Some("9999-12-31T23:59:59Z"));
        for beyond in [LAST + 1, u64::MAX] {
            assert_eq!((rfc3339(beyond), instant(beyond)), (None, None), "{beyond}");
        }
    }

    #[test]
    fn numbers_have_at_most_five_characters() {
        for (count, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.0k"),
            (9_949, "9.9k"),
            (9_951, "10k"),
            (999_499, "999k"),
            (999_500, "1.0M"),
            (123_456_789, "123M"),
            (u64::MAX, "18E"),
        ] {
            assert_eq!(super::count(count), expected, "{count}");
        }
        for (millis, expected) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_000, "1.0s"),
            (9_949, "9.9s"),
            (9_950, "10s"),
            (125_000, "125s"),
            (700_000, "11m"),
        ] {
            assert_eq!(super::millis(millis), expected, "{millis}");
        }
    }
}
