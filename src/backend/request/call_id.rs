//! Identifiers that the backend accepts.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

/// The longest identifier the backend takes, in characters.
const MAX_LENGTH: usize = 64;

/// The readable beginning kept of an identifier that is too long.
const KEPT: usize = 23;

/// Returns `id` unchanged, or a short replacement for an id that is too long or empty: the same each time, and
/// different for different ids.
pub(crate) fn fit(id: Cow<'_, str>) -> Cow<'_, str> {
    if !id.is_empty() && id.chars().count() <= MAX_LENGTH {
        return id;
    }
    let kept: String = id.chars().take(KEPT).collect();
    let digest = hex(&Sha256::digest(id.as_bytes()));
    let digest: String = digest.chars().take(MAX_LENGTH - KEPT - 1).collect();
    Cow::Owned(format!("{kept}_{digest}"))
}

/// Writes lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_two_digits_a_byte() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa5, 0xff]), "000fa5ff");
    }

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
