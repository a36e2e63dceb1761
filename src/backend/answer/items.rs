//! The items of an unfinished answer: those that have appeared, and the text sent of each.
//!
//! * An item is found by its id, else by its place in the answer: some backends change an item's id between events.
//! * An event without id and place is about the current item, unless it begins an item or ends one of another kind.
//! * A finished item is found only by its own id. Another id at its place is another item.
//! * A lookup costs the same for any number of items.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::backend::answer::call_kind::CallKind;
use crate::backend::answer::ordered::PieceOrder;
use crate::backend::answer::sent::Sent;
use crate::backend::answer::sequence::Sequence;
use crate::backend::answer::views::ItemView;
use crate::backend::event::Event;
use crate::backend::event::delta::{Delta, DeltaKind};
use crate::json::{Raw, Text};

/// The state of the answer's items.
#[derive(Debug, Default)]
pub(crate) struct Items {
    list: Vec<Item>,
    ids: HashMap<String, usize, RandomState>,
    /// By place, the item that appeared there last.
    places: HashMap<u64, usize, RandomState>,
    /// The result of the last lookup; deltas come in runs.
    recent: usize,
    /// The number of parts in all items.
    parts: usize,
    /// The highest place so far.
    last_place: u64,
    /// Whether an item appeared after one of a higher place.
    is_disordered: bool,
    /// The numbers of the events.
    pub(crate) sequence: Sequence,
}

/// One item.
#[derive(Debug)]
pub(crate) struct Item {
    id: Option<String>,
    /// The place in the answer.
    pub(crate) place: Option<u64>,
    /// The kind, once an event has told it.
    pub(crate) kind: ItemKind,
    pub(crate) parts: Vec<Part>,
    /// Whether the first event has come.
    pub(crate) begun: bool,
    /// Whether the last event has come, or the answer's last event contained the item.
    pub(crate) done: bool,
    /// The number of the call among the answer's calls, once it is announced.
    pub(crate) call: Option<usize>,
    /// The id and name with which the call was announced.
    pub(crate) head: Sent,
    /// The call's id and name, escaped, as far as they are known before the call can be announced.
    pub(crate) early_head: [Option<String>; 2],
    /// Escaped arguments received before the call could be announced.
    pub(crate) held: String,
    /// Escaped arguments of the item's first event, in case no others come.
    pub(crate) initial: String,
    /// Escaped encrypted reasoning of the item's first event, in case the last one has none.
    pub(crate) early: String,
    /// Whether the image has been sent.
    pub(crate) shown: bool,
}

/// The kind of an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum ItemKind {
    /// No event has told the kind yet.
    #[default]
    Unknown,
    /// A message.
    Message,
    /// Reasoning.
    Reasoning,
    /// A call that the client runs itself.
    Call(CallKind),
    /// A generated image.
    Image,
    /// A web search by the backend.
    Search,
    /// An item internal to the backend.
    Other,
}

/// One text of an item.
#[derive(Debug)]
pub(crate) struct Part {
    /// The number among all parts of the answer.
    pub(crate) number: usize,
    pub(crate) kind: DeltaKind,
    pub(crate) index: u64,
    /// The place of its kind among the item's: reasoning and its summary stand in the order of their beginnings.
    pub(crate) rank: u8,
    /// The text sent so far.
    pub(crate) sent: Sent,
    /// The source of the complete text, once it is known.
    pub(crate) finished: Option<Finisher>,
    /// Whether the announcing event has come.
    pub(crate) announced: bool,
    /// The gaps in the events' numbers when the part was announced.
    gaps: u32,
    /// The text including withheld deltas: deltas are withheld once an earlier one seems to be lost.
    withheld: Option<Sent>,
    /// The citations sent, each as JSON.
    pub(crate) citations: Vec<Box<str>>,
    /// Whether a citation came before its predecessors.
    pub(crate) awaits_citations: bool,
}

