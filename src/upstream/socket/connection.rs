//! One WebSocket to the backend.
//!
//! * Frames are read only when somebody asks for the next one, so that a slow client slows the backend down. Pings are
//!   answered whenever something is read.
//! * While a long frame is written, what the backend sends meanwhile is read too: it may refuse the rest.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink as _, SinkExt as _, Stream as _};
use http::HeaderMap;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::backend::frame::continuation::Continuation;
use crate::platform::{ClientSocket, Instant};
use crate::upstream::idle::within;
use crate::upstream::socket::outgoing::Outgoing;

/// An open socket.
#[derive(Debug)]
pub(super) struct Connection {
    socket: ClientSocket,
    opened: Instant,
    /// The headers of the answer to the upgrade.
    headers: HeaderMap,
    /// Whether an answer has come on it.
    is_used: bool,
    /// Texts that came while a frame was written.
    early: VecDeque<Bytes>,
    /// What the next request may go on from.
    pub(super) known: Option<Continuation>,
}

/// The end of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// The backend closed it, with this code.
    Closed(Option<u16>),
    /// A frame was binary.
    Binary,
    /// A frame was larger than an event may be.
    TooLarge,
    /// The connection failed.
    Failed(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(Some(code)) => write!(formatter, "the backend closed the WebSocket with the code {code}"),
            Self::Closed(None) => formatter.write_str("the WebSocket ended before the answer was complete"),
            Self::Binary => formatter.write_str("the backend sent a binary frame"),
            Self::TooLarge => formatter.write_str("the backend sent a frame that is too large"),
            Self::Failed(problem) => formatter.write_str(problem),
        }
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(_) => Self::TooLarge,
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Closed(None),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Connection {
    /// Creates the connection of a socket just opened, with the headers of the answer to its upgrade.
    pub(super) fn new(socket: ClientSocket, headers: HeaderMap) -> Self {
        let opened = Instant::now();
        Self { socket, opened, headers, is_used: false, early: VecDeque::new(), known: None }
    }

    /// Returns the instant at which the socket is too old for another request.
    pub(super) fn ends(&self) -> Instant {
        self.opened + LIFETIME
    }

    /// Returns whether an answer has come on the socket.
    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    /// Returns the headers of an answer. Those of the upgrade tell of its time, so later answers have only what holds for
    /// the whole socket.
    pub(super) fn answer_headers(&mut self) -> HeaderMap {
        if !std::mem::replace(&mut self.is_used, true) {
            return self.headers.clone();
        }
        let lasting = self.headers.iter().filter(|(name, _)| LASTING.contains(&name.as_str()));
        lasting.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, mut frame: Outgoing) -> Result<(), Broken> {
        poll_fn(|context| self.poll_send(&mut frame, context)).await
    }

    fn poll_send(&mut self, frame: &mut Outgoing, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            match Pin::new(&mut self.socket).poll_flush(context)? {
                Poll::Ready(()) => match frame.next() {
                    Some(fragment) => Pin::new(&mut self.socket).start_send(fragment)?,
                    None => return Poll::Ready(Ok(())),
                },
                Poll::Pending if self.early.iter().map(Bytes::len).sum::<usize>() >= MOST_EARLY => {
                    return Poll::Pending;
                }
                Poll::Pending => {
                    let text = ready!(self.poll_socket(context))?;
                    self.early.push_back(text);
                }
            }
        }
    }

    /// Returns the next text.
    pub(super) async fn next(&mut self) -> Result<Bytes, Broken> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Returns the next text.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, Broken>> {
        match self.early.pop_front() {
            Some(text) => Poll::Ready(Ok(text)),
            None => self.poll_socket(context),
        }
    }

    fn poll_socket(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, Broken>> {
        loop {
            match ready!(Pin::new(&mut self.socket).poll_next(context)).transpose()? {
                Some(Message::Text(text)) => return Poll::Ready(Ok(text.into())),
                Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Some(Message::Binary(_)) => return Poll::Ready(Err(Broken::Binary)),
                Some(Message::Close(frame)) => {
                    return Poll::Ready(Err(Broken::Closed(frame.map(|frame| frame.code.into()))));
                }
                None => return Poll::Ready(Err(Broken::Closed(None))),
            }
        }
    }

    /// Answers the backend's close, which [`Broken::Closed`] told.
    pub(super) async fn closed(mut self) {
        // The library writes the answer when it is read from.
        within(CLOSING, self.next()).await;
    }

    /// Closes the socket, and gives the backend a moment to do so too.
    pub(super) async fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let end = async {
            if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
                while self.next().await.is_ok() {}
            }
        };
        within(CLOSING, end).await;
    }
}

/// The age at which a socket takes no more requests: the backend ends them at 60 minutes, and an answer may take some.
const LIFETIME: Duration = Duration::from_secs(55 * 60);

/// The longest wait for the backend to answer a close.
const CLOSING: Duration = Duration::from_secs(1);

/// The bytes from which nothing more is read while a frame is written: an error, and what may come before it, have fewer.
const MOST_EARLY: usize = 64 << 10;

/// The headers of an upgrade that hold for all answers of its socket.
const LASTING: [&str; 3] = ["x-codex-turn-state", "x-models-etag", "x-reasoning-included"];
