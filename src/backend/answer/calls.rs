//! The calls of an answer.
//!
//! * A call is announced once its id and name are known; earlier arguments are held back.
//! * The finished item has the final name and arguments. Everything announced or sent before is compared with it.

use crate::backend::answer::items::{At, Finisher, Item};
use crate::backend::answer::machine::{AnswerMachine, Sound};
use crate::backend::answer::pieces::Offer;
use crate::backend::answer::sent::Sent;
use crate::backend::answer::sink::{CallHead, CallKind, Correction, FinishReason, Sink};
use crate::backend::answer::verdict::{Inconsistency, Verdict, digest_of, head_of};
use crate::backend::answer::views::ItemView;
use crate::backend::event::delta::DeltaKind;
use crate::json::{Raw, Text};

impl<S: Sink> AnswerMachine<S> {
    pub(super) fn arguments_delta(&mut self, at: At, text: Text<'_>, out: &mut Vec<u8>) -> Sound {
        if self.items.item(at.item).call.is_some() {
            return self.arguments(at, text, out);
        }
        self.items.item_mut(at.item).held.push_str(text.escaped());
        Ok(())
    }

    /// Announces a call as soon as its id and name are known, with the arguments received before it.
    pub(super) fn begin_call(
        &mut self,
        position: usize,
        kind: CallKind,
        view: &ItemView<'_>,
        out: &mut Vec<u8>,
    ) -> Sound {
        let item = self.items.item_mut(position);
        if item.call.is_some() {
            return Ok(());
        }
        let early = std::mem::take(&mut item.early_head);
        let [early_id, early_name] = early.each_ref().map(|text| text.as_deref().map(Text::from_escaped));
        let told = (view.call_id.and_then(Raw::text).or(early_id), view.name.and_then(Raw::text).or(early_name));
        let (Some(id), Some(name)) = told else { return Ok(()) };
        let index = self.turns.count_call();
        self.calls += 1;
        let item = self.items.item_mut(position);
        item.call = Some(index);
        item.head = digest_of(id, name);
        item.initial = view.payload(kind).map(|text| text.escaped().to_owned()).unwrap_or_default();
        let held = std::mem::take(&mut item.held);
        self.thoughts.led_to_call(id);
        self.offer(position, None, Offer::Call(CallHead { item: position, index, kind, id, name }), out)?;
        let at = self.items.part(position, DeltaKind::Arguments, 0);
        self.arguments(at, Text::from_escaped(&held), out)
    }

    fn arguments(&mut self, at: At, text: Text<'_>, out: &mut Vec<u8>) -> Sound {
        let item = self.items.item(at.item);
        let Some(index) = item.call.filter(|_| !text.is_empty()) else { return Ok(()) };
        let kind = item.kind.call().unwrap_or(CallKind::Function);
        self.items.part_at(at).sent.add(text);
        self.count(text);
        self.offer(at.item, None, Offer::Arguments(index, kind, text), out)
    }

    /// Takes the complete arguments of a call, and sends the client the missing rest.
    pub(super) fn whole_arguments(
        &mut self,
        position: usize,
        whole: Text<'_>,
        by: Finisher,
        out: &mut Vec<u8>,
    ) -> Sound {
        let at = self.items.part(position, DeltaKind::Arguments, 0);
        let Some(index) = self.items.item(position).call else {
            if whole.is_empty() {
                return Ok(());
            }
            // Now that the complete arguments are known, they replace the earlier ones, which could only be a part of
            // them.
            whole.escaped().clone_into(&mut self.items.item_mut(position).held);
            self.items.part_at(at).finished = Some(by);
            return Ok(());
        };
        match self.items.finish(at, whole, by) {
            Verdict::Whole | Verdict::Untold => {}
            Verdict::Rest(rest) => self.arguments(at, Text::from_escaped(&rest), out)?,
            Verdict::Contradicted if self.correct_arguments(at, index, whole, out)? => {
                self.items.part_at(at).sent = Sent::of(whole);
            }
            Verdict::Contradicted | Verdict::Hopeless => {
                return Err(Inconsistency::Contradiction(DeltaKind::Arguments));
            }
        }
        Ok(())
    }

    fn correct_arguments(
        &mut self,
        at: At,
        call: usize,
        whole: Text<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Inconsistency> {
        self.release_early(at.item, out)?;
        let index = self.turns.index_of(call);
        Ok(index.is_some_and(|index| self.sink.correct(Correction::Arguments(index, whole))))
    }

    /// Takes a finished call.
    pub(super) fn call_done(
        &mut self,
        position: usize,
        kind: CallKind,
        view: &ItemView<'_>,
        out: &mut Vec<u8>,
    ) -> Sound {
        self.require_head(position, kind, view, out)?;
        let payload = view.payload(kind);
        if payload.is_some_and(|payload| !payload.is_empty()) {
            self.items.item_mut(position).held.clear();
        }
        self.begin_call(position, kind, view, out)?;
        payload.map_or(Ok(()), |payload| self.whole_arguments(position, payload, Finisher::Item, out))
    }

    /// Compares a finished call with its announcement: another id or name contradicts it.
    fn require_head(&mut self, position: usize, kind: CallKind, view: &ItemView<'_>, out: &mut Vec<u8>) -> Sound {
        let item = self.items.item_mut(position);
        let Some((call, (id, name, head))) = item.call.zip(head_of(view)) else { return Ok(()) };
        if item.head == head {
            return Ok(());
        }
        item.head = head;
        self.release_early(position, out)?;
        let head = |index| CallHead { item: position, index, kind, id, name };
        let index = self.turns.index_of(call);
        if index.is_some_and(|index| self.sink.correct(Correction::Head(head(index)))) {
            return Ok(());
        }
        Err(Inconsistency::Contradiction(DeltaKind::Arguments))
    }

    /// Requires that every call has been announced.
    pub(super) fn require_heads(&self) -> Sound {
        if self.items.iter().any(Item::is_headless_call) { Err(Inconsistency::Headless) } else { Ok(()) }
    }

    /// Sends the arguments that only an item's first event contained.
    pub(super) fn flush_calls(&mut self, out: &mut Vec<u8>) -> Sound {
        for position in
            (0..self.items.len()).filter(|position| self.items.item(*position).call.is_some()).collect::<Vec<_>>()
        {
            let initial = std::mem::take(&mut self.items.item_mut(position).initial);
            let at = self.items.part(position, DeltaKind::Arguments, 0);
            let part = self.items.part_at(at);
            if part.sent.is_empty() && part.finished.is_none() {
                self.arguments(at, Text::from_escaped(&initial), out)?;
            }
        }
        Ok(())
    }

    /// Returns the reason of a complete answer; `is_paused` if the backend says that the turn is not over.
    pub(super) const fn finish_reason(&self, is_paused: bool) -> FinishReason {
        match (self.calls, is_paused) {
            (1.., _) => FinishReason::ToolCalls,
            (0, true) => FinishReason::Paused,
            (0, false) => FinishReason::Stop,
        }
    }
}
