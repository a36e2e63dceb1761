//! The frames that wait to be written to a WebSocket.
//!
//! * A long event goes out in fragments, each once the one before it is written: the library keeps what it buffers as one piece
//!   of memory for as long as the socket is open, and moves its rest at each partial write.
//! * Short events go out together, in one write.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Sink as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::platform::Wire;
use crate::server::socket::close::Reason;

/// Events to write, and the closing frame after them.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// The events; of the first, the rest that was not handed over.
    events: VecDeque<Bytes>,
    /// Whether a part of the first event was handed over.
    is_begun: bool,
    close: Option<Reason>,
}

impl Outgoing {
    /// Appends an event.
    pub(super) fn push(&mut self, event: Utf8Bytes) {
        self.events.push_back(event.into());
    }

    /// Closes the socket after the events that wait.
    pub(super) fn close(&mut self, reason: Reason) {
        self.close = Some(reason);
    }

    /// Ready once everything is written.
    pub(super) fn poll(
        &mut self,
        socket: &mut WebSocketStream<Wire<'_>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        loop {
            ready!(Pin::new(&mut *socket).poll_flush(context))?;
            let mut buffered = 0;
            while buffered < PIECE
                && let Some(message) = self.next()
            {
                buffered += message.len().max(1);
                Pin::new(&mut *socket).start_send(message)?;
            }
            if buffered == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes the next message: an event, a fragment of one, or the closing frame.
    fn next(&mut self) -> Option<Message> {
        let Some(event) = self.events.front_mut() else {
            return self.close.take().map(|reason| Message::Close(Some(reason.frame())));
        };
        let kind = if self.is_begun { Data::Continue } else { Data::Text };
        self.is_begun = event.len() > PIECE;
        let piece = event.split_to(event.len().min(PIECE));
        if !self.is_begun {
            self.events.pop_front();
        }
        Some(Message::Frame(Frame::message(piece, OpCode::Data(kind), !self.is_begun)))
    }
}

/// The most bytes of a fragment, and about the most that a socket buffers.
const PIECE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_event_is_cut_and_the_close_comes_last() {
        let mut outgoing = Outgoing::default();
        outgoing.close(Reason::Stopping);
        let long = "x".repeat(2 * PIECE);
        for event in ["", "short", &long, "last"] {
            outgoing.push(event.into());
        }
        let mut seen = Vec::new();
        while let Some(message) = outgoing.next() {
            match message {
                Message::Frame(frame) => {
                    let header = frame.header();
                    seen.push((header.opcode == OpCode::Data(Data::Text), header.is_final, frame.payload().len()));
                }
                other => assert!(other.is_close() && seen.len() == 5, "{other:?}"),
            }
        }
        assert_eq!(
            seen,
            [(true, true, 0), (true, true, 5), (true, false, PIECE), (false, true, PIECE), (true, true, 4)]
        );
    }
}
