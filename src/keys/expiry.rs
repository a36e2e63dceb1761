//! The end of a key, as a day or an instant.
//!
//! ```
//! use codex_proxy::humanize::rfc3339;
//! use codex_proxy::keys::expiry::parse;
//!
//! // A day counts to its end, in UTC.
//! assert_eq!(rfc3339(parse("2026-12-31").unwrap()), "2027-01-01T00:00:00Z");
//! assert_eq!(rfc3339(parse("2026-12-31T18:00:00+02:00").unwrap()), "2026-12-31T16:00:00Z");
//! assert!(parse("31.12.2026").is_err());
//! ```

use serde::{Deserialize as _, Deserializer, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::humanize;

/// Parses a day (`2026-12-31`) or an instant (`2026-12-31T18:00:00Z`), in Unix seconds. The error is a clause.
pub fn parse(text: &str) -> Result<u64, String> {
    let instant = |text: &str| {
        let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        u64::try_from(instant.unix_timestamp()).ok()
    };
    let whole_day = || instant(&format!("{text}T00:00:00Z")).map(|beginning| beginning + DAY);
    let end = if text.len() == "2026-12-31".len() { whole_day() } else { instant(text) };
    end.ok_or_else(|| {
        format!("{text:?} is no date; write a day like 2026-12-31 or an instant like 2026-12-31T18:00:00Z")
    })
}

/// Writes an end for a file.
pub(super) fn serialize<S: Serializer>(end: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&end.map(humanize::rfc3339))
}

/// Reads an end from a file.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse(&text)).transpose().map_err(de::Error::custom)
}

/// The seconds of a day in UTC.
pub const DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_date_is_refused_with_an_example() {
        for text in [
            "",
            "2026-13-01",
            "2026-02-30",
            "2026-1-1",
            "20261231",
            "1969-12-31",
            "2026-12-31T18:00",
            "2026-12-3é",
            "soon",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("2026-12-31"), "{error}");
        }
        assert_eq!(parse("1970-01-01"), Ok(DAY));
    }
}
