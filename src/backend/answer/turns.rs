//! The order of an answer's pieces, whose events may interleave.
//!
//! * The pieces of the first unfinished item and part go out as they come. Those of later items and parts wait until it
//!   is finished, so that both modes give the same answer.
//! * Pieces wait only for pieces of the same lane: a client gets a chat message's text, reasoning and calls in separate
//!   fields, and the blocks of a message in one order.
//! * A piece that belongs before others already sent is an error, unless the sink sorts.

use crate::backend::answer::items::{At, Item, ItemKind, Items};
use crate::backend::answer::machine::{AnswerMachine, Sound};
use crate::backend::answer::ordered::{Group, Ordered, PieceOrder};
use crate::backend::answer::pieces::{Lane, Offer, Waiting};
use crate::backend::answer::sink::{CallHead, Sink};
use crate::backend::answer::verdict::Inconsistency;
use crate::backend::event::delta::DeltaKind;
use crate::backend::event::sse::LARGEST_FRAME;

const LANES: usize = 6;
/// The bit of an item that has ended, beside those of its lanes.
const ENDED: u8 = 1 << 7;

/// The pieces given and those that wait.
#[derive(Debug)]
pub(super) struct Turns {
    /// Whether all lanes are one.
    is_one_lane: bool,
    /// By lane, the part whose text goes out as it comes.
    current: [Option<At>; LANES],
    latest: [Option<Latest>; LANES],
    /// By item, the lanes of which it has given pieces, one bit each, and [`ENDED`].
    given: Vec<u8>,
    /// The item that was named to the sink last.
    named: Option<usize>,
    /// By lane, the pieces that wait. Where one waits, so do all behind it. Few answers have any.
    waiting: Option<Box<[Ordered<Waiting>; LANES]>>,
    /// The bytes of the waiting pieces.
    held: usize,
    /// By the number of a call, its index among those given.
    calls: Vec<Option<usize>>,
    given_calls: usize,
    /// The first item that may be unfinished.
    first_open: usize,
    /// By lane, the item for which a piece had to wait last.
    blockers: [Option<usize>; LANES],
}

/// The latest piece of a lane.
#[derive(Debug, Clone, Copy)]
struct Latest {
    item: usize,
    order: PieceOrder,
    /// The highest number and the last place of all items so far.
    number: usize,
    place: Option<u64>,
}

impl Turns {
    /// Creates the order of an empty answer. If `is_one_lane`, all pieces share one.
    pub(super) fn new(is_one_lane: bool) -> Self {
        Self {
            is_one_lane,
            current: [None; LANES],
            latest: [None; LANES],
            given: Vec::new(),
            named: None,
            waiting: None,
            held: 0,
            calls: Vec::new(),
            given_calls: 0,
            first_open: 0,
            blockers: [None; LANES],
        }
    }

    /// Returns whether the text of the part at `at` goes out as it comes.
    pub(super) fn is_current(&self, lane: Lane, at: At) -> bool {
        self.current[self.number(lane)] == Some(at)
    }

    /// Counts a call, and returns its number.
    pub(super) fn count_call(&mut self) -> usize {
        self.calls.push(None);
        self.calls.len() - 1
    }

    /// Returns the index, among the calls given, of the call with this number, if it has been given.
    pub(super) fn index_of(&self, call: usize) -> Option<usize> {
        self.calls.get(call).copied().flatten()
    }

