//! The order of an answer's parts in one chat message.
//!
//! * A blank line separates messages, their refusals, and the parts of the reasoning.
//! * Reasoning has a field of its own, or is placed in the content between `<think>` and `</think>`, or is not shown. In
//!   the content a blank line separates it from the texts around it; without it and the blank line after it, messages
//!   are separated as always.
//! * A stop sequence ends the text, and the answer with it, unless a call has begun: a call has to be completed. Only
//!   text is searched, and another piece between two texts interrupts a sequence too.
//! * The legacy form has room for only the first call.

use crate::backend::answer::sink::{FinishReason, Spot};
use crate::backend::answer::stop::StopFilter;
use crate::backend::event::delta::DeltaKind;
use crate::dialect::chat::options::{AnswerMeta, ReasoningFormat};
use crate::json::Text;

/// The state of a message so far.
#[derive(Debug)]
pub(super) struct Flow {
    format: ReasoningFormat,
    legacy_functions: bool,
    stop: Option<StopFilter>,
    /// The current part.
    recent: Option<usize>,
    /// For every begun part, the characters of content before it.
    begun: Vec<Option<u64>>,
    /// The item of the last text.
    speaking: Option<usize>,
    /// The item of the last refusal.
    refusing: Option<usize>,
    reasoned: bool,
    /// Whether `<think>` has been written and not closed.
    thinking: bool,
    /// Whether the content is empty or ends with a separator.
    is_separated: bool,
    /// The characters of content.
    length: u64,
    /// The number of calls begun.
    calls: usize,
    /// Whether a stop sequence was hit.
    is_cut: bool,
}

