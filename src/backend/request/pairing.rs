//! The assignment of tool outputs to calls, for every route.
//!
//! The backend requires each call to have exactly one output and each output its call, within one kind of call.
//!
//! * Most ids are unique, but some clients count their calls anew in every turn. So the outputs between two calls of an
//!   id answer the earlier calls of it, in order. If there are fewer outputs, they answer the latest calls that the model
//!   made at a stretch: the ones before were broken off.
//! * An output before all calls of its id answers one of the calls that follow. A second output answers no later call.
//! * Calls without ids, chat's legacy functions, have their names instead.
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
    /// The number of the interruptions of the model before it.
    pub(crate) stretch: usize,
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
        pairing.pair(calls, outputs, Some);
        // A client that confuses the two kinds still means the call of that id.
        pairing.pair(calls, outputs, |family| match family {
            Family::Function => Some(Family::Custom),
            Family::Custom => Some(Family::Function),
            Family::ToolSearch | Family::Served | Family::Named => None,
        });
        pairing
    }

    /// Pairs the unpaired calls and outputs. `answered` returns the family of the calls that an output of a family
    /// answers.
    fn pair<'p>(
        &mut self,
        calls: &'p [Point<'_>],
        outputs: &'p [Point<'_>],
        answered: impl Fn(Family) -> Option<Family>,
    ) {
        if self.fates.iter().all(|fate| matches!(fate, Fate::Answers(_))) {
            return;
        }
        let mut groups: HashMap<(Family, &'p str), Group> = HashMap::new();
        let group_of = |output: &'p Point<'_>| answered(output.family).map(|family| (family, output.key.as_ref()));
        let mut left = self.unpaired(outputs).into_iter().peekable();
        for (index, call) in calls.iter().enumerate() {
            while let Some((output, point)) = left.next_if(|(_, output)| output.place < call.place) {
                if let Some(key) = group_of(point) {
                    groups.entry(key).or_default().outputs.push(output);
                }
            }
            let is_open = self.outputs.get(index).is_some_and(Option::is_none);
            let group = groups.entry((call.family, call.key.as_ref())).or_default();
            self.answer(group.begin(call.stretch, is_open.then_some(index)));
        }
        for (output, point) in left {
            if let Some(key) = group_of(point) {
                groups.entry(key).or_default().outputs.push(output);
            }
        }
        for group in groups.values_mut() {
            self.answer(group.pairs());
        }
        for (output, point) in self.unpaired(outputs) {
            let has_call = group_of(point).and_then(|key| groups.get(&key)).is_some_and(|group| group.has_call);
            if let Some(Fate::Orphan { is_known }) = self.fates.get_mut(output) {
                *is_known |= has_call;
            }
        }
    }

    /// Returns the outputs that answer no call, with their indices.
    fn unpaired<'p, 'o>(&self, outputs: &'p [Point<'o>]) -> Vec<(usize, &'p Point<'o>)> {
        let fates = outputs.iter().enumerate().zip(&self.fates);
        fates.filter(|(_, fate)| matches!(fate, Fate::Orphan { .. })).map(|(output, _)| output).collect()
    }

    /// Records the `pairs` of a call and its output.
    fn answer(&mut self, pairs: Vec<(usize, usize)>) {
        for (call, output) in pairs {
            if let (Some(slot), Some(fate)) = (self.outputs.get_mut(call), self.fates.get_mut(output)) {
                *slot = Some(output);
                *fate = Fate::Answers(call);
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

/// The calls and outputs of one id, up to a point of the history.
#[derive(Debug, Default)]
struct Group {
    /// Whether there has been a call.
    has_call: bool,
    /// The calls without an output, by the stretch in which the model made them.
    open: Vec<(usize, VecDeque<usize>)>,
    /// The number of open calls.
    count: usize,
    /// The outputs before the first call.
    early: Vec<usize>,
    /// The outputs since the last call.
    outputs: Vec<usize>,
}

impl Group {
    /// Takes a call made in `stretch`, which is `open` unless it has an output. Returns the pairs before it.
    fn begin(&mut self, stretch: usize, open: Option<usize>) -> Vec<(usize, usize)> {
        let pairs = if self.outputs.is_empty() { Vec::new() } else { self.pairs() };
        self.has_call = true;
        if let Some(call) = open {
            self.count += 1;
            match self.open.last_mut().filter(|(last, _)| *last == stretch) {
                Some((_, calls)) => calls.push_back(call),
                None => self.open.push((stretch, VecDeque::from([call]))),
            }
        }
        pairs
    }

    /// Pairs the open calls with the outputs since the last call, and with earlier ones as far as calls remain.
    fn pairs(&mut self) -> Vec<(usize, usize)> {
        let outputs = std::mem::take(&mut self.outputs);
        if !self.has_call {
            self.early = outputs;
            return Vec::new();
        }
        let mut answers = std::mem::take(&mut self.early);
        answers.truncate(self.count.saturating_sub(outputs.len()));
        answers.extend(outputs);
        self.latest(answers.len()).into_iter().zip(answers).collect()
    }

    /// Takes the latest open calls, up to `wanted`, in order; of one stretch the first. The calls of earlier stretches
    /// were broken off and are not open any more.
    fn latest(&mut self, wanted: usize) -> Vec<usize> {
        let (mut latest, mut rest) = (Vec::new(), None);
        while latest.len() < wanted
            && let Some((stretch, mut calls)) = self.open.pop()
        {
            latest.extend(calls.drain(..calls.len().min(wanted - latest.len())));
            rest = Some((stretch, calls)).filter(|(_, calls)| !calls.is_empty());
        }
        latest.sort_unstable();
        self.count = rest.as_ref().map_or(0, |(_, calls)| calls.len());
        self.open.clear();
        self.open.extend(rest);
        latest
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
        let point = |&(family, key, place)| Point { family, key: Cow::Borrowed(key), place, stretch: 0 };
        list.iter().map(point).collect()
    }

    fn fates(calls: &[(Family, &'static str, usize)], outputs: &[(Family, &'static str, usize)]) -> Vec<Fate> {
        Pairing::new(&points(calls), &points(outputs)).fates
    }

    use Family::{Custom, Function, Named, ToolSearch};
    use Fate::{Answers, Orphan};

    /// A history of one id: a number is a call, a letter the output of the call with that place in the alphabet, `x` an
    /// output that answers none, and `/` an interruption.
    #[test]
    fn outputs_of_one_id_go_to_the_calls_that_they_belong_to() {
        for history in [
            "1a2b3c",
            "123abc",
            "1 2 3 a b c",
            "12ab3c",
            "1ax/2b",
            "1ax2",
            "12a/3bc",
            "1/2b",
            "1/2b/3cx",
            "12/3c",
            "12a",
            "12a/b",
            "1/2ab",
            "a1",
            "ab12",
            "a12b",
            "ax1",
            "x1a2b",
            "xx1a",
            "1a/2/3bc",
            "x",
        ] {
            let (mut calls, mut outputs, mut expected, mut stretch) = (Vec::new(), Vec::new(), Vec::new(), 0);
            for (place, letter) in history.char_indices() {
                let mut point = Point { family: Function, key: Cow::Borrowed("a"), place, stretch };
                match letter {
                    '0'..='9' => calls.push(point),
                    'a'..='z' => {
                        stretch += 1;
                        point.stretch = stretch;
                        expected.push(Some(usize::from(letter as u8 - b'a')).filter(|_| letter != 'x'));
                        outputs.push(point);
                    }
                    _ => stretch += usize::from(letter == '/'),
                }
            }
            let pairing = Pairing::new(&calls, &outputs);
            let found = pairing.fates.iter().map(|fate| match fate {
                Answers(call) => Some(*call),
                Orphan { is_known } => {
                    assert_eq!(*is_known, !calls.is_empty(), "{history}");
                    None
                }
            });
            assert_eq!(found.collect::<Vec<_>>(), expected, "{history}");
            for (output, call) in expected.iter().enumerate() {
                assert!(call.is_none_or(|call| pairing.outputs[call] == Some(output)), "{history}");
            }
        }
    }

    #[test]
    fn ids_and_kinds_are_apart() {
        let calls = [(Function, "a", 1), (Function, "b", 1), (Function, "a", 1)];
        assert_eq!(fates(&calls, &[(Function, "a", 2), (Function, "a", 3)]), [Answers(0), Answers(2)]);
        assert_eq!(fates(&calls, &[(Function, "c", 2)]), [Orphan { is_known: false }]);
        let calls = [(Named, "f", 1), (Named, "f", 3)];
        let outputs = [(Named, "f", 2), (Named, "f", 4), (Named, "f", 5)];
        assert_eq!(fates(&calls, &outputs), [Answers(0), Answers(1), Orphan { is_known: true }]);
    }

    #[test]
    fn the_own_kind_comes_before_another_one() {
        let calls = [(Function, "a", 0), (Custom, "a", 1), (Custom, "b", 2), (ToolSearch, "c", 3)];
        let outputs = [(Function, "a", 4), (Custom, "a", 5), (Function, "b", 6), (Function, "c", 7)];
        assert_eq!(fates(&calls, &outputs), [Answers(0), Answers(1), Answers(2), Orphan { is_known: false }]);
        let outputs = [(Function, "a", 4), (Function, "a", 5), (Function, "a", 6)];
        assert_eq!(fates(&calls, &outputs), [Answers(0), Answers(1), Orphan { is_known: true }]);
    }

    #[test]
    fn ids_are_told_apart_and_fit() {
        let long = "x".repeat(100);
        let calls: Vec<Point<'_>> = ["a", "a_2", "a", "a", "", long.as_str(), long.as_str()]
            .into_iter()
            .map(|key| Point { family: Function, key: Cow::Borrowed(key), place: 0, stretch: 0 })
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