    /// Returns whether any piece waits.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.as_ref().is_some_and(|lanes| !lanes.iter().all(Ordered::is_empty))
    }

    /// Returns whether no piece waits in a lane.
    fn is_empty(&self, lane: usize) -> bool {
        self.waiting.as_ref().is_none_or(|lanes| lanes[lane].is_empty())
    }

    /// Takes the first item whose pieces wait in a lane.
    fn pop(&mut self, lane: usize) -> Option<Group<Waiting>> {
        self.waiting.as_mut()?[lane].pop()
    }

    /// Finds the pieces of `item` that wait in a lane.
    fn find(&mut self, lane: usize, item: usize) -> Option<&mut Group<Waiting>> {
        self.waiting.as_mut()?[lane].find(item)
    }

    /// Returns the queue of a lane.
    fn queue(&mut self, lane: usize) -> &mut Ordered<Waiting> {
        &mut self.waiting.get_or_insert_default()[lane]
    }

    /// Returns the lane in which pieces of `item` wait.
    fn lane_of_waiting(&mut self, item: usize) -> Option<usize> {
        (0..LANES).find(|lane| self.find(*lane, item).is_some())
    }

    const fn number(&self, lane: Lane) -> usize {
        if self.is_one_lane { 0 } else { lane as usize }
    }

    fn are_the_same(&self, one: Lane, other: Lane) -> bool {
        self.is_one_lane || one == other
    }

    fn hold(&mut self, item: usize, place: Option<u64>, lane: usize, offer: Offer<'_>) {
        self.held += offer.bytes();
        let group = self.queue(lane).group(item, place);
        match (group.last_at(offer.order()), offer) {
            (Some(Waiting::Text(_, held)), Offer::Text(_, text)) => held.push_str(text.escaped()),
            (Some(Waiting::Arguments(_, _, held)), Offer::Arguments(_, _, text)) => held.push_str(text.escaped()),
            _ => group.add(offer.order(), offer.to_waiting()),
        }
    }

    /// Records that the end of an item is given.
    fn end(&mut self, item: usize) {
        if self.given.len() <= item {
            self.given.resize(item + 1, 0);
        }
        self.given[item] |= ENDED;
    }

    /// Returns whether the end of an item is given, and pieces of others after it. Of blocks, which share one order, none
    /// comes after the end.
    fn is_too_late(&self, item: usize, lane: Lane) -> bool {
        let has_ended = self.given.get(item).is_some_and(|given| given & ENDED != 0);
        let has_others = || self.latest[self.number(lane)].is_some_and(|latest| latest.item != item);
        has_ended && (self.is_one_lane || has_others())
    }

    /// Records a piece that is given; `false` if it belongs before others.
    fn follows(&mut self, item: usize, place: Option<u64>, order: PieceOrder, lane: usize) -> bool {
        if self.given.len() <= item {
            self.given.resize(item + 1, 0);
        }
        let has_given = self.given[item] & (1 << lane) != 0;
        self.given[item] |= 1 << lane;
        if let Some(latest) = self.latest[lane] {
            let is_resumed = has_given && latest.item != item;
            let is_early = match place.zip(latest.place) {
                Some((place, latest_place)) => (place, item) < (latest_place, latest.item),
                None => item < latest.number,
            };
            if is_resumed || is_early || (latest.item == item && order < latest.order) {
                return false;
            }
        }
        let earlier = self.latest[lane].map_or((0, None), |latest| (latest.number, latest.place));
        self.latest[lane] = Some(Latest { item, order, number: item.max(earlier.0), place: place.max(earlier.1) });
        true
    }
}

impl<S: Sink> AnswerMachine<S> {
    /// Gives the sink a piece of the item at `item`, and of its part at `part`: at once, or in its turn.
    pub(super) fn offer(&mut self, item: usize, part: Option<At>, offer: Offer<'_>, out: &mut Vec<u8>) -> Sound {
        let (place, lane) = (self.items.item(item).place, self.turns.number(offer.lane()));
        if matches!(offer, Offer::End)
            && let Some(lane) = self.turns.lane_of_waiting(item)
        {
            self.turns.hold(item, place, lane, offer);
            return Ok(());
        }
        if self.has_to_wait(item, &offer) {
            self.turns.hold(item, place, lane, offer);
            return self.require_room();
        }
        if self.turns.is_empty(lane) || matches!(offer, Offer::Arguments(..) | Offer::End) {
            return self.give(item, part, offer, out);
        }
        self.turns.hold(item, place, lane, offer);
        self.release_lane(lane, Some(item), out)
    }

    /// Gives the sink all waiting pieces whose turn has come.
    pub(super) fn release(&mut self, out: &mut Vec<u8>) -> Sound {
        (0..LANES).try_for_each(|lane| self.release_lane(lane, None, out))
    }

