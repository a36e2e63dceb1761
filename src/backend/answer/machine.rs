//! The state machine from the backend's events to an answer, the same for streaming and buffered clients.
//!
//! * Every text and every argument is sent once, whether it comes in deltas, in the part's `done`, in the finished item
//!   or only in the answer's last event. If they contradict each other the answer ends in an error, unless the client
//!   has been sent nothing yet: then the finished form counts.
//! * Only calls that the client runs itself become calls: searches and image generation are internal to the backend.
//! * An unknown or malformed event is skipped; only the backend's last event ends the answer.

use crate::backend::answer::items::{Finisher, Item, ItemKind, Items, Key};
use crate::backend::answer::pieces::Offer;
use crate::backend::answer::reasoning::{KeptReasoning, Thoughts};
use crate::backend::answer::sink::{FinishReason, SearchCall, Sink};
use crate::backend::answer::turns::Turns;
use crate::backend::answer::verdict::Inconsistency;
use crate::backend::answer::views::{ItemView, WholePart};
use crate::backend::answer::{Machine, Step};
use crate::backend::estimate;
use crate::backend::event::answerer::Answerer;
use crate::backend::event::delta::{Delta, DeltaKind, DeltaReader};
use crate::backend::event::failure::Failure;
use crate::backend::event::sse::Frame;
use crate::backend::event::{Event, EventReader, ResponseEnding, ResponseView, Usage};
use crate::fault::Fault;
use crate::json::{Raw, Text};

/// Translates the backend's events into an answer.
#[derive(Debug)]
pub struct AnswerMachine<S> {
    pub(super) sink: S,
    deltas: DeltaReader,
    events: EventReader,
    answerer: Answerer,
    pub(super) items: Items,
    pub(super) thoughts: Thoughts,
    pub(super) visible: bool,
    /// The number of announced calls.
    pub(super) calls: usize,
    pub(super) turns: Turns,
    shows_reasoning: bool,
    identified: bool,
    usage: Option<Usage>,
    /// The estimate of the tokens so far, for an answer that may end before the backend tells its own counts.
    pub(super) estimate: Option<TokenEstimate>,
    /// Whether a stop sequence has ended the answer.
    stopped: bool,
}

/// Estimated tokens of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenEstimate {
    prompt: u64,
    answer: u64,
}

impl TokenEstimate {
    /// Adds a piece of the answer. The backend sends about one token a piece, so a piece counts at least one.
    pub(super) fn add(&mut self, piece: Text<'_>) {
        self.answer += estimate::text(&piece.decode()).max(1);
    }
}

/// Success, or the inconsistency that ends the answer.
pub(super) type Sound = Result<(), Inconsistency>;

impl<S: Sink> AnswerMachine<S> {
    /// Creates a machine for an answer to a request for `model`. Without `shows_reasoning` the sink gets no text of the
    /// model's reasoning.
    pub fn new(model: &str, shows_reasoning: bool, sink: S) -> Self {
        Self {
            turns: Turns::new(sink.has_one_order()),
            sink,
            deltas: DeltaReader::default(),
            events: EventReader::default(),
            answerer: Answerer::new(model, false),
            items: Items::default(),
            thoughts: Thoughts::default(),
            visible: false,
            calls: 0,
            shows_reasoning,
            identified: false,
            usage: None,
            estimate: None,
            stopped: false,
        }
    }

    /// Estimates the tokens of an answer that a stop sequence ends, since the backend counts only at its own end.
    /// `prompt` is the estimate of the request's tokens.
    #[must_use]
    pub fn estimating(self, prompt: Option<u64>) -> Self {
        Self { estimate: prompt.map(|prompt| TokenEstimate { prompt, answer: 0 }), ..self }
    }

    fn delta(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) -> Sound {
        let Some(at) = self.items.delta(delta) else { return Ok(()) };
        match delta.kind {
            DeltaKind::Arguments | DeltaKind::Input => self.arguments_delta(at, delta.text, out),
            _ => self.text(at, delta.text, out),
        }
    }

