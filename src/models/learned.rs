//! Knowledge from the backend's rejections about the account's models, until it sends another list.
//!
//! * A model refused as not available is replaced by its successor, unless the operator is strict.
//! * The efforts in a rejection replace the catalogue's.
//! * The number of remembered models is bounded, because clients can make up names.

use std::collections::{HashMap, HashSet};

use crate::models::effort::Effort;

/// Rejections by the model's name, in lower case.
#[derive(Debug, Default)]
pub(super) struct Learned {
    refused: HashSet<String>,
    efforts: HashMap<String, Vec<Effort>>,
}

impl Learned {
    /// Records that the backend refuses the account `model`.
    pub(super) fn refuse(&mut self, model: &str) {
        if self.refused.len() < MOST {
            self.refused.insert(model.to_owned());
        }
    }

    /// Returns whether the backend refused `model`.
    pub(super) fn is_refused(&self, model: &str) -> bool {
        self.refused.contains(model)
    }

    /// Records that `model` supports `levels`.
    pub(super) fn take(&mut self, model: &str, levels: Vec<Effort>) {
        if self.efforts.len() < MOST || self.efforts.contains_key(model) {
            self.efforts.insert(model.to_owned(), levels);
        }
    }

    /// Returns the levels known for `model`.
    pub(super) fn levels(&self, model: &str) -> Option<&[Effort]> {
        self.efforts.get(model).map(Vec::as_slice)
    }

    /// Fits `effort` to the levels known for `model`; `asked` is the requested effort, before any catalogue's clamp.
    pub(super) fn fit(&self, model: &str, effort: Option<Effort>, asked: Option<Effort>) -> Option<Effort> {
        match (effort, self.efforts.get(model)) {
            (Some(effort), Some(levels)) if !levels.contains(&effort) => Some(asked.unwrap_or(effort).nearest(levels)),
            (effort, _) => effort,
        }
    }
}

/// More models than any catalogue has.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::learned::Effort::{High, Low, Max, Medium, None as Off};

    #[test]
    fn only_so_many_names_are_remembered() {
        let mut learned = Learned::default();
        for number in 0..2 * MOST {
            learned.refuse(&number.to_string());
            learned.take(&number.to_string(), vec![Low]);
        }
        assert_eq!((learned.refused.len(), learned.efforts.len()), (MOST, MOST));
        learned.take("0", vec![High]);
        assert_eq!(learned.fit("0", Some(Low), None), Some(High));
    }

    #[test]
    fn an_effort_the_backend_takes_stays_and_another_goes_to_the_nearest() {
        let mut learned = Learned::default();
        learned.take("m", vec![Low, Medium]);
        assert_eq!(learned.fit("m", Some(Low), Some(Off)), Some(Low));
        assert_eq!(learned.fit("m", Some(Off), Some(Off)), Some(Low));
        assert_eq!(learned.fit("m", Some(High), Some(Max)), Some(Medium));
        assert_eq!(learned.fit("m", None, None), None);
        assert_eq!(learned.fit("other", Some(Max), Some(Max)), Some(Max));
    }
}