    /// Gives the sink the waiting pieces of a lane whose turn has come: all, or those up to and with the item at `last`, of which
    /// more may come with the same event.
    fn release_lane(&mut self, lane: usize, last: Option<usize>, out: &mut Vec<u8>) -> Sound {
        while let Some(mut group) = self.turns.pop(lane) {
            let item = group.item;
            while let Some((order, piece)) = group.pieces.pop_front() {
                let offer = piece.offer(item);
                if matches!(offer, Offer::End) {
                    self.offer(item, None, offer, out)?;
                } else if self.has_to_wait(item, &offer) {
                    group.pieces.push_front((order, piece));
                    self.turns.queue(lane).put_back(group);
                    return Ok(());
                } else {
                    self.turns.held -= offer.bytes();
                    self.give(item, None, offer, out)?;
                }
            }
            if last == Some(item) {
                break;
            }
        }
        Ok(())
    }

    /// Gives the sink all waiting pieces, since the answer is complete.
    pub(super) fn release_all(&mut self, out: &mut Vec<u8>) -> Sound {
        for lane in 0..LANES {
            while let Some(group) = self.turns.pop(lane) {
                self.give_group(&group, out)?;
            }
        }
        Ok(())
    }

    /// Gives a sink that sorts the waiting pieces of the item at `item`, so that they can be corrected.
    pub(super) fn release_early(&mut self, item: usize, out: &mut Vec<u8>) -> Sound {
        if !self.sink.sorts() {
            return Ok(());
        }
        for lane in 0..LANES {
            let Some(group) = self.turns.find(lane, item) else { continue };
            let pieces = std::mem::take(&mut group.pieces);
            let group = Group { item, place: group.place, pieces };
            self.give_group(&group, out)?;
        }
        Ok(())
    }

    fn give_group(&mut self, group: &Group<Waiting>, out: &mut Vec<u8>) -> Sound {
        group.pieces.iter().try_for_each(|(_, piece)| {
            let offer = piece.offer(group.item);
            self.turns.held -= offer.bytes();
            self.give(group.item, None, offer, out)
        })
    }

    fn has_to_wait(&mut self, item: usize, offer: &Offer<'_>) -> bool {
        match offer {
            Offer::Arguments(call, ..) => self.turns.index_of(*call).is_none(),
            Offer::End => false,
            Offer::Text(..) | Offer::Citation(..) => {
                let (order, lane) = (offer.order(), offer.lane());
                self.is_blocked_by_an_item(item, lane) || self.is_blocked_by_a_part(item, order, lane)
            }
            Offer::Call(_) | Offer::Image(_) | Offer::Sealed(_) | Offer::Search(_) => {
                self.is_blocked_by_an_item(item, offer.lane())
            }
        }
    }

    fn is_blocked_by_an_item(&mut self, item: usize, lane: Lane) -> bool {
        let number = self.turns.number(lane);
        if self.turns.blockers[number].is_some_and(|blocker| self.blocks(blocker, item, lane)) {
            return true;
        }
        while self.turns.first_open < self.items.len() && self.items.item(self.turns.first_open).done {
            self.turns.first_open += 1;
        }
        let end = if self.items.are_in_order() { item } else { self.items.len() };
        let blocker = (self.turns.first_open..end).find(|other| self.blocks(*other, item, lane));
        self.turns.blockers[number] = blocker.or(self.turns.blockers[number]);
        blocker.is_some()
    }

    /// Returns whether the item at `other` is unfinished and may still give pieces before those of `item`.
    fn blocks(&self, other: usize, item: usize, lane: Lane) -> bool {
        let blocking = self.items.item(other);
        other != item && !blocking.done && is_before(&self.items, other, item) && self.may_give(blocking, lane)
    }

