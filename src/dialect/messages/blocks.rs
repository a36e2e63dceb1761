//! The order of an answer's blocks: one after the other, each begun and ended once.
//!
//! * A block stays open until something else begins. A call stays open until it is complete: other pieces wait
//!   meanwhile, so that parallel calls, whose arguments come interleaved, become consecutive blocks.
//! * Reasoning is one block for each item: the texts of its summary with a blank line between them, then the seal,
//!   which only the finished item has. Without a text it is a redacted block, or an empty one if the client wants no
//!   text.
//! * Claude Code takes an answer from its last block, which has to be text: a search after a text, and reasoning without
//!   a text, wait until another block follows. If the answer ends there, they are left out.
//! * If a web search is the client's only tool, the answer's text waits for its end, since only its citations tell the
//!   pages found; the results go before it.

use std::collections::{HashMap, VecDeque};

use serde_json::value::RawValue;

use super::request::{MessagesShape, Thinking};
use super::results::{Found, Search};
use super::seal::{self, Layout};
use super::speech::Speech;
use crate::backend::answer::sink::{CallHead, CallKind, FinishReason, SearchCall, Spot};
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
    speech: Speech,
    /// The blocks after a text that come only if another one follows.
    trailing: Vec<Trailing>,
    /// Whether nothing has come after a search of the web.
    ends_with_search: bool,
    waiting: VecDeque<Waiting>,
    calls: Vec<Call>,
    /// The texts in the open reasoning item; `thought` is the part of the last.
    layout: Layout,
    thought: Option<usize>,
    /// Whether text waits until its item ends, because searches before it wait for its citations.
    awaits_citations: bool,
    found: Found,
    /// The number of the backend's own actions on the web.
    actions: u64,
    /// The number of searches among them.
    pub(super) searches: u64,
    refusal: Option<String>,
    /// By part, the citations that came before its text.
    early_citations: HashMap<usize, Vec<Box<RawValue>>>,
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
            speech: Speech::new(shape.stop.clone(), shape.searches),
            trailing: Vec::new(),
            ends_with_search: false,
            waiting: VecDeque::new(),
            calls: Vec::new(),
            layout: Layout::default(),
            thought: None,
            awaits_citations: shape.only_searches,
            found: Found::default(),
            actions: 0,
            searches: 0,
            refusal: None,
            early_citations: HashMap::new(),
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

    fn say<T: Target>(&mut self, spot: Spot, text: Text<'_>, target: &mut T) {
        if self.speech.hit().is_some() {
            return;
        }
        let open = Open::Text { part: spot.part };
        if self.open != Some(open) {
            self.cite_early(target);
            let follows_text = matches!(self.open, Some(Open::Text { .. })) && self.trailing.is_empty();
            if !follows_text {
                self.close(target);
            }
            self.speech.begin(target);
            self.open = Some(open);
        }
        let Self { speech, trailing, found, ends_with_search, .. } = self;
        let before = |target: &mut T| {
            write_trailing(trailing, found, target);
            *ends_with_search = false;
        };
        match spot.kind {
            DeltaKind::Refusal => speech.refuse(text, target, before),
            _ => speech.take(text, target, before),
        }
    }

    fn think(&mut self, spot: Spot, text: Text<'_>, target: &mut impl Target) {
        if self.thinking != Thinking::Shown {
            return;
        }
        let is_open = self.open == Some(Open::Thinking { item: spot.item });
        if !is_open {
            self.turn(target);
            self.open = Some(Open::Thinking { item: spot.item });
            self.layout = Layout::default();
            self.thought = None;
            target.begin(Block::Thinking);
        }
        if self.thought != Some(spot.part) {
            if self.thought.replace(spot.part).is_some() {
                target.piece(Piece::Thinking(Text::from_escaped(r"\n\n")));
            }
            self.layout.begin(spot.kind == DeltaKind::Reasoning);
        }
        self.layout.add(&text.decode());
        target.piece(Piece::Thinking(text));
    }

    /// Takes the end of a reasoning item.
    pub(super) fn sealed(&mut self, item: usize, encrypted: Option<Text<'_>>, target: &mut impl Target) {
        if self.has_to_wait() {
            self.waiting.push_back(Waiting::Sealed(item, encrypted.map(|text| text.escaped().to_owned())));
            return;
        }
        let is_open = self.open == Some(Open::Thinking { item });
        let layout = if is_open { std::mem::take(&mut self.layout) } else { Layout::default() };
        let digest = account_digest(&self.account);
        let seal = encrypted
            .filter(|_| self.seals)
            .map(|encrypted| seal::seal(digest, &self.model, &layout, &encrypted.decode()));
        match (is_open, seal) {
            (true, Some(seal)) => target.piece(Piece::Signature(&seal)),
            (true, None) | (false, None) => {}
            (false, Some(seal)) => self.add(Trailing::Seal(seal, self.thinking), target),
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
        self.turn(target);
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
        self.actions += 1;
        let search = Search::read(search, self.actions);
        self.searches += u64::from(search.is_search);
        if self.has_to_wait() || self.awaits_citations {
            self.waiting.push_back(Waiting::Search(search, self.awaits_citations));
            return;
        }
        self.add(Trailing::Search(search, false), target);
    }

    /// Adds a block with which no answer may end after a text.
    fn add(&mut self, block: Trailing, target: &mut impl Target) {
        let is_search = matches!(block, Trailing::Search(..));
        self.close(target);
        if self.speech.has_spoken() {
            self.trailing.push(block);
        } else {
            block.write(&self.found, target);
        }
        self.ends_with_search = is_search;
    }

    /// Takes a citation in the text at `spot`.
    pub(super) fn citation(&mut self, spot: Spot, annotation: &RawValue, target: &mut impl Target) {
        self.found.add(annotation);
        if self.has_to_wait() {
            self.waiting.push_back(Waiting::Citation(spot, annotation.get().into()));
            return;
        }
        if self.open != Some(Open::Text { part: spot.part }) {
            self.early_citations.entry(spot.part).or_default().push(annotation.to_owned());
        } else if let Some(quoted) = self.speech.open_text()
            && let Some(citation) = super::results::citation(annotation, quoted)
        {
            target.piece(Piece::Citation(&citation));
        }
    }

    /// Gives the citations that came before the open text, at its end: they quote it.
    fn cite_early(&mut self, target: &mut impl Target) {
        let (Some(Open::Text { part: open }), Some(quoted)) = (self.open, self.speech.open_text()) else { return };
        for annotation in self.early_citations.remove(&open).unwrap_or_default() {
            if let Some(citation) = super::results::citation(&annotation, quoted) {
                target.piece(Piece::Citation(&citation));
            }
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
                    self.add(Trailing::Search(search, last_search == Some(position)), target);
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

    /// Ends the open block, and begins whatever waits for another one.
    fn turn(&mut self, target: &mut impl Target) {
        self.close(target);
        write_trailing(&mut self.trailing, &self.found, target);
        self.ends_with_search = false;
    }

    /// Ends the open block.
    fn close<T: Target>(&mut self, target: &mut T) {
        if !self.early_citations.is_empty() {
            self.cite_early(target);
        }
        match self.open.take() {
            None => {}
            Some(Open::Text { .. }) => {
                let Self { speech, trailing, found, .. } = self;
                speech.end(target, |target| write_trailing(trailing, found, target));
            }
            Some(Open::Thinking { .. }) => target.end(),
            Some(Open::Call { index }) => {
                if let Some(call) = self.calls.get(index).filter(|call| call.is_custom) {
                    target.piece(Piece::Input(&escape(&format!(r#"{{"input":"{}"}}"#, call.held))));
                }
                target.end();
            }
        }
    }

    /// Returns whether a stop sequence has ended the answer. A begun call has to be completed.
    pub(super) fn is_stopped(&self) -> bool {
        self.speech.hit().is_some() && self.calls.is_empty()
    }

    /// Ends the last block, and returns the answer's ending.
    pub(super) fn finish(&mut self, reason: FinishReason, target: &mut impl Target) -> Ending {
        self.calls.iter_mut().for_each(|call| call.is_whole = true);
        self.awaits_citations = false;
        self.go_on(target);
        self.close(target);
        let (hit, refusal) = (self.speech.hit().filter(|_| self.calls.is_empty()), self.refusal.take());
        let (reason, is_final) = match reason {
            _ if hit.is_some() => ("stop_sequence", true),
            FinishReason::ContentFilter => ("refusal", true),
            FinishReason::Length => ("max_tokens", false),
            FinishReason::ToolCalls | FinishReason::FunctionCall => ("tool_use", false),
            FinishReason::Stop | FinishReason::Paused if refusal.is_some() => ("refusal", true),
            FinishReason::Paused if self.ends_with_search => ("pause_turn", false),
            FinishReason::Stop | FinishReason::Paused => ("end_turn", true),
        };
        if !is_final {
            self.turn(target);
        }
        Ending { reason, hit, refusal }
    }
}

/// A block that comes after a text only if another one follows it.
#[derive(Debug)]
enum Trailing {
    /// A search, and whether it is shown with the pages that the text cites.
    Search(Search, bool),
    /// The seal of reasoning without a text, in the form that the client wants.
    Seal(String, Thinking),
}

impl Trailing {
    fn write(&self, found: &Found, target: &mut impl Target) {
        match self {
            Self::Search(search, is_cited) => search.write(is_cited.then_some(found), target),
            Self::Seal(seal, thinking) => {
                match thinking {
                    Thinking::Omitted => {
                        target.begin(Block::Thinking);
                        target.piece(Piece::Signature(seal));
                    }
                    Thinking::Shown | Thinking::Hidden => target.begin(Block::Redacted(seal)),
                }
                target.end();
            }
        }
    }
}

fn write_trailing(trailing: &mut Vec<Trailing>, found: &Found, target: &mut impl Target) {
    trailing.drain(..).for_each(|block| block.write(found, target));
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
