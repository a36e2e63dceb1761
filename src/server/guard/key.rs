//! API keys, compared in constant time.
//!
//! * Keys are kept and compared as SHA-256 digests: neither length nor content shows in the time of a comparison.
//! * A client sends `Authorization: Bearer KEY` or `X-API-Key: KEY`.

use std::fmt;

use http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// A set of keys, each of which grants access.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys {
    digests: Vec<[u8; 32]>,
}

impl Keys {
    /// Creates a set of the non-blank `keys`.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let keys = keys.into_iter().map(str::trim).filter(|key| !key.is_empty());
        Self { digests: keys.map(|key| digest(key.as_bytes())).collect() }
    }

    /// Returns whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Returns whether `headers` hold one of the keys.
    pub fn open(&self, headers: &HeaderMap) -> bool {
        self.presented(headers).is_some()
    }

    /// Returns the key in `headers`, the last one if there are several. The time does not depend on the match.
    pub fn presented(&self, headers: &HeaderMap) -> Option<KeyIdentity> {
        let bearers = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| bearer(value.as_bytes()));
        let plain = headers.get_all(API_KEY).iter().map(|value| value.as_bytes().trim_ascii());
        let (mut found, mut identity) = (Choice::from(0), [0; 32]);
        for presented in bearers.chain(plain) {
            let presented = digest(presented);
            for key in &self.digests {
                let same = key.ct_eq(&presented);
                found |= same;
                for (byte, known) in identity.iter_mut().zip(key) {
                    byte.conditional_assign(known, same);
                }
            }
        }
        bool::from(found).then_some(KeyIdentity(identity))
    }
}

/// The identity of a key, without the key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyIdentity([u8; 32]);

impl KeyIdentity {
    /// Returns bytes that are unique to the key.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} keys", self.digests.len())
    }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(SCHEME.len())?;
    (scheme.eq_ignore_ascii_case(SCHEME)).then(|| key.trim_ascii())
}

const SCHEME: &[u8] = b"Bearer ";
const API_KEY: &str = "x-api-key";

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        Keys::new(["first", " second ", ""]).open(&headers)
    }

    #[test]
    fn ways_to_present_a_key() {
        assert!(opens(&[("authorization", "Bearer first")]));
        assert!(opens(&[("authorization", "bearer  second")]));
        assert!(opens(&[("x-api-key", "second")]));
        assert!(opens(&[("authorization", "Bearer wrong"), ("x-api-key", "first")]));
        for wrong in
            ["Bearer", "Bearer ", "Bearer firs", "Bearer firstx", "Basic first", "first", "Bearer first second", ""]
        {
            assert!(!opens(&[("authorization", wrong)]), "{wrong:?}");
        }
        assert!(!opens(&[("x-api-key", "")]));
        assert!(!opens(&[]));
    }

    #[test]
    fn a_key_is_the_same_however_it_is_presented_and_another_is_another() {
        let keys = Keys::new(["first", "second"]);
        let presented = |name: &'static str, value: &'static str| {
            keys.presented(&HeaderMap::from_iter([(name.parse().unwrap(), http::HeaderValue::from_static(value))]))
        };
        let first = presented("authorization", "Bearer first");
        assert!(first.is_some() && first == presented("x-api-key", "first"));
        assert_ne!(first, presented("x-api-key", "second"));
        assert_eq!(presented("x-api-key", "third"), None);
        assert!(!format!("{first:?}").contains("first"));
    }

    #[test]
    fn no_key_opens_nothing_and_none_is_printed() {
        let mut headers = HeaderMap::new();
        headers.append("x-api-key", http::HeaderValue::from_static(""));
        assert!(!Keys::new([" "]).open(&headers) && Keys::new([" "]).is_empty());
        assert_eq!(format!("{:?}", Keys::new(["canary"])), "1 keys");
    }
}
