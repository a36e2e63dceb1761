//! Whether the client that sent a request is still there to be answered.
//!
//! * The end of a client's sending says one of two things, and TCP has the same segment for both (RFC 9293, 3.6): the
//!   client has left, or it has sent all it wanted to and waits, as `nc -N` and `socat` do (RFC 9112, 9.6, asks nobody to
//!   end the answer then).
//! * Only what the client is sent tells them apart: the system of a client that has left answers with a reset. So the
//!   client is sent something that no answer is changed by, at once and then every [`INTERVAL`].
//! * Before the answer's head that is `100 Continue`, which any client of HTTP/1.1 reads over (RFC 9110, 15.2), and which
//!   Python's `http.client` reads over as the only one of its kind. In a stream of events it is the comment that keeps
//!   streams alive. A document that is being written is its own question.
//! * Where nothing can be sent, as before an answer to HTTP/1.0, the client is taken to have left.
//! * The question is asked a second time [`ECHO`] later: a relay in between (`ssh -L`, Docker's) finds out by the first
//!   one that its own client has left, and tells by resetting the second.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

use super::gate::Activity;
use crate::platform::{Instant, Timer};

/// What is known of the client while its request is being answered.
#[derive(Debug, Default)]
pub(super) enum Presence {
    /// It may still send.
    #[default]
    Open,
    /// It has sent more than the request; nothing behind that is seen before the next request is read.
    Ahead,
    /// It sends no more, and is asked again when the timer fires.
    Silent(Timer),
}

/// What a client can be sent that changes no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// An interim answer, before the head.
    Interim,
    /// A comment between two events.
    Comment,
    /// Nothing: the answer is at hand, and is being sent.
    Answer,
    /// Nothing, and no answer is being sent.
    Impossible,
}

impl Presence {
    /// Looks whether the client has left, which is the error. The task is woken when there is more to see.
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
    // A system that is this one has answered already.
    peek(socket, context).map(|_| ())
}

fn interim(socket: &mut TcpStream, context: &mut Context<'_>) -> io::Result<()> {
    match Pin::new(socket).poll_write(context, INTERIM) {
        // A client that takes nothing is asked next time.
        Poll::Pending => Ok(()),
        Poll::Ready(Ok(length)) if length == INTERIM.len() => Ok(()),
        Poll::Ready(Ok(_)) => Err(io::ErrorKind::WriteZero.into()),
        Poll::Ready(Err(error)) => Err(error),
    }
}

/// Whether a byte can be read (1), none ever will (0), or that is not known yet.
fn peek(socket: &mut TcpStream, context: &mut Context<'_>) -> io::Result<Option<usize>> {
    match socket.poll_peek(context, &mut ReadBuf::new(&mut [0])) {
        Poll::Pending => Ok(None),
        Poll::Ready(Ok(length)) => Ok(Some(length)),
        Poll::Ready(Err(error)) => Err(error),
    }
}

const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Longer than a relay on this machine takes to hear that its client has left.
const ECHO: Duration = Duration::from_millis(50);

/// As often as a silent stream says something. Some clients count interim answers (Go's took five until 1.23).
const INTERVAL: Duration = Duration::from_secs(15);
