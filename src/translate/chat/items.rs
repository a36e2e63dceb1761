//! The items of an answer that is under way: which have appeared and what of each has been passed on.
//!
//! * An item is found by its id, else by its place in the answer: some backends change an item's id from event to event.
//! * Argument deltas that come before their item wait here until it appears.

use serde_json::value::RawValue;

use super::passed::Passed;
use super::sink::CallKind;
use crate::openai::json::Text;
use crate::translate::event::Event;

/// Everything known of the answer's items.
#[derive(Debug, Default)]
pub(super) struct Items {
    items: Vec<Item>,
    /// Where the last lookup ended; deltas come in runs.
    recent: usize,
    early: Vec<EarlyArguments>,
}

/// One item.
#[derive(Debug)]
pub(super) struct Item {
    id: Option<String>,
    output_index: Option<u64>,
    parts: Vec<Part>,
    /// The call in this item, if it is one.
    pub(super) call: Option<Call>,
    /// The item has ended; whatever names it now means another.
    pub(super) done: bool,
}

/// One text of an item.
#[derive(Debug)]
pub(super) struct Part {
    kind: PartKind,
    index: u64,
    /// What of its text has been passed on.
    pub(super) sent: Passed,
    /// Characters of the answer's content before this part.
    pub(super) offset: u64,
    /// How many of its citations have been passed on.
    pub(super) annotations: usize,
}

/// The kinds of text an item can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKind {
    /// Text of a message.
    Text,
    /// Refusal of a message.
    Refusal,
    /// Summary of reasoning.
    Summary,
    /// Reasoning itself.
    Reasoning,
}

/// What has been passed on of a call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) index: usize,
    pub(super) kind: CallKind,
    /// What of its arguments has been passed on.
    pub(super) sent: Passed,
    /// Arguments that came with the item's first event, should no others come.
    pub(super) initial: String,
}

#[derive(Debug)]
struct EarlyArguments {
    id: Option<String>,
    output_index: Option<u64>,
    escaped: String,
}

/// How an event names its item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    /// As JSON.
    pub(super) id: Option<&'a str>,
    pub(super) output_index: Option<u64>,
}

impl<'a> Event<'a> {
    /// How it names its item.
    pub(super) fn key(&self) -> Key<'a> {
        Key { id: self.item_id.map(RawValue::get), output_index: self.output_index }
    }
}

impl Items {
    /// Whether no item has appeared.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The position of the item that `key` names.
    pub(super) fn find(&mut self, key: Key<'_>) -> Option<usize> {
        let id = key.id;
        // Events that name nothing at all can only mean one item.
        let names_something = id.is_some() || key.output_index.is_some();
        let same_id = |item: &Item| {
            item.id.as_deref() == id && (id.is_some() || (!names_something && item.output_index.is_none()))
        };
        if self.items.get(self.recent).is_some_and(same_id) {
            return Some(self.recent);
        }
        let same_place = |item: &Item| key.output_index.is_some() && item.output_index == key.output_index;
        let found = self.items.iter().position(same_id).or_else(|| {
            self.items
                .iter()
                .position(|item| same_place(item) && !(item.done && item.id.as_deref() != id && id.is_some()))
        })?;
        self.recent = found;
        Some(found)
    }

    /// The position of the item that `key` names, which appears now if it has not before.
    pub(super) fn find_or_add(&mut self, key: Key<'_>) -> usize {
        self.find(key).unwrap_or_else(|| {
            self.items.push(Item {
                id: key.id.map(str::to_owned),
                output_index: key.output_index,
                parts: Vec::new(),
                call: None,
                done: false,
            });
            self.recent = self.items.len() - 1;
            self.recent
        })
    }

    /// The item at `position`.
    pub(super) fn item(&mut self, position: usize) -> Option<&mut Item> {
        self.items.get_mut(position)
    }

    /// The items in order of appearance.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.items.iter_mut()
    }

    /// Keeps arguments whose item has not appeared.
    pub(super) fn keep_early(&mut self, key: Key<'_>, arguments: Text<'_>) {
        let id = key.id.map(str::to_owned);
        let waiting = self.early.iter_mut().find(|early| early.id == id && early.output_index == key.output_index);
        match waiting {
            Some(early) => early.escaped.push_str(arguments.escaped()),
            None => self.early.push(EarlyArguments {
                id,
                output_index: key.output_index,
                escaped: arguments.escaped().to_owned(),
            }),
        }
    }

    /// The arguments that have waited for the item that `key` names; it may have had other ids before.
    pub(super) fn take_early(&mut self, key: Key<'_>) -> String {
        let mut arguments = String::new();
        self.early.retain(|early| {
            let same_id = key.id.is_some() && early.id.as_deref() == key.id;
            let same_place = early.output_index.is_some() && early.output_index == key.output_index;
            if same_id || same_place {
                arguments.push_str(&early.escaped);
            }
            !(same_id || same_place)
        });
        arguments
    }
}

impl Item {
    /// The part, which appears now if it has not before; `offset` is where it then stands in the answer's content.
    pub(super) fn part(&mut self, kind: PartKind, index: u64, offset: u64) -> &mut Part {
        let same = |part: &Part| part.kind == kind && part.index == index;
        let position = self.parts.iter().position(same).unwrap_or_else(|| {
            self.parts.push(Part { kind, index, sent: Passed::default(), offset, annotations: 0 });
            self.parts.len() - 1
        });
        &mut self.parts[position]
    }
}
