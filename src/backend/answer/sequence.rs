//! The numbers of a stream's events, which reveal repeated and lost events.
//!
//! * The backend numbers its events consecutively. A skipped number is a lost event; a repeated number is a repeated
//!   event.
//! * Numbers are trusted only after some have come in order and while gaps are the exception, and no longer once a
//!   number has denoted two different events: other backends number in other ways.
//! * Events that say nothing of the answer, such as keepalives, may be numbered among the others or in a way of their own.
//! * A number alone never decides: if it causes an omission, a finished form has to confirm the text.

/// The numbers received.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    /// The next expected number, after the first event.
    next: Option<u64>,
    /// The events received directly after their predecessor.
    in_order: u32,
    /// The number of gaps.
    gaps: u32,
    /// The missing numbers as ranges with both ends, in ascending order.
    missing: Vec<(u64, u64)>,
    /// The missing numbers of deltas whose text a finished form has supplied.
    made_up: u64,
    /// The number and length of every event other than a delta, in ascending order.
    events: Vec<(u64, usize)>,
    /// Numbers ahead of the others, of events that say nothing of the answer.
    asides: Vec<u64>,
    /// Whether a number has denoted two events.
    unreliable: bool,
    /// Whether deltas came late or repeatedly.
    disturbed: bool,
}

/// The novelty of an event, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The number is new.
    New,
    /// The number was missing.
    Late,
    /// The number came before.
    Again,
}

impl Sequence {
    /// Records a delta; `false` if it came before and must not be added again.
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

    /// Records an event of `length` bytes other than a delta; `false` if the same event came before.
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
                // The number of an earlier delta now denotes another event.
                self.unreliable |= turn == Turn::Again;
                self.events.insert(position, (number, length));
                true
            }
        }
    }

    /// Records the number of an event that says nothing of the answer. It may fill a gap, now or later, and never makes
    /// one.
    pub(crate) fn aside(&mut self, number: Option<u64>) {
        let (Some(number), Some(next)) = (number, self.next) else { return };
        if number == next {
            self.next = Some(number.saturating_add(1));
        } else if number > next {
            if self.asides.len() < MOST_GAPS {
                self.asides.push(number);
            }
        } else {
            self.fill(number);
        }
    }

    /// Counts the lost events, as far as the numbers can be trusted.
    pub(crate) fn lost(&self) -> u64 {
        if self.is_believed() { self.missing() } else { 0 }
    }

    /// Counts the lost events whose text no finished form has supplied.
    pub(crate) fn lost_for_good(&self) -> u64 {
        self.lost().saturating_sub(self.made_up)
    }

    /// Returns whether an event was lost, late or repeated, so that only finished forms can be trusted.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.disturbed || self.lost() > 0
    }

    /// Counts the gaps so far, including those filled late.
    pub(crate) const fn gaps(&self) -> u32 {
        self.gaps
    }

    /// Returns whether an event may have been lost since there were `gaps` gaps.
    pub(crate) const fn has_lost_since(&self, gaps: u32) -> bool {
        self.gaps != gaps && self.is_believed()
    }

    /// Records that a finished text has supplied the losses so far.
    pub(crate) fn make_up(&mut self) {
        self.made_up = self.missing();
    }

    /// Returns a number for an event that replaces a lost one, directly before the event `number`.
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
                self.missing.push((next, number - 1));
                self.unreliable |= self.missing.len() > MOST_GAPS;
                let asides = std::mem::take(&mut self.asides);
                self.asides = asides.into_iter().filter(|aside| !self.fill(*aside) && *aside > number).collect();
                self.gaps = self.gaps.saturating_add(u32::from(self.missing.last().is_some_and(|gap| gap.0 >= next)));
            }
            self.next = Some(number.saturating_add(1));
            return Turn::New;
        }
        if self.fill(number) { Turn::Late } else { Turn::Again }
    }

    /// Removes a number from the missing ones; `false` if it is not among them.
    fn fill(&mut self, number: u64) -> bool {
        let Some(gap) = self.missing.iter().position(|(first, last)| (*first..=*last).contains(&number)) else {
            return false;
        };
        let (first, last) = self.missing.remove(gap);
        if number < last {
            self.missing.insert(gap, (number + 1, last));
        }
        if first < number {
            self.missing.insert(gap, (first, number - 1));
        }
        true
    }

    fn missing(&self) -> u64 {
        self.missing.iter().fold(0, |sum, (first, last)| sum.saturating_add(last - first + 1))
    }

    const fn is_believed(&self) -> bool {
        !self.unreliable && self.in_order >= ENOUGH && self.in_order >= self.gaps
    }
}

/// The numbers that must have come in order before any is trusted.
const ENOUGH: u32 = 2;

/// The gaps after which a stream no longer counts as numbered consecutively.
const MOST_GAPS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds events of these numbers and lengths; a delta has the length 0.
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
    fn what_says_nothing_of_the_answer_makes_no_gap() {
        let after = |events: &[(bool, u64)]| {
            let mut sequence = Sequence::default();
            for (is_aside, number) in events {
                if *is_aside { sequence.aside(Some(*number)) } else { assert!(sequence.event(Some(*number), 9)) }
            }
            (sequence.lost(), sequence.gaps())
        };
        let (said, aside) = (|number| (false, number), |number| (true, number));
        assert_eq!(after(&[said(0), said(1), aside(466), said(2), said(3), aside(467), said(4)]), (0, 0));
        assert_eq!(after(&[said(0), said(1), aside(2), said(3), aside(4), aside(5), said(6)]), (0, 0));
        // The events 3 and 5 are lost; 4 is not.
        assert_eq!(after(&[said(0), said(1), said(2), aside(4), said(6), said(7), said(8)]), (2, 1));
        assert_eq!(after(&[said(0), said(1), said(2), said(5), aside(4), said(6)]), (1, 1));
        assert_eq!(after(&[aside(7), said(0), said(1), said(2), aside(0)]), (0, 0));
    }

    #[test]
    fn numbers_that_mean_nothing_are_not_believed() {
        // The same number for every delta, the same number for two events, and numbers that count something else.
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
