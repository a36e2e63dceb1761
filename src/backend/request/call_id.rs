//! Identifiers the backend accepts.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The longest identifier the backend takes, in characters.
const MAX_LENGTH: usize = 64;

/// How much of a too long identifier stays readable.
const KEPT: usize = 23;

/// `id` itself, or for one that is too long or empty a shorter one: the same each time, and different for different ids.
pub(crate) fn fit(id: Cow<'_, str>) -> Cow<'_, str> {
    if !id.is_empty() && id.chars().count() <= MAX_LENGTH {
        return id;
    }
    let kept: String = id.chars().take(KEPT).collect();
    let digest = hex(&Sha256::digest(id.as_bytes()));
    let digest: String = digest.chars().take(MAX_LENGTH - KEPT - 1).collect();
    Cow::Owned(format!("{kept}_{digest}"))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_without_collisions() {
        assert_eq!(fit(Cow::Borrowed("call_1")), "call_1");
        let long = "x".repeat(65);
        let longer = "x".repeat(66);
        let fitted = fit(Cow::Borrowed(&long));
        assert_eq!(fitted.chars().count(), MAX_LENGTH);
        assert_eq!(fitted, fit(Cow::Borrowed(&long)));
        assert_ne!(fitted, fit(Cow::Borrowed(&longer)));
        assert!(!fit(Cow::Borrowed("")).is_empty());
        let wide = "é".repeat(64);
        assert_eq!(fit(Cow::Borrowed(&wide)), wide);
    }
}
