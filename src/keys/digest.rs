//! What is known of a key: its SHA-256.
//!
//! * Digests are compared in constant time: neither length nor content of a key shows in the time of a comparison.
//! * In a file a digest is 64 hexadecimal digits, as `sha256sum` writes them.

use std::fmt;
use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// The SHA-256 of a key, which identifies the key without telling it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// Computes the digest of `key`.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Returns bytes that are unique to the key.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the index of this digest in `known`, the last one if there are several. The time depends on the number
    /// of `known` alone.
    pub fn position<'k>(&self, known: impl IntoIterator<Item = &'k Self>) -> Option<usize> {
        let (mut found, mut position) = (Choice::from(0), 0_u64);
        for (index, known) in (0_u64..).zip(known) {
            let same = known.0.ct_eq(&self.0);
            found |= same;
            position.conditional_assign(&index, same);
        }
        usize::try_from(position).ok().filter(|_| bool::from(found))
    }
}

impl Serialize for KeyDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = String::with_capacity(DIGITS);
        // Writing to a string cannot fail.
        self.0.iter().for_each(|byte| write!(digits, "{byte:02x}").unwrap_or_default());
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for KeyDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let is_hex = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            *byte = str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or_default();
        }
        is_hex.then_some(Self(bytes)).ok_or_else(|| de::Error::custom("a digest has 64 hexadecimal digits"))
    }
}

/// The digits of a digest in text.
const DIGITS: usize = 64;

impl fmt::Debug for KeyDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_found_where_it_stands_and_prints_nothing() {
        let known = ["a", "b", "a"].map(|key| KeyDigest::of(key.as_bytes()));
        for (key, position) in [("a", Some(2)), ("b", Some(1)), ("c", None), ("", None)] {
            assert_eq!(KeyDigest::of(key.as_bytes()).position(&known), position, "{key}");
        }
        assert_eq!(KeyDigest::of(b"a").position(&[]), None);
        assert_eq!(format!("{:?}", known[0]), "a key");
    }
}
