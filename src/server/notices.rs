//! Things worth saying once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Remembers what has been said, up to a number that no honest client reaches.
#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<HashSet<String>>);

impl Notices {
    /// Whether `what` has not been said before. Beyond the limit nothing is new.
    pub(super) fn is_new(&self, what: &str) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.len() < MOST && said.insert(what.to_owned())
    }
}

const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_each_and_not_for_ever() {
        let notices = Notices::default();
        assert!(notices.is_new("a"));
        assert!(!notices.is_new("a"));
        assert_eq!((0..2 * MOST).filter(|number| notices.is_new(&number.to_string())).count(), MOST - 1);
    }
}