/// The source of a part's complete text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finisher {
    /// The part's own last events.
    Part,
    /// The finished item.
    Item,
}

/// The position of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) item: usize,
    pub(crate) part: usize,
}

/// The id and place by which an event names its item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    /// The id, as JSON.
    pub(crate) id: Option<&'a str>,
    pub(crate) place: Option<u64>,
}

impl<'a> Key<'a> {
    /// Returns the key of the item in `event`.
    pub(crate) fn of(event: &Event<'a>) -> Self {
        Self { id: event.item_id.map(Raw::get), place: event.output_index }
    }

    /// Returns the key of the item `view` at `place`.
    pub(crate) fn of_item(view: &ItemView<'a>, place: Option<u64>) -> Self {
        Self { id: view.id.map(Raw::get), place }
    }
}

impl Items {
    /// Records a delta. Returns its part, or `None` if the delta must not be added: it came before, its part or item is
    /// complete, or a delta before it may be lost.
    pub(crate) fn delta(&mut self, delta: &Delta<'_>) -> Option<At> {
        if !self.sequence.delta(delta.sequence_number) {
            return None;
        }
        let item = self.find_or_add(Key { id: delta.item_id, place: delta.output_index });
        let at = self.part(item, delta.kind, delta.part_index());
        let is_over = self.list[item].done;
        let part = &mut self.list[item].parts[at.part];
        if is_over || part.finished.is_some() {
            return None;
        }
        if part.withheld.is_some() || self.sequence.has_lost_since(part.gaps) {
            part.withheld.get_or_insert(part.sent).add(delta.text);
            return None;
        }
        Some(at)
    }

    /// Records the beginning of a part, before any of its deltas.
    pub(crate) fn announce(&mut self, at: At) {
        let gaps = self.sequence.gaps();
        let part = self.part_at(at);
        if !part.announced && part.sent.is_empty() && part.withheld.is_none() {
            part.gaps = gaps;
        }
        part.announced = true;
    }

    /// Finds the position of the item that `key` names.
    pub(crate) fn find(&mut self, key: Key<'_>) -> Option<usize> {
        let recent = self.list.get(self.recent);
        if key.id.is_some() && recent.is_some_and(|item| item.id.as_deref() == key.id) {
            return Some(self.recent);
        }
        let found = match key {
            Key { id: None, place: None } => self.current(),
            Key { id, place } => id.and_then(|id| self.ids.get(id).copied()).or_else(|| {
                let found = self.places.get(&place?).copied()?;
                let item = &self.list[found];
                let is_another = item.done && id.is_some() && item.id.as_deref() != id;
                (!is_another).then_some(found)
            }),
        }?;
        self.recent = found;
        Some(found)
    }

    /// Finds the position of the item that `key` names, or adds the item.
    pub(crate) fn find_or_add(&mut self, key: Key<'_>) -> usize {
        self.find(key).unwrap_or_else(|| self.add(key))
    }

    /// Finds the position of the item that `key` names and that begins, or adds the item.
    pub(crate) fn find_or_begin(&mut self, key: Key<'_>) -> usize {
        let is_begun = |item: &Item| item.kind != ItemKind::Unknown;
        self.find_unless(key, is_begun)
    }

    /// Finds the position of the item of this `kind` that `key` names and that ends, or adds the item.
    pub(crate) fn find_or_end(&mut self, key: Key<'_>, kind: ItemKind) -> usize {
        let is_another = |item: &Item| kind != item.kind && ![kind, item.kind].contains(&ItemKind::Unknown);
        self.find_unless(key, is_another)
    }

    /// Finds the position of the item that `key` names, or adds the item. Without a name it is not an item for which
    /// `is_another` holds.
    fn find_unless(&mut self, key: Key<'_>, is_another: impl Fn(&Item) -> bool) -> usize {
        let is_nameless = key.id.is_none() && key.place.is_none();
        let found = self.find(key).filter(|found| !(is_nameless && is_another(&self.list[*found])));
        found.unwrap_or_else(|| self.add(key))
    }

