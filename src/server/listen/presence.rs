//! Detects whether the client of a request is still connected.
//!
//! * A FIN from a client is ambiguous (RFC 9293, 3.6): the client has disconnected, or it has sent its whole request
//!   and waits, as `nc -N` and `socat` do (RFC 9112, 9.6, does not end the answer then).
//! * Only sending tells them apart: a disconnected client's system answers with a reset. The client is therefore sent
//!   bytes that change no answer, at once and then every [`INTERVAL`].
//! * Before the answer's head that is `100 Continue`, which any HTTP/1.1 client skips (RFC 9110, 15.2), and the only
//!   interim response that Python's `http.client` skips. In a stream of events it is the comment of the keepalive. A
//!   document being written serves as its own probe.
//! * If nothing can be sent, as before an answer to HTTP/1.0, the client counts as disconnected.
//! * The probe is repeated after [`ECHO`]: a relay in between (`ssh -L`, Docker's) learns from the first that its own
//!   client has disconnected, and resets the second.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

use super::gate::Activity;
use crate::platform::{Instant, Timer};

/// The state of the client while its request is being answered.
#[derive(Debug, Default)]
pub(super) enum Presence {
    /// The client may still send.
    #[default]
    Open,
    /// The client has sent more than the request; a FIN behind that is not visible before the next request is read.
    Ahead,
    /// The client has closed its sending side; the next probe is due when the timer fires.
    Silent(Timer),
}

/// A probe that changes no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// An interim response, before the head.
    Interim,
    /// A comment between two events.
    Comment,
    /// No bytes: the answer itself is being sent.
    Answer,
    /// No bytes, and no answer is being sent.
    Impossible,
}

impl Presence {
    /// Checks whether the client has disconnected, which is the error. The task is woken when there is more to check.
    pub(super) fn check(
        &mut self,
        socket: &mut TcpStream,
        activity: &Activity,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        if matches!(self, Self::Open) {
            match peek(socket, context)? {
                None => {}
                Some(0) => {
                    ask(socket, activity, context)?;
                    *self = Self::Silent(Timer::after(ECHO));
                }
                Some(_) => *self = Self::Ahead,
            }
        }
        let Self::Silent(timer) = self else { return Ok(()) };
        while timer.poll(context).is_ready() {
            peek(socket, context)?;
            ask(socket, activity, context)?;
            timer.reset(Instant::now() + INTERVAL);
        }
        Ok(())
    }
}

fn ask(socket: &mut TcpStream, activity: &Activity, context: &mut Context<'_>) -> io::Result<()> {
    match activity.question() {
        Question::Interim => interim(socket, context)?,
        Question::Comment => {
            activity.ask_for_comment();
            context.waker().wake_by_ref();
        }
        Question::Answer => {}
        Question::Impossible => return Err(io::ErrorKind::ConnectionAborted.into()),
    }
    // The client's system, if it is this one, has answered already.
    peek(socket, context).map(|_| ())
}

fn interim(socket: &mut TcpStream, context: &mut Context<'_>) -> io::Result<()> {
    match Pin::new(socket).poll_write(context, INTERIM) {
        // A client that reads nothing is probed next time.
        Poll::Pending => Ok(()),
        Poll::Ready(Ok(length)) if length == INTERIM.len() => Ok(()),
        Poll::Ready(Ok(_)) => Err(io::ErrorKind::WriteZero.into()),
        Poll::Ready(Err(error)) => Err(error),
    }
}

/// Returns 1 if a byte can be read, 0 at the end of input, and `None` if neither is known yet.
fn peek(socket: &mut TcpStream, context: &mut Context<'_>) -> io::Result<Option<usize>> {
    match socket.poll_peek(context, &mut ReadBuf::new(&mut [0])) {
        Poll::Pending => Ok(None),
        Poll::Ready(Ok(length)) => Ok(Some(length)),
        Poll::Ready(Err(error)) => Err(error),
    }
}

const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Longer than a relay on this machine takes to learn that its client has disconnected.
const ECHO: Duration = Duration::from_millis(50);

/// The keepalive's interval. Some clients limit the number of interim responses (Go to five until 1.23).
const INTERVAL: Duration = Duration::from_secs(15);
