//! The texts of an answer, up to a stop sequence that may begin in one text and end in the next.
//!
//! * A text block begins with its first character: an empty block makes Claude Code retry.
//! * The characters of a text that could begin a stop sequence are held back. If another text follows directly, they
//!   stay held: the block of the first text ends once they are known to be no part of a sequence.

use std::collections::VecDeque;

use super::blocks::{Block, Piece, Target};
use crate::backend::answer::stop::{StopFilter, StopSequences};
use crate::json::Text;

/// The texts so far.
#[derive(Debug)]
pub(super) struct Speech {
    stop: Option<StopFilter>,
    /// The number of the stop sequence that was hit.
    hit: Option<usize>,
    /// Whether the block of the latest text has begun.
    has_begun: bool,
    /// The texts before the latest with characters still held, in order.
    earlier: VecDeque<Unfinished>,
    /// Whether any text has begun.
    has_spoken: bool,
    /// The latest text, decoded, if citations may quote it.
    quoted: Option<String>,
}

/// A text with characters still held.
#[derive(Debug)]
struct Unfinished {
    /// The bytes held, escaped.
    held: usize,
    has_begun: bool,
}

impl Speech {
    /// Creates the texts of an answer that ends at one of `stop`. `is_quoted` keeps the latest text for citations.
    pub(super) fn new(stop: Vec<String>, is_quoted: bool) -> Self {
        Self {
            stop: StopSequences::new(stop).as_ref().map(StopFilter::new),
            hit: None,
            has_begun: false,
            earlier: VecDeque::new(),
            has_spoken: false,
            quoted: is_quoted.then(String::new),
        }
    }

    /// Returns the number of the stop sequence that was hit: no more text is shown.
    pub(super) const fn hit(&self) -> Option<usize> {
        self.hit
    }

    /// Returns whether a text has begun.
    pub(super) const fn has_spoken(&self) -> bool {
        self.has_spoken
    }

    /// Returns the latest text if its block is open, as far as it is kept for citations.
    pub(super) fn open_text(&self) -> Option<&str> {
        let is_open = self.has_begun && self.hit.is_none();
        is_open.then(|| self.quoted.as_deref().unwrap_or_default())
    }

    /// Begins the next text, directly after another one or after a different block.
    pub(super) fn begin(&mut self, target: &mut impl Target) {
        let all = self.stop.as_ref().map_or(0, StopFilter::held);
        let held = all - self.earlier.iter().map(|text| text.held).sum::<usize>();
        let has_begun = std::mem::take(&mut self.has_begun);
        if held > 0 {
            self.earlier.push_back(Unfinished { held, has_begun });
        } else if has_begun {
            target.end();
        }
        if let Some(quoted) = &mut self.quoted {
            quoted.clear();
        }
    }

    /// Takes more of a refusal, in which no stop sequence is looked for; `before` is that of [`take`](Self::take).
    pub(super) fn refuse<T: Target>(&mut self, text: Text<'_>, target: &mut T, mut before: impl FnMut(&mut T)) {
        self.release(target, &mut before);
        if self.hit.is_none() {
            self.show(text, target, before);
        }
    }

    /// Takes more of the latest text; `before` writes what comes before its block.
    pub(super) fn take<T: Target>(&mut self, text: Text<'_>, target: &mut T, before: impl FnMut(&mut T)) {
        if let Some(quoted) = &mut self.quoted {
            quoted.push_str(&text.decode());
        }
        let Some(mut stop) = self.stop.take() else {
            self.show(text, target, before);
            return;
        };
        let mut before = before;
        self.hit = stop.take(text, |text| self.show(text, target, &mut before));
        self.stop = Some(stop);
        if self.hit.is_some() {
            self.end_earlier(target);
        }
    }

    /// Ends the latest text and its block; `before` is that of [`take`](Self::take).
    pub(super) fn end<T: Target>(&mut self, target: &mut T, mut before: impl FnMut(&mut T)) {
        self.release(target, &mut before);
        self.end_earlier(target);
        if std::mem::take(&mut self.has_begun) {
            target.end();
        }
    }

    /// Shows the held beginning of a possible stop sequence.
    fn release<T: Target>(&mut self, target: &mut T, before: &mut impl FnMut(&mut T)) {
        if self.hit.is_none()
            && let Some(mut stop) = self.stop.take()
        {
            self.hit = stop.end(|text| self.show(text, target, &mut *before));
            self.stop = Some(stop);
        }
    }

    /// Shows characters that are part of no sequence: those held of earlier texts first.
    fn show<T: Target>(&mut self, text: Text<'_>, target: &mut T, mut before: impl FnMut(&mut T)) {
        let mut rest = text.escaped();
        while let Some(first) = self.earlier.front_mut() {
            let (own, later) = rest.split_at(first.held.min(rest.len()));
            if !own.is_empty() {
                if !std::mem::replace(&mut first.has_begun, true) {
                    target.begin(Block::Text);
                }
                target.piece(Piece::Text(Text::from_escaped(own)));
                self.has_spoken = true;
            }
            first.held -= own.len();
            rest = later;
            if first.held > 0 {
                return;
            }
            self.earlier.pop_front();
            target.end();
        }
        if rest.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            before(target);
            target.begin(Block::Text);
            self.has_spoken = true;
        }
        target.piece(Piece::Text(Text::from_escaped(rest)));
    }

    /// Ends the earlier texts, whose held characters belong to a sequence.
    fn end_earlier(&mut self, target: &mut impl Target) {
        for text in std::mem::take(&mut self.earlier) {
            if text.has_begun {
                target.end();
            }
        }
    }
}
