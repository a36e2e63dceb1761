//! The items of `input`, with items in place of references.
//!
//! * [`mod@reference`] resolves references.
//! * [`neighbour`] reads messages in the form of another API, and [`foreign`] keys of another API.
//! * Reasoning that cannot be sent is left out: if it lacks its encrypted content, in which case it is listed, or if it
//!   belongs to another model.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::backend::request::body::{Origin, Provenance};
use crate::backend::request::context::Context;
use crate::backend::request::context::{Reference, RememberedItem};
use crate::conversation::ignored::Ignored;
use crate::dialect::responses::foreign;
use crate::dialect::responses::neighbour;
use crate::dialect::responses::reference;
use crate::dialect::responses::reference::References;
use crate::fault::Fault;
use crate::json;
use crate::json::{Object, Path, Text};

/// An item to send.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) object: Object<'a>,
    pub(super) kind: Cow<'a, str>,
    pub(super) place: Place<'a>,
}

impl Entry<'_> {
    /// Returns whether the item is a message of `role`.
    pub(super) fn has_role(&self, role: &str) -> bool {
        self.kind == "message" && self.object.find("role").and_then(Text::of).is_some_and(|own| own.is(role))
    }
}

/// The origin of an item.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// The client's input, at this index.
    Input(usize),
    /// A remembered turn: the answer, or none for its input.
    Remembered(Option<&'a Arc<Provenance>>),
}

impl<'a> Place<'a> {
    /// Returns the origin of the item at `index` of the whole conversation, which begins with the remembered turns.
    fn of(index: usize, context: &Context<'a>) -> Self {
        match context.remembered.get(index) {
            Some(provenance) => Self::Remembered(provenance.as_ref()),
            None => Self::Input(index.saturating_sub(context.remembered.len())),
        }
    }

    /// Gives `each` the path by which the client knows the item.
    pub(super) fn path<T>(self, each: impl FnOnce(&Path<'_>) -> T) -> T {
        match self {
            Self::Input(index) => each(&Path::Root.key("input").index(index)),
            Self::Remembered(_) => each(&Path::Root.key("previous_response_id")),
        }
    }

    /// Returns the origin of reasoning in this place.
    pub(super) fn origin(self) -> Origin {
        match self {
            Self::Input(index) => Origin::Client(Some(index)),
            Self::Remembered(None) => Origin::Client(None),
            Self::Remembered(Some(provenance)) => Origin::Memory(Arc::clone(provenance)),
        }
    }

    /// Returns whether reasoning in this place may be sent to `model`.
    fn serves(self, model: &str) -> bool {
        !matches!(self, Self::Remembered(Some(provenance)) if !provenance.serves(model))
    }
}

/// The items of a conversation, with the replacements of some.
#[derive(Debug)]
pub(super) struct Items<'a> {
    items: Vec<Item<'a>>,
    found: Vec<Found>,
}

