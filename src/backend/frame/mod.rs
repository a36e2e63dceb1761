//! A request as a frame of the backend's WebSocket: the body of a POST with `"type":"response.create"`.
//!
//! * A frame may name the answer before it (`previous_response_id`), and then holds only the items after that answer. The
//!   backend knows the answers of the same connection alone.
//! * [`continuation`] decides whether a request goes on from an answer, and [`meaning`] whether an item is what the backend
//!   returned. Both keep digests, no text; on any doubt the whole input is sent.

pub mod continuation;
pub mod meaning;

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::json::{Object, ObjectWriter, push_string};

/// The headers that belong to one turn, not to a connection. On a WebSocket a Codex client sends them in
/// `client_metadata` (Codex CLI 0.147, `core/src/client.rs`). The first [`OF_ONE_TURN`] hold for one turn alone.
pub const TURN_HEADERS: [&str; 5] = [
    "x-codex-turn-metadata",
    "x-codex-turn-state",
    "x-codex-window-id",
    "x-codex-parent-thread-id",
    "x-openai-subagent",
];
/// The number of the first [`TURN_HEADERS`] that hold for one turn alone.
pub const OF_ONE_TURN: usize = 2;

/// A digest of a part of a request: of SHA-256, so that two parts with the same digest are the same.
pub type PartDigest = [u8; 16];

/// A body as its parts: the digests of the items of its input, and of everything else.
#[derive(Debug)]
pub struct FrameRequest {
    body: Bytes,
    /// The digest of all fields but the input and the client's metadata.
    rest: PartDigest,
    /// The digest of each item.
    items: Vec<PartDigest>,
    /// The bytes of each item.
    places: Vec<Range<usize>>,
    /// The bytes of the array of the items.
    input: Range<usize>,
    /// The bytes of the client's metadata, an object.
    metadata: Option<Range<usize>>,
}

impl FrameRequest {
    /// Reads `body`; `None` if it is no body that a frame can hold.
    pub fn read(body: &Bytes) -> Option<Self> {
        if body.first() != Some(&b'{') {
            return None;
        }
        let entries: Object<'_> = serde_json::from_slice(body).ok()?;
        let array = entries.find("input")?;
        let input: Vec<&RawValue> = serde_json::from_str(array.get()).ok()?;
        let place = |value: &RawValue| {
            let start = value.get().as_ptr().addr() - body.as_ptr().addr();
            start..start + value.get().len()
        };
        let mut rest = Sha256::new();
        for (key, value) in entries.iter().filter(|(key, _)| !APART.contains(key)) {
            rest.update((key.len() as u64).to_le_bytes());
            rest.update(key);
            rest.update((value.get().len() as u64).to_le_bytes());
            rest.update(value.get());
        }
        Some(Self {
            rest: shortened(rest),
            items: input.iter().map(|item| shortened(Sha256::new_with_prefix(item.get()))).collect(),
            places: input.iter().map(|item| place(item)).collect(),
            input: place(array),
            metadata: entries.find("client_metadata").map(place),
            body: body.clone(),
        })
    }

    /// Returns the item at `index` as JSON.
    fn item(&self, index: usize) -> Option<&str> {
        str::from_utf8(self.body.get(self.places.get(index)?.clone())?).ok()
    }

    /// Returns the pieces of the frame with the whole input. `turn` are headers to put into the client's metadata.
    pub fn whole(&self, turn: &[(&str, &str)]) -> Vec<Bytes> {
        self.pieces(None, turn)
    }

    /// Returns the pieces of the frame that holds only the items from `first` on, after the answer `previous`.
    pub fn after(&self, previous: &str, first: usize, turn: &[(&str, &str)]) -> Vec<Bytes> {
        self.pieces(Some((previous, first)), turn)
    }