    fn may_give(&self, item: &Item, lane: Lane) -> bool {
        let is = |other| self.turns.are_the_same(lane, other);
        match item.kind {
            ItemKind::Message => is(Lane::Text) || is(Lane::Refusal),
            ItemKind::Reasoning => self.shows(DeltaKind::Reasoning) && is(Lane::Reasoning),
            ItemKind::Call(_) => item.call.is_none() && is(Lane::Call),
            ItemKind::Image => is(Lane::Image),
            ItemKind::Search => is(Lane::Search),
            ItemKind::Other => false,
            ItemKind::Unknown => {
                item.parts.iter().any(|part| part.is_open() && self.shows(part.kind) && is(Lane::of(part.kind)))
            }
        }
    }

    fn is_blocked_by_a_part(&self, item: usize, order: PieceOrder, lane: Lane) -> bool {
        let item = self.items.item(item);
        let mut parts = item.parts.iter().filter(|part| part.order() < order && part.is_open());
        !item.done && parts.any(|part| self.shows(part.kind) && self.turns.are_the_same(lane, Lane::of(part.kind)))
    }

    /// Requires that a sink which could send the waiting pieces at once need not keep more of them than of an event.
    fn require_room(&self) -> Sound {
        let is_too_much = self.turns.held > LARGEST_FRAME && !self.sink.sorts();
        if is_too_much { Err(Inconsistency::Disorder) } else { Ok(()) }
    }

    fn give(&mut self, item: usize, part: Option<At>, offer: Offer<'_>, out: &mut Vec<u8>) -> Sound {
        match offer {
            Offer::Arguments(call, kind, text) => {
                if let Some(index) = self.turns.index_of(call) {
                    self.sink.arguments(index, kind, text, out);
                }
                return Ok(());
            }
            Offer::End => {
                self.name(item);
                self.turns.end(item);
                self.sink.item_done(item, out);
                return Ok(());
            }
            // A sink that sorts puts it before the end. No backend is known to send it.
            _ if self.turns.is_too_late(item, offer.lane()) && !self.sink.sorts() => {
                return Err(Inconsistency::Disorder);
            }
            // Only blocks, which share one order, show these.
            Offer::Sealed(_) | Offer::Search(_) if !self.turns.is_one_lane => {
                self.send(item, offer, out);
                return Ok(());
            }
            _ => {}
        }
        let place = self.items.item(item).place;
        let lane = self.turns.number(offer.lane());
        if !self.turns.follows(item, place, offer.order(), lane) && !self.sink.sorts() {
            return Err(Inconsistency::Disorder);
        }
        self.turns.current[lane] = part;
        self.name(item);
        self.send(item, offer, out);
        Ok(())
    }

    /// Names the item to the sink, for the pieces that name none.
    fn name(&mut self, item: usize) {
        if self.turns.named.replace(item) != Some(item) {
            self.sink.turn(item, self.items.item(item).place);
        }
    }

    fn send(&mut self, item: usize, offer: Offer<'_>, out: &mut Vec<u8>) {
        let length = out.len();
        match offer {
            Offer::Text(spot, text) => self.sink.text(spot, text, out),
            Offer::Citation(spot, annotation) => self.sink.citation(spot, annotation, out),
            Offer::Call(head) => {
                let index = self.turns.given_calls;
                self.turns.given_calls += 1;
                if let Some(given) = self.turns.calls.get_mut(head.index) {
                    *given = Some(index);
                }
                self.sink.call(CallHead { index, ..head }, out);
            }
            Offer::Image(image) => self.sink.image(image, out),
            Offer::Sealed(encrypted) => self.sink.sealed(item, encrypted, out),
            Offer::Search(search) => self.sink.searched(search, out),
            Offer::Arguments(..) | Offer::End => {}
        }
        let is_shown = matches!(offer, Offer::Text(..) | Offer::Citation(..) | Offer::Call(_) | Offer::Image(_));
        self.visible |= is_shown || out.len() > length;
    }
}

/// Returns whether the item at `one` comes before the item at `other`: by their places, or by their appearance.
fn is_before(items: &Items, one: usize, other: usize) -> bool {
    match items.item(one).place.zip(items.item(other).place) {
        Some((place, other_place)) if place != other_place => place < other_place,
        _ => one < other,
    }
}
