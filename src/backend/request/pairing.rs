//! The assignment of tool outputs to calls, for every route.
//!
//! The backend requires each call to have exactly one output and each output its call, within one kind of call.
//!
//! * An output belongs to the nearest earlier call of its id without an output, else to the first later one. Calls
//!   without ids, chat's legacy functions, are answered in order.
//! * An output without a matching call of its kind takes a call of the other kind that runs at the client.
//! * Every other output is an orphan.
//! * A call id that is empty, too long or taken by an earlier call is replaced, the same way on every turn.
//!
//! The time is linear in the calls, outputs and the length of their ids.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::backend::request::call_id;

/// The kinds of calls; an output of one kind does not answer a call of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    /// Functions and local shells, both answered by `function_call_output`, and every chat call with an id.
    Function,
    /// Custom tools.
    Custom,
    /// Searches for tools.
    ToolSearch,
    /// Calls that the client's API ran itself. Their outputs come with them.
    Served,
    /// Legacy functions of chat, known by their name instead of an id.
    Named,
}

/// A call or an output in a history.
#[derive(Debug, Clone)]
pub(crate) struct Point<'h> {
    /// The kind of call.
    pub(crate) family: Family,
    /// The id, or for [`Family::Named`] the name; decoded.
    pub(crate) key: Cow<'h, str>,
    /// The position in the history; several calls may share one.
    pub(crate) place: usize,
}

/// The assignment of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The output answers the call with this index.
    Answers(usize),
    /// No call is left for the output.
    Orphan {
        /// Whether a call of the id exists, with another output.
        is_known: bool,
    },
}

/// The calls and outputs of a history, paired.
#[derive(Debug)]
pub(crate) struct Pairing<'h> {
    /// The id to send for each call.
    pub(crate) ids: Vec<Cow<'h, str>>,
    /// The index of the output of each call.
    pub(crate) outputs: Vec<Option<usize>>,
    /// The assignment of each output.
    pub(crate) fates: Vec<Fate>,
}

impl<'h> Pairing<'h> {
    /// Pairs `calls` with `outputs`, both in the order of the history.
    pub(crate) fn new(calls: &[Point<'h>], outputs: &[Point<'_>]) -> Self {
        let mut pairing = Self {
            ids: unique_ids(calls),
            outputs: vec![None; calls.len()],
            fates: vec![Fate::Orphan { is_known: false }; outputs.len()],
        };
        pairing.pair(calls, outputs, |family| family);
        // A client that confuses the two kinds still means the call of that id.
        pairing.pair(calls, outputs, |family| if family == Family::Custom { Family::Function } else { family });
        pairing
    }

    /// Pairs the unpaired calls and outputs, with families mapped by `alike`.
    fn pair(&mut self, calls: &[Point<'_>], outputs: &[Point<'_>], alike: impl Fn(Family) -> Family) {
        if self.fates.iter().all(|fate| matches!(fate, Fate::Answers(_))) {
            return;
        }
        let mut groups: HashMap<(Family, &str), Group> = HashMap::new();
        for (index, call) in calls.iter().enumerate() {
            let group = groups.entry((alike(call.family), call.key.as_ref())).or_default();
            if self.outputs.get(index).is_some_and(Option::is_none) {
                group.later.push_back((call.place, index));
            }
        }
        for (index, (output, fate)) in outputs.iter().zip(&mut self.fates).enumerate() {
            if matches!(fate, Fate::Answers(_)) {
                continue;
            }
            let Some(group) = groups.get_mut(&(alike(output.family), output.key.as_ref())) else { continue };
            let call = match output.family {
                Family::Named => group.first(),
                Family::Function | Family::Custom | Family::ToolSearch | Family::Served => group.nearest(output.place),
            };
            *fate = call.map_or(Fate::Orphan { is_known: true }, Fate::Answers);
            if let Some(slot) = call.and_then(|call| self.outputs.get_mut(call)) {
                *slot = Some(index);
            }
        }
    }
}

/// The output of a call without a recorded one.
pub(crate) const MISSING_OUTPUT: &str = "No output was recorded for this tool call.";

/// Returns the heading of a quoted output without a call, before the id.
pub(crate) const fn orphan_heading(is_known: bool) -> &'static str {
    if is_known { "Another output of the tool call" } else { "Output of the unknown tool call" }
}

/// The unanswered calls of one id, each with its place.
#[derive(Debug, Default)]
struct Group {
    /// Calls before the last output examined; the nearest is last, and of calls in one place the first.
    earlier: Vec<usize>,
    /// The other calls, in order.
    later: VecDeque<(usize, usize)>,
}

impl Group {
    fn first(&mut self) -> Option<usize> {
        self.later.pop_front().map(|(_, index)| index)
    }

