//! The order of an answer's blocks: one after the other, each begun and ended once.
//!
//! * A block stays open until something else begins. A call stays open until it is complete: other pieces wait
//!   meanwhile, so that parallel calls, whose arguments come interleaved, become consecutive blocks.
//! * Reasoning is one block for each item: the texts of its summary with a blank line between them, then the seal,
//!   which only the finished item has. Without a text it is a redacted block, or an empty one if the client wants no
//!   text.
//! * A text block begins with its first character: an empty block makes Claude Code retry.
//! * If a web search is the client's only tool, the answer's text waits for its end, since only its citations tell the
//!   pages found; the results go before it.

use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::request::{MessagesShape, Thinking};
use super::results::{Found, Search};
use super::seal::{self, Length};
use crate::backend::answer::sink::{CallHead, CallKind, FinishReason, SearchCall, Spot};
use crate::backend::answer::stop::{StopFilter, StopSequences};
use crate::backend::event::delta::DeltaKind;
use crate::backend::request::body::account_digest;
use crate::json::{Text, escape};

/// Takes the blocks of an answer in order.
pub(super) trait Target {
    /// Begins a block.
    fn begin(&mut self, block: Block<'_>);
    /// Appends to the open block.
    fn piece(&mut self, piece: Piece<'_>);
    /// Ends the open block.
    fn end(&mut self);
}

/// The beginning of a block. Texts are escaped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Block<'a> {
    Text,
    Thinking,
    Redacted(&'a str),
    ToolUse {
        id: Text<'a>,
        name: Text<'a>,
    },
    /// A search, with its query as JSON.
    Search {
        id: &'a str,
    },
    /// The results of a search: the blocks as a JSON array.
    Results {
        id: &'a str,
        results: &'a str,
    },
}

/// A piece of a block. Texts are escaped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Piece<'a> {
    Text(Text<'a>),
    Thinking(Text<'a>),
    Signature(&'a str),
    /// A piece of a JSON text, as the inside of a JSON string.
    Input(&'a str),
    /// A citation, a JSON object.
    Citation(&'a str),
}

/// The open block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text { part: usize },
    Thinking { item: usize },
    Call { index: usize },
}

/// A piece that waits for an open call, or for the end of a text about a search.
#[derive(Debug)]
enum Waiting {
    Text(Spot, String),
    Call(usize),
    Sealed(usize, Option<String>),
    /// A search, and whether it is shown with the pages that the text cites.
    Search(Search, bool),
    Citation(Spot, Box<str>),
}

/// A call so far; texts are escaped.
#[derive(Debug)]
struct Call {
    item: usize,
    id: String,
    name: String,
    /// Whether the tool is a custom tool: its input is a text, sent as a whole, in an object.
    is_custom: bool,
    /// Arguments not yet given to the target.
    held: String,
    is_whole: bool,
}

/// Puts the pieces of an answer into blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    thinking: Thinking,
    seals: bool,
    account: String,
    model: String,
    open: Option<Open>,
    /// Whether a character of the open text was given to the target.
    begun_text: bool,
    waiting: VecDeque<Waiting>,
    calls: Vec<Call>,
    /// The lengths of the texts in the open reasoning item; `thought` is the part of the last.
    lengths: Vec<Length>,
    thought: Option<usize>,
    stop: Option<StopFilter>,
    /// The stop sequence that was hit.
    hit: Option<usize>,
    /// The text of the open block, decoded, if citations may quote it.
    quoted: Option<String>,
    /// Whether text waits until its item ends, because searches before it wait for its citations.
    awaits_citations: bool,
    found: Found,
    pub(super) searches: u64,
    refusal: Option<String>,
}

impl Blocks {
    /// Creates an empty answer to a request for `model`. Without `seals` reasoning is shown and cannot be returned.
    pub(super) fn new(shape: &MessagesShape, model: &str, seals: bool) -> Self {
        Self {
            thinking: shape.thinking,
            seals,
            account: String::new(),
            model: model.to_owned(),
            open: None,
            begun_text: false,
            waiting: VecDeque::new(),
            calls: Vec::new(),
            lengths: Vec::new(),
            thought: None,
            stop: StopSequences::new(shape.stop.clone()).as_ref().map(StopFilter::new),
            hit: None,
            quoted: shape.searches.then(String::new),
            awaits_citations: shape.only_searches,
            found: Found::default(),
            searches: 0,
            refusal: None,
        }
    }

    pub(super) fn account(&mut self, account: &str) {
        account.clone_into(&mut self.account);
    }

    /// Takes more of a text.
    pub(super) fn text(&mut self, spot: Spot, text: Text<'_>, target: &mut impl Target) {
        if self.has_to_wait() {
            self.waiting.push_back(Waiting::Text(spot, text.escaped().to_owned()));
            return;
        }
        match spot.kind {
            DeltaKind::Summary | DeltaKind::Reasoning => self.think(spot, text, target),
            DeltaKind::Refusal => {
                self.refusal.get_or_insert_default().push_str(text.escaped());
                self.say(spot, text, target);
            }
            DeltaKind::Text | DeltaKind::Arguments | DeltaKind::Input => self.say(spot, text, target),
        }
    }

    fn say(&mut self, spot: Spot, text: Text<'_>, target: &mut impl Target) {
        if self.hit.is_some() {
            return;
        }
        if self.open != Some(Open::Text { part: spot.part }) {
            self.close(target);
            self.open = Some(Open::Text { part: spot.part });
            if let Some(quoted) = &mut self.quoted {
                quoted.clear();
            }
            self.begun_text = false;
        }
        if let Some(quoted) = &mut self.quoted {
            quoted.push_str(&text.decode());
        }
        let begun = &mut self.begun_text;
        let mut show = |text: Text<'_>| {
            if !std::mem::replace(begun, true) {
                target.begin(Block::Text);
            }
            target.piece(Piece::Text(text));
        };
        match &mut self.stop {
            None => show(text),
            Some(stop) => self.hit = stop.take(text, show),
        }
    }

    fn think(&mut self, spot: Spot, text: Text<'_>, target: &mut impl Target) {
        if self.thinking != Thinking::Shown {
            return;
        }
        let is_open = self.open == Some(Open::Thinking { item: spot.item });
        if !is_open {
            self.close(target);
            self.open = Some(Open::Thinking { item: spot.item });
            self.lengths.clear();
            self.thought = None;
            target.begin(Block::Thinking);
        }
        if self.thought != Some(spot.part) {
            if self.thought.replace(spot.part).is_some() {
                target.piece(Piece::Thinking(Text::from_escaped(r"\n\n")));
            }
            self.lengths.push(Length { bytes: 0, is_raw: spot.kind == DeltaKind::Reasoning });
        }
        if let Some(length) = self.lengths.last_mut() {
            length.bytes += text.decode().len();
        }
        target.piece(Piece::Thinking(text));
    }

    /// Takes the end of a reasoning item.
    pub(super) fn sealed(&mut self, item: usize, encrypted: Option<Text<'_>>, target: &mut impl Target) {
        if self.has_to_wait() {
            self.waiting.push_back(Waiting::Sealed(item, encrypted.map(|text| text.escaped().to_owned())));
            return;
        }
        let is_open = self.open == Some(Open::Thinking { item });
        let lengths = if is_open { std::mem::take(&mut self.lengths) } else { Vec::new() };
        let digest = account_digest(&self.account);
        let seal = encrypted
            .filter(|_| self.seals)
            .map(|encrypted| seal::seal(digest, &self.model, &lengths, &encrypted.decode()));
        match (is_open, seal) {
            (true, Some(seal)) => target.piece(Piece::Signature(&seal)),
            (true, None) | (false, None) => {}
            (false, Some(seal)) => {
                self.close(target);
                match self.thinking {
                    Thinking::Omitted => {
                        target.begin(Block::Thinking);
                        target.piece(Piece::Signature(&seal));
                    }
                    Thinking::Shown | Thinking::Hidden => target.begin(Block::Redacted(&seal)),
                }
                target.end();
            }
        }
        if is_open {
            self.close(target);
        }
    }

    /// Takes the beginning of a call.
    pub(super) fn call(&mut self, head: CallHead<'_>, target: &mut impl Target) {
        self.calls.push(Call {
            item: head.item,
            id: head.id.escaped().to_owned(),
            name: head.name.escaped().to_owned(),
            is_custom: head.kind == CallKind::Custom,
            held: String::new(),
            is_whole: false,
        });
        self.open_call(self.calls.len() - 1, target);
    }

    fn open_call(&mut self, index: usize, target: &mut impl Target) {
        if self.has_to_wait() {
            self.waiting.push_back(Waiting::Call(index));
            return;
        }
        self.close(target);
        let Some(call) = self.calls.get_mut(index) else { return };
        target.begin(Block::ToolUse { id: Text::from_escaped(&call.id), name: Text::from_escaped(&call.name) });
        if !call.held.is_empty() && !call.is_custom {
            target.piece(Piece::Input(&std::mem::take(&mut call.held)));
        }
        self.open = Some(Open::Call { index });
        if call.is_whole {
            self.close(target);
        }
    }

    /// Takes more of the arguments of the call at `index`, as the inside of a JSON string.
    pub(super) fn arguments(&mut self, index: usize, text: &str, target: &mut impl Target) {
        let Some(call) = self.calls.get_mut(index) else { return };
        if self.open == Some(Open::Call { index }) && !call.is_custom {
            target.piece(Piece::Input(text));
        } else {
            call.held.push_str(text);
        }
    }

    /// Takes a finished search.
    pub(super) fn searched(&mut self, search: SearchCall<'_>, target: &mut impl Target) {
        self.searches += 1;
        let search = Search::read(search, self.searches);
        if self.has_to_wait() || self.awaits_citations {
            self.waiting.push_back(Waiting::Search(search, self.awaits_citations));
            return;
        }
        self.close(target);
        search.write(None, target);
    }

    /// Takes a citation in the text at `spot`.
    pub(super) fn citation(&mut self, spot: Spot, annotation: &RawValue, target: &mut impl Target) {
        self.found.add(annotation);
        if self.has_to_wait() {
            self.waiting.push_back(Waiting::Citation(spot, annotation.get().into()));
            return;
        }
        if self.open != Some(Open::Text { part: spot.part }) || !self.begun_text || self.hit.is_some() {
            return;
        }
        let quoted = self.quoted.as_deref().unwrap_or_default();
        if let Some(citation) = super::results::citation(annotation, quoted) {
            target.piece(Piece::Citation(&citation));
        }
    }

    /// Takes the end of the item with this number.
    pub(super) fn item_done(&mut self, item: usize, target: &mut impl Target) {
        for call in self.calls.iter_mut().filter(|call| call.item == item) {
            call.is_whole = true;
        }
        let is_about_it =
            |waiting: &Waiting| matches!(waiting, Waiting::Text(spot, _) if spot.item == item && is_said(*spot));
        if self.awaits_citations && self.waiting.iter().any(is_about_it) {
            self.awaits_citations = false;
        }
        self.go_on(target);
    }

    /// Gives the target all pieces that need not wait any more.
    fn go_on(&mut self, target: &mut impl Target) {
        if let Some(Open::Call { index }) = self.open
            && self.calls.get(index).is_some_and(|call| call.is_whole)
        {
            self.close(target);
        }
        if self.has_to_wait() {
            return;
        }
        let last_search = self.waiting.iter().rposition(|waiting| matches!(waiting, Waiting::Search(_, true)));
        for (position, waiting) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            match waiting {
                Waiting::Text(spot, text) => self.text(spot, Text::from_escaped(&text), target),
                Waiting::Call(index) => self.open_call(index, target),
                Waiting::Sealed(item, encrypted) => {
                    self.sealed(item, encrypted.as_deref().map(Text::from_escaped), target);
                }
                Waiting::Search(search, _) if !self.has_to_wait() => {
                    self.close(target);
                    let found = if last_search == Some(position) { Some(&self.found) } else { None };
                    search.write(found, target);
                }
                waiting @ Waiting::Search(..) => self.waiting.push_back(waiting),
                Waiting::Citation(spot, json) => {
                    if let Ok(annotation) = serde_json::from_str::<&RawValue>(&json) {
                        self.citation(spot, annotation, target);
                    }
                }
            }
        }
    }

    /// Returns whether a new piece has to wait: for an unfinished call, or for the citations of a text.
    fn has_to_wait(&self) -> bool {
        let is_searched = || self.waiting.iter().any(|waiting| matches!(waiting, Waiting::Search(..)));
        let waits_for_call = match self.open {
            Some(Open::Call { index }) => self.calls.get(index).is_some_and(|call| !call.is_whole),
            _ => false,
        };
        waits_for_call || (self.awaits_citations && is_searched())
    }

    /// Ends the open block.
    fn close(&mut self, target: &mut impl Target) {
        let Some(open) = self.open.take() else { return };
        if matches!(open, Open::Text { .. }) {
            self.release(target);
            if !self.begun_text {
                return;
            }
        }
        if let Open::Call { index } = open
            && let Some(call) = self.calls.get(index).filter(|call| call.is_custom)
        {
            target.piece(Piece::Input(&escape(&format!(r#"{{"input":"{}"}}"#, call.held))));
        }
        target.end();
    }

    /// Shows the held beginning of a possible stop sequence.
    fn release(&mut self, target: &mut impl Target) {
        let Some(stop) = self.stop.as_mut().filter(|_| self.hit.is_none()) else { return };
        let begun = &mut self.begun_text;
        self.hit = stop.end(|text| {
            if !std::mem::replace(begun, true) {
                target.begin(Block::Text);
            }
            target.piece(Piece::Text(text));
        });
    }

    /// Returns whether a stop sequence has ended the answer. A begun call has to be completed.
    pub(super) fn is_stopped(&self) -> bool {
        self.hit.is_some() && self.calls.is_empty()
    }

    /// Ends the last block, and returns the answer's ending.
    pub(super) fn finish(&mut self, reason: FinishReason, target: &mut impl Target) -> Ending {
        self.calls.iter_mut().for_each(|call| call.is_whole = true);
        self.awaits_citations = false;
        self.go_on(target);
        self.close(target);
        let (hit, refusal) = (self.hit.filter(|_| self.calls.is_empty()), self.refusal.take());
        let why = match reason {
            _ if hit.is_some() => "stop_sequence",
            FinishReason::ContentFilter => "refusal",
            FinishReason::Length => "max_tokens",
            FinishReason::ToolCalls | FinishReason::FunctionCall => "tool_use",
            FinishReason::Stop if refusal.is_some() => "refusal",
            FinishReason::Stop => "end_turn",
        };
        Ending { reason: why, hit, refusal }
    }
}

/// Returns whether the text at `spot` is for the user, and not the model's reasoning.
const fn is_said(spot: Spot) -> bool {
    matches!(spot.kind, DeltaKind::Text | DeltaKind::Refusal)
}

/// The ending of an answer.
#[derive(Debug)]
pub(super) struct Ending {
    /// `stop_reason`.
    pub(super) reason: &'static str,
    /// The number of the stop sequence that was hit.
    pub(super) hit: Option<usize>,
    /// The model's refusal, escaped.
    pub(super) refusal: Option<String>,
}