    /// Returns the unfinished item of the last event, or else the last item, unless it is finished.
    fn current(&self) -> Option<usize> {
        let candidates = [Some(self.recent), self.list.len().checked_sub(1)];
        let is_open = |position: &usize| self.list.get(*position).is_some_and(|item| !item.done);
        candidates.into_iter().flatten().find(is_open)
    }

    /// Adds an item for `key`.
    pub(crate) fn add(&mut self, key: Key<'_>) -> usize {
        let position = self.list.len();
        self.is_disordered |= key.place.is_some_and(|place| place < self.last_place);
        self.last_place = self.last_place.max(key.place.unwrap_or_default());
        // Most answers are a message, perhaps after reasoning.
        if self.list.is_empty() {
            self.list.reserve_exact(2);
        }
        self.list.push(Item::new(key));
        self.name(position, key);
        self.recent = position;
        position
    }

    /// Returns whether the items appeared in the order of their places.
    pub(crate) const fn are_in_order(&self) -> bool {
        !self.is_disordered
    }

    /// Returns the position of the item with the given `id`, as JSON.
    pub(crate) fn position_of_id(&self, id: &str) -> Option<usize> {
        self.ids.get(id).copied()
    }

    /// Returns the position of the item that appeared last at `place`.
    pub(crate) fn position_at(&self, place: u64) -> Option<usize> {
        self.places.get(&place).copied()
    }

    /// Records the id and place that the item at `position` gives itself.
    pub(crate) fn name(&mut self, position: usize, key: Key<'_>) {
        if let Some(id) = key.id
            && !self.ids.contains_key(id)
        {
            self.ids.insert(id.to_owned(), position);
        }
        if let Some(place) = key.place {
            self.places.insert(place, position);
        }
    }

    /// Returns the item at `position`, a result of a lookup.
    pub(crate) fn item(&self, position: usize) -> &Item {
        &self.list[position]
    }

    /// Returns the item at `position`, a result of a lookup, for changes.
    pub(crate) fn item_mut(&mut self, position: usize) -> &mut Item {
        &mut self.list[position]
    }

    /// Iterates over the items in order of appearance.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.list.iter()
    }

    /// Counts the items that have appeared.
    pub(crate) const fn len(&self) -> usize {
        self.list.len()
    }

    /// Finds a part of the item at `position`, or adds it.
    pub(crate) fn part(&mut self, position: usize, kind: DeltaKind, index: u64) -> At {
        // A call has one text, under either name.
        let kind = if kind == DeltaKind::Input { DeltaKind::Arguments } else { kind };
        let item = &mut self.list[position];
        let found = item.parts.iter().rposition(|part| part.kind == kind && part.index == index);
        let part = found.unwrap_or_else(|| {
            let is_after_reasoning = item.parts.first().is_some_and(|first| first.kind == DeltaKind::Reasoning);
            let rank = match kind {
                DeltaKind::Summary => u8::from(is_after_reasoning),
                DeltaKind::Reasoning => u8::from(!is_after_reasoning && !item.parts.is_empty()),
                _ => 1,
            };
            // Most items have one.
            if item.parts.is_empty() {
                item.parts.reserve_exact(1);
            }
            item.parts.push(Part::new(self.parts, kind, index, rank));
            self.parts += 1;
            item.parts.len() - 1
        });
        At { item: position, part }
    }

    /// Returns the part at `at`, a result of a lookup, for reading.
    pub(crate) fn part_at_ref(&self, at: At) -> &Part {
        &self.list[at.item].parts[at.part]
    }

    /// Returns the part at `at`, a result of a lookup, for changes.
    pub(crate) fn part_at(&mut self, at: At) -> &mut Part {
        &mut self.list[at.item].parts[at.part]
    }
}

