//! The items of an answer that is under way: which have appeared, and what of each has been sent.
//!
//! * An item is found by its id, else by its place in the answer: some backends change an item's id from event to event.
//! * An item that has ended is found by its own id alone. Another id at its place is another item.
//! * A lookup costs the same however many items there are.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::backend::answer::call_kind::CallKind;
use crate::backend::answer::sent::Sent;
use crate::backend::answer::sequence::Sequence;
use crate::backend::answer::views::ItemView;
use crate::backend::event::Event;
use crate::backend::event::delta::{Delta, DeltaKind};
use crate::json::Text;

/// Everything known of the answer's items.
#[derive(Debug, Default)]
pub(crate) struct Items {
    list: Vec<Item>,
    ids: HashMap<String, usize>,
    /// The item that appeared last at a place.
    places: HashMap<u64, usize>,
    /// Where the last lookup ended; deltas come in runs.
    recent: usize,
    /// How many parts there are in all.
    parts: usize,
    /// The numbers of the events.
    pub(crate) sequence: Sequence,
}

/// One item.
#[derive(Debug)]
pub(crate) struct Item {
    id: Option<String>,
    /// Its place in the answer.
    pub(crate) place: Option<u64>,
    /// What it is, once an event has said so.
    pub(crate) kind: ItemKind,
    pub(crate) parts: Vec<Part>,
    /// Its first event has come.
    pub(crate) begun: bool,
    /// Its last event has come, or the answer's last event held it.
    pub(crate) done: bool,
    /// The number of its call among the answer's calls, once it has been announced.
    pub(crate) call: Option<usize>,
    /// Id and name of the call as they were announced.
    pub(crate) head: Sent,
    /// Escaped arguments that came before the call could be announced.
    pub(crate) held: String,
    /// Escaped arguments of the item's first event, should no others come.
    pub(crate) initial: String,
    /// Its image has been sent.
    pub(crate) shown: bool,
}

/// What an item is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum ItemKind {
    /// No event has said.
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
    /// A search of the web that the backend does.
    Search,
    /// The backend's own business.
    Other,
}

/// One text of an item.
#[derive(Debug)]
pub(crate) struct Part {
    /// Its number among all parts of the answer.
    pub(crate) number: usize,
    pub(crate) kind: DeltaKind,
    pub(crate) index: u64,
    /// What of its text has been sent.
    pub(crate) sent: Sent,
    /// What has told its whole text, once something has.
    pub(crate) finished: Option<Finisher>,
    /// The event that announces it has come.
    pub(crate) announced: bool,
    /// How many gaps the numbers of the events had when it was announced.
    gaps: u32,
    /// What would have been sent, had deltas not been kept back since one before them seems to be lost.
    withheld: Option<Sent>,
    /// Its citations that have been sent, each as JSON.
    pub(crate) citations: Vec<Box<str>>,
    /// A citation came before the ones in front of it.
    pub(crate) awaits_citations: bool,
}

/// What tells the whole text of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finisher {
    /// The part's own last events.
    Part,
    /// The finished item.
    Item,
}

/// Where a part is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) item: usize,
    pub(crate) part: usize,
}

/// How an event names its item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    /// As JSON.
    pub(crate) id: Option<&'a str>,
    pub(crate) place: Option<u64>,
}

impl<'a> Key<'a> {
    /// The item that `event` is about.
    pub(crate) fn of(event: &Event<'a>) -> Self {
        Self { id: event.item_id.map(RawValue::get), place: event.output_index }
    }

    /// The item `view` at `place`.
    pub(crate) fn of_item(view: &ItemView<'a>, place: Option<u64>) -> Self {
        Self { id: view.id.map(RawValue::get), place }
    }
}

impl Items {
    /// Takes note of a delta: the part it adds to, or `None` if nothing can be added, because the delta came before, its part
    /// or item has been told whole, or a delta before it may have been lost.
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

    /// Takes note that a part begins, so that no delta of it has come yet.
    pub(crate) fn announce(&mut self, at: At) {
        let gaps = self.sequence.gaps();
        let part = self.part_at(at);
        if !part.announced && part.sent.is_empty() && part.withheld.is_none() {
            part.gaps = gaps;
        }
        part.announced = true;
    }