    /// The parts of the body are shared with it, not copied.
    fn pieces(&self, previous: Option<(&str, usize)>, turn: &[(&str, &str)]) -> Vec<Bytes> {
        let mut head = br#"{"type":"response.create","#.to_vec();
        let mut edits: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
        if let Some((id, first)) = previous {
            head.extend_from_slice(br#""previous_response_id":"#);
            push_string(&mut head, id);
            head.push(b',');
            let end = self.places.get(first).map_or(self.input.end - 1, |place| place.start);
            edits.push((self.input.start + 1..end, Vec::new()));
        }
        let known = self.metadata.clone().and_then(|place| serde_json::from_slice(self.body.get(place)?).ok());
        let known: Object<'_> = known.unwrap_or_default();
        let new: Vec<_> = turn.iter().filter(|(name, _)| known.find(name).is_none()).collect();
        if !new.is_empty() {
            let mut metadata = Vec::new();
            let mut writer = ObjectWriter::begin(&mut metadata);
            for (key, value) in known.iter() {
                writer.raw(key, value);
            }
            for (name, value) in new {
                writer.string(name, value);
            }
            writer.end();
            match self.metadata.clone() {
                Some(place) => edits.push((place, metadata)),
                None => {
                    head.extend_from_slice(br#""client_metadata":"#);
                    head.extend_from_slice(&metadata);
                    head.push(b',');
                }
            }
        }
        // There are two at most.
        if edits.first().map(|(place, _)| place.start) > edits.last().map(|(place, _)| place.start) {
            edits.reverse();
        }
        let mut pieces = vec![Bytes::from(head)];
        let mut at = 1;
        for (place, by) in edits {
            pieces.push(self.body.slice(at..place.start));
            pieces.push(by.into());
            at = place.end;
        }
        pieces.push(self.body.slice(at..));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

fn shortened(hash: Sha256) -> PartDigest {
    let mut digest = PartDigest::default();
    digest.copy_from_slice(&hash.finalize()[..size_of::<PartDigest>()]);
    digest
}

/// The fields that are compared apart, or that differ without a meaning.
const APART: [&str; 2] = ["input", "client_metadata"];

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(pieces: &[Bytes]) -> String {
        let text = String::from_utf8(pieces.concat()).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        text
    }

    #[test]
    fn a_frame_is_the_body_with_a_type_and_perhaps_without_its_beginning() {
        let body = Bytes::from_static(br#"{"model":"m","input":[{"a":1}, {"b":2},{"c":3}],"stream":true}"#);
        let request = FrameRequest::read(&body).unwrap();
        let whole = r#"{"type":"response.create","model":"m","input":[{"a":1}, {"b":2},{"c":3}],"stream":true}"#;
        assert_eq!(joined(&request.whole(&[])), whole);
        let part =
            r#"{"type":"response.create","previous_response_id":"r\"1","model":"m","input":[{"c":3}],"stream":true}"#;
        assert_eq!(joined(&request.after("r\"1", 2, &[])), part);
        let none = r#"{"type":"response.create","previous_response_id":"r","model":"m","input":[],"stream":true}"#;
        assert_eq!(joined(&request.after("r", 3, &[])), none);
        for wrong in ["", "[]", " {\"input\":[]}", "{}", "{\"input\":\"text\"}", "{\"input\":null}"] {
            assert!(FrameRequest::read(&Bytes::from_static(wrong.as_bytes())).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_headers_of_a_turn_are_put_into_the_clients_metadata() {
        let turn = [("x-codex-turn-state", "s"), ("x-codex-window-id", "w")];
        let bare = FrameRequest::read(&Bytes::from_static(br#"{"input":[1]}"#)).unwrap();
        let expected = r#"{"type":"response.create","client_metadata":{"x-codex-turn-state":"s","x-codex-window-id":"w"},"input":[1]}"#;
        assert_eq!(joined(&bare.whole(&turn)), expected);
        let body = br#"{"client_metadata":{"x-codex-window-id":"own","n":"1"},"input":[1,2],"x":1}"#;
        let told = FrameRequest::read(&Bytes::from_static(body)).unwrap();
        let expected = r#"{"type":"response.create","previous_response_id":"r","client_metadata":{"x-codex-window-id":"own","n":"1","x-codex-turn-state":"s"},"input":[2],"x":1}"#;
        assert_eq!(joined(&told.after("r", 1, &turn)), expected);
        assert_ne!(bare.rest, told.rest, "other fields count");
        let same = FrameRequest::read(&Bytes::from_static(br#"{"input":[3],"client_metadata":{"a":"b"},"x":1}"#));
        assert_eq!(same.unwrap().rest, told.rest, "metadata does not");
    }
}
