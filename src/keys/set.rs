//! All named keys, as JSON: `{"version":1,"keys":[{"name","sha256",…}]}`.
//!
//! * What this version does not know is an error: a limit that is skipped would be none.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::keys::digest::KeyDigest;
use crate::keys::named::NamedKey;

/// Keys with different names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Arc<NamedKey>>);

/// The document. Keys are only read whole, so that `K` differs for reading and writing.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `version` and `keys`")]
struct KeyDocument<K> {
    version: u32,
    keys: Vec<K>,
}

impl KeySet {
    /// The most keys: each is compared with that of every request.
    pub const MOST: usize = 256;

    /// Parses a document. The error is a clause that says what is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: KeyDocument<NamedKey> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if document.version != VERSION {
            return Err(format!("its version is {}, and this program knows {VERSION}", document.version));
        }
        let mut set = Self::default();
        for key in document.keys {
            let name = key.name.clone();
            set.add(key).map_err(|problem| format!("the key {name}: {problem}"))?;
        }
        Ok(set)
    }

    /// Writes the document. It is read back: one that says anything else would close or open the API. The error is a clause.
    pub fn to_json(&self) -> Result<String, String> {
        let document = KeyDocument { version: VERSION, keys: self.0.iter().map(AsRef::as_ref).collect() };
        let text = serde_json::to_string_pretty(&document).map_err(|error| error.to_string())? + "\n";
        if Self::parse(&text).as_ref() != Ok(self) {
            return Err("the keys cannot be written so that they read back as they are".to_owned());
        }
        Ok(text)
    }

    /// Adds a key. The error is a clause.
    pub fn add(&mut self, key: NamedKey) -> Result<(), String> {
        key.check()?;
        if let Some(known) = self.0.iter().find(|known| known.name.is_like(&key.name)) {
            return Err(format!("there is a key {} already", known.name));
        }
        if self.0.iter().any(|known| known.digest == key.digest) {
            return Err("another key has the same sha256".to_owned());
        }
        if self.0.len() >= Self::MOST {
            return Err(format!("there are {} keys already, which is the most", Self::MOST));
        }
        self.0.push(Arc::new(key));
        Ok(())
    }

    /// Removes the key `name`. Returns whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|key| key.name.as_str() != name);
        self.0.len() < before
    }

    /// Returns whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the keys in the order of their addition.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<NamedKey>> {
        self.0.iter()
    }

    /// Returns the last of the keys that is among those `presented`. Each is compared with each: an early end would
    /// show in the time.
    pub fn find(&self, presented: impl Iterator<Item = KeyDigest>) -> Option<&Arc<NamedKey>> {
        let found = presented.map(|digest| digest.position(self.0.iter().map(|key| &key.digest)));
        found.fold(None, |last, index| index.or(last)).and_then(|index| self.0.get(index))
    }
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::named::KeyName;
    use crate::models::effort::Effort;

    fn key(name: &str) -> NamedKey {
        NamedKey::unlimited(KeyName::parse(name).expect("a name"), KeyDigest::of(name.as_bytes()))
    }

    #[test]
    fn a_set_reads_back_as_it_was_written() {
        let mut set = KeySet::default();
        assert_eq!(set.to_json().and_then(|text| KeySet::parse(&text)), Ok(set.clone()));
        set.add(key("plain")).expect("added");
        let limited = NamedKey {
            models: vec!["gpt-6-sol".to_owned(), "fast".to_owned()],
            max_effort: Some(Effort::High),
            tokens_per_day: Some(u64::MAX),
            requests_per_minute: Some(NamedKey::MOST_REQUESTS),
            expires_at: Some(1_795_666_259),
            ..key("limited")
        };
        set.add(limited).expect("added");
        let text = set.to_json().expect("written");
        assert_eq!(KeySet::parse(&text), Ok(set));
        assert!(text.contains(r#""expires_at": "2026-11-26T04:10:59Z""#), "{text}");
    }

    #[test]
    fn what_would_not_read_back_is_not_written() {
        let mut set = KeySet::default();
        set.add(NamedKey { expires_at: Some(u64::MAX), ..key("a") }).expect("added");
        assert!(set.to_json().expect_err("no calendar holds it").contains("9999"));
    }

    #[test]
    fn what_could_allow_more_than_was_meant_is_an_error() {
        let digest = "0".repeat(64);
        let with = |more: &str| {
            KeySet::parse(&format!(r#"{{"version":1,"keys":[{{"name":"a","sha256":"{digest}"{more}}}]}}"#))
        };
        assert!(with("").is_ok());
        for (more, named) in [
            (r#","tokens_per_week":5"#, "tokens_per_week"),
            (r#","tokens_per_day":0"#, "tokens_per_day"),
            (r#","tokens_per_day":-1"#, "-1"),
            (r#","tokens_per_day":5,"tokens_per_day":6"#, "tokens_per_day"),
            (r#","requests_per_minute":0"#, "requests_per_minute"),
            (r#","requests_per_minute":10001"#, "requests_per_minute"),
            (r#","max_effort":"enormous""#, "enormous"),
            (r#","models":[" "]"#, "models"),
            (r#","models":"gpt-6-sol""#, "gpt-6-sol"),
            (r#","expires_at":"soon""#, "soon"),
            (r#"},{"name":"A","sha256":"1""#, "64"),
        ] {
            let error = with(more).expect_err(more);
            assert!(error.contains(named), "{more}: {error}");
        }
        for text in
            ["", "{}", "[]", r#"{"version":2,"keys":[]}"#, r#"{"version":1,"keys":[],"more":1}"#, r#"{"version":1"#]
        {
            assert!(KeySet::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_and_keys_stand_once() {
        let mut set = KeySet::default();
        set.add(key("a")).expect("added");
        assert!(set.add(key("A")).expect_err("twice").contains("there is a key a already"));
        assert!(set.add(NamedKey { digest: key("a").digest, ..key("b") }).is_err());
        assert!(!set.remove("A") && set.remove("a") && set.is_empty());
        for number in 0..KeySet::MOST {
            set.add(key(&number.to_string())).expect("added");
        }
        assert!(set.add(key("more")).is_err());
    }

    #[test]
    fn the_last_key_that_is_presented_counts() {
        let mut set = KeySet::default();
        set.add(key("a")).expect("added");
        set.add(key("b")).expect("added");
        let found = |presented: &[&str]| {
            set.find(presented.iter().map(|key| KeyDigest::of(key.as_bytes()))).map(|key| key.name.as_str().to_owned())
        };
        assert_eq!(found(&["a", "b", "c"]).as_deref(), Some("b"));
        assert_eq!(found(&["b", "a"]).as_deref(), Some("a"));
        assert_eq!(found(&["c"]).or(found(&[])), None);
    }
}
