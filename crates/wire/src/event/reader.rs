//! Events one after the other, the second of which repeats the first.
//!
//! The backend sends the answer's object with `response.created`, and again, the same to the byte, with
//! `response.in_progress`. It holds the request's instructions and tools, so that it is often the longest part of an answer. The
//! second time it is compared with the first, which is faster than to read it: what it says is known.

use std::borrow::Cow;

use memchr::memmem;

use crate::event::Event;
use crate::event::scanner::{Scanner, once};

/// Reads the events of one answer.
#[derive(Debug, Default)]
pub struct EventReader {
    /// The answer's object in the event before, if that was the first.
    first: Option<Vec<u8>>,
}

impl EventReader {
    /// Reads the event in a frame's data, as [`Event::read`] does. A `response.in_progress` that says what the
    /// `response.created` before it has said is read without its `response`.
    #[inline]
    pub fn read<'a>(&mut self, data: &'a [u8]) -> Option<Event<'a>> {
        if let Some(event) = self.repetition(data) {
            return Some(event);
        }
        let event = Event::read(data)?;
        self.keep(&event, data);
        Some(event)
    }

    /// Returns the event in `data` without its `response`, if that is the one kept, which is valid.
    fn repetition(&mut self, data: &[u8]) -> Option<Event<'static>> {
        let first = self.first.take()?;
        let begin = memmem::find(data.get(..NEAR).unwrap_or(data), KEY)? + KEY.len();
        let (before, rest) = data.split_at_checked(begin)?;
        let after = rest.strip_prefix(first.as_slice()).filter(|after| after.len() <= NEAR)?;
        let around = [before, b"{}", after].concat();
        let mut scanner = Scanner::of(&around)?;
        let (mut kind, mut number, mut place) = (None, None, None);
        scanner.object(|key, scanner| match key {
            b"type" => once(&mut kind, scanner.plain_string()?),
            b"sequence_number" => once(&mut number, scanner.number()?),
            b"response" => {
                once(&mut place, scanner.position())?;
                scanner.skip()
            }
            _ => None,
        })?;
        let is_repetition = scanner.is_at_end() && kind == Some(IN_PROGRESS) && place == Some(begin);
        is_repetition.then(|| Event { kind: Cow::Borrowed(IN_PROGRESS), sequence_number: number, ..Event::default() })
    }

    fn keep(&mut self, event: &Event<'_>, data: &[u8]) {
        if event.kind == "response.created"
            && let Some(around) = event.around_response
        {
            let json = data.get(around.before.len()..data.len() - around.after.len());
            self.first = json.filter(|json| json.len() <= LONGEST).map(copy);
        }
    }
}

/// Copies `json` in pieces that a processor copies as vectors. Of longer ones some copy each byte by itself (`rep movsb`).
fn copy(json: &[u8]) -> Vec<u8> {
    let mut copy = Vec::with_capacity(json.len());
    json.chunks(PIECE).for_each(|piece| copy.extend_from_slice(piece));
    copy
}

const IN_PROGRESS: &str = "response.in_progress";

/// What stands before the answer's object.
const KEY: &[u8] = br#""response":"#;

/// The most bytes before and after the answer's object in an event that repeats it.
const NEAR: usize = 128;

/// The longest object that is kept, until the next event.
const LONGEST: usize = 1 << 20;

/// The bytes that are copied at once.
const PIECE: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &str =
        r#"{"id":"resp_1","instructions":"Say \"\u00e9\" and é.","model":"m","output":[],"usage":null}"#;

    fn event(kind: &str, number: u64) -> String {
        format!(r#"{{"type":"{kind}","response":{RESPONSE},"sequence_number":{number}}}"#)
    }

    /// Reads `second` after an event of the kind `first`.
    fn read<'a>(first: &str, second: &'a [u8]) -> Option<Event<'a>> {
        let mut reader = EventReader::default();
        reader.read(event(first, 0).as_bytes()).expect("an event");
        let read = reader.read(second);
        assert!(reader.first.is_none(), "it is kept for one event");
        read
    }

    #[test]
    fn what_the_first_event_has_said_is_not_read_again() {
        for second in [
            event(IN_PROGRESS, 7),
            format!(r#"{{"response":{RESPONSE},"sequence_number":7,"type":"response.in_progress"}}"#),
            format!(r#"{{ "sequence_number" : 7, "type":"response.in_progress", "response":{RESPONSE} }}"#),
        ] {
            let event = read("response.created", second.as_bytes()).expect("an event");
            assert_eq!((event.kind.as_ref(), event.sequence_number), (IN_PROGRESS, Some(7)));
            assert!(event.response.is_none(), "{second}");
        }
    }

    #[test]
    fn whatever_is_new_is_read() {
        let second = event(IN_PROGRESS, 1);
        for other in [
            second.replace("resp_1", "resp_2"),
            second.replace("resp_1", "resp_12"),
            second.replace(r#""usage":null}"#, r#""usage":null} "#).replace(":{", ": {"),
            event("response.queued", 1),
            second.replace(r#""sequence_number""#, r#""headers":{"a":"b"},"sequence_number""#),
            second.replace("}", r#"}, "item_id":"x""#).replacen(r#", "item_id":"x""#, "", 1),
            format!(r#"{{"type":"response.in_progress","item":{{"response":{RESPONSE}}}}}"#),
            format!(r#"{{"type":"response.in_progress","item":"\"response\":{}"}}"#, RESPONSE.replace('"', r#"\""#)),
        ] {
            let parsed = Event::read(other.as_bytes());
            assert_eq!(format!("{:?}", read("response.created", other.as_bytes())), format!("{parsed:?}"), "{other}");
        }
        assert!(read("response.queued", second.as_bytes()).expect("an event").response.is_some());
    }

    #[test]
    fn a_damaged_repetition_is_read_like_any_other_event() {
        let second = event(IN_PROGRESS, 12);
        for place in 0..second.len() {
            for byte in [b'"', b'\\', b'}', b'1', 0xFF, b'\n'] {
                let mut damaged = second.clone().into_bytes();
                damaged[place] = byte;
                let (read, whole) = (read("response.created", &damaged), Event::read(&damaged));
                let says =
                    |event: Option<Event<'_>>| event.map(|event| (event.kind.into_owned(), event.sequence_number));
                let is_repetition = read.as_ref().is_some_and(|event| event.response.is_none());
                assert_eq!(says(read), says(whole), "{byte} at {place}");
                assert!(!is_repetition || damaged.windows(RESPONSE.len()).any(|json| json == RESPONSE.as_bytes()));
            }
            let cut = &second.as_bytes()[..place];
            assert!(read("response.created", cut).is_none(), "cut at {place}");
        }
    }
}
