//! The end of a key, as a day or an instant.
//!
//! ```
//! use codex_proxy::humanize::rfc3339;
//! use codex_proxy::keys::expiry::parse;
//!
//! // A day counts to its end, in UTC.
//! assert_eq!(rfc3339(parse("2026-12-31").unwrap()).unwrap(), "2027-01-01T00:00:00Z");
//! assert_eq!(rfc3339(parse("2026-12-31T18:00:00+02:00").unwrap()).unwrap(), "2026-12-31T16:00:00Z");
//! assert!(parse("31.12.2026").is_err());
//! ```

use serde::{Deserialize as _, Deserializer, Serializer, de, ser};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::humanize;

/// Parses a day (`2026-12-31`) or an instant (`2026-12-31T18:00:00Z`), in Unix seconds. The error is a clause.
pub fn parse(text: &str) -> Result<u64, String> {
    let instant = |text: &str| {
        let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        u64::try_from(instant.unix_timestamp()).ok()
    };
    // The last day of all ends with its last second, as no later one can be written.
    let whole_day = || instant(&format!("{text}T00:00:00Z")).map(|beginning| (beginning + DAY).min(humanize::LAST));
    let end = if text.len() == "2026-12-31".len() { whole_day() } else { instant(text) };
    let end = end.ok_or_else(|| {
        format!("{text:?} is no date; write a day like 2026-12-31 or an instant like 2026-12-31T18:00:00Z")
    })?;
    if end > humanize::LAST {
        return Err(format!("{text:?} is after the year 9999 in UTC; a key without an end lasts as long"));
    }
    Ok(end)
}

/// Writes an end for a file.
pub(super) fn serialize<S: Serializer>(end: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    let written = end.map(|end| humanize::rfc3339(end).ok_or_else(|| ser::Error::custom("an end after the year 9999")));
    serializer.serialize_some(&written.transpose()?)
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

    #[test]
    fn every_end_can_be_written_and_read_again() {
        for text in ["2026-12-31", "9999-12-30", "9999-12-31", "9999-12-31T23:59:59.9Z"] {
            let end = parse(text).expect(text);
            let written = humanize::rfc3339(end).expect(text);
            assert_eq!(parse(&written), Ok(end), "{text}");
        }
        let error = parse("9999-12-31T23:00:00-02:00").expect_err("it is in the year 10000");
        assert!(error.contains("after the year 9999"), "{error}");
    }
}
