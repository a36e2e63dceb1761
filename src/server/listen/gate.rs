//! A socket that knows whether an answer of the router is under way.
//!
//! * hyper refuses an unreadable head with an empty answer of its own. Its writes outside of the router's answers are
//!   held back, so that the error can have the shape of every other error.
//! * Bytes received since the last answer distinguish a slow client from an idle one.
//! * A request that was read is answered only while its client waits for it: see [`super::presence`].

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::heads::{Head, Heads};
use super::paced::Paced;
use super::presence::{Presence, Question};
use crate::dialect::COMMENT;
use crate::server::answer::EVENT_STREAM;

/// The state of a connection. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Activity(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// The router has a request, or its answer is incomplete.
    is_answering: AtomicBool,
    /// Bytes of an answer may still be unwritten.
    is_open: AtomicBool,
    /// Bytes were received since the last answer was written.
    is_heard: AtomicBool,
    /// A request's head exceeded the shared memory.
    is_crowded: AtomicBool,
    /// The request was read to its end, or its body was dropped.
    is_received: AtomicBool,
    /// An interim response may be sent: the client's HTTP version has them, and the answer's head was not sent.
    takes_interim: AtomicBool,
    /// The answer is a stream of events.
    takes_comment: AtomicBool,
    /// The answer is complete in memory.
    is_whole: AtomicBool,
    /// A comment is to be sent as soon as the answer has no event ready.
    wants_comment: AtomicBool,
}

impl Activity {
    /// Records that the router has `request`, until the returned value is dropped.
    pub(super) fn begin(&self, request: &Request<Incoming>) -> UnderWay {
        self.0.is_answering.store(true, Ordering::Relaxed);
        self.0.is_open.store(true, Ordering::Relaxed);
        self.0.is_received.store(request.body().is_end_stream(), Ordering::Relaxed);
        self.0.takes_interim.store(request.version() >= Version::HTTP_11, Ordering::Relaxed);
        for flag in [&self.0.takes_comment, &self.0.is_whole, &self.0.wants_comment] {
            flag.store(false, Ordering::Relaxed);
        }
        UnderWay(self.clone())
    }

    /// Records that no more of the request is read.
    fn received(&self) {
        self.0.is_received.store(true, Ordering::Relaxed);
    }

    /// Records the head of `answer`.
    fn answered(&self, answer: &Response) {
        let is_stream = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == EVENT_STREAM);
        self.0.takes_interim.store(false, Ordering::Relaxed);
        self.0.takes_comment.store(is_stream, Ordering::Relaxed);
        self.0.is_whole.store(answer.body().size_hint().exact().is_some(), Ordering::Relaxed);
    }

    /// Returns the bytes that can be sent to test whether the client is connected.
    pub(super) fn question(&self) -> Question {
        if self.0.takes_interim.load(Ordering::Relaxed) {
            Question::Interim
        } else if self.0.takes_comment.load(Ordering::Relaxed) {
            Question::Comment
        } else if self.0.is_whole.load(Ordering::Relaxed) {
            Question::Answer
        } else {
            Question::Impossible
        }
    }

    /// Requests a comment for the next moment without a ready event.
    pub(super) fn ask_for_comment(&self) {
        self.0.wants_comment.store(true, Ordering::Relaxed);
    }

    /// Returns whether a fully read request is being answered.
    fn is_awaited(&self) -> bool {
        self.is_open() && self.0.is_received.load(Ordering::Relaxed)
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.is_open.load(Ordering::Relaxed)
    }

    /// Returns whether a part of an unanswered request was received.
    pub(super) fn is_heard(&self) -> bool {
        !self.is_open() && self.0.is_heard.load(Ordering::Relaxed)
    }

    /// Returns whether a request's head exceeded the shared memory.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.is_crowded.load(Ordering::Relaxed)
    }

    fn crowd(&self) {
        self.0.is_crowded.store(true, Ordering::Relaxed);
    }

    /// Records received bytes.
    fn heard(&self) {
        self.0.is_heard.store(true, Ordering::Relaxed);
    }

    /// Records that all output was written.
    fn flushed(&self) {
        if self.is_open() && !self.0.is_answering.load(Ordering::Relaxed) {
            self.0.is_open.store(false, Ordering::Relaxed);
            self.0.is_heard.store(false, Ordering::Relaxed);
        }
    }
}

/// An answer under way, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Activity);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.is_answering.store(false, Ordering::Relaxed);
    }
}

/// A request's body that records when it was read to its end or dropped.
pub(super) struct Received {
    inner: Incoming,
    activity: Activity,
}

impl Received {
    /// Wraps `inner`, received on the connection of `under_way`.
    pub(super) fn new(inner: Incoming, under_way: &UnderWay) -> Self {
        Self { inner, activity: under_way.0.clone() }
    }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.inner.is_end_stream() {
            self.activity.received();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.activity.received();
    }
}

/// An answer's body that records its end.
pub(super) struct AnswerBody {
    inner: Body,
    under_way: UnderWay,
}

impl AnswerBody {
    /// Wraps `response`, which is under way until its body is dropped.
    pub(super) fn of(response: Response, under_way: UnderWay) -> Response<Self> {
        under_way.0.answered(&response);
        response.map(|inner| Self { inner, under_way })
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if polled.is_pending() && self.under_way.0.0.wants_comment.swap(false, Ordering::Relaxed) {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT)))));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A client's socket, whose writes pass only while an answer is under way.
#[derive(Debug)]
pub(super) struct Gate {
    socket: Paced,
    activity: Activity,
    presence: Presence,
    head: Head,
}

impl Gate {
    /// Wraps `socket`, whose writes pass while `activity` allows it.
    pub(super) fn new(socket: Paced, activity: Activity, heads: Heads) -> Self {
        Self { socket, activity, presence: Presence::Open, head: Head::new(heads) }
    }

    /// Returns the socket for unrestricted writes.
    pub(super) fn into_socket(self) -> Paced {
        self.socket
    }
}

impl AsyncRead for Gate {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        if read == 0 {
            return Poll::Ready(Ok(()));
        }
        self.activity.heard();
        if self.activity.is_open() {
            self.head.end();
        } else if !self.head.grow(read) {
            self.activity.crowd();
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gate {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.activity.is_open() {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.activity.is_open() {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        Pin::new(&mut self.socket).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = &mut *self;
        ready!(Pin::new(&mut gate.socket).poll_flush(context))?;
        gate.activity.flushed();
        if gate.activity.is_open() {
            gate.head.end();
        }
        if !gate.activity.is_awaited() {
            gate.presence = Presence::Open;
            return Poll::Ready(Ok(()));
        }
        // hyper flushes at every wake-up, so the check needs no task of its own.
        Poll::Ready(gate.presence.check(gate.socket.get_mut(), &gate.activity, context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
