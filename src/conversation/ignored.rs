//! Request fields without effect, by their paths.
//!
//! * A path names one place (`messages[3].images`). The same key in many places is one pattern (`messages[*].images`),
//!   so that a long history does not make a long list.
//! * The list has a maximum length, and ends with [`MORE`] if it is cut.
//! * A key with an empty value (`null`, `""`, `[]`, `{}`) is not listed.

use indexmap::IndexMap;
use serde_json::value::RawValue;

use crate::excerpt::beginning;
use crate::json::{Object, Path};

/// Ignored fields, in the order of their first occurrence.
#[derive(Debug, Clone, Default)]
pub struct Ignored {
    /// By pattern: the number of occurrences, and the first paths.
    patterns: IndexMap<String, (usize, Vec<String>)>,
    is_cut: bool,
    scratch: String,
}

impl Ignored {
    /// Adds the field at `path`.
    pub fn add(&mut self, path: &Path<'_>) {
        use std::fmt::Write as _;
        self.scratch.clear();
        // Writing into a String cannot fail.
        let _ = write!(self.scratch, "{}", path.pattern());
        cut(&mut self.scratch);
        if let Some((count, paths)) = self.patterns.get_mut(self.scratch.as_str()) {
            *count += 1;
            if *count <= PATHS_OF_A_PATTERN {
                paths.push(short(path));
            }
        } else if self.patterns.len() < MOST_PATTERNS {
            self.patterns.insert(self.scratch.clone(), (1, vec![short(path)]));
        } else {
            self.is_cut = true;
        }
    }

    /// Adds each key of `object`, which has the given `path`, that is not in `known` and whose value is not empty.
    pub fn add_unknown(&mut self, object: &Object<'_>, known: &[&str], path: &Path<'_>) {
        for (key, value) in object.iter() {
            if !known.contains(&key) && says_something(value) {
                self.add(&path.key(key));
            }
        }
    }

    /// Adds each key of `object`, which has the given `path`, that is in `foreign` and whose value is not empty.
    pub fn add_foreign(&mut self, object: &Object<'_>, foreign: &[&str], path: &Path<'_>) {
        for (key, value) in object.iter() {
            if foreign.contains(&key) && says_something(value) {
                self.add(&path.key(key));
            }
        }
    }

    /// Returns the paths and patterns, in at most [`LONGEST`] bytes.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut length = 0;
        let paths = self.patterns.iter().flat_map(|(pattern, (count, paths))| match count {
            0..=PATHS_OF_A_PATTERN => paths.as_slice(),
            _ => std::slice::from_ref(pattern),
        });
        let mut is_cut = self.is_cut;
        for name in paths {
            length += name.len() + 2;
            if length > LONGEST {
                is_cut = true;
                break;
            }
            names.push(name.clone());
        }
        if is_cut {
            names.push(MORE.to_owned());
        }
        names
    }
}

/// Returns whether ignoring `value` loses anything.
fn says_something(value: &RawValue) -> bool {
    let text = value.get();
    let inside = [('[', ']'), ('{', '}')]
        .iter()
        .find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close))
        .unwrap_or(text);
    !inside.trim().is_empty() && text != "null" && text != "\"\""
}

fn short(path: &Path<'_>) -> String {
    let mut name = path.to_string();
    cut(&mut name);
    name
}

fn cut(name: &mut String) {
    name.truncate(beginning(name, LONGEST_NAME).len());
}

/// The last name of a list that was cut.
pub const MORE: &str = "...";

/// The maximum bytes of all names, each with its separator.
const LONGEST: usize = 2000;
const LONGEST_NAME: usize = 96;
const MOST_PATTERNS: usize = 64;
const PATHS_OF_A_PATTERN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_places_are_listed_and_many_are_one_pattern() {
        let mut ignored = Ignored::default();
        let messages = Path::Root.key("messages");
        for index in 0..3 {
            ignored.add(&messages.index(index).key("name"));
        }
        ignored.add(&Path::Root.key("user"));
        assert_eq!(ignored.names(), ["messages[0].name", "messages[1].name", "messages[2].name", "user"]);
        ignored.add(&messages.index(3).key("name"));
        assert_eq!(ignored.names(), ["messages[*].name", "user"]);
    }

    #[test]
    fn the_list_has_an_end() {
        let mut ignored = Ignored::default();
        for number in 0..5000 {
            ignored.add(&Path::Root.key(&format!("key_{number}_{}", "é".repeat(100))));
        }
        let names = ignored.names();
        assert_eq!(names.last().map(String::as_str), Some(MORE));
        assert!(names.join(", ").len() <= LONGEST + 5, "{}", names.len());
    }

    #[test]
    fn values_that_say_nothing_are_not_listed() {
        let json = r#"{"a":null,"b":"","c":[],"d":{ },"e":[ ],"f":0,"g":false,"h":[[]],"i":" ","known":1}"#;
        let object: Object<'_> = serde_json::from_str(json).unwrap();
        let mut ignored = Ignored::default();
        ignored.add_unknown(&object, &["known"], &Path::Root.key("x"));
        assert_eq!(ignored.names(), ["x.f", "x.g", "x.h", "x.i"]);
    }
}
