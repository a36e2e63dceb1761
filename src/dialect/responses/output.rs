//! The items of an answer: compared with each other as they come, and kept to fill the final object's `output`.
//!
//! * A client may trust the deltas, the finished items or the answer's last event. All three have to say the same: the
//!   rest of a finished form beyond the deltas is sent in a delta of its own
//!   ([`missing`](crate::dialect::responses::missing)), an item that only the last event contains is sent too, and a
//!   contradiction ends the answer.
//! * A client that gets one document has received nothing yet, so finished items count there regardless of earlier
//!   events, unless they lack a text that came before.

use serde_json::value::RawValue;

use crate::backend::answer::call_kind::CallKind;
use crate::backend::answer::items::{At, Finisher, ItemKind, Items, Key};
use crate::backend::answer::sent::Sent;
use crate::backend::answer::verdict::{Citations, Inconsistency, Verdict, head_of};
use crate::backend::answer::views::{ItemView, WholePart};
use crate::backend::answer::{Answer, AnswerItem};
use crate::backend::event::delta::{Delta, DeltaKind};
use crate::backend::event::{Event, ResponseView};
use crate::dialect::responses::kept::Kept;
use crate::dialect::responses::missing::Missing;
use crate::json::{Object, ObjectWriter, Raw, Text};

/// The items of an answer.
#[derive(Debug)]
pub(super) struct Output {
    items: Items,
    /// The contents of each item, in the order of `items`.
    kept: Vec<Kept>,
    audience: Audience,
    /// The answer for references in later requests, once its last event has come.
    answer: Answer,
}

/// The receiver of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// A client that gets the events as they come.
    Stream,
    /// A client that gets one document at the end.
    Document,
}

/// A finished item.
#[derive(Clone, Copy)]
struct Done<'a> {
    raw: Raw<'a>,
    view: &'a ItemView<'a>,
    place: Option<u64>,
}

impl Output {
    /// Creates an empty answer.
    pub(super) fn new(audience: Audience) -> Self {
        Self { items: Items::default(), kept: Vec::new(), audience, answer: Answer::default() }
    }

    /// Records a delta; `false` if it must not be forwarded. Missing earlier events are written to `out`.
    pub(super) fn delta(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) -> bool {
        let Some(at) = self.items.delta(delta) else { return false };
        let is_call = matches!(delta.kind, DeltaKind::Arguments | DeltaKind::Input);
        let is_early = is_call && self.audience == Audience::Stream && !self.items.item(at.item).begun;
        let kept = self.kept_at(at.item);
        kept.piece(delta.kind, delta.part_index()).escaped.push_str(delta.text.escaped());
        kept.waits |= is_early;
        if kept.waits {
            return false;
        }
        self.announce(at, delta.sequence_number, out);
        self.items.part_at(at).sent.add(delta.text);
        true
    }

    /// Announces a part and its item if their announcements may be lost.
    fn announce(&mut self, at: At, number: Option<u64>, out: &mut Vec<u8>) {
        let (item, part) = (self.items.item(at.item), self.items.part_at_ref(at));
        let is_known = part.announced || !part.sent.is_empty() || part.kind == DeltaKind::Arguments;
        if self.audience == Audience::Document || self.items.sequence.gaps() == 0 || is_known {
            return;
        }
        if !item.begun {
            Missing::before(number, &self.items, at.item, out).item_of(part.kind);
        }
        Missing::before(number, &self.items, at.item, out).announce(part);
        self.items.item_mut(at.item).begun = true;
        self.items.part_at(at).announced = true;
    }

    /// Records the number of an event of `length` bytes; `false` if the event came before.
    pub(super) fn count(&mut self, event: &Event<'_>, length: usize) -> bool {
        self.items.count(event, length)
    }

