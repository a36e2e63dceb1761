//! The key by which the backend finds a conversation's cached prompt.
//!
//! * The client's own key or session id, if it sends one.
//! * Otherwise a hash over the constant parts of a conversation: model, instructions, tool names and the first user
//!   message. The same conversation gets the same key on every turn, and another conversation another key.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use crate::backend::request::call_id::{fit, hex};

/// Collects the identifying parts of a conversation.
#[derive(Debug, Clone)]
pub struct SessionKey(Sha256);

impl SessionKey {
    /// Begins the key of a conversation with `model`.
    pub fn new(model: &str) -> Self {
        let mut key = Self(Sha256::new());
        key.add(model);
        key
    }

    /// Adds a constant part. Its length comes first, so that different sequences of parts cannot collide.
    ///
    /// Of a long part, such as an image, only samples are hashed: a collision needs two of the same length that agree
    /// in all of them.
    pub fn add(&mut self, part: &str) {
        let part = part.as_bytes();
        self.0.update((part.len() as u64).to_le_bytes());
        if part.len() <= LONG {
            self.0.update(part);
            return;
        }
        let stride = (part.len() - SAMPLE) / (SAMPLES - 1);
        for start in (0..SAMPLES).map(|number| number * stride) {
            self.0.update(part.get(start..start + SAMPLE).unwrap_or_default());
        }
    }

    /// Returns whether a part is so long that only samples of it are hashed.
    pub(super) fn is_long(part: &str) -> bool {
        part.len() > LONG
    }

    /// Returns the key, shaped like a version 5 UUID.
    pub fn finish(self) -> String {
        let mut digest = self.0.finalize();
        digest[6] = (digest[6] & 0x0f) | 0x50;
        digest[8] = (digest[8] & 0x3f) | 0x80;
        let text = hex(&digest[..16]);
        [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
    }
}

/// Returns the client's own key: in the body, else in a header.
pub fn given_key(body: Option<&str>, header: Option<&str>) -> Option<String> {
    body.into_iter().chain(header).find(|key| !key.is_empty()).map(|key| fit(Cow::Borrowed(key)).into_owned())
}

/// The longest part that is hashed whole, in bytes.
const LONG: usize = 64 << 10;
/// The number of samples of a long part, evenly spaced, and their length in bytes.
const SAMPLES: usize = 64;
const SAMPLE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_parts_same_key_shaped_like_a_uuid() {
        let key = |parts: &[&str]| {
            let mut key = SessionKey::new("m");
            parts.iter().for_each(|part| key.add(part));
            key.finish()
        };
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
        assert_ne!(key(&["a", "b"]), key(&["ab"]));
        let text = key(&["a"]);
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&text[14..15], "5");
    }

    #[test]
    fn a_long_part_counts_by_its_length_and_its_samples() {
        let key = |part: &str| {
            let mut key = SessionKey::new("m");
            key.add(part);
            key.finish()
        };
        let long = "x".repeat(1 << 20);
        let with = |at: usize| {
            let mut text = long.clone();
            text.replace_range(at..=at, "y");
            text
        };
        assert_eq!(key(&long), key(&long));
        assert_ne!(key(&long), key(&long[1..]));
        for at in [0, long.len() / 63 + 1, long.len() - 1] {
            assert_ne!(key(&long), key(&with(at)), "{at}");
        }
        assert_eq!(key(&long), key(&with(1000)), "between two samples");
    }

    #[test]
    fn the_body_beats_the_header_and_empty_is_none() {
        assert_eq!(given_key(Some("b"), Some("h")).as_deref(), Some("b"));
        assert_eq!(given_key(Some(""), Some("h")).as_deref(), Some("h"));
        assert_eq!(given_key(None, Some("")), None);
        assert_eq!(given_key(Some(&"k".repeat(100)), None).unwrap().len(), 64);
    }
}
