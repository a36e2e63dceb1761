//! The conversation in the form that the backend requires: every call with exactly one output, every output with its
//! call.
//!
//! * [`pairing`](crate::backend::request::pairing) assigns outputs to calls, and gives each its id.
//! * What the model said, thought and called without an interruption stays together. The outputs of its calls follow
//!   directly, in the order of the calls, regardless of their positions in the client's history.
//! * A second output for a call, or an output without a call, becomes a user message that quotes it.
//! * A call without output gets an output that says so.
//! * Everything else keeps its order, and nothing is left out.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::backend::request::pairing::{Family, Fate, Pairing, Point};
use crate::conversation::call::{Call, CallReference, Payload, ServedCall};
use crate::conversation::content::{Content, Part};
use crate::conversation::turn::{SealedReasoning, Turn};
use crate::json::Text;

/// One item of the backend's `input`.
#[derive(Debug)]
pub(super) enum Item<'m, 'a> {
    /// A message by the user.
    User(&'m Content<'a>),
    /// A system or developer message that is not at the beginning.
    Developer(&'m Content<'a>),
    /// The next speaker among several assistants.
    Author(Text<'a>),
    /// A message by the assistant, with its refusal.
    Assistant { content: &'m Content<'a>, refusal: Option<Text<'a>> },
    /// A call.
    Call {
        /// The id to send.
        id: Cow<'m, str>,
        /// The client's id; only once in a history, so that nothing remembered for an id is put back twice.
        original_id: Option<Text<'a>>,
        custom: bool,
        name: Text<'a>,
        payload: Payload<'a>,
    },
    /// A call's output.
    Output { id: Cow<'m, str>, custom: bool, content: &'m Content<'a>, parts_apart: bool },
    /// A placeholder for the missing output of a call.
    MissingOutput { id: Cow<'m, str>, custom: bool },
    /// A call and its output in one, with the id to send.
    Served { id: Cow<'m, str>, call: &'m ServedCall<'a> },
    /// Reasoning of an earlier answer.
    Reasoning(&'m SealedReasoning),
    /// An item in the backend's own form.
    Raw(&'m str),
    /// An output without a call.
    Orphan { orphan: Orphan<'a>, content: &'m Content<'a> },
}

/// The call that an orphaned output claims to answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Orphan<'a> {
    pub(super) reference: CallReference<'a>,
    /// Whether that call exists, with another output.
    pub(super) is_known: bool,
}

/// Puts `messages` into the order and the pairs that the backend accepts.
pub(super) fn normalise<'m, 'a>(messages: &'m [Turn<'a>]) -> Vec<Item<'m, 'a>> {
    let history = History::read(messages);
    let pairing = Pairing::new(&history.call_points, &history.output_points);
    let items = Vec::with_capacity(messages.len());
    let mut writer = Writer { history, pairing, next_call: 0, seen: HashSet::new(), outputs: Vec::new(), items };
    let mut output = 0;
    for (place, message) in messages.iter().enumerate() {
        match message {
            Turn::Instruction(content) | Turn::PlacedInstruction(content) => writer.interrupt(Item::Developer(content)),
            Turn::User(content) => writer.interrupt(Item::User(content)),
            Turn::Assistant { content, refusal, .. } => {
                // The name comes before the message itself, so that nothing separates the message from its reasoning.
                if let Some(Part::Name(name)) = content.parts().first() {
                    writer.items.push(Item::Author(*name));
                }
                writer.items.push(Item::Assistant { content, refusal: *refusal });
                writer.write_calls(place);
            }
            Turn::Reasoning(reasoning) => writer.items.push(Item::Reasoning(reasoning)),
            Turn::Served(call) => writer.write_served(call),
            Turn::Item(json) => writer.items.push(Item::Raw(json)),
            Turn::ToolOutput { call, content, .. } => {
                if let Some(&Fate::Orphan { is_known }) = writer.pairing.fates.get(output) {
                    writer.interrupt(Item::Orphan { orphan: Orphan { reference: *call, is_known }, content });
                } else {
                    writer.write_outputs();
                }
                output += 1;
            }
        }
    }
    writer.write_outputs();
    writer.items
}

/// The calls and outputs of a conversation, in order.
#[derive(Default)]
struct History<'m, 'a> {
    /// `None` for a call that the client's API ran.
    calls: Vec<Option<&'m Call<'a>>>,
    /// The position and id of each call.
    call_points: Vec<Point<'a>>,
    outputs: Vec<(&'m Content<'a>, bool)>,
    output_points: Vec<Point<'a>>,
}

impl<'m, 'a> History<'m, 'a> {
    fn read(messages: &'m [Turn<'a>]) -> Self {
        let (mut history, mut stretch) = (Self::default(), 0);
        for (place, message) in messages.iter().enumerate() {
            match message {
                Turn::Assistant { calls, .. } => {
                    for call in calls {
                        let reference = call.id.map_or(CallReference::Name(call.name), CallReference::Id);
                        history.calls.push(Some(call));
                        history.call_points.push(point(reference, place, stretch));
                    }
                }
                Turn::ToolOutput { call, content, parts_apart } => {
                    history.outputs.push((content, *parts_apart));
                    history.output_points.push(point(*call, place, stretch));
                    stretch += 1;
                }
                Turn::Served(call) => {
                    history.calls.push(None);
                    history.call_points.push(Point { family: Family::Served, key: call.id.decode(), place, stretch });
                }
                Turn::Instruction(_) | Turn::PlacedInstruction(_) | Turn::User(_) => stretch += 1,
                Turn::Reasoning(_) | Turn::Item(_) => {}
            }
        }
        history
    }
}

/// Returns the point of a reference. Outputs of chat do not tell the kind of call, so all calls with an id count as one
/// kind.
fn point(reference: CallReference<'_>, place: usize, stretch: usize) -> Point<'_> {
    let (family, key) = match reference {
        CallReference::Id(id) => (Family::Function, id.decode()),
        CallReference::Name(name) => (Family::Named, name.decode()),
    };
    Point { family, key, place, stretch }
}

struct Writer<'m, 'a> {
    history: History<'m, 'a>,
    pairing: Pairing<'a>,
    /// The first unwritten call.
    next_call: usize,
    /// The client's ids so far.
    seen: HashSet<Cow<'a, str>>,
    /// The outputs of the calls since the last interruption of the model.
    outputs: Vec<Item<'m, 'a>>,
    items: Vec<Item<'m, 'a>>,
}

impl<'m, 'a> Writer<'m, 'a> {
    /// Writes an item that is not the model's.
    fn interrupt(&mut self, item: Item<'m, 'a>) {
        self.write_outputs();
        self.items.push(item);
    }

    /// Writes the outputs of the model's calls so far.
    fn write_outputs(&mut self) {
        self.items.append(&mut self.outputs);
    }

    /// Writes the calls of the message at `place`.
    fn write_calls(&mut self, place: usize) {
        while let Some(point) = self.history.call_points.get(self.next_call).filter(|point| point.place == place) {
            let (Some(Some(call)), Some(id)) =
                (self.history.calls.get(self.next_call), self.pairing.ids.get(self.next_call))
            else {
                return;
            };
            let Call { id: own_id, custom, name, payload, forgets_reasoning } = **call;
            let original_id = own_id.filter(|_| self.seen.insert(point.key.clone()) && !forgets_reasoning);
            self.items.push(Item::Call { id: id.clone(), original_id, custom, name, payload });
            let output = self.pairing.outputs.get(self.next_call).copied().flatten();
            let id = id.clone();
            self.outputs.push(match output.and_then(|output| self.history.outputs.get(output)) {
                Some(&(content, parts_apart)) => Item::Output { id, custom, content, parts_apart },
                None => Item::MissingOutput { id, custom },
            });
            self.next_call += 1;
        }
    }

    /// Writes a call that the client's API ran.
    fn write_served(&mut self, call: &'m ServedCall<'a>) {
        if let Some(id) = self.pairing.ids.get(self.next_call) {
            self.items.push(Item::Served { id: id.clone(), call });
        }
        self.next_call += 1;
    }
}
