//! The numbers of a stream's events: which event comes again, and whether one has been lost.
//!
//! * The backend numbers its events one after the other. A number that is left out is an event that was lost; one that comes
//!   again is an event that came twice.
//! * Numbers are believed only once some have come in order, while gaps are the exception, and no longer when one stands for
//!   two different events: other backends number in ways of their own.
//! * A number alone never decides: what is left out because of one has to be borne out by a finished form.

/// The numbers that have come.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    /// The number that comes next, once one has come.
    next: Option<u64>,
    /// How many came right after the one before.
    in_order: u32,
    /// How often numbers have been left out.
    gaps: u32,
    /// Numbers that have not come, each range with its ends, in ascending order.
    missing: Vec<(u64, u64)>,
    /// How many missing numbers were deltas that a finished text has made up for.
    made_up: u64,
    /// Number and length of every event that is no delta, in ascending order.
    events: Vec<(u64, usize)>,
    /// A number has stood for two events.
    unreliable: bool,
    /// Deltas came late, or again.
    disturbed: bool,
}

/// What a number says of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It is as new as any.
    New,
    /// It was missing.
    Late,
    /// Its number has come before.
    Again,
}

impl Sequence {
    /// Takes note of a delta; `false` if it came before and must not be added again.
    pub(crate) fn delta(&mut self, number: Option<u64>) -> bool {
        let Some(number) = number else { return true };
        if self.next == Some(number) {
            self.next = Some(number.saturating_add(1));
            self.in_order = self.in_order.saturating_add(1);
            return true;
        }
        match self.turn(number) {
            Turn::New => true,
            Turn::Late => {
                self.disturbed = true;
                true
            }
            Turn::Again if self.is_believed() => {
                self.disturbed = true;
                false
            }
            Turn::Again => {
                self.unreliable = true;
                true
            }
        }
    }

    /// Takes note of an event of `length` bytes that is no delta; `false` if the same came before.
    pub(crate) fn event(&mut self, number: Option<u64>, length: usize) -> bool {
        let Some(number) = number else { return true };
        let turn = self.turn(number);
        match self.events.binary_search_by_key(&number, |event| event.0) {
            Ok(position) => {
                let is_the_same = self.events.get(position).is_some_and(|event| event.1 == length);
                self.unreliable |= !is_the_same;
                !is_the_same
            }
            Err(position) => {
                // A number that stood for a delta stands for something else now.
                self.unreliable |= turn == Turn::Again;
                self.events.insert(position, (number, length));
                true
            }
        }
    }

    /// How many events have been lost, as far as the numbers can be believed.
    pub(crate) fn lost(&self) -> u64 {
        if self.is_believed() { self.missing() } else { 0 }
    }

    /// How many of the lost events no finished text has made up for.
    pub(crate) fn lost_for_good(&self) -> u64 {
        self.lost().saturating_sub(self.made_up)
    }

    /// Whether something has been lost, came late or came again, so that only finished forms can be believed.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.disturbed || self.lost() > 0
    }

    /// How often numbers have been left out so far, whether they came late or not at all.
    pub(crate) const fn gaps(&self) -> u32 {
        self.gaps
    }

    /// Whether something may have been lost since there had been so many gaps.
    pub(crate) const fn has_lost_since(&self, gaps: u32) -> bool {
        self.gaps != gaps && self.is_believed()
    }

    /// A finished text has made up for what was lost so far.
    pub(crate) fn make_up(&mut self) {
        self.made_up = self.missing();
    }

    /// A number for an event that stands in for a lost one, right before the event `number`.
    pub(crate) fn number_before(&self, number: Option<u64>) -> Option<u64> {
        let before = number?.checked_sub(1)?;
        let is_missing = self.missing.last().is_some_and(|(_, last)| *last == before);
        Some(if is_missing { before } else { before + 1 })
    }

    fn turn(&mut self, number: u64) -> Turn {
        let next = self.next.unwrap_or(number);
        if number >= next {
            self.in_order = self.in_order.saturating_add(u32::from(self.next == Some(number)));
            if number > next {
                self.gaps = self.gaps.saturating_add(1);
                self.missing.push((next, number - 1));
                self.unreliable |= self.missing.len() > MOST_GAPS;
            }
            self.next = Some(number.saturating_add(1));
            return Turn::New;
        }
        let Some(gap) = self.missing.iter().position(|(first, last)| (*first..=*last).contains(&number)) else {
            return Turn::Again;
        };
        let (first, last) = self.missing.remove(gap);
        if number < last {
            self.missing.insert(gap, (number + 1, last));
        }
        if first < number {
            self.missing.insert(gap, (first, number - 1));
        }
        Turn::Late
    }

    fn missing(&self) -> u64 {
        self.missing.iter().fold(0, |sum, (first, last)| sum.saturating_add(last - first + 1))
    }

    const fn is_believed(&self) -> bool {
        !self.unreliable && self.in_order >= ENOUGH && self.in_order >= self.gaps
    }
}

