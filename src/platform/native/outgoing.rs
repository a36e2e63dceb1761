//! A request body that records whether its request has been sent.
//!
//! An HTTP/2 connection at its server's stream limit queues further requests without a sign. A request's body is first
//! polled once its stream is open: until then the request can be withdrawn and sent over another connection, and is
//! still sent only once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::platform::OnSent;

/// The state of a request's sending. Clones are handles to the same state.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    state: Arc<AtomicU8>,
    /// The number of sent requests of the connection.
    opened: Arc<AtomicUsize>,
}

impl Opening {
    /// Creates the state of an unsent request, counted in `opened` once sent.
    pub(super) fn new(opened: Arc<AtomicUsize>) -> Self {
        Self { state: Arc::new(AtomicU8::new(WAITING)), opened }
    }

    /// Withdraws the request; returns `false` if it has been sent.
    pub(super) fn withdraw(&self) -> bool {
        self.leave_waiting(WITHDRAWN)
    }

    /// Returns whether the request has been sent.
    pub(super) fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) == OPEN
    }

    /// Removes the request from the count, if it was counted.
    pub(super) fn close(&self) {
        if self.state.swap(CLOSED, Ordering::AcqRel) == OPEN {
            self.opened.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Marks the request as sent; returns `false` if it was withdrawn.
    fn open(&self) -> bool {
        // Counted before `close`, which may follow at once on another thread.
        self.opened.fetch_add(1, Ordering::Relaxed);
        let opens = self.leave_waiting(OPEN);
        if !opens {
            self.opened.fetch_sub(1, Ordering::Relaxed);
        }
        opens
    }

    fn leave_waiting(&self, state: u8) -> bool {
        self.state.compare_exchange(WAITING, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

const WAITING: u8 = 0;
const OPEN: u8 = 1;
const WITHDRAWN: u8 = 2;
const CLOSED: u8 = 3;

/// A body of one piece.
#[derive(Debug)]
pub(super) struct Outgoing {
    bytes: Bytes,
    opening: Opening,
    on_sent: Option<OnSent>,
}

impl Outgoing {
    /// Creates a body of `bytes` that, when polled, marks `opening` as sent and calls `on_sent`.
    pub(super) const fn new(bytes: Bytes, opening: Opening, on_sent: Option<OnSent>) -> Self {
        Self { bytes, opening, on_sent }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if !self.opening.open() {
            return Poll::Ready(Some(Err(io::Error::other("the request was given to another connection"))));
        }
        if let Some(on_sent) = self.on_sent.take() {
            on_sent.call();
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;

    fn outgoing(text: &'static str) -> (Outgoing, Opening, Arc<AtomicUsize>) {
        let opened = Arc::<AtomicUsize>::default();
        let opening = Opening::new(opened.clone());
        (Outgoing::new(Bytes::from_static(text.as_bytes()), opening.clone(), None), opening, opened)
    }

    #[test]
    fn a_request_is_sent_or_taken_back_but_never_both() {
        let (body, opening, opened) = outgoing("body");
        assert_eq!(body.size_hint().exact(), Some(4));
        let sent = body.collect().now_or_never().expect("at once").expect("a body").to_bytes();
        assert_eq!((sent.as_ref(), opened.load(Ordering::Relaxed)), (&b"body"[..], 1));
        assert!(!opening.withdraw());
        opening.close();
        opening.close();
        assert_eq!(opened.load(Ordering::Relaxed), 0);

        let (body, opening, opened) = outgoing("body");
        assert!(opening.withdraw());
        assert!(body.collect().now_or_never().expect("at once").is_err());
        opening.close();
        assert_eq!(opened.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_sender_is_told_once_a_connection_takes_the_body() {
        let told = Arc::<AtomicUsize>::default();
        let (_, opening, _) = outgoing("");
        let count = told.clone();
        let on_sent = OnSent::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let body = Outgoing::new(Bytes::from_static(b"body"), opening, Some(on_sent));
        assert_eq!(told.load(Ordering::Relaxed), 0);
        body.collect().now_or_never().expect("at once").expect("a body");
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn no_body_is_never_asked_for() {
        let (body, ..) = outgoing("");
        assert!(body.is_end_stream());
    }
}