/// One item.
#[derive(Debug)]
enum Item<'a> {
    /// An item to send as it is.
    Own(Entry<'a>),
    /// An item with a replacement, the next one in order.
    Replaced(Place<'a>),
}

/// The replacement of an item.
#[derive(Debug)]
pub(super) enum Found {
    /// The resolution of a reference.
    Reference {
        /// The index in the client's input, if the reference is there.
        index: Option<usize>,
        /// The item that replaces it, unless it is left out.
        item: Option<RememberedItem>,
    },
    /// The items of a message, or the output, with anything in the form of another API.
    Neighbours(Vec<Box<RawValue>>),
}

impl Found {
    /// Returns the resolution to record; `None` for a reference outside the client's input.
    pub(super) fn reference(self) -> Option<Reference> {
        let Self::Reference { index, item } = self else { return None };
        index.map(|index| Reference { index, item: item.map(|item| item.json) })
    }
}

impl<'a> Items<'a> {
    /// Reads `items`, resolves their references, and converts messages in the form of another API.
    pub(super) fn read(
        items: &[&'a RawValue],
        context: &Context<'a>,
        references: &mut References,
        ignored: &mut Ignored,
    ) -> Result<Self, Fault> {
        let mut read = Self { items: Vec::with_capacity(items.len()), found: Vec::new() };
        for (index, raw) in items.iter().enumerate() {
            let place = Place::of(index, context);
            let (object, kind) = place.path(|path| typed(raw, path))?;
            if kind == "item_reference" {
                let item = place.path(|path| references.resolve(&object, path, context))?;
                if item.is_none() {
                    place.path(|path| ignored.add(path));
                }
                let index = match place {
                    Place::Input(index) => Some(index),
                    Place::Remembered(_) => None,
                };
                read.found.push(Found::Reference { index, item });
                read.items.push(Item::Replaced(place));
                continue;
            }
            let replaced = place.path(|path| match kind.as_ref() {
                "message" => neighbour::items(raw, &object, path, ignored)
                    .map(|items| items.or_else(|| foreign::of_message(&object, path, ignored))),
                kind if kind.ends_with("_output") => Ok(foreign::of_output(&object, path, ignored)),
                _ => Ok(None),
            });
            match replaced? {
                Some(items) => {
                    read.found.push(Found::Neighbours(items));
                    read.items.push(Item::Replaced(place));
                }
                None => read.items.push(Item::Own(Entry { object, kind, place })),
            }
        }
        Ok(read)
    }

    /// Returns the items to send, in order, and whether reasoning of another model was left out; `found` owns the items
    /// that they borrow.
    pub(super) fn entries<'i>(
        self,
        found: &'i mut Vec<Found>,
        context: &Context<'_>,
        ignored: &mut Ignored,
    ) -> Result<(Vec<Entry<'i>>, bool), Fault>
    where
        'a: 'i,
    {
        *found = self.found;
        let mut found = found.iter();
        let mut left_out = false;
        let mut entries: Vec<Entry<'i>> = Vec::with_capacity(self.items.len());
        for item in self.items {
            let item = match item {
                Item::Own(entry) => entry,
                Item::Replaced(place) => match found.next() {
                    Some(Found::Reference { item: Some(item), .. }) => place.path(|path| remembered(item, path))?,
                    Some(Found::Neighbours(items)) => {
                        let read = |item: &'i RawValue| {
                            let (object, kind) = place.path(|path| typed(item, path))?;
                            Ok(Entry { object, kind, place })
                        };
                        let mut items = items.iter().map(AsRef::as_ref).map(read).collect::<Result<Vec<_>, Fault>>()?;
                        if items.len() > 1 && items.first().is_some_and(|item| item.has_role("developer")) {
                            // The name of an author comes before the reasoning that led to the message.
                            let behind = entries.iter().rposition(|entry| entry.kind != "reasoning");
                            entries.insert(behind.map_or(0, |last| last + 1), items.remove(0));
                        }
                        entries.append(&mut items);
                        continue;
                    }
                    Some(Found::Reference { item: None, .. }) | None => continue,
                },
            };
            if item.kind != "reasoning" {
                entries.push(item);
            } else if item.object.find("encrypted_content").is_none() {
                // The text alone cannot be returned to the model.
                item.place.path(|path| ignored.add(path));
            } else if item.place.serves(&context.model.model) {
                entries.push(item);
            } else {
                left_out = true;
            }
        }
        Ok((entries, left_out))
    }
}

/// Returns the remembered item that replaces the reference at `path`.
fn remembered<'i>(item: &'i RememberedItem, path: &Path<'_>) -> Result<Entry<'i>, Fault> {
    let raw = serde_json::from_str::<&RawValue>(&item.json).map_err(|_| reference::unknown(path))?;
    let (object, kind) = typed(raw, path)?;
    Ok(Entry { object, kind, place: Place::Remembered(Some(&item.provenance)) })
}

fn typed<'a>(raw: &'a RawValue, path: &Path<'_>) -> Result<(Object<'a>, Cow<'a, str>), Fault> {
    let object = json::object(raw, path)?;
    let kind = match object.find("type") {
        Some(kind) => json::string(kind, &path.key("type"))?,
        None if object.find("role").is_some() => Cow::Borrowed("message"),
        // The type of a reference may be omitted too.
        None if is_id_alone(&object) => Cow::Borrowed("item_reference"),
        None => {
            let path = path.key("type");
            return Err(Fault::invalid(path.to_string(), format!("'{path}' is missing")));
        }
    };
    Ok((object, kind))
}

fn is_id_alone(item: &Object<'_>) -> bool {
    item.find("id").is_some() && item.iter().all(|(key, value)| key == "id" || value.get() == "null")
}

/// Returns whether a message up to the first user message contains the word "json".
pub(super) fn begins_with_word(entries: &[Entry<'_>]) -> bool {
    for entry in entries.iter().filter(|entry| entry.kind == "message") {
        let has_word = entry.object.find("content").is_some_and(mentions_json);
        if has_word || entry.has_role("user") {
            return has_word;
        }
    }
    false
}

fn mentions_json(content: &RawValue) -> bool {
    if let Some(text) = Text::of(content) {
        return text.mentions_json();
    }
    let parts = serde_json::from_str::<Vec<Object<'_>>>(content.get()).unwrap_or_default();
    parts.iter().filter_map(|part| part.find("text").and_then(Text::of)).any(Text::mentions_json)
}
