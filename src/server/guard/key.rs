//! API keys, compared in constant time.
//!
//! * Keys are kept and compared as SHA-256 digests: neither length nor content shows in the time of a comparison.
//! * A client sends `Authorization: Bearer KEY` or `X-API-Key: KEY`.

use std::fmt;

use http::{HeaderMap, HeaderName, header};

use crate::keys::digest::KeyDigest;

/// A set of keys, each of which grants access.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys {
    digests: Vec<KeyDigest>,
}

impl Keys {
    /// Creates a set of the non-blank `keys`.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let keys = keys.into_iter().map(str::trim).filter(|key| !key.is_empty());
        Self { digests: keys.map(|key| KeyDigest::of(key.as_bytes())).collect() }
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
    pub fn presented(&self, headers: &HeaderMap) -> Option<KeyDigest> {
        // Each is compared: an early end would show in the time.
        presented(headers).filter(|presented| presented.position(&self.digests).is_some()).last()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} keys", self.digests.len())
    }
}

/// Returns the digests of all that `headers` present as a key.
pub(super) fn presented(headers: &HeaderMap) -> impl Iterator<Item = KeyDigest> {
    texts(headers).map(KeyDigest::of)
}

/// Returns the texts in `headers` whose digest is `digest`.
pub(in crate::server) fn texts_of(headers: &HeaderMap, digest: KeyDigest) -> impl Iterator<Item = &[u8]> {
    texts(headers).filter(move |text| KeyDigest::of(text) == digest)
}

fn texts(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearers = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| bearer(value.as_bytes()));
    let plain = headers.get_all(API_KEY).iter().map(|value| value.as_bytes().trim_ascii());
    bearers.chain(plain)
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(SCHEME.len())?;
    (scheme.eq_ignore_ascii_case(SCHEME)).then(|| key.trim_ascii())
}

const SCHEME: &[u8] = b"Bearer ";
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

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