impl Item {
    fn new(key: Key<'_>) -> Self {
        Self {
            id: key.id.map(str::to_owned),
            place: key.place,
            kind: ItemKind::Unknown,
            parts: Vec::new(),
            begun: false,
            done: false,
            call: None,
            head: Sent::default(),
            early_head: [None, None],
            held: String::new(),
            initial: String::new(),
            early: String::new(),
            shown: false,
        }
    }

    /// Returns the id as JSON.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns whether no event has described the item.
    pub(crate) fn is_untold(&self) -> bool {
        let is_untold = |part: &Part| !part.announced && part.sent.is_empty() && part.citations.is_empty();
        !self.begun && !self.done && self.parts.iter().all(is_untold)
    }

    /// Returns whether the item is a call that could not be announced.
    pub(crate) const fn is_headless_call(&self) -> bool {
        self.call.is_none() && self.kind.call().is_some()
    }

    /// Returns whether deltas were withheld whose text no finished form has supplied since.
    pub(crate) fn lacks_deltas(&self) -> bool {
        self.parts.iter().any(|part| part.withheld.is_some() && part.finished.is_none())
    }

    /// Returns whether finished parts, or the finished item, confirm everything known of the item.
    pub(crate) fn is_confirmed(&self) -> bool {
        let is_told = self.done || self.parts.iter().any(|part| part.finished.is_some());
        is_told && self.held.is_empty() && self.parts.iter().all(Part::is_confirmed)
    }
}

impl Part {
    /// Returns the place among the pieces of the item.
    pub(crate) const fn order(&self) -> PieceOrder {
        PieceOrder::of_part(self.rank, self.index, self.number)
    }

    /// Returns whether the text has begun and may go on, as far as the part's own events tell.
    pub(crate) const fn is_open(&self) -> bool {
        self.finished.is_none() && (self.announced || !self.sent.is_empty() || self.withheld.is_some())
    }

    /// Returns whether the deltas received, withheld ones included, add up to the complete text.
    pub(crate) fn has_all_deltas_of(&self, whole: Text<'_>) -> bool {
        self.withheld.unwrap_or(self.sent) == Sent::of(whole)
    }

    fn new(number: usize, kind: DeltaKind, index: u64, rank: u8) -> Self {
        Self {
            number,
            kind,
            index,
            rank,
            sent: Sent::default(),
            finished: None,
            announced: false,
            gaps: 0,
            withheld: None,
            citations: Vec::new(),
            awaits_citations: false,
        }
    }

    fn is_confirmed(&self) -> bool {
        let is_empty = self.sent.is_empty() && self.citations.is_empty() && self.withheld.is_none();
        !self.awaits_citations && (self.finished.is_some() || is_empty)
    }
}

impl ItemKind {
    /// Returns the kind of call, for a call.
    pub(crate) const fn call(self) -> Option<CallKind> {
        match self {
            Self::Call(kind) => Some(kind),
            Self::Unknown | Self::Message | Self::Reasoning | Self::Image | Self::Search | Self::Other => None,
        }
    }

    /// Returns whether clients receive such an item as deltas.
    pub(crate) const fn is_told_in_deltas(self) -> bool {
        matches!(self, Self::Message | Self::Reasoning | Self::Call(_))
    }

    /// Reads the kind of the item `view`.
    pub(crate) fn of(view: &ItemView<'_>) -> Self {
        match view.kind.and_then(Raw::text).map(Text::escaped) {
            None => Self::Unknown,
            Some("message") => Self::Message,
            Some("reasoning") => Self::Reasoning,
            Some("function_call") => Self::Call(CallKind::Function),
            Some("custom_tool_call") => Self::Call(CallKind::Custom),
            Some("image_generation_call") => Self::Image,
            Some("web_search_call") => Self::Search,
            Some(_) => Self::Other,
        }
    }
}