    /// The position of the item that `key` names.
    pub(crate) fn find(&mut self, key: Key<'_>) -> Option<usize> {
        let recent = self.list.get(self.recent);
        if key.id.is_some() && recent.is_some_and(|item| item.id.as_deref() == key.id) {
            return Some(self.recent);
        }
        let found = match key {
            // Events that name nothing at all can only mean the item that is under way.
            Key { id: None, place: None } => self.list.len().checked_sub(1).filter(|last| {
                let last = &self.list[*last];
                last.id.is_none() && last.place.is_none() && !last.done
            }),
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

    /// The position of the item that `key` names, which appears now if it has not before.
    pub(crate) fn find_or_add(&mut self, key: Key<'_>) -> usize {
        self.find(key).unwrap_or_else(|| self.add(key))
    }

    /// A new item that `key` names.
    pub(crate) fn add(&mut self, key: Key<'_>) -> usize {
        let position = self.list.len();
        self.list.push(Item::new(key));
        self.name(position, key);
        self.recent = position;
        position
    }

    /// The item whose id is `id`, as JSON.
    pub(crate) fn position_of_id(&self, id: &str) -> Option<usize> {
        self.ids.get(id).copied()
    }

    /// The item that appeared last at `place`.
    pub(crate) fn position_at(&self, place: u64) -> Option<usize> {
        self.places.get(&place).copied()
    }

    /// Takes note of the id and the place that the item at `position` gives itself.
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

    /// The item at `position`, which a lookup has given.
    pub(crate) fn item(&self, position: usize) -> &Item {
        &self.list[position]
    }

    /// The item at `position`, which a lookup has given.
    pub(crate) fn item_mut(&mut self, position: usize) -> &mut Item {
        &mut self.list[position]
    }

    /// The items in order of appearance.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.list.iter()
    }

    /// How many items have appeared.
    pub(crate) const fn len(&self) -> usize {
        self.list.len()
    }

    /// The place of a part in the item at `position`, which appears now if it has not before.
    pub(crate) fn part(&mut self, position: usize, kind: DeltaKind, index: u64) -> At {
        // A call has one text, by whichever name.
        let kind = if kind == DeltaKind::Input { DeltaKind::Arguments } else { kind };
        let item = &mut self.list[position];
        let found = item.parts.iter().rposition(|part| part.kind == kind && part.index == index);
        let part = found.unwrap_or_else(|| {
            item.parts.push(Part::new(self.parts, kind, index));
            self.parts += 1;
            item.parts.len() - 1
        });
        At { item: position, part }
    }

    /// The part at `at`, which a lookup has given, to be looked at.
    pub(crate) fn part_at_ref(&self, at: At) -> &Part {
        &self.list[at.item].parts[at.part]
    }

    /// The part at `at`, which a lookup has given.
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
            held: String::new(),
            initial: String::new(),
            shown: false,
        }
    }

    /// Its id as JSON.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether no event has told anything of it.
    pub(crate) fn is_untold(&self) -> bool {
        let is_untold = |part: &Part| !part.announced && part.sent.is_empty() && part.citations.is_empty();
        !self.begun && !self.done && self.parts.iter().all(is_untold)
    }

    /// Whether deltas have been kept back that nothing finished has told since.
    pub(crate) fn lacks_deltas(&self) -> bool {
        self.parts.iter().any(|part| part.withheld.is_some() && part.finished.is_none())
    }

    /// Whether something that tells a whole text, or the item itself, has borne out all that is known of it.
    pub(crate) fn is_borne_out(&self) -> bool {
        let is_told = self.done || self.parts.iter().any(|part| part.finished.is_some());
        is_told && self.held.is_empty() && self.parts.iter().all(Part::is_borne_out)
    }
}

impl Part {
    /// Whether the deltas that came, those kept back included, are the whole text.
    pub(crate) fn has_all_deltas_of(&self, whole: Text<'_>) -> bool {
        self.withheld.unwrap_or(self.sent) == Sent::of(whole)
    }

    fn new(number: usize, kind: DeltaKind, index: u64) -> Self {
        Self {
            number,
            kind,
            index,
            sent: Sent::default(),
            finished: None,
            announced: false,
            gaps: 0,
            withheld: None,
            citations: Vec::new(),
            awaits_citations: false,
        }
    }

    fn is_borne_out(&self) -> bool {
        let is_empty = self.sent.is_empty() && self.citations.is_empty() && self.withheld.is_none();
        !self.awaits_citations && (self.finished.is_some() || is_empty)
    }
}

impl ItemKind {
    /// The kind of call it is.
    pub(crate) const fn call(self) -> Option<CallKind> {
        match self {
            Self::Call(kind) => Some(kind),
            Self::Unknown | Self::Message | Self::Reasoning | Self::Image | Self::Search | Self::Other => None,
        }
    }

    /// Whether clients get to know such an item by deltas.
    pub(crate) const fn is_told_in_deltas(self) -> bool {
        matches!(self, Self::Message | Self::Reasoning | Self::Call(_))
    }

    /// What the item `view` says it is.
    pub(crate) fn of(view: &ItemView<'_>) -> Self {
        match view.kind.and_then(Text::of).map(Text::escaped) {
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