/// A piece to show.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shown<'a> {
    Content(Text<'a>),
    Refusal(Text<'a>),
    Reasoning(Text<'a>),
}

impl Flow {
    /// Creates an empty message.
    pub(super) fn new(meta: &AnswerMeta) -> Self {
        Self {
            format: meta.reasoning,
            legacy_functions: meta.legacy_functions,
            stop: meta.stop.as_ref().map(StopFilter::new),
            recent: None,
            begun: Vec::new(),
            speaking: None,
            refusing: None,
            reasoned: false,
            thinking: false,
            is_separated: true,
            length: 0,
            calls: 0,
            is_cut: false,
        }
    }

    /// Takes more of a text, and gives the pieces to show now to `show`.
    pub(super) fn text(&mut self, spot: Spot, text: Text<'_>, show: &mut impl FnMut(Shown<'_>)) {
        if self.is_cut && (spot.kind == DeltaKind::Text || self.is_stopped()) {
            return;
        }
        if self.recent != Some(spot.part) {
            self.turn_to(spot, show);
            if self.is_stopped() {
                return;
            }
        }
        match spot.kind {
            DeltaKind::Text => self.content(text, show),
            DeltaKind::Refusal => show(Shown::Refusal(text)),
            _ => self.reason(text, show),
        }
    }

    /// Takes the beginning of a call; `false` if the message has no room for it.
    pub(super) fn call(&mut self, show: &mut impl FnMut(Shown<'_>)) -> bool {
        if !self.interrupt(show) {
            return false;
        }
        self.calls += 1;
        self.has_room_for(self.calls - 1)
    }

    /// Returns whether the call at `index` is shown.
    pub(super) const fn has_room_for(&self, index: usize) -> bool {
        !self.is_stopped() && (index == 0 || !self.legacy_functions)
    }

    /// Counts the calls that are not shown.
    pub(super) const fn left_out(&self) -> usize {
        if self.legacy_functions { self.calls.saturating_sub(1) } else { 0 }
    }

    /// Takes an interruption by a piece other than text and reasoning; `false` if it must not be shown.
    pub(super) fn interrupt(&mut self, show: &mut impl FnMut(Shown<'_>)) -> bool {
        self.release(show);
        if self.is_stopped() {
            return false;
        }
        self.recent = None;
        self.end_thinking(show);
        true
    }

    /// Returns the characters of content before the part.
    pub(super) fn offset(&self, part: usize) -> u64 {
        self.begun.get(part).copied().flatten().unwrap_or(self.length)
    }

    /// Returns whether a stop sequence was hit, so that no more text is shown.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Returns whether a stop sequence has ended the answer.
    pub(super) const fn is_stopped(&self) -> bool {
        self.is_cut && self.calls == 0
    }

    /// Ends the message, and returns the reason: `reason`, unless the message ended before.
    pub(super) fn finish(&mut self, reason: FinishReason, show: &mut impl FnMut(Shown<'_>)) -> FinishReason {
        self.release(show);
        self.end_thinking(show);
        match reason {
            _ if self.is_stopped() => FinishReason::Stop,
            FinishReason::ToolCalls if self.legacy_functions => FinishReason::FunctionCall,
            reason => reason,
        }
    }

    /// Writes the separator before the next text of another part.
    fn turn_to(&mut self, spot: Spot, show: &mut impl FnMut(Shown<'_>)) {
        let has_begun = self.begun.get(spot.part).is_some_and(Option::is_some);
        match spot.kind {
            DeltaKind::Text => {
                self.end_thinking(show);
                let is_another = self.speaking.replace(spot.item).is_some_and(|speaking| speaking != spot.item);
                if is_another && !self.is_separated {
                    self.content(BLANK_LINE, show);
                }
            }
            DeltaKind::Refusal => {
                self.release(show);
                if self.refusing.replace(spot.item).is_some_and(|refusing| refusing != spot.item) {
                    show(Shown::Refusal(BLANK_LINE));
                }
            }
            _ => {
                self.release(show);
                let is_apart = self.format == ReasoningFormat::ThinkTags && !self.thinking;
                if !has_begun && std::mem::replace(&mut self.reasoned, true) && !is_apart {
                    self.reason(BLANK_LINE, show);
                }
            }
        }
        self.recent = Some(spot.part);
        if !has_begun {
            self.begun.resize(self.begun.len().max(spot.part + 1), None);
            self.begun[spot.part] = Some(self.length);
        }
    }

    fn content(&mut self, text: Text<'_>, show: &mut impl FnMut(Shown<'_>)) {
        self.is_separated = false;
        self.length += text.length() as u64;
        match &mut self.stop {
            None => show(Shown::Content(text)),
            Some(_) if self.is_cut => {}
            Some(stop) => self.is_cut = stop.take(text, |text| show(Shown::Content(text))).is_some(),
        }
    }

    fn reason(&mut self, text: Text<'_>, show: &mut impl FnMut(Shown<'_>)) {
        match self.format {
            ReasoningFormat::None => {}
            ReasoningFormat::ReasoningContent | ReasoningFormat::Reasoning => show(Shown::Reasoning(text)),
            ReasoningFormat::ThinkTags => {
                if !std::mem::replace(&mut self.thinking, true) {
                    if !self.is_separated {
                        self.aside(BLANK_LINE, show);
                    }
                    self.aside(THINK_BEGIN, show);
                }
                self.aside(text, show);
            }
        }
    }

    fn end_thinking(&mut self, show: &mut impl FnMut(Shown<'_>)) {
        if std::mem::take(&mut self.thinking) {
            self.aside(THINK_END, show);
            self.is_separated = true;
        }
    }

    /// Shows content without searching it for stop sequences.
    fn aside(&mut self, text: Text<'_>, show: &mut impl FnMut(Shown<'_>)) {
        self.length += text.length() as u64;
        show(Shown::Content(text));
    }

    /// Shows the held beginning of a possible stop sequence.
    fn release(&mut self, show: &mut impl FnMut(Shown<'_>)) {
        if let Some(stop) = self.stop.as_mut().filter(|_| !self.is_cut) {
            self.is_cut = stop.end(|text| show(Shown::Content(text))).is_some();
        }
    }
}

const BLANK_LINE: Text<'static> = Text::from_escaped(r"\n\n");
const THINK_BEGIN: Text<'static> = Text::from_escaped(r"<think>\n");
const THINK_END: Text<'static> = Text::from_escaped(r"\n</think>\n\n");