/// How many numbers must have come in order.
const ENOUGH: u32 = 2;

/// A stream with more gaps than these is not numbered one by one.
const MOST_GAPS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// After events of these numbers and lengths; a delta has the length 0.
    fn after(events: &[(u64, usize)]) -> (Sequence, Vec<bool>) {
        let mut sequence = Sequence::default();
        let taken = events
            .iter()
            .map(|(number, length)| match length {
                0 => sequence.delta(Some(*number)),
                length => sequence.event(Some(*number), *length),
            })
            .collect();
        (sequence, taken)
    }

    #[test]
    fn numbers_in_order_raise_no_doubt() {
        let (sequence, taken) = after(&[(0, 9), (1, 8), (2, 0), (3, 0), (4, 7)]);
        assert!(taken.iter().all(|taken| *taken));
        assert_eq!((sequence.lost(), sequence.is_in_doubt()), (0, false));
        let mut sequence = Sequence::default();
        assert!(sequence.delta(None) && sequence.event(None, 5) && !sequence.is_in_doubt());
    }

    #[test]
    fn a_gap_is_a_loss_until_it_is_filled_or_made_up_for() {
        let (mut sequence, _) = after(&[(0, 9), (1, 8), (2, 0), (6, 0), (7, 0)]);
        assert_eq!((sequence.lost(), sequence.lost_for_good()), (3, 3));
        assert!(sequence.delta(Some(4)), "late, and not seen before");
        assert_eq!(sequence.lost(), 2);
        assert_eq!(sequence.missing, [(3, 3), (5, 5)]);
        sequence.make_up();
        assert_eq!((sequence.lost(), sequence.lost_for_good(), sequence.is_in_doubt()), (2, 0, true));
        assert_eq!((sequence.number_before(Some(6)), sequence.number_before(Some(8))), (Some(5), Some(8)));
    }

    #[test]
    fn what_comes_again_is_not_taken_again() {
        let (sequence, taken) = after(&[(0, 9), (1, 8), (2, 0), (2, 0), (3, 7), (3, 7), (1, 8), (4, 6)]);
        assert_eq!(taken, [true, true, true, false, true, false, false, true]);
        assert!(sequence.is_in_doubt() && sequence.lost() == 0);
    }

    #[test]
    fn numbers_that_mean_nothing_are_not_believed() {
        // One number for every delta, one number for two events, numbers that count something else.
        for events in [
            &[(0, 9), (5, 0), (5, 0), (5, 0), (6, 7)][..],
            &[(0, 9), (1, 8), (2, 7), (3, 9), (0, 5), (7, 6)],
            &[(0, 9), (10, 0), (20, 0), (30, 0), (40, 7)],
        ] {
            let (sequence, taken) = after(events);
            assert!(taken.iter().all(|taken| *taken), "{events:?}");
            assert_eq!(sequence.lost(), 0, "{events:?}");
        }
        let (sequence, _) = after(&[(u64::MAX, 1), (u64::MAX, 1), (0, 0), (u64::MAX - 1, 0)]);
        assert_eq!(sequence.lost(), 0);
    }
}
