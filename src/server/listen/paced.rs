//! A client's socket, which ends if the client reads too slowly while capacity is short ([`unread`](super::unread)).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::unread::Unread;
use crate::server::capacity::Capacity;

/// A socket whose writes are held to the minimum rate.
#[derive(Debug)]
pub(super) struct Paced {
    socket: TcpStream,
    unread: Unread,
}

impl Paced {
    /// Wraps `socket`.
    pub(super) fn new(socket: TcpStream, capacity: Capacity) -> Self {
        Self { socket, unread: Unread::new(capacity) }
    }

    /// Returns the socket, to look at what it has received.
    pub(super) fn get_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Returns the socket, without a rate.
    pub(super) fn into_inner(self) -> TcpStream {
        self.socket
    }

    /// Checks a write of `offered` bytes with the result `written` against the minimum rate.
    fn wrote(
        &mut self,
        offered: usize,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let outcome = self.unread.wrote(offered, written, context);
        if matches!(&outcome, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut) {
            // Discards the system's send buffer, which the client has not read either.
            let _ = self.socket.set_zero_linger();
        }
        outcome
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.wrote(bytes.len(), written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = pieces.iter().map(|piece| piece.len()).sum();
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, pieces);
        self.wrote(offered, written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
