//! The pieces of an answer written as one document, kept until it is complete.
//!
//! The client has not seen them yet, so a piece can be corrected, and a late piece be put in its place.

use serde_json::value::RawValue;

use crate::backend::answer::call_kind::CallKind;
use crate::backend::answer::ordered::{Ordered, PieceOrder};
use crate::backend::answer::sink::{CallHead, Correction, Image, Spot};
use crate::json::Text;

/// The pieces received so far.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pieces: Ordered<Piece>,
    /// The item, and its place, of the pieces that name none.
    turn: (usize, Option<u64>),
    /// The calls, in the order of their arrival.
    pub(crate) calls: Vec<CollectedCall>,
    /// The data URL of each image, in the order of their arrival.
    pub(crate) images: Vec<Vec<u8>>,
}

/// A piece of the answer, in the order of the document.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Escaped characters of a text.
    Text(Spot, String),
    /// A citation in a text, as the backend wrote it.
    Citation(Spot, Box<str>),
    /// The call with this index.
    Call(usize),
    /// The image with this index.
    Image(usize),
    /// The end of the reasoning item with this number, and its encrypted form, escaped.
    Sealed(usize, Option<String>),
    /// The end of the item with this number.
    Ended(usize),
    /// A search: its id, escaped, and its action as JSON.
    Searched(Option<String>, Option<Box<str>>),
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
    /// Takes the item, and its place in the answer, to which further pieces belong.
    pub(crate) const fn turn(&mut self, item: usize, place: Option<u64>) {
        self.turn = (item, place);
    }

    /// Appends to a text.
    pub(crate) fn text(&mut self, spot: Spot, text: Text<'_>) {
        let group = self.pieces.group(spot.item, spot.place);
        match group.last_at(spot.order()) {
            Some(Piece::Text(_, escaped)) => escaped.push_str(text.escaped()),
            _ => group.add(spot.order(), Piece::Text(spot, text.escaped().to_owned())),
        }
    }

    /// Appends a piece of the current item that is no part of a text.
    pub(crate) fn push(&mut self, piece: Piece) {
        let (item, place) = self.turn;
        self.pieces.group(item, place).add(PieceOrder::LAST, piece);
    }

    /// Appends a citation.
    pub(crate) fn citation(&mut self, spot: Spot, annotation: &RawValue) {
        self.pieces.group(spot.item, spot.place).add(spot.order(), Piece::Citation(spot, annotation.get().into()));
    }

    /// Appends a call.
    pub(crate) fn call(&mut self, head: CallHead<'_>) {
        self.push(Piece::Call(self.calls.len()));
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
        self.push(Piece::Image(self.images.len()));
        self.images.push(url);
    }

    /// Replaces an earlier piece.
    pub(crate) fn correct(&mut self, correction: Correction<'_>) {
        match correction {
            Correction::Text(spot, whole) => self.replace(spot, whole),
            Correction::Citations(spot, whole) => {
                let group = self.pieces.group(spot.item, spot.place);
                group
                    .pieces
                    .retain(|(_, piece)| !matches!(piece, Piece::Citation(other, _) if other.part == spot.part));
                for citation in whole {
                    group.add(spot.order(), Piece::Citation(spot, citation.get().into()));
                }
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
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Piece> {
        let mut pieces = std::mem::take(&mut self.pieces);
        std::iter::from_fn(move || pieces.pop()).flat_map(|group| group.pieces).map(|(_, piece)| piece)
    }

    /// Puts `whole` at the beginning of the part at `spot`, and removes the rest of its text.
    fn replace(&mut self, spot: Spot, whole: Text<'_>) {
        let is_of = |piece: &Piece| matches!(piece, Piece::Text(other, _) if other.part == spot.part);
        let group = self.pieces.group(spot.item, spot.place);
        let first = group.pieces.iter().position(|(_, piece)| is_of(piece));
        group.pieces.retain(|(_, piece)| !is_of(piece));
        let piece = (spot.order(), Piece::Text(spot, whole.escaped().to_owned()));
        match first {
            _ if whole.is_empty() => {}
            Some(first) => group.pieces.insert(first, piece),
            None => group.add(piece.0, piece.1),
        }
    }
}
