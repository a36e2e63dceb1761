//! The verdict on a text: whether the finished forms confirm the text received.
//!
//! * Most of an answer comes repeatedly: in deltas, at the end of each part, in the finished item, and in the answer's
//!   last event. [`Items`] compares the text sent with each of them; a [`Sent`] per part is enough for that.
//! * A longer finished form supplies lost deltas. A different one shows that the answer cannot be trusted; a machine
//!   that has sent nothing yet may still use the finished form.
//! * If an event was lost ([`sequence`](crate::backend::answer::sequence)), deltas count only once a finished form has
//!   confirmed them.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde_json::value::RawValue;

use crate::backend::answer::items::{At, Finisher, Item, ItemKind, Items, Key};
use crate::backend::answer::sent::{Finished, Sent};
use crate::backend::answer::views::{ItemView, WholePart, kind_of_part};
use crate::backend::event::delta::DeltaKind;
use crate::backend::event::{Event, is_internal};
use crate::json::{Raw, Text};

/// The reason an answer cannot be correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Inconsistency {
    /// A text has come twice, with different contents.
    #[error(
        "the backend's answer contradicts itself: its finished {} is not what came before it, so something was damaged on \
         the way; ask again",
        name_of(*.0)
    )]
    Contradiction(DeltaKind),
    /// Events are lost, and no finished form contains their text.
    #[error("a part of the backend's answer was lost on the way; ask again")]
    Lost,
    /// A call has come without an id or a name.
    #[error("the backend's answer contains a tool call without an id or a name; ask again")]
    Headless,
    /// A text has come after a text that should follow it.
    #[error("the backend's answer came in the wrong order; ask again")]
    Disorder,
}

const fn name_of(kind: DeltaKind) -> &'static str {
    match kind {
        DeltaKind::Text => "text",
        DeltaKind::Refusal => "refusal",
        DeltaKind::Summary | DeltaKind::Reasoning => "reasoning",
        DeltaKind::Arguments | DeltaKind::Input => "tool call",
    }
}

/// The verdict of a finished form on a part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// The text sent is complete.
    Whole,
    /// These escaped characters remain to be sent.
    Rest(std::borrow::Cow<'a, str>),
    /// Deltas, or the part's own end, had a different text.
    Contradicted,
    /// Another finished item had a different text: neither can be trusted.
    Hopeless,
    /// The finished form is empty although a text was sent: it tells nothing.
    Untold,
}

/// The verdict of a finished form on a part's citations.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Citations {
    /// The first citations, of this number, have been sent; the others remain to be sent.
    Sent(usize),
    /// Different citations have been sent.
    Contradicted,
}

