//! The texts of an answer: deltas, finished parts, citations, images.

use serde_json::value::RawValue;

use crate::backend::answer::items::{At, Finisher, Items, Key, Part};
use crate::backend::answer::machine::{AnswerMachine, Sound};
use crate::backend::answer::pieces::{Lane, Offer};
use crate::backend::answer::sent::Sent;
use crate::backend::answer::sink::{Correction, Image, Sink, Spot};
use crate::backend::answer::verdict::{Citations, Inconsistency, Verdict};
use crate::backend::answer::views::{ItemView, WholePart};
use crate::backend::event::Event;
use crate::backend::event::delta::DeltaKind;
use crate::json::{Raw, Text};

impl<S: Sink> AnswerMachine<S> {
    /// Sends the client more of a text.
    pub(super) fn text(&mut self, at: At, text: Text<'_>, out: &mut Vec<u8>) -> Sound {
        let kind = self.items.part_at(at).kind;
        if text.is_empty() || !self.shows(kind) {
            return Ok(());
        }
        let spot = spot(&self.items, at);
        self.items.part_at(at).sent.add(text);
        self.count(text);
        if self.turns.is_current(Lane::of(kind), at) {
            self.visible = true;
            self.sink.text(spot, text, out);
            return Ok(());
        }
        self.offer(at.item, Some(at), Offer::Text(spot, text), out)
    }

    /// Takes a complete part, and sends the client the missing rest.
    pub(super) fn whole_part(
        &mut self,
        position: usize,
        whole: &WholePart<'_>,
        by: Finisher,
        out: &mut Vec<u8>,
    ) -> Sound {
        if !self.shows(whole.kind) {
            return Ok(());
        }
        let at = self.items.part(position, whole.kind, whole.index);
        match self.items.finish(at, whole.text, by) {
            Verdict::Whole | Verdict::Untold => {}
            Verdict::Rest(rest) => self.text(at, Text::from_escaped(&rest), out)?,
            Verdict::Contradicted => self.correct_text(at, whole.text, out)?,
            Verdict::Hopeless => return Err(Inconsistency::Contradiction(whole.kind)),
        }
        whole.citations.as_ref().map_or(Ok(()), |citations| self.whole_citations(at, citations, out))
    }

    fn correct_text(&mut self, at: At, whole: Text<'_>, out: &mut Vec<u8>) -> Sound {
        self.release_early(at.item, out)?;
        let spot = spot(&self.items, at);
        if !self.sink.correct(Correction::Text(spot, whole)) {
            return Err(Inconsistency::Contradiction(spot.kind));
        }
        self.items.part_at(at).sent = Sent::of(whole);
        Ok(())
    }

    /// Removes parts that the finished item does not have. A part that it has, but not readably, contradicts nothing, nor
    /// does an item without parts.
    pub(super) fn left_over(
        &mut self,
        position: usize,
        view: &ItemView<'_>,
        whole: &[WholePart<'_>],
        out: &mut Vec<u8>,
    ) -> Sound {
        for at in self.items.left_over(position, view, whole) {
            if is_unreadable(self.items.part_at_ref(at), view, whole) {
                continue;
            }
            self.correct_text(at, Text::EMPTY, out)?;
        }
        Ok(())
    }

    /// Removes the texts of items outside the complete list of finished ones, given by their positions.
    pub(super) fn require_a_place_in(&mut self, finished: &[usize], out: &mut Vec<u8>) -> Sound {
        let mut is_finished = vec![false; self.items.len()];
        finished.iter().for_each(|position| is_finished[*position] = true);
        for position in (0..self.items.len()).filter(|position| !is_finished[*position]) {
            let item = self.items.item(position);
            if item.done {
                continue;
            }
            if item.call.is_some() {
                return Err(Inconsistency::Contradiction(DeltaKind::Arguments));
            }
            let sent = item.parts.iter().enumerate().filter(|(_, part)| !part.sent.is_empty());
            let sent: Vec<At> = sent.map(|(part, _)| At { item: position, part }).collect();
            sent.into_iter().try_for_each(|at| self.correct_text(at, Text::EMPTY, out))?;
        }
        Ok(())
    }

    pub(super) fn annotation_added(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Sound {
        let Some(annotation) = event.annotation else { return Ok(()) };
        let position = self.items.find_or_add(Key::of(event));
        let at = self.items.part(position, DeltaKind::Text, event.content_index.unwrap_or_default());
        if self.items.cite(at, event.annotation_index, annotation) {
            self.cite(at, annotation, out)?;
        }
        Ok(())
    }

    fn whole_citations(&mut self, at: At, whole: &[&RawValue], out: &mut Vec<u8>) -> Sound {
        let known = match self.items.finish_citations(at, whole) {
            Citations::Sent(known) => known,
            Citations::Contradicted => {
                self.release_early(at.item, out)?;
                let spot = spot(&self.items, at);
                if !self.sink.correct(Correction::Citations(spot, whole)) {
                    return Err(Inconsistency::Contradiction(DeltaKind::Text));
                }
                self.items.part_at(at).citations = whole.iter().map(|citation| citation.get().into()).collect();
                return Ok(());
            }
        };
        for citation in whole.iter().skip(known) {
            self.items.part_at(at).citations.push(citation.get().into());
            self.cite(at, citation, out)?;
        }
        Ok(())
    }

    fn cite(&mut self, at: At, annotation: &RawValue, out: &mut Vec<u8>) -> Sound {
        let spot = spot(&self.items, at);
        self.offer(at.item, Some(at), Offer::Citation(spot, annotation), out)
    }

    pub(super) fn image(&mut self, position: usize, view: &ItemView<'_>, out: &mut Vec<u8>) -> Sound {
        let Some(base64) = view.result.and_then(Raw::text).filter(|result| !result.is_empty()) else { return Ok(()) };
        if std::mem::replace(&mut self.items.item_mut(position).shown, true) {
            return Ok(());
        }
        let format = view.output_format.and_then(Raw::text).unwrap_or(PNG);
        self.offer(position, None, Offer::Image(Image { format, base64 }), out)
    }
}

/// Returns whether the finished item `view`, of which `whole` is readable, tells nothing about `part`.
fn is_unreadable(part: &Part, view: &ItemView<'_>, whole: &[WholePart<'_>]) -> bool {
    let is_summary = |kind| kind == DeltaKind::Summary;
    let list = if is_summary(part.kind) { &view.summary } else { &view.content };
    let count = list.as_ref().map_or(0, Vec::len) as u64;
    let is_at = |whole: &WholePart<'_>| whole.index == part.index && is_summary(whole.kind) == is_summary(part.kind);
    count == 0 || (part.index < count && !whole.iter().any(is_at))
}

fn spot(items: &Items, at: At) -> Spot {
    let item = items.item(at.item);
    let part = items.part_at_ref(at);
    Spot { part: part.number, item: at.item, kind: part.kind, place: item.place, index: part.index, rank: part.rank }
}

const PNG: Text<'static> = Text::from_escaped("png");
