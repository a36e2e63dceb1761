//! A connection below the target's own TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A TCP connection, perhaps with a proxy's TLS on it.
pub(super) struct Transport {
    stream: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// Whether the other end is a proxy that is sent requests in absolute form.
    is_to_proxy: bool,
}

impl Transport {
    /// Creates the transport of a connection to the target.
    pub(super) fn direct(stream: TokioIo<TcpStream>) -> Self {
        Self::tunnel(stream.into())
    }

    /// Creates the transport of a connection through a proxy that passes everything on.
    pub(super) const fn tunnel(stream: MaybeHttpsStream<TokioIo<TcpStream>>) -> Self {
        Self { stream, is_to_proxy: false }
    }

    /// Creates the transport of a connection to a proxy that is sent requests.
    pub(super) const fn to_proxy(stream: MaybeHttpsStream<TokioIo<TcpStream>>) -> Self {
        Self { stream, is_to_proxy: true }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut MaybeHttpsStream<TokioIo<TcpStream>>> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl Connection for Transport {
    fn connected(&self) -> Connected {
        // Without the socket's addresses, which hyper-util would put into every response.
        let connected = Connected::new().proxy(self.is_to_proxy);
        if self.stream.connected().is_negotiated_h2() { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Transport {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl Write for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, buffers)
    }
}