impl Items {
    /// Compares the finished text `whole` with the text sent of the part at `at`.
    pub(crate) fn finish<'a>(&mut self, at: At, whole: Text<'a>, by: Finisher) -> Verdict<'a> {
        let part = self.part_at(at);
        if whole.is_empty() && !part.sent.is_empty() {
            return Verdict::Untold;
        }
        let told_by = part.finished;
        part.finished = told_by.max(Some(by));
        match part.sent.compare(whole) {
            Finished::Same => Verdict::Whole,
            _ if told_by == Some(Finisher::Item) => Verdict::Hopeless,
            Finished::Differs => Verdict::Contradicted,
            Finished::More(rest) => {
                if !part.has_all_deltas_of(whole) {
                    self.sequence.make_up();
                }
                Verdict::Rest(rest)
            }
        }
    }

    /// Compares the finished part's citations with those sent. An empty list proves nothing: some finished forms leave
    /// them out.
    pub(crate) fn finish_citations(&mut self, at: At, whole: &[&RawValue]) -> Citations {
        let part = self.part_at(at);
        if whole.is_empty() {
            return Citations::Sent(0);
        }
        part.awaits_citations = false;
        let sent = part.citations.len();
        let are_the_first = sent <= whole.len()
            && part.citations.iter().zip(whole).all(|(sent, whole)| is_same_json(sent, whole.get()));
        if are_the_first { Citations::Sent(sent) } else { Citations::Contradicted }
    }

    /// Records a citation from an event of its own; `false` if it must not be sent now: it has been sent, or its
    /// predecessors are missing.
    pub(crate) fn cite(&mut self, at: At, index: Option<u64>, citation: &RawValue) -> bool {
        let part = self.part_at(at);
        let next = part.citations.len();
        let index = index.and_then(|index| usize::try_from(index).ok()).unwrap_or(next);
        if index > next {
            part.awaits_citations = true;
            return false;
        }
        let is_known = part.citations.get(index).is_some_and(|known| is_same_json(known, citation.get()));
        if !is_known {
            part.citations.push(citation.get().into());
        }
        !is_known
    }

    /// Returns the sent parts of the item at `position` that the finished item `view` does not have. An empty list in
    /// reasoning proves nothing; a message without a list, and a call without arguments, lack all that was sent.
    pub(crate) fn left_over(&self, position: usize, view: &ItemView<'_>, whole: &[WholePart<'_>]) -> Vec<At> {
        let item = self.item(position).kind;
        let is_told = |kind| match kind {
            DeltaKind::Text | DeltaKind::Refusal => view.content.is_some() || item == ItemKind::Message,
            DeltaKind::Summary => view.summary.as_ref().is_some_and(|parts| !parts.is_empty()),
            DeltaKind::Reasoning => view.content.as_ref().is_some_and(|parts| !parts.is_empty()),
            DeltaKind::Arguments | DeltaKind::Input => item.call().is_some(),
        };
        let parts = self.item(position).parts.iter().enumerate();
        let left = parts.filter(|(_, part)| {
            !part.sent.is_empty()
                && is_told(part.kind)
                && !whole.iter().any(|whole| whole.kind == part.kind && whole.index == part.index)
        });
        left.map(|(part, _)| At { item: position, part }).collect()
    }

    /// Returns the positions of the items in `output`, a list of all finished items: by their ids; if those have
    /// changed, by their places if no item is missing, and by their order otherwise.
    pub(crate) fn positions_of(&mut self, output: &[ItemView<'_>]) -> Vec<usize> {
        if output.is_empty() {
            return Vec::new();
        }
        let mut claimed = vec![false; self.len()];
        let mut claim = |position: usize| {
            claimed.get_mut(position).is_some_and(|claimed| !std::mem::replace(claimed, true)).then_some(position)
        };
        let of_id = |view: &ItemView<'_>| self.position_of_id(view.id?.get());
        let mut found: Vec<Option<usize>> = output.iter().map(|view| claim(of_id(view)?)).collect();
        let unknown: Vec<usize> = (0..output.len()).filter(|index| found[*index].is_none()).collect();
        let at_place = |index: &usize| {
            let position = self.position_at(*index as u64)?;
            (self.item(position).kind == ItemKind::of(&output[*index])).then_some(position)
        };
        let by_place: Option<Vec<usize>> = unknown.iter().map(at_place).collect();
        let mut others = self.by_kind();
        for (nth, index) in unknown.into_iter().enumerate() {
            let others = others.entry(ItemKind::of(&output[index])).or_default();
            let at_place = by_place.as_ref().map(|positions| positions[nth]);
            found[index] = at_place
                .and_then(&mut claim)
                .or_else(|| std::iter::from_fn(|| others.pop_front()).find_map(&mut claim));
        }
        let items = (0..).zip(output.iter().zip(found));
        items.map(|(place, (view, found))| found.unwrap_or_else(|| self.add(Key::of_item(view, Some(place))))).collect()
    }

    /// Returns the positions of the items of each kind, in the order of their places.
    fn by_kind(&self) -> HashMap<ItemKind, VecDeque<usize>> {
        let mut positions: Vec<usize> = (0..self.len()).collect();
        positions.sort_by_key(|position| self.item(*position).place);
        let mut found: HashMap<ItemKind, VecDeque<usize>> = HashMap::new();
        for position in positions {
            found.entry(self.item(position).kind).or_default().push_back(position);
        }
        found
    }

    /// Returns whether numbers and places indicate a completely lost item. An item takes at least two events.
    pub(crate) fn lack_an_item(&self) -> bool {
        if self.sequence.lost() == 0 {
            return false;
        }
        let places: Option<BTreeSet<u64>> = self.iter().map(|item| item.place).collect();
        let has_hole = |places: &BTreeSet<u64>| places.last().is_some_and(|last| *last >= places.len() as u64);
        self.sequence.lost_for_good() >= 2 || places.as_ref().is_some_and(has_hole)
    }

    /// Returns whether a finished form has confirmed every item that `matters`; without any doubt no confirmation is
    /// needed.
    pub(crate) fn are_confirmed(&self, matters: impl Fn(&Item) -> bool) -> bool {
        let is_in_doubt = self.sequence.is_in_doubt();
        let mut items = self.iter().filter(|item| matters(item));
        items.all(|item| !item.lacks_deltas() && (!is_in_doubt || item.is_confirmed()))
    }

    /// Records the number of an event of `length` bytes other than a delta; `false` if the same event came before.
    pub(crate) fn count(&mut self, event: &Event<'_>, length: usize) -> bool {
        if is_internal(&event.kind) {
            self.sequence.aside(event.sequence_number);
            return true;
        }
        self.sequence.event(event.sequence_number, length)
    }

    /// Finds the part that `event` announces, or adds it.
    pub(crate) fn announced_by(&mut self, event: &Event<'_>) -> Option<At> {
        let (kind, index) = announced(event)?;
        let position = self.find_or_add(Key::of(event));
        Some(self.part(position, kind, index))
    }
}

/// Returns a call's id and name, and their digest, with which it is announced.
pub(crate) fn head_of<'a>(view: &ItemView<'a>) -> Option<(Text<'a>, Text<'a>, Sent)> {
    let (id, name) = (view.call_id.and_then(Raw::text)?, view.name.and_then(Raw::text)?);
    Some((id, name, digest_of(id, name)))
}

/// Returns the digest of a call's id and name.
pub(crate) fn digest_of(id: Text<'_>, name: Text<'_>) -> Sent {
    let mut sent = Sent::of(id);
    // A separator between the two, so that no other id and name give the same digest.
    sent.add(Text::from_escaped("\\n"));
    sent.add(name);
    sent
}

/// Reads the kind and index of the part that `event` announces.
fn announced(event: &Event<'_>) -> Option<(DeltaKind, u64)> {
    let content = event.content_index.unwrap_or_default();
    match event.kind.as_ref() {
        "response.reasoning_summary_part.added" => Some((DeltaKind::Summary, event.summary_index.unwrap_or_default())),
        "response.content_part.added" => match event.part.and_then(kind_of_part)?.escaped() {
            "refusal" => Some((DeltaKind::Refusal, content)),
            "reasoning_text" => Some((DeltaKind::Reasoning, content)),
            _ => Some((DeltaKind::Text, content)),
        },
        _ => None,
    }
}

fn is_same_json(one: &str, other: &str) -> bool {
    let value = |json| serde_json::from_str::<serde_json::Value>(json).ok();
    one == other || value(one).is_some_and(|value_of_one| Some(value_of_one) == value(other))
}

#[cfg(test)]
mod tests;
