//! A frame on its way out, from pieces that are shared with the request.
//!
//! * A long frame goes out in fragments, each once the one before it is written: the library keeps what it buffers as one
//!   piece of memory for as long as the socket is open, and moves its rest at each partial write.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// The rest of a frame.
#[derive(Debug)]
pub(super) struct Outgoing {
    pieces: VecDeque<Bytes>,
    is_begun: bool,
}

impl Outgoing {
    /// Creates the frame of `pieces`, in their order. A short frame is one piece.
    pub(super) fn new(pieces: Vec<Bytes>) -> Self {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        let pieces = if length <= FRAGMENT { VecDeque::from([pieces.concat().into()]) } else { pieces.into() };
        Self { pieces, is_begun: false }
    }

    /// Takes the next fragment; `None` after the last one.
    pub(super) fn next(&mut self) -> Option<Message> {
        let piece = self.pieces.front_mut()?;
        let fragment = piece.split_to(piece.len().min(FRAGMENT));
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        let kind = if std::mem::replace(&mut self.is_begun, true) { Data::Continue } else { Data::Text };
        Some(Message::Frame(Frame::message(fragment, OpCode::Data(kind), self.pieces.is_empty())))
    }
}

/// The most bytes of a fragment, and about the most that a socket buffers.
const FRAGMENT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(pieces: Vec<Bytes>) -> Vec<(bool, bool, Vec<u8>)> {
        let mut outgoing = Outgoing::new(pieces);
        let mut frames = Vec::new();
        while let Some(message) = outgoing.next() {
            let Message::Frame(frame) = message else { panic!("{message:?}") };
            let is_text = frame.header().opcode == OpCode::Data(Data::Text);
            frames.push((is_text, frame.header().is_final, frame.payload().to_vec()));
        }
        frames
    }

    #[test]
    fn a_short_frame_is_one_and_a_long_one_is_cut() {
        let short = frames(vec![Bytes::from_static(b"a"), Bytes::from_static(b"bc")]);
        assert_eq!(short, [(true, true, b"abc".to_vec())]);
        let long = frames(vec![Bytes::from_static(b"a"), Bytes::from(vec![b'x'; FRAGMENT + 1])]);
        let shape: Vec<_> = long.iter().map(|(is_text, is_final, bytes)| (*is_text, *is_final, bytes.len())).collect();
        assert_eq!(shape, [(true, false, 1), (false, false, FRAGMENT), (false, true, 1)]);
    }
}
