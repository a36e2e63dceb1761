//! Warnings that are logged once.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::{Mutex, PoisonError};

/// Remembers the warnings logged, up to a number that no honest client reaches.
#[derive(Debug, Default)]
pub(in crate::server) struct WarnOnce(Mutex<HashSet<String>>);

impl WarnOnce {
    /// Returns whether `what` was not logged before. Beyond the limit nothing is new.
    pub(in crate::server) fn is_new(&self, what: &str) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.len() < MOST && said.insert(what.to_owned())
    }
}

/// Remembers the most recent of unlimited values.
#[derive(Debug, Default)]
pub(in crate::server) struct Recent(Mutex<VecDeque<u64>>);

impl Recent {
    /// Returns whether `what` is not among the most recent values, and adds it.
    pub(in crate::server) fn is_new(&self, what: impl Hash) -> bool {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(what);
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.contains(&hash) {
            return false;
        }
        if recent.len() >= MOST {
            recent.pop_front();
        }
        recent.push_back(hash);
        true
    }
}

const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered_for_as_long_as_they_are() {
        let recent = Recent::default();
        assert!(recent.is_new(("a", 1)) && recent.is_new(("a", 2)) && !recent.is_new(("a", 1)));
        assert_eq!((0..MOST).filter(|number| recent.is_new(number)).count(), MOST);
        assert!(recent.is_new(("a", 1)));
    }

    #[test]
    fn once_each_and_not_for_ever() {
        let warn_once = WarnOnce::default();
        assert!(warn_once.is_new("a"));
        assert!(!warn_once.is_new("a"));
        assert_eq!((0..2 * MOST).filter(|number| warn_once.is_new(&number.to_string())).count(), MOST - 1);
    }
}
