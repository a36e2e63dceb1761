//! Pieces of several items, kept in the order of the items and of their parts.

use crate::backend::event::delta::DeltaKind;

/// The place of a piece in its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PieceOrder(u8, u64, usize);

impl PieceOrder {
    /// The place after all texts.
    pub(crate) const LAST: Self = Self(u8::MAX, 0, 0);

    /// Returns the place of the text with this `number` among all texts of the answer. A summary comes before the
    /// reasoning itself.
    pub(crate) const fn of_part(kind: DeltaKind, index: u64, number: usize) -> Self {
        Self(!matches!(kind, DeltaKind::Summary) as u8, index, number)
    }
}

/// Pieces by item. Items follow each other by their places, and by their numbers where these are missing or the same.
#[derive(Debug)]
pub(crate) struct Ordered<P> {
    groups: Vec<Group<P>>,
    /// The group found last.
    recent: usize,
}

/// The pieces of one item, in order.
#[derive(Debug)]
pub(crate) struct Group<P> {
    pub(crate) item: usize,
    pub(crate) place: Option<u64>,
    pub(crate) pieces: Vec<(PieceOrder, P)>,
}

impl<P> Default for Ordered<P> {
    fn default() -> Self {
        Self { groups: Vec::new(), recent: 0 }
    }
}

impl<P> Ordered<P> {
    /// Returns whether there are no groups.
    pub(crate) const fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Finds the pieces of `item`.
    pub(crate) fn find(&mut self, item: usize) -> Option<&mut Group<P>> {
        let is_recent = self.groups.get(self.recent).is_some_and(|group| group.item == item);
        if !is_recent {
            self.recent = self.groups.iter().rposition(|group| group.item == item)?;
        }
        self.groups.get_mut(self.recent)
    }

    /// Finds the pieces of `item`, or adds the item, which has this `place` in the answer.
    pub(crate) fn group(&mut self, item: usize, place: Option<u64>) -> &mut Group<P> {
        if self.find(item).is_none() {
            let is_behind = |group: &Group<P>| match group.place.zip(place) {
                Some((other, place)) => (other, group.item) > (place, item),
                None => group.item > item,
            };
            self.recent = self.groups.iter().position(is_behind).unwrap_or(self.groups.len());
            self.groups.insert(self.recent, Group { item, place, pieces: Vec::new() });
        }
        &mut self.groups[self.recent]
    }

    /// Takes all groups, in order.
    pub(crate) fn take(&mut self) -> Vec<Group<P>> {
        std::mem::take(&mut self.groups)
    }

    /// Returns groups taken before, in their order.
    pub(crate) fn put_back(&mut self, groups: Vec<Group<P>>) {
        self.groups = groups;
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