    fn event(&mut self, event: &Event<'_>, data: &[u8], out: &mut Vec<u8>) -> Result<Step, Inconsistency> {
        if let Some(delta) = Delta::of(event) {
            return self.delta(&delta, out).map(|()| Step::Continue);
        }
        let is_new = self.items.count(event, data.len());
        self.answerer.note(event);
        if let Some(failure) = self.answerer.refused() {
            return Ok(failed(failure));
        }
        self.sink.model(self.answerer.name());
        if let Some(ending) = event.ending() {
            return self.end(ending, event, out);
        }
        match event.kind.as_ref() {
            "response.created" | "response.in_progress" => self.identify(event.response.as_ref()),
            "response.output_item.added" if is_new => self.item_added(event, out)?,
            "response.output_item.done" => {
                if let Some(view) = event.item.and_then(ItemView::read) {
                    let key = Key::of_item(&view, event.output_index);
                    let position = self.items.find_or_end(key, ItemKind::of(&view));
                    self.item_done(position, &view, event.output_index, out)?;
                }
            }
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                if let Some(at) = self.items.announced_by(event) {
                    self.items.announce(at);
                }
            }
            "response.output_text.annotation.added" if is_new => self.annotation_added(event, out)?,
            "error" => return Ok(failed(Failure::from_error_event(data))),
            _ => self.parts_done(event, out)?,
        }
        self.turn(out)?;
        Ok(Step::Continue)
    }

    /// Takes the event that ends the answer.
    fn end(&mut self, ending: ResponseEnding, event: &Event<'_>, out: &mut Vec<u8>) -> Result<Step, Inconsistency> {
        let response = event.response.as_ref();
        let cut = match ending {
            ResponseEnding::Completed => None,
            ResponseEnding::Incomplete => {
                Some(FinishReason::of_incomplete(response.and_then(ResponseView::incomplete_reason)))
            }
            ResponseEnding::Failed => return Ok(failed(Failure::from_failed_response(event))),
        };
        self.complete(response, cut, out)
    }

    /// Gives the sink the pieces that have waited for what an event finished.
    fn turn(&mut self, out: &mut Vec<u8>) -> Sound {
        if self.turns.has_waiting() { self.release(out) } else { Ok(()) }
    }

    fn identify(&mut self, view: Option<&ResponseView<'_>>) {
        if let Some(id) = view.and_then(|view| view.id.as_deref()).filter(|_| !self.identified) {
            self.sink.identify(id);
            self.identified = true;
        }
    }

    /// Takes the end of a part from an event of its own.
    fn parts_done(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Sound {
        for whole in WholePart::all_of(event) {
            let position = self.items.find_or_add(Key::of(event));
            match whole.kind {
                DeltaKind::Arguments | DeltaKind::Input => {
                    self.whole_arguments(position, whole.text, Finisher::Part, out)?;
                }
                _ => self.whole_part(position, &whole, Finisher::Part, out)?,
            }
        }
        Ok(())
    }

    fn item_added(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Sound {
        let Some(view) = event.item.and_then(ItemView::read) else { return Ok(()) };
        let key = Key::of_item(&view, event.output_index);
        let position = self.items.find_or_begin(key);
        self.items.name(position, key);
        let item = self.items.item_mut(position);
        if item.done {
            return Ok(());
        }
        let kind = ItemKind::of(&view);
        item.kind = kind;
        if kind == ItemKind::Reasoning
            && let Some(early) = view.encrypted()
        {
            early.escaped().clone_into(&mut item.early);
        }
        if kind.call().is_some() {
            let at = self.items.part(position, DeltaKind::Arguments, 0);
            self.items.announce(at);
        }
        // A name is sent once and cannot be corrected: a call without a name waits for the end of its item.
        let name = view.name.and_then(Raw::text).filter(|name| !name.is_empty());
        let id = view.call_id.and_then(Raw::text);
        match kind {
            ItemKind::Call(kind) if id.is_some() && name.is_some() => self.begin_call(position, kind, &view, out),
            ItemKind::Call(_) => {
                let head = [id, name].map(|text| text.map(|text| text.escaped().to_owned()));
                self.items.item_mut(position).early_head = head;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes a finished item.
    fn item_done(&mut self, position: usize, view: &ItemView<'_>, place: Option<u64>, out: &mut Vec<u8>) -> Sound {
        self.items.name(position, Key::of_item(view, place));
        let item = self.items.item_mut(position);
        let is_first = !std::mem::replace(&mut item.done, true);
        // A kind that is missing here is the one told before.
        let kind = Some(ItemKind::of(view)).filter(|kind| *kind != ItemKind::Unknown).unwrap_or(item.kind);
        item.kind = kind;
        let whole = WholePart::all_in(view, kind);
        for part in &whole {
            self.whole_part(position, part, Finisher::Item, out)?;
        }
        self.left_over(position, view, &whole, out)?;
        match kind {
            ItemKind::Message if is_first => self.thoughts.led_to_message(),
            ItemKind::Reasoning if is_first => self.reasoning_done(position, view, out)?,
            ItemKind::Search if is_first => self.searched(position, view, out)?,
            ItemKind::Image => self.image(position, view, out)?,
            ItemKind::Call(kind) => {
                self.call_done(position, kind, view, out)?;
                if is_first {
                    self.thoughts.call_done(view, kind);
                }
            }
            ItemKind::Message | ItemKind::Reasoning | ItemKind::Search | ItemKind::Other | ItemKind::Unknown => {}
        }
        // A call that another kind of item ended may still get its arguments.
        let is_half_a_call = kind.call().is_none() && self.items.item(position).call.is_some();
        if is_first && !is_half_a_call {
            self.offer(position, None, Offer::End, out)?;
        }
        self.turn(out)
    }

    /// Keeps finished reasoning, and sends it if the client sees reasoning at all.
    ///
    /// The encrypted form in the item's first event may be incomplete: it counts only if the finished item has none.
    fn reasoning_done(&mut self, position: usize, view: &ItemView<'_>, out: &mut Vec<u8>) -> Sound {
        let early = std::mem::take(&mut self.items.item_mut(position).early);
        let early = (!early.is_empty()).then_some(Text::from_escaped(&early));
        let encrypted = view.encrypted().or(early);
        self.thoughts.add(view, encrypted);
        if self.shows_reasoning { self.offer(position, None, Offer::Sealed(encrypted), out) } else { Ok(()) }
    }

    fn searched(&mut self, position: usize, view: &ItemView<'_>, out: &mut Vec<u8>) -> Sound {
        let search = SearchCall { id: view.id.and_then(Raw::text), action: view.action };
        self.offer(position, None, Offer::Search(search), out)
    }

    /// Takes the answer's last event; `cut` is the reason of an incomplete answer.
    fn complete(
        &mut self,
        view: Option<&ResponseView<'_>>,
        cut: Option<FinishReason>,
        out: &mut Vec<u8>,
    ) -> Result<Step, Inconsistency> {
        self.identify(view);
        let output = view.map(ResponseView::items).unwrap_or_default();
        let output: Vec<ItemView<'_>> = output.into_iter().filter_map(ItemView::read).collect();
        let positions = self.items.positions_of(&output);
        for (place, (view, position)) in (0..).zip(output.iter().zip(&positions)) {
            let place = self.items.item(*position).place.or(Some(place));
            self.item_done(*position, view, place, out)?;
        }
        if output.is_empty() {
            self.require_proof()?;
        } else {
            self.require_a_place_in(&positions, out)?;
        }
        self.require_heads()?;
        self.flush_calls(out)?;
        self.release_all(out)?;
        self.usage = view.and_then(|view| view.usage);
        let is_paused = view.is_some_and(|view| view.end_turn.is_some_and(|over| over.get() == "false"));
        self.finish(cut.unwrap_or_else(|| self.finish_reason(is_paused)), self.usage, out);
        Ok(Step::Complete)
    }

    /// Requires proof of the texts: if events were lost and the last one contains no items, only finished forms count.
    fn require_proof(&self) -> Sound {
        let matters = |item: &Item| match item.kind {
            ItemKind::Message | ItemKind::Call(_) | ItemKind::Image | ItemKind::Unknown => true,
            ItemKind::Reasoning => self.shows_reasoning,
            ItemKind::Search | ItemKind::Other => false,
        };
        if self.items.lack_an_item() || !self.items.are_confirmed(matters) {
            return Err(Inconsistency::Lost);
        }
        Ok(())
    }

    /// Ends the answer at a stop sequence. If events before it may be lost, the answer goes on: its rest shows whether
    /// the text was complete.
    fn stop(&mut self, out: &mut Vec<u8>) -> Step {
        if !self.sink.is_stopped() || self.items.sequence.is_in_doubt() {
            return Step::Continue;
        }
        self.stopped = true;
        self.finish(FinishReason::Stop, self.estimated_usage(), out);
        Step::Complete
    }

    fn finish(&mut self, reason: FinishReason, usage: Option<Usage>, out: &mut Vec<u8>) {
        self.visible = true;
        self.sink.finish(reason, usage, out);
    }

    /// Counts a piece sent to the client, if tokens are estimated.
    pub(super) fn count(&mut self, piece: Text<'_>) {
        if let Some(estimate) = &mut self.estimate {
            estimate.add(piece);
        }
    }

    /// Returns whether the client sees texts of this kind.
    pub(super) const fn shows(&self, kind: DeltaKind) -> bool {
        self.shows_reasoning || !matches!(kind, DeltaKind::Summary | DeltaKind::Reasoning)
    }
}

impl<S: Sink> Machine for AnswerMachine<S> {
    fn begin(&mut self, answerer: Answerer) {
        self.answerer = answerer;
        self.sink.account(self.answerer.account());
        self.sink.model(self.answerer.name());
    }

    fn answerer(&self) -> &Answerer {
        &self.answerer
    }

    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Step {
        let step = match self.deltas.read(&frame.data) {
            Some(delta) => self.delta(&delta, out).map(|()| Step::Continue),
            None => match self.events.read(&frame.data) {
                Some(event) => self.event(&event, &frame.data, out),
                None => Ok(Step::Continue),
            },
        };
        match step {
            Ok(Step::Continue) => self.stop(out),
            Ok(step) => step,
            Err(inconsistency) => failed(inconsistency.into()),
        }
    }

    fn visible(&self) -> bool {
        self.visible
    }

    fn fail(&mut self, error: &Fault, out: &mut Vec<u8>) {
        self.sink.fail(error, out);
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn estimated_usage(&self) -> Option<Usage> {
        let TokenEstimate { prompt, answer } = self.estimate.filter(|_| self.stopped)?;
        Some(Usage { input_tokens: prompt, output_tokens: answer, is_estimate: true, ..Usage::default() })
    }

    fn take_reasoning(&mut self) -> Vec<KeptReasoning> {
        self.thoughts.take()
    }

    fn left_out(&self) -> usize {
        self.sink.left_out()
    }
}

fn failed(failure: Failure) -> Step {
    Step::Failed { failure, reported: false }
}
