//! A socket that knows whether an answer of ours is under way on it.
//!
//! * hyper refuses a head it cannot read with an empty answer of its own. What it writes while no answer of the router is
//!   under way is held back, so that the refusal can have the shape of every other error.
//! * Whether anything has come since the last answer tells a client that is slow from one that is merely idle.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

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
}

impl Activity {
    /// The router has been given a request; its answer is over when what is returned is dropped.
    pub(super) fn begin(&self) -> UnderWay {
        self.0.is_answering.store(true, Ordering::Relaxed);
        self.0.is_open.store(true, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Whether a request is being answered.
    pub(super) fn is_open(&self) -> bool {
        self.0.is_open.load(Ordering::Relaxed)
    }

    /// Whether a part of a request has come that is not being answered.
    pub(super) fn is_heard(&self) -> bool {
        !self.is_open() && self.0.is_heard.load(Ordering::Relaxed)
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

/// An answer's body that says when it is over.
pub(super) struct Answer {
    inner: Body,
    _under_way: UnderWay,
}

impl Answer {
    /// `inner`, which is under way until it is dropped.
    pub(super) const fn new(inner: Body, under_way: UnderWay) -> Self {
        Self { inner, _under_way: under_way }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
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
}

impl Line {
    /// `socket`, over which answers go while `activity` says so.
    pub(super) const fn new(socket: TcpStream, activity: Activity) -> Self {
        Self { socket, activity }
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
        if buffer.filled().len() > before {
            self.activity.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
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
        ready!(Pin::new(&mut self.socket).poll_flush(context))?;
        self.activity.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
