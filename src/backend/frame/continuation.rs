//! Whether a request goes on from the latest answer of a connection.
//!
//! * It does if all fields but the input are the same, and the input begins with the whole earlier input, byte for byte, and
//!   with the items that the backend returned, by their [meaning](ItemMeaning).
//! * Everything is kept as digests: no second copy of a conversation, and nothing of it to be found.

use crate::backend::event::{Event, ResponseEnding};
use crate::backend::frame::meaning::ItemMeaning;
use crate::backend::frame::{FrameRequest, PartDigest};

/// A request and its complete answer, from which the next request may go on.
#[derive(Debug, Clone)]
pub struct Continuation {
    /// The id of the answer.
    id: String,
    rest: PartDigest,
    asked: Vec<PartDigest>,
    returned: Vec<ItemMeaning>,
}

impl Continuation {
    /// Returns the id of the answer, and the number of items of `request` up to and including the answer's; `None` if
    /// `request` does not go on from it, or has nothing new.
    pub fn covers(&self, request: &FrameRequest) -> Option<(&str, usize)> {
        let (asked, known) = (self.asked.len(), self.asked.len() + self.returned.len());
        if self.rest != request.rest || request.items.len() <= known || self.asked != *request.items.get(..asked)? {
            return None;
        }
        let mut returned = (asked..).zip(&self.returned);
        let is_returned = |(index, returned): (usize, &ItemMeaning)| {
            let sent = request.item(index).and_then(ItemMeaning::of);
            sent.is_some_and(|sent| returned.is_returned_as(&sent))
        };
        returned.all(is_returned).then_some((self.id.as_str(), known))
    }
}

/// The items of an answer as they end, and the request that it answers.
#[derive(Debug)]
pub struct ReturnedItems {
    rest: PartDigest,
    asked: Vec<PartDigest>,
    /// Each item by its place in the answer. `None` once there is a doubt.
    items: Option<Vec<Option<ItemMeaning>>>,
}

impl ReturnedItems {
    /// Begins the answer to `request`.
    pub fn of(request: FrameRequest) -> Self {
        let FrameRequest { rest, items, .. } = request;
        let is_kept = items.len() <= MOST_ITEMS;
        Self { rest, asked: if is_kept { items } else { Vec::new() }, items: is_kept.then(Vec::new) }
    }

    /// Takes a finished item: `response.output_item.done`.
    pub fn finished(&mut self, event: &Event<'_>) {
        let item = event.item.and_then(|item| ItemMeaning::of(item.get()));
        let place = event.output_index.and_then(|index| usize::try_from(index).ok());
        let place = place.filter(|place| *place < MOST_ITEMS);
        if let (Some(items), Some(place), Some(item)) = (&mut self.items, place, item) {
            if items.len() <= place {
                items.resize(place + 1, None);
            }
            if let Some(empty @ None) = items.get_mut(place) {
                *empty = Some(item);
                return;
            }
        }
        self.doubt();
    }

    /// Gives up comparing: an item could not be read.
    pub fn doubt(&mut self) {
        self.items = None;
    }

    /// Takes the last event. Returns what the next request may go on from, if the answer is complete and leaves no doubt.
    pub fn ended(&mut self, event: &Event<'_>) -> Option<Continuation> {
        let returned: Vec<_> = self.items.take()?.into_iter().collect::<Option<_>>()?;
        let response = event.response.as_ref().filter(|_| event.ending() == Some(ResponseEnding::Completed))?;
        let id = response.id.as_deref().filter(|id| !id.is_empty() && id.len() <= LONGEST_ID)?;
        // The list of items at the end is often empty.
        let listed = response.items().len();
        if listed != 0 && listed != returned.len() {
            return None;
        }
        Some(Continuation { id: id.to_owned(), rest: self.rest, asked: std::mem::take(&mut self.asked), returned })
    }
}

/// The most items of one request or one answer that are compared.
const MOST_ITEMS: usize = 8192;

/// Longer than any id of an answer.
const LONGEST_ID: usize = 512;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn request(rest: &str, items: &[&str]) -> FrameRequest {
        FrameRequest::read(&Bytes::from(format!(r#"{{"model":"{rest}","input":[{}]}}"#, items.join(",")))).unwrap()
    }

    fn call(name: &str) -> String {
        format!(r#"{{"type":"function_call","call_id":"c","name":"{name}","arguments":"{{}}"}}"#)
    }

    fn done(index: u64, name: &str) -> String {
        format!(r#"{{"type":"response.output_item.done","output_index":{index},"item":{}}}"#, call(name))
    }

    fn answered(asked: FrameRequest, events: &[String]) -> Option<Continuation> {
        let mut returned = ReturnedItems::of(asked);
        let (last, items) = events.split_last().unwrap();
        items.iter().for_each(|event| returned.finished(&Event::read(event.as_bytes()).unwrap()));
        returned.ended(&Event::read(last.as_bytes()).unwrap())
    }

    const COMPLETED: &str = r#"{"type":"response.completed","response":{"id":"r","output":[]}}"#;

    #[test]
    fn only_what_begins_with_all_of_it_goes_on() {
        let events = [done(1, "g"), done(0, "f"), COMPLETED.to_owned()];
        let known = answered(request("m", &["1", "2"]), &events).unwrap();
        let (f, g) = (call("f"), call("g"));
        let covered = |rest: &str, items: &[&str]| known.covers(&request(rest, items)).map(|(_, count)| count);
        assert_eq!(covered("m", &["1", "2", &f, &g, "3"]), Some(4));
        assert_eq!(covered("m", &["1", "2", &f, &g, "3", "4"]), Some(4));
        for items in [
            &["1", "2", &f, &g][..],
            &["1", "2", &g, &f, "3"],
            &["1", "2", &f, "3", "4"],
            &["2", "1", &f, &g, "3"],
            &["1", "2", "0", &f, &g, "3"],
            &["1"],
            &[],
        ] {
            assert_eq!(covered("m", items), None, "{items:?}");
        }
        assert_eq!(covered("n", &["1", "2", &f, &g, "3"]), None, "another model");
    }

    #[test]
    fn an_answer_in_doubt_is_not_gone_on_from() {
        let asked = || request("m", &["1"]);
        let completed = COMPLETED.to_owned();
        assert!(answered(asked(), std::slice::from_ref(&completed)).is_some(), "an answer without items");
        let listed = format!(r#"{{"type":"response.completed","response":{{"id":"r","output":[{}]}}}}"#, call("f"));
        assert!(answered(asked(), &[done(0, "f"), listed.clone()]).is_some());
        for events in [
            vec![done(1, "f"), completed.clone()],
            vec![done(0, "f"), done(0, "f"), completed.clone()],
            vec![listed],
            vec![r#"{"type":"response.output_item.done","item":{}}"#.to_owned(), completed],
            vec![r#"{"type":"response.completed","response":{"output":[]}}"#.to_owned()],
            vec![r#"{"type":"response.completed","response":{"id":"r","status":"incomplete"}}"#.to_owned()],
            vec![r#"{"type":"response.incomplete","response":{"id":"r"}}"#.to_owned()],
            vec![r#"{"type":"response.failed","response":{"id":"r"}}"#.to_owned()],
        ] {
            assert!(answered(asked(), &events).is_none(), "{events:?}");
        }
    }
}
