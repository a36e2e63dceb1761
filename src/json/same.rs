//! The comparison of two JSON values by their meaning.

use std::collections::HashMap;

use codex_proxy_wire::json::{Object, Text, elements, is_nested_within};

use crate::json::value;

/// Returns whether two JSON texts mean the same: white space, the order of keys and escapes do not count, while each
/// digit of a number does. Values that are nested too deeply to be compared count as different.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one == other
        || ([one, other].iter().all(|json| is_nested_within(json.as_bytes(), DEEPEST)) && are_equal(one, other))
}

fn are_equal(one: &str, other: &str) -> bool {
    if let (Ok(one), Ok(other)) = (Object::of(one), Object::of(other)) {
        let values: HashMap<&str, &str> = other.iter().map(|(key, value)| (key, value.get())).collect();
        return one.iter().count() == values.len()
            && one.iter().all(|(key, value)| values.get(key).is_some_and(|other| are_equal(value.get(), other)));
    }
    if let (Some(one), Some(other)) = (elements(one), elements(other)) {
        return one.len() == other.len() && one.iter().zip(other).all(|(one, other)| are_equal(one.get(), other.get()));
    }
    let text = |json| value::raw(json).and_then(Text::of).map(Text::decode);
    match (text(one), text(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.trim() == other.trim(),
    }
}

/// The deepest nesting that is compared.
const DEEPEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_by_their_meaning() {
        let deep = |inside: &str| format!("{}{inside}{}", "[".repeat(1000), "]".repeat(1000));
        for (one, other, same) in [
            ("{}", " { } ", true),
            (r#"{"a":1,"b":["\u00e4",null]}"#, r#"{ "b": ["ä", null], "a": 1 }"#, true),
            ("1", "1 ", true),
            ("1", "1.0", false),
            ("12345678901234567890123", "12345678901234567890124", false),
            (r#"{"a":1}"#, r#"{"a":2}"#, false),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, false),
            (r#"{"a":null}"#, r#"{"b":null}"#, false),
            ("[1,2]", "[2,1]", false),
            ("[]", "{}", false),
            (r#""1""#, "1", false),
            ("", "{}", false),
            ("not json", "not json ", true),
            (&deep("1"), &deep("1"), true),
            (&deep("1"), &deep(" 1"), false),
        ] {
            assert_eq!(is_same(one, other), same, "{one} {other}");
            assert_eq!(is_same(other, one), same, "{other} {one}");
        }
    }
}
