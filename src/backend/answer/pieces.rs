//! The pieces of an answer: as they are offered, and as they wait for their turn.

use serde_json::value::RawValue;

use crate::backend::answer::ordered::PieceOrder;
use crate::backend::answer::sink::{CallHead, CallKind, Image, SearchCall, Spot};
use crate::backend::event::delta::DeltaKind;
use crate::json::Text;

/// The pieces that share one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Text,
    Refusal,
    Reasoning,
    Call,
    Image,
    Search,
}

impl Lane {
    /// Returns the lane of a text.
    pub(super) const fn of(kind: DeltaKind) -> Self {
        match kind {
            DeltaKind::Text => Self::Text,
            DeltaKind::Refusal => Self::Refusal,
            DeltaKind::Summary | DeltaKind::Reasoning => Self::Reasoning,
            DeltaKind::Arguments | DeltaKind::Input => Self::Call,
        }
    }
}

/// A piece of an item.
#[derive(Debug, Clone, Copy)]
pub(super) enum Offer<'a> {
    Text(Spot, Text<'a>),
    Citation(Spot, &'a RawValue),
    Call(CallHead<'a>),
    Arguments(usize, CallKind, Text<'a>),
    Image(Image<'a>),
    Sealed(Option<Text<'a>>),
    Search(SearchCall<'a>),
    /// The end of the item.
    End,
}

/// A piece that waits; texts are escaped.
#[derive(Debug)]
pub(super) enum Waiting {
    Text(Spot, String),
    Citation(Spot, Box<RawValue>),
    Call { index: usize, kind: CallKind, id: String, name: String },
    Arguments(usize, CallKind, String),
    Image { format: String, base64: String },
    Sealed(Option<String>),
    Search { id: Option<String>, action: Option<Box<RawValue>> },
    End,
}

impl Offer<'_> {
    pub(super) const fn lane(&self) -> Lane {
        match self {
            Self::Text(spot, _) | Self::Citation(spot, _) => Lane::of(spot.kind),
            Self::Call(_) | Self::Arguments(..) | Self::End => Lane::Call,
            Self::Image(_) => Lane::Image,
            Self::Sealed(_) => Lane::Reasoning,
            Self::Search(_) => Lane::Search,
        }
    }

    /// Returns the place of the piece in its item.
    pub(super) const fn order(&self) -> PieceOrder {
        match self {
            Self::Text(spot, _) | Self::Citation(spot, _) => spot.order(),
            _ => PieceOrder::LAST,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(_, text) | Self::Arguments(_, _, text) => text.escaped().len(),
            Self::Citation(_, json) => json.get().len(),
            Self::Image(image) => image.base64.escaped().len(),
            Self::Sealed(Some(text)) => text.escaped().len(),
            Self::Search(SearchCall { action: Some(action), .. }) => action.get().len(),
            Self::Call(_) | Self::Sealed(None) | Self::Search(_) | Self::End => 0,
        }
    }

    pub(super) fn to_waiting(self) -> Waiting {
        let owned = |text: Text<'_>| text.escaped().to_owned();
        match self {
            Self::Text(spot, text) => Waiting::Text(spot, owned(text)),
            Self::Citation(spot, json) => Waiting::Citation(spot, json.to_owned()),
            Self::Call(CallHead { index, kind, id, name, .. }) => {
                Waiting::Call { index, kind, id: owned(id), name: owned(name) }
            }
            Self::Arguments(index, kind, text) => Waiting::Arguments(index, kind, owned(text)),
            Self::Image(Image { format, base64 }) => Waiting::Image { format: owned(format), base64: owned(base64) },
            Self::Sealed(encrypted) => Waiting::Sealed(encrypted.map(owned)),
            Self::Search(SearchCall { id, action }) => {
                Waiting::Search { id: id.map(owned), action: action.map(RawValue::to_owned) }
            }
            Self::End => Waiting::End,
        }
    }
}

impl Waiting {
    /// Returns the piece, of the item at `item`.
    pub(super) fn offer(&self, item: usize) -> Offer<'_> {
        let text = |text| Text::from_escaped(text);
        match self {
            Self::Text(spot, escaped) => Offer::Text(*spot, text(escaped)),
            Self::Citation(spot, json) => Offer::Citation(*spot, json),
            Self::Call { index, kind, id, name } => {
                Offer::Call(CallHead { item, index: *index, kind: *kind, id: text(id), name: text(name) })
            }
            Self::Arguments(index, kind, escaped) => Offer::Arguments(*index, *kind, text(escaped)),
            Self::Image { format, base64 } => Offer::Image(Image { format: text(format), base64: text(base64) }),
            Self::Sealed(encrypted) => Offer::Sealed(encrypted.as_deref().map(Text::from_escaped)),
            Self::Search { id, action } => {
                Offer::Search(SearchCall { id: id.as_deref().map(Text::from_escaped), action: action.as_deref() })
            }
            Self::End => Offer::End,
        }
    }
}