    fn nearest(&mut self, place: usize) -> Option<usize> {
        while let Some(&(here, _)) = self.later.front().filter(|(call, _)| *call < place) {
            let together = self.later.iter().take_while(|(call, _)| *call == here).count();
            self.earlier.extend(self.later.drain(..together).map(|(_, index)| index).rev());
        }
        self.earlier.pop().or_else(|| self.first())
    }
}

/// Returns the id to send for each call: its own, if the backend accepts it and no earlier call has it.
fn unique_ids<'h>(calls: &[Point<'h>]) -> Vec<Cow<'h, str>> {
    let mut used: HashSet<Cow<'h, str>> = HashSet::with_capacity(calls.len());
    // The occurrences of an id, so that the thousandth call of one id tries no number a second time.
    let mut times: HashMap<Cow<'h, str>, usize> = HashMap::new();
    let mut ids = Vec::with_capacity(calls.len());
    for (ordinal, call) in calls.iter().enumerate() {
        let own = match call.family {
            Family::Named => Cow::Owned(format!("call_legacy_{ordinal}")),
            Family::Function | Family::Custom | Family::ToolSearch | Family::Served => call.key.clone(),
        };
        // The number is appended to the fitted id: an attempt costs the same for an id of megabytes as for a short one.
        let mut id = call_id::fit(own);
        if used.contains(&id) {
            let fitting = id.clone();
            let time = times.entry(id.clone()).or_insert(1);
            while used.contains(&id) {
                *time += 1;
                id = call_id::fit(Cow::Owned(format!("{fitting}_{time}")));
            }
        }
        used.insert(id.clone());
        ids.push(id);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(list: &[(Family, &'static str, usize)]) -> Vec<Point<'static>> {
        list.iter().map(|&(family, key, place)| Point { family, key: Cow::Borrowed(key), place }).collect()
    }

    fn fates(calls: &[(Family, &'static str, usize)], outputs: &[(Family, &'static str, usize)]) -> Vec<Fate> {
        Pairing::new(&points(calls), &points(outputs)).fates
    }

    use Family::{Custom, Function, Named, ToolSearch};
    use Fate::{Answers, Orphan};

    #[test]
    fn the_nearest_earlier_call_comes_first_and_then_the_first_later_one() {
        let calls = [(Function, "a", 0), (Function, "a", 2), (Function, "a", 9)];
        let outputs = [(Function, "a", 3), (Function, "a", 4), (Function, "a", 5), (Function, "a", 6)];
        assert_eq!(fates(&calls, &outputs), [Answers(1), Answers(0), Answers(2), Orphan { is_known: true }]);
        assert_eq!(fates(&calls, &[(Function, "b", 3)]), [Orphan { is_known: false }]);
    }

    #[test]
    fn calls_of_one_id_in_one_place_are_answered_in_their_order() {
        let calls = [(Function, "a", 1), (Function, "b", 1), (Function, "a", 1)];
        assert_eq!(fates(&calls, &[(Function, "a", 2), (Function, "a", 3)]), [Answers(0), Answers(2)]);
    }

    #[test]
    fn calls_without_ids_are_answered_in_their_order() {
        let calls = [(Named, "f", 1), (Named, "f", 3)];
        let outputs = [(Named, "f", 2), (Named, "f", 4), (Named, "f", 5)];
        assert_eq!(fates(&calls, &outputs), [Answers(0), Answers(1), Orphan { is_known: true }]);
    }

    #[test]
    fn the_own_kind_comes_before_another_one() {
        let calls = [(Function, "a", 0), (Custom, "a", 1), (Custom, "b", 2), (ToolSearch, "c", 3)];
        let outputs = [(Function, "a", 4), (Custom, "a", 5), (Function, "b", 6), (Function, "c", 7)];
        assert_eq!(fates(&calls, &outputs), [Answers(0), Answers(1), Answers(2), Orphan { is_known: false }]);
    }

    #[test]
    fn ids_are_told_apart_and_fit() {
        let long = "x".repeat(100);
        let calls: Vec<Point<'_>> = ["a", "a_2", "a", "a", "", long.as_str(), long.as_str()]
            .into_iter()
            .map(|key| Point { family: Function, key: Cow::Borrowed(key), place: 0 })
            .collect();
        let ids = Pairing::new(&calls, &[]).ids;
        assert_eq!(ids[..4], ["a", "a_2", "a_3", "a_4"]);
        let again = call_id::fit(Cow::Owned(format!("{}_2", ids[5])));
        assert_eq!(ids[6], again, "what is numbered is not the whole long id");
        assert!(ids.iter().all(|id| (1..=64).contains(&id.chars().count())), "{ids:?}");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert_eq!(ids, Pairing::new(&calls, &[]).ids, "the same each time");
    }
}
