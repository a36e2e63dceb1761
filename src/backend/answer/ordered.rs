//! Pieces of several items, kept in the order of the items and of their parts.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

/// The place of a piece in its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PieceOrder(u8, u64, usize);

impl PieceOrder {
    /// The place after all texts.
    pub(crate) const LAST: Self = Self(u8::MAX, 0, 0);

    /// Returns the place of the text with this `number` among all texts of the answer, whose kind has this `rank` in its
    /// item.
    pub(crate) const fn of_part(rank: u8, index: u64, number: usize) -> Self {
        Self(rank, index, number)
    }
}

/// Pieces by item. Items follow each other by their places, and by their numbers where these are missing or the same.
#[derive(Debug)]
pub(crate) struct Ordered<P> {
    /// The items, in order.
    order: VecDeque<usize>,
    groups: HashMap<usize, Group<P>, RandomState>,
}

/// The pieces of one item, in order.
#[derive(Debug)]
pub(crate) struct Group<P> {
    pub(crate) item: usize,
    pub(crate) place: Option<u64>,
    pub(crate) pieces: VecDeque<(PieceOrder, P)>,
}

impl<P> Default for Ordered<P> {
    fn default() -> Self {
        Self { order: VecDeque::new(), groups: HashMap::default() }
    }
}

impl<P> Ordered<P> {
    /// Returns whether there are no groups.
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Finds the pieces of `item`.
    pub(crate) fn find(&mut self, item: usize) -> Option<&mut Group<P>> {
        self.groups.get_mut(&item)
    }

    /// Finds the pieces of `item`, or adds the item, which has this `place` in the answer.
    pub(crate) fn group(&mut self, item: usize, place: Option<u64>) -> &mut Group<P> {
        if !self.groups.contains_key(&item) {
            let is_behind = |other: &usize| match self.groups.get(other).and_then(|group| group.place).zip(place) {
                Some((other_place, place)) => (other_place, *other) > (place, item),
                None => *other > item,
            };
            // Nearly always the last.
            let position = self.order.iter().rposition(|other| !is_behind(other)).map_or(0, |before| before + 1);
            self.order.insert(position, item);
        }
        self.groups.entry(item).or_insert_with(|| Group { item, place, pieces: VecDeque::new() })
    }

    /// Takes the first group.
    pub(crate) fn pop(&mut self) -> Option<Group<P>> {
        let first = self.order.pop_front()?;
        self.groups.remove(&first)
    }

    /// Returns the group that was taken last.
    pub(crate) fn put_back(&mut self, group: Group<P>) {
        self.order.push_front(group.item);
        self.groups.insert(group.item, group);
    }
}

impl<P> Group<P> {
    /// Adds a piece after all that do not follow it.
    pub(crate) fn add(&mut self, order: PieceOrder, piece: P) {
        let position = self.position(order);
        self.pieces.insert(position, (order, piece));
    }

    /// Returns the piece after which a piece at `order` would be added, if it has the same order.
    pub(crate) fn last_at(&mut self, order: PieceOrder) -> Option<&mut P> {
        let position = self.position(order).checked_sub(1)?;
        self.pieces.get_mut(position).filter(|piece| piece.0 == order).map(|piece| &mut piece.1)
    }

    fn position(&self, order: PieceOrder) -> usize {
        self.pieces.iter().rposition(|piece| piece.0 <= order).map_or(0, |before| before + 1)
    }
}