    /// Records the item's facts in `event`; `false` if it must not be forwarded. Missing earlier events are written to
    /// `out`.
    pub(super) fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<bool, Inconsistency> {
        match event.kind.as_ref() {
            "response.output_item.added" => Ok(self.item_added(event)),
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                Ok(self.part_announced(event, out))
            }
            "response.output_text.annotation.added" => Ok(self.annotation_added(event)),
            "response.output_item.done" => {
                let Some(raw) = event.item else { return Ok(true) };
                let view = ItemView::read_leniently(raw);
                let position = self.items.find_or_add(Key::of_item(&view, event.output_index));
                let done = Done { raw, view: &view, place: event.output_index };
                self.item_done(position, done, event.sequence_number, out)?;
                Ok(true)
            }
            _ => self.parts_done(event, out),
        }
    }

    fn item_added(&mut self, event: &Event<'_>) -> bool {
        let Some(raw) = event.item else { return true };
        let view = ItemView::read_leniently(raw);
        let key = Key::of_item(&view, event.output_index);
        let position = self.items.find_or_add(key);
        self.items.name(position, key);
        let item = self.items.item_mut(position);
        if item.done {
            return false;
        }
        item.kind = ItemKind::of(&view);
        item.head = head_of(&view).map(|(_, _, head)| head).unwrap_or_default();
        let is_first = !std::mem::replace(&mut item.begun, true);
        if item.kind.call().is_some() {
            let at = self.items.part(position, DeltaKind::Arguments, 0);
            self.items.announce(at);
        }
        self.kept_at(position).begin(raw);
        is_first
    }

    fn part_announced(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> bool {
        let Some(at) = self.items.announced_by(event) else { return true };
        let (part, item) = (self.items.part_at(at), at.item);
        let (is_first, kind) = (!part.announced, part.kind);
        self.items.announce(at);
        let item = self.items.item_mut(item);
        if self.audience == Audience::Stream && !item.begun && !item.done && self.items.sequence.gaps() > 0 {
            let item = self.items.item_mut(at.item);
            item.begun = true;
            Missing::before(event.sequence_number, &self.items, at.item, out).item_of(kind);
        }
        is_first
    }

    fn annotation_added(&mut self, event: &Event<'_>) -> bool {
        let Some(annotation) = event.annotation else { return true };
        let position = self.items.find_or_add(Key::of(event));
        let at = self.items.part(position, DeltaKind::Text, event.content_index.unwrap_or_default());
        self.items.cite(at, event.annotation_index, annotation)
    }

    /// Takes the end of a part from an event of its own.
    fn parts_done(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<bool, Inconsistency> {
        for whole in WholePart::all_of(event) {
            let position = self.items.find_or_add(Key::of(event));
            let is_call = matches!(whole.kind, DeltaKind::Arguments | DeltaKind::Input);
            if is_call && self.audience == Audience::Stream && !self.items.item(position).begun {
                // Without a name the call is useless to any client: its arguments are sent with its item.
                let at = self.items.part(position, whole.kind, whole.index);
                if matches!(self.items.finish(at, whole.text, Finisher::Part), Verdict::Hopeless) {
                    return Err(Inconsistency::Contradiction(whole.kind));
                }
                let kept = self.kept_at(position);
                kept.piece(whole.kind, whole.index).finish(whole.text);
                kept.waits = true;
                return Ok(false);
            }
            let at = self.items.part(position, whole.kind, whole.index);
            self.part_done(at, &whole, Finisher::Part, event.sequence_number, out)?;
            let piece = self.kept_at(position).piece(whole.kind, whole.index);
            piece.finish(whole.text);
            if let Some(part) = event.part.filter(|_| !whole.text.is_empty() || piece.escaped.is_empty()) {
                piece.part = Some(part.get().to_owned());
            }
        }
        Ok(true)
    }

    /// Compares the complete part with the text sent, and sends the missing rest.
    fn part_done(
        &mut self,
        at: At,
        whole: &WholePart<'_>,
        by: Finisher,
        number: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), Inconsistency> {
        match self.items.finish(at, whole.text, by) {
            Verdict::Whole => self.announce(at, number, out),
            Verdict::Rest(rest) => {
                self.announce(at, number, out);
                if self.audience == Audience::Stream {
                    Missing::before(number, &self.items, at.item, out).text(self.items.part_at_ref(at), &rest);
                }
                let part = self.items.part_at(at);
                part.announced = true;
                part.sent.add(Text::from_escaped(&rest));
            }
            Verdict::Contradicted if self.audience == Audience::Document => {
                self.items.part_at(at).sent = Sent::of(whole.text);
            }
            // The finished item may still have the text.
            Verdict::Untold if self.audience == Audience::Document && by == Finisher::Part => {}
            Verdict::Contradicted | Verdict::Hopeless | Verdict::Untold => {
                return Err(Inconsistency::Contradiction(whole.kind));
            }
        }
        match &whole.citations {
            Some(citations) => self.citations_done(at, citations, number, out),
            None => Ok(()),
        }
    }

    fn citations_done(
        &mut self,
        at: At,
        whole: &[&RawValue],
        number: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), Inconsistency> {
        let known = match self.items.finish_citations(at, whole) {
            Citations::Sent(known) => known,
            Citations::Contradicted if self.audience == Audience::Document => {
                self.items.part_at(at).citations.clear();
                0
            }
            Citations::Contradicted => return Err(Inconsistency::Contradiction(DeltaKind::Text)),
        };
        for (index, citation) in (0..).zip(whole).skip(known) {
            if self.audience == Audience::Stream {
                Missing::before(number, &self.items, at.item, out).citation(
                    self.items.part_at_ref(at),
                    index,
                    citation,
                );
            }
            self.items.part_at(at).citations.push(citation.get().into());
        }
        Ok(())
    }

    /// Takes a finished item.
    fn item_done(
        &mut self,
        position: usize,
        done: Done<'_>,
        number: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), Inconsistency> {
        let view = done.view;
        self.items.name(position, Key::of_item(view, done.place));
        self.require_head(position, view)?;
        let item = self.items.item_mut(position);
        let (is_untold, kind) = (item.is_untold(), ItemKind::of(view));
        item.kind = kind;
        item.done = true;
        if self.audience == Audience::Stream && is_untold && kind.is_told_in_deltas() {
            item.begun = true;
            Missing::before(number, &self.items, position, out).item(done.raw);
        }
        let mut whole = WholePart::all_in(view, kind);
        let payload = kind.call().and_then(|kind| view.payload(kind));
        whole.extend(payload.map(|text| WholePart { kind: DeltaKind::Arguments, index: 0, text, citations: None }));
        for part in &whole {
            let at = self.items.part(position, part.kind, part.index);
            self.part_done(at, part, Finisher::Item, number, out)?;
        }
        if let Some(at) = self.items.left_over(position, view, &whole).first() {
            return Err(Inconsistency::Contradiction(self.items.part_at(*at).kind));
        }
        self.kept_at(position).finish(done.raw);
        Ok(())
    }

    /// Compares a finished call with its announcement: another id or name contradicts it.
    fn require_head(&mut self, position: usize, view: &ItemView<'_>) -> Result<(), Inconsistency> {
        let item = self.items.item(position);
        let differs = head_of(view).is_some_and(|(_, _, head)| !item.head.is_empty() && item.head != head);
        if differs && self.audience == Audience::Stream {
            return Err(Inconsistency::Contradiction(DeltaKind::Arguments));
        }
        Ok(())
    }

    /// Takes `response`, the object in the answer's last event. Returns the list for its `output`, as JSON, if that is
    /// empty and items are known. `status` is the status of unfinished items. Missing earlier events are written to
    /// `out`.
    pub(super) fn complete(
        &mut self,
        response: &ResponseView<'_>,
        status: &str,
        number: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<Option<String>, Inconsistency> {
        let (id, output) = id_and_items(response);
        self.answer.id = id;
        if !output.is_empty() {
            self.require_all_of(&output, number, out)?;
            self.answer.items = output.iter().map(|raw| answer_item(raw.get().to_owned(), true)).collect();
            return Ok(None);
        }
        self.require_proof()?;
        let items = self.all_items(status);
        let may_be_lost = status == COMPLETED || self.items.sequence.lost() > 0;
        if self.audience == Audience::Stream && may_be_lost {
            for (position, json) in &items {
                if !self.items.item(*position).done {
                    self.tell_waiting(*position, number, out);
                    Missing::before(number, &self.items, *position, out).item_done(json);
                }
            }
        }
        let list: Vec<&str> = items.iter().map(|(_, json)| json.as_str()).collect();
        let list = (!list.is_empty()).then(|| format!("[{}]", list.join(",")));
        let item = |(position, json): (usize, String)| answer_item(json, self.items.item(position).done);
        self.answer.items = items.into_iter().map(item).collect();
        Ok(list)
    }

    /// Sends the arguments that came before their call and waited for its end, which never came.
    fn tell_waiting(&mut self, position: usize, number: Option<u64>, out: &mut Vec<u8>) {
        let at = self.items.part(position, DeltaKind::Arguments, 0);
        let kind = if self.items.item(position).kind == ItemKind::Call(CallKind::Custom) {
            DeltaKind::Input
        } else {
            DeltaKind::Arguments
        };
        let kept = self.kept_at(position);
        if std::mem::take(&mut kept.waits) {
            let escaped = kept.piece(kind, 0).escaped.clone();
            Missing::before(number, &self.items, position, out).text(self.items.part_at_ref(at), &escaped);
        }
    }

    /// Compares `output`, the list of all finished items, with the earlier events.
    fn require_all_of(
        &mut self,
        output: &[Raw<'_>],
        number: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), Inconsistency> {
        let views: Vec<ItemView<'_>> = output.iter().map(|raw| ItemView::read_leniently(*raw)).collect();
        let positions = self.items.positions_of(&views);
        for ((place, raw), (view, position)) in (0..).zip(output.iter().copied()).zip(views.iter().zip(&positions)) {
            let item = self.items.item(*position);
            let place = item.place.or(Some(place));
            // An unknown item without earlier events may be meant for the last event alone.
            let is_told = !item.is_untold() || ItemKind::of(view) != ItemKind::Other;
            let lacks_end = self.audience == Audience::Stream && !item.done && is_told;
            self.item_done(*position, Done { raw, view, place }, number, out)?;
            if lacks_end {
                Missing::before(number, &self.items, *position, out).item_done(raw.get());
            }
        }
        let mut is_there = vec![false; self.items.len()];
        positions.iter().for_each(|position| is_there[*position] = true);
        for (item, _) in self.items.iter().zip(is_there).filter(|(_, is_there)| !is_there) {
            let is_answer = matches!(item.kind, ItemKind::Message | ItemKind::Call(_));
            if (item.done && is_answer) || (!item.done && self.audience == Audience::Stream && !item.is_untold()) {
                return Err(Inconsistency::Lost);
            }
        }
        Ok(())
    }

    /// Requires proof of the texts: if events were lost and the last one contains no items, only finished forms count.
    /// Finished parts are enough for a message and a call; other items have more contents.
    fn require_proof(&self) -> Result<(), Inconsistency> {
        let is_whole = |kind| matches!(kind, ItemKind::Message | ItemKind::Call(_));
        let is_in_doubt = self.items.sequence.is_in_doubt();
        let is_half = is_in_doubt && self.items.iter().any(|item| !item.done && !is_whole(item.kind));
        if is_half || self.items.lack_an_item() || !self.items.are_confirmed(|_| true) {
            return Err(Inconsistency::Lost);
        }
        Ok(())
    }

    /// Returns the items as JSON in the order of their places, each with its position.
    fn all_items(&mut self, status: &str) -> Vec<(usize, String)> {
        self.kept.resize_with(self.items.len(), Kept::default);
        let mut items: Vec<(u64, usize, String)> = Vec::new();
        for (position, (item, kept)) in self.items.iter().zip(&mut self.kept).enumerate() {
            let place = item.place.unwrap_or(if item.done { position as u64 } else { u64::MAX });
            items.extend(kept.written(item, status).map(|json| (place, position, json)));
        }
        items.sort_by_key(|(place, position, _)| (*place, *position));
        items.into_iter().map(|(_, position, json)| (position, json)).collect()
    }

    /// Takes the complete answer.
    pub(super) fn take_answer(&mut self) -> Answer {
        std::mem::take(&mut self.answer)
    }

    fn kept_at(&mut self, position: usize) -> &mut Kept {
        if self.kept.len() <= position {
            self.kept.resize_with(position + 1, Kept::default);
        }
        &mut self.kept[position]
    }
}

/// Prepares an item for references in later requests: with its id, if it has ended.
fn answer_item(json: String, has_ended: bool) -> AnswerItem {
    let view = has_ended.then(|| ItemView::read_leniently(Raw::of_valid(&json)));
    let id = view.and_then(|view| view.id).and_then(Raw::text).map(|id| id.decode().into_owned());
    AnswerItem { id, json }
}

/// Returns the id and the items of `response`.
fn id_and_items<'a>(response: &ResponseView<'a>) -> (Option<String>, Vec<Raw<'a>>) {
    if response.around_output.is_some() {
        return (response.id.as_deref().map(str::to_owned), response.items());
    }
    // Other fields may be malformed, without which the view is empty.
    let object = serde_json::from_slice::<Object<'_>>(response.json).unwrap_or_default();
    let id = object.find("id").and_then(Text::of).map(|id| id.decode().into_owned());
    (id, object.find("output").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default())
}

/// Writes `response` with `list` as its `output`.
pub(super) fn write_filled(response: &ResponseView<'_>, list: &str, out: &mut Vec<u8>) {
    if let Some(around) = response.around_output {
        out.reserve(response.json.len() + list.len());
        [around.before, list.as_bytes(), around.after].into_iter().for_each(|piece| out.extend_from_slice(piece));
        return;
    }
    let object = serde_json::from_slice::<Object<'_>>(response.json).unwrap_or_default();
    let mut writer = ObjectWriter::begin(out);
    let mut filled = false;
    for (key, value) in object.iter() {
        filled |= key == "output";
        writer.json(key, if key == "output" { list } else { value.get() });
    }
    if !filled {
        writer.json("output", list);
    }
    writer.end();
}

/// The status of a complete answer, and of its items.
const COMPLETED: &str = "completed";

#[cfg(test)]
mod tests;
