//! The conversation as the backend wants it: every call with exactly one output, every output with its call.
//!
//! * An output belongs to the nearest earlier call of its id that has none yet, else to the first later one; it is sent
//!   right behind the calls it belongs to, wherever the client put it.
//! * A second output for a call, or one without any call, becomes a user message that quotes it.
//! * A call without output gets one that says so.
//! * A call id that is too long, empty or used before is replaced, the same way each time, on both sides.
//! * Everything else keeps its order, and nothing is left out.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::openai::chat::content::Content;
use crate::openai::chat::message::{Call, CallReference, Message, Payload};
use crate::openai::json::Text;
use crate::translate::call_id;

/// One item of the backend's `input`.
#[derive(Debug)]
pub(super) enum Item<'m, 'a> {
    /// A message of the user's.
    User(&'m Content<'a>),
    /// A system or developer message that is not at the beginning.
    Developer(&'m Content<'a>),
    /// What the assistant said, and refused to say.
    Assistant { content: &'m Content<'a>, refusal: Option<Text<'a>> },
    /// A call.
    Call {
        /// As it is sent.
        id: Cow<'m, str>,
        /// As the client knows it.
        original_id: Option<Text<'a>>,
        custom: bool,
        name: Text<'a>,
        payload: Payload<'a>,
    },
    /// A call's output.
    Output { id: Cow<'m, str>, custom: bool, content: &'m Content<'a> },
    /// The output that a call never got.
    MissingOutput { id: Cow<'m, str>, custom: bool },
    /// An output that answers no call.
    Orphan { orphan: Orphan<'a>, content: &'m Content<'a> },
}

/// Which call an output without one claims to answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Orphan<'a> {
    pub(super) reference: CallReference<'a>,
    /// There is such a call; it has an output already.
    pub(super) is_known: bool,
}

/// Puts `messages` in the order and the pairs that the backend accepts.
pub(super) fn normalise<'m, 'a>(messages: &'m [Message<'a>]) -> Vec<Item<'m, 'a>> {
    let calls = Calls::pair(messages);
    let mut items = Vec::with_capacity(messages.len());
    for (position, message) in messages.iter().enumerate() {
        match message {
            Message::Instruction(content) => items.push(Item::Developer(content)),
            Message::User(content) => items.push(Item::User(content)),
            Message::Assistant { content, refusal, .. } => {
                items.push(Item::Assistant { content, refusal: *refusal });
                calls.write(position, messages, &mut items);
            }
            Message::ToolOutput { call, content } => {
                if calls.orphans.contains(&position) {
                    let is_known = calls.calls.iter().any(|known| known.is_named_by(*call));
                    items.push(Item::Orphan { orphan: Orphan { reference: *call, is_known }, content });
                }
            }
        }
    }
    items
}

/// Every call of the history with the output it gets.
struct Calls<'m, 'a> {
    calls: Vec<PairedCall<'m, 'a>>,
    /// Positions of outputs without a call.
    orphans: HashSet<usize>,
}

struct PairedCall<'m, 'a> {
    call: &'m Call<'a>,
    /// The message that made the call.
    position: usize,
    /// The message with its output.
    output: Option<usize>,
    id: Cow<'m, str>,
}

impl<'m, 'a> Calls<'m, 'a> {
    fn pair(messages: &'m [Message<'a>]) -> Self {
        let mut calls = Vec::new();
        let mut used = HashSet::new();
        for (position, message) in messages.iter().enumerate() {
            let Message::Assistant { calls: made, .. } = message else { continue };
            for call in made {
                let id = unused_id(call, calls.len(), &used);
                used.insert(id.clone());
                calls.push(PairedCall { call, position, output: None, id });
            }
        }
        let mut paired = Self { calls, orphans: HashSet::new() };
        for (position, message) in messages.iter().enumerate() {
            let Message::ToolOutput { call, .. } = message else { continue };
            match paired.call_for(*call, position) {
                Some(call) => call.output = Some(position),
                None => {
                    paired.orphans.insert(position);
                }
            }
        }
        paired
    }

    fn call_for(&mut self, reference: CallReference<'a>, position: usize) -> Option<&mut PairedCall<'m, 'a>> {
        let open = |call: &PairedCall<'m, 'a>| call.output.is_none() && call.is_named_by(reference);
        let earlier = |call: &PairedCall<'m, 'a>| call.position < position && open(call);
        let nearest = match reference {
            CallReference::Id(_) => self.calls.iter().rfind(|call| earlier(call)).map(|call| call.position),
            // Without ids, two calls of one function are answered in the order they were made.
            CallReference::Name(_) => self.calls.iter().find(|call| earlier(call)).map(|call| call.position),
        };
        // Within one message, the first call of the id comes first.
        let found =
            nearest.and_then(|nearest| self.calls.iter().position(|call| call.position == nearest && open(call)));
        let found = found.or_else(|| self.calls.iter().position(open))?;
        self.calls.get_mut(found)
    }

    /// The calls of the message at `position`, then their outputs in the order the client sent them.
    fn write(&self, position: usize, messages: &'m [Message<'a>], items: &mut Vec<Item<'m, 'a>>) {
        let first = self.calls.partition_point(|call| call.position < position);
        let made: Vec<_> = self.calls.iter().skip(first).take_while(|call| call.position == position).collect();
        items.extend(made.iter().map(|paired| paired.item()));
        let mut answered: Vec<_> = made.iter().filter_map(|call| Some((call.output?, call))).collect();
        answered.sort_by_key(|(output, _)| *output);
        for (output, paired) in answered {
            if let Some(Message::ToolOutput { content, .. }) = messages.get(output) {
                items.push(Item::Output { id: paired.id.clone(), custom: paired.call.custom, content });
            }
        }
        for paired in made.iter().filter(|call| call.output.is_none()) {
            items.push(Item::MissingOutput { id: paired.id.clone(), custom: paired.call.custom });
        }
    }
}

impl<'m, 'a> PairedCall<'m, 'a> {
    fn is_named_by(&self, reference: CallReference<'a>) -> bool {
        match reference {
            CallReference::Id(id) => self.call.id.is_some_and(|own| own == id || own.decode() == id.decode()),
            CallReference::Name(name) => self.call.id.is_none() && self.call.name.decode() == name.decode(),
        }
    }

    fn item(&self) -> Item<'m, 'a> {
        let Call { id: original_id, custom, name, payload } = *self.call;
        Item::Call { id: self.id.clone(), original_id, custom, name, payload }
    }
}

/// The id under which a call is sent: its own, if the backend takes it and no earlier call has it.
fn unused_id<'m>(call: &'m Call<'_>, ordinal: usize, used: &HashSet<Cow<'m, str>>) -> Cow<'m, str> {
    let own = call.id.map_or_else(|| Cow::Owned(format!("call_legacy_{ordinal}")), Text::decode);
    let fitting = call_id::fit(own.clone());
    if !used.contains(&fitting) {
        return fitting;
    }
    (2..).map(|time| call_id::fit(Cow::Owned(format!("{own}_{time}")))).find(|id| !used.contains(id)).unwrap_or(fitting)
}
