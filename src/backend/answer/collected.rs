//! The pieces of an answer written as one document, kept until it is complete.
//!
//! The client has not seen them yet, so a piece can be corrected, and a late piece be put in its place.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use crate::backend::answer::call_kind::CallKind;
use crate::backend::answer::sink::{CallHead, Correction, Image, Spot};
use crate::backend::event::delta::DeltaKind;
use crate::json::Text;

/// The pieces received so far.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pieces: Vec<Piece>,
    /// The parts with at least one piece.
    begun: HashSet<usize>,
    /// For every kind of text, the last part by place among those received.
    latest: HashMap<DeltaKind, Order>,
    /// The calls, in the order of their pieces.
    pub(crate) calls: Vec<CollectedCall>,
    /// The data URL of each image.
    pub(crate) images: Vec<Vec<u8>>,
}

/// A piece of the answer, in the order of the document.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Escaped characters of a text.
    Text(Spot, String),
    /// A citation in a text, as the backend wrote it.
    Citation(Spot, Box<str>),
    /// The position of the next call.
    Call,
    /// The position of the next image.
    Image,
    /// The end of the reasoning item with this number, and its encrypted form, escaped.
    Sealed(usize, Option<String>),
    /// The end of the item with this number.
    Ended(usize),
    /// A search: its id, escaped, and its action as JSON.
    Searched(Option<String>, Option<Box<str>>),
}

/// The place of an item, and of a part in it.
type Order = (u64, u64);

fn order_of(spot: Spot) -> Option<Order> {
    spot.place.map(|place| (place, spot.index))
}

/// One call; every text is escaped.
#[derive(Debug)]
pub(crate) struct CollectedCall {
    /// The number of its item.
    pub(crate) item: usize,
    pub(crate) kind: CallKind,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) payload: String,
}

impl Collected {
    /// Appends to a text.
    pub(crate) fn text(&mut self, spot: Spot, text: Text<'_>) {
        match self.pieces.last_mut() {
            Some(Piece::Text(last, escaped)) if last.part == spot.part => escaped.push_str(text.escaped()),
            _ => {
                let is_new = self.begun.insert(spot.part);
                let place = if is_new { self.place_of(spot) } else { self.pieces.len() };
                self.pieces.insert(place, Piece::Text(spot, text.escaped().to_owned()));
            }
        }
    }

    /// Appends a piece that is neither a text nor a call.
    pub(crate) fn push(&mut self, piece: Piece) {
        self.pieces.push(piece);
    }

    /// Appends a citation.
    pub(crate) fn citation(&mut self, spot: Spot, annotation: &RawValue) {
        self.push(Piece::Citation(spot, annotation.get().into()));
    }

    /// Appends a call.
    pub(crate) fn call(&mut self, head: CallHead<'_>) {
        self.push(Piece::Call);
        self.calls.push(CollectedCall {
            item: head.item,
            kind: head.kind,
            id: head.id.escaped().to_owned(),
            name: head.name.escaped().to_owned(),
            payload: String::new(),
        });
    }

    /// Appends to the arguments of the call at `index`.
    pub(crate) fn arguments(&mut self, index: usize, text: Text<'_>) {
        if let Some(call) = self.calls.get_mut(index) {
            call.payload.push_str(text.escaped());
        }
    }

    /// Appends an image.
    pub(crate) fn image(&mut self, image: Image<'_>) {
        let mut url = Vec::new();
        image.write_url(&mut url);
        self.push(Piece::Image);
        self.images.push(url);
    }

    /// Replaces an earlier piece.
    pub(crate) fn correct(&mut self, correction: Correction<'_>) {
        match correction {
            Correction::Text(spot, whole) => self.replace(spot, whole),
            Correction::Citations(spot, whole) => {
                self.pieces.retain(|piece| !matches!(piece, Piece::Citation(other, _) if other.part == spot.part));
                let is_of = |piece: &Piece| matches!(piece, Piece::Text(other, _) if other.part == spot.part);
                let place = self.pieces.iter().rposition(is_of).map_or(self.pieces.len(), |last| last + 1);
                let whole = whole.iter().map(|citation| Piece::Citation(spot, citation.get().into()));
                self.pieces.splice(place..place, whole);
            }
            Correction::Head(head) => {
                if let Some(call) = self.calls.get_mut(head.index) {
                    head.id.escaped().clone_into(&mut call.id);
                    head.name.escaped().clone_into(&mut call.name);
                }
            }
            Correction::Arguments(index, whole) => {
                if let Some(call) = self.calls.get_mut(index) {
                    whole.escaped().clone_into(&mut call.payload);
                }
            }
        }
    }

    /// Takes the pieces, in the order of the document.
    pub(crate) fn take(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.pieces)
    }

    /// Returns the position for the first piece of a part: after all pieces received, unless parts of its kind that
    /// follow it are among them.
    fn place_of(&mut self, spot: Spot) -> usize {
        let Some(order) = order_of(spot) else { return self.pieces.len() };
        let latest = self.latest.entry(spot.kind).or_insert(order);
        if *latest <= order {
            *latest = order;
            return self.pieces.len();
        }
        let is_behind = |piece: &Piece| match piece {
            Piece::Text(other, _) => other.kind == spot.kind && order_of(*other).is_some_and(|other| other > order),
            Piece::Citation(..)
            | Piece::Call
            | Piece::Image
            | Piece::Sealed(..)
            | Piece::Ended(_)
            | Piece::Searched(..) => false,
        };
        self.pieces.iter().position(is_behind).unwrap_or(self.pieces.len())
    }

    /// Puts `whole` at the beginning of the part at `spot`, and removes the rest of the part.
    fn replace(&mut self, spot: Spot, whole: Text<'_>) {
        let is_of = |piece: &Piece| matches!(piece, Piece::Text(other, _) if other.part == spot.part);
        self.begun.insert(spot.part);
        let first = self.pieces.iter().position(is_of);
        let place = first.unwrap_or_else(|| self.place_of(spot));
        self.pieces.retain(|piece| !is_of(piece));
        if !whole.is_empty() {
            self.pieces.insert(place, Piece::Text(spot, whole.escaped().to_owned()));
        }
    }
}
