//! One level of JSON: an object or an array, each value undecoded.

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Error;
use serde_json::value::RawValue;

/// One level of a JSON object: its keys in order, each with its raw value.
///
/// A history has as many objects as items, and nearly all have few keys, for which a walk is faster than a hash.
#[derive(Debug, Default)]
pub struct Object<'a> {
    /// The entries, up to [`FEW`].
    few: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// All entries, if there are more.
    many: IndexMap<Cow<'a, str>, &'a RawValue>,
}

impl<'a> Object<'a> {
    /// Reads the object in `json`.
    #[inline]
    pub fn of(json: &'a str) -> Result<Self, Error> {
        serde_json::from_str(json)
    }

    /// Reads the object in `json`, whose UTF-8 is checked, too.
    #[inline]
    pub fn of_bytes(json: &'a [u8]) -> Result<Self, Error> {
        serde_json::from_slice(json)
    }

    /// Returns the value under `name`; `null` counts as absent.
    pub fn find(&self, name: &str) -> Option<&'a RawValue> {
        let entry = || self.few.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
        let value = if self.many.is_empty() { entry() } else { self.many.get(name).copied() };
        value.filter(|value| value.get() != "null")
    }

    /// Iterates over the keys and values, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        let few = self.few.iter().map(|(key, value)| (key.as_ref(), *value));
        few.chain(self.many.iter().map(|(key, value)| (key.as_ref(), *value)))
    }

    fn insert(&mut self, key: Cow<'a, str>, value: &'a RawValue) {
        if !self.many.is_empty() {
            self.many.insert(key, value);
        } else if let Some((_, earlier)) = self.few.iter_mut().find(|(known, _)| *known == key) {
            *earlier = value;
        } else if self.few.len() < FEW {
            self.few.push((key, value));
        } else {
            self.many.extend(self.few.drain(..).chain([(key, value)]));
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut object = Object::default();
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            object.insert(key, value);
        }
        Ok(object)
    }
}

/// A key that is borrowed if it has no escapes; a bare `Cow` would always be copied.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Returns the elements of an array; `None` for any other JSON.
#[inline]
pub fn elements(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok()
}

/// The largest number of entries that are walked rather than hashed.
const FEW: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_raw_text() {
        let object: Object<'_> = serde_json::from_str(r#"{"b": 12345678901234567890123, "a\u0041": [1 , 2]}"#).unwrap();
        let entries: Vec<_> = object.iter().map(|(key, value)| (key.to_owned(), value.get())).collect();
        assert_eq!(entries, [("b".to_owned(), "12345678901234567890123"), ("aA".to_owned(), "[1 , 2]")]);
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let object: Object<'_> = serde_json::from_str(r#"{"a":1,"a":2}"#).unwrap();
        assert_eq!(object.find("a").unwrap().get(), "2");
        assert_eq!(object.iter().count(), 1);
    }

    #[test]
    fn many_keys_keep_order_and_last_values_too() {
        for count in [FEW - 1, FEW, FEW + 1, 100] {
            let mut json: Vec<String> = (0..count).map(|number| format!(r#""k{number}":{number}"#)).collect();
            json.extend([r#""k3":"last""#.to_owned(), r#""k1":null"#.to_owned()]);
            let json = format!("{{{}}}", json.join(","));
            let object: Object<'_> = serde_json::from_str(&json).unwrap();
            assert_eq!(object.find("k3").unwrap().get(), "\"last\"");
            assert!(object.find("k1").is_none() && object.find("k100").is_none());
            let keys: Vec<_> = object.iter().map(|(key, _)| key.to_owned()).collect();
            assert_eq!(keys, (0..count).map(|number| format!("k{number}")).collect::<Vec<_>>());
        }
    }
}
