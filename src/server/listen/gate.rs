//! A socket that knows whether an answer of ours is under way on it.
//!
//! * hyper refuses a head it cannot read with an empty answer of its own. What it writes while no answer of the router is
//!   under way is held back, so that the refusal can have the shape of every other error.
//! * Whether anything has come since the last answer tells a client that is slow from one that is merely idle.
//! * A request that has been read is answered only as long as somebody waits for it: see [`super::presence`].

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
use tokio::net::TcpStream;

use super::heads::{Head, Heads};
use super::presence::{Presence, Question};
use super::unread::Unread;
use crate::dialect::COMMENT;
use crate::server::answer::EVENT_STREAM;
use crate::server::capacity::Capacity;

/// What is under way on a connection. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Activity(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// The router has a request, or its answer is not whole yet.
    is_answering: AtomicBool,
    /// Bytes of an answer may still have to be written.
    is_open: AtomicBool,
    /// Bytes have come since the last answer was written.
    is_heard: AtomicBool,
    /// There was no room for the head of a request.
    is_crowded: AtomicBool,
    /// The request has been read to its end, or as far as anybody wants to.
    is_received: AtomicBool,
    /// An interim answer may be sent: the client's HTTP has such, and the answer's head has not been given.
    takes_interim: AtomicBool,
    /// The answer is a stream of events.
    takes_comment: AtomicBool,
    /// The answer is at hand, all of it.
    is_whole: AtomicBool,
    /// The next time the answer has no event, it is to be a comment.
    wants_comment: AtomicBool,
}

impl Activity {
    /// The router is given `request`; its answer is over when what is returned is dropped.
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

    /// Nothing more of the request is read.
    fn received(&self) {
        self.0.is_received.store(true, Ordering::Relaxed);
    }

    /// The router has given the head of `answer`.
    fn answered(&self, answer: &Response) {
        let is_stream = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == EVENT_STREAM);
        self.0.takes_interim.store(false, Ordering::Relaxed);
        self.0.takes_comment.store(is_stream, Ordering::Relaxed);
        self.0.is_whole.store(answer.body().size_hint().exact().is_some(), Ordering::Relaxed);
    }

    /// What can be sent to learn whether the client is there.
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

    /// Has a comment sent as soon as no event is at hand.
    pub(super) fn ask_for_comment(&self) {
        self.0.wants_comment.store(true, Ordering::Relaxed);
    }

    /// Whether a request has been read that is being answered.
    fn is_awaited(&self) -> bool {
        self.is_open() && self.0.is_received.load(Ordering::Relaxed)
    }

    /// Whether a request is being answered.
    pub(super) fn is_open(&self) -> bool {
        self.0.is_open.load(Ordering::Relaxed)
    }

    /// Whether a part of a request has come that is not being answered.
    pub(super) fn is_heard(&self) -> bool {
        !self.is_open() && self.0.is_heard.load(Ordering::Relaxed)
    }

    /// Whether there was no room for the head of a request.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.is_crowded.load(Ordering::Relaxed)
    }

    fn crowd(&self) {
        self.0.is_crowded.store(true, Ordering::Relaxed);
    }

    /// Bytes have come.
    fn heard(&self) {
        self.0.is_heard.store(true, Ordering::Relaxed);
    }

    /// Everything there was to write is written.
    fn flushed(&self) {
        if self.is_open() && !self.0.is_answering.load(Ordering::Relaxed) {
            self.0.is_open.store(false, Ordering::Relaxed);
            self.0.is_heard.store(false, Ordering::Relaxed);
        }
    }
}

/// One answer, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Activity);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.is_answering.store(false, Ordering::Relaxed);
    }
}

/// A request's body that says when it has been read to its end, or as far as anybody wants to.
pub(super) struct Received {
    inner: Incoming,
    activity: Activity,
}

impl Received {
    /// `inner`, which comes in over the connection of `under_way`.
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

/// An answer's body that says when it is over.
pub(super) struct Answer {
    inner: Body,
    under_way: UnderWay,
}

impl Answer {
    /// `response`, which is under way until its body is dropped.
    pub(super) fn of(response: Response, under_way: UnderWay) -> Response<Self> {
        under_way.0.answered(&response);
        response.map(|inner| Self { inner, under_way })
    }
}

impl HttpBody for Answer {
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

/// A client's socket.
#[derive(Debug)]
pub(super) struct Line {
    socket: TcpStream,
    activity: Activity,
    presence: Presence,
    unread: Unread,
    head: Head,
}

impl Line {
    /// `socket`, over which answers go while `activity` says so.
    pub(super) fn new(socket: TcpStream, activity: Activity, capacity: Capacity, heads: Heads) -> Self {
        let (unread, head) = (Unread::new(capacity), Head::new(heads));
        Self { socket, activity, presence: Presence::Open, unread, head }
    }

    /// What is to become of a write of `offered` bytes that went as `written` says.
    fn wrote(
        &mut self,
        offered: usize,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let outcome = self.unread.wrote(offered, written, context);
        if matches!(&outcome, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut) {
            // What the client has not taken of the system either is not kept for it.
            let _ = self.socket.set_zero_linger();
        }
        outcome
    }

    /// The socket, to be written to without being held back.
    pub(super) fn into_socket(self) -> TcpStream {
        self.socket
    }
}

impl AsyncRead for Line {
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

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.activity.is_open() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.wrote(bytes.len(), written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = pieces.iter().map(|piece| piece.len()).sum();
        if !self.activity.is_open() {
            return Poll::Ready(Ok(offered));
        }
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
        self.wrote(offered, written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = &mut *self;
        ready!(Pin::new(&mut line.socket).poll_flush(context))?;
        line.activity.flushed();
        if line.activity.is_open() {
            line.head.end();
        }
        if !line.activity.is_awaited() {
            line.presence = Presence::Open;
            return Poll::Ready(Ok(()));
        }
        // hyper flushes whenever it is woken, so this is the place to look without a task of its own.
        Poll::Ready(line.presence.check(&mut line.socket, &line.activity, context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
