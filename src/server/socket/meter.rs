//! The bytes that a WebSocket has received of a frame that is not complete.
//!
//! * They count among the bytes of all bodies. The first ones of each frame are free, as those of heads are: one read of a
//!   socket that is merely open takes nothing.
//! * The first read of a frame takes no more than the longest header. The library reserves a frame's length beyond what it has
//!   read; a reserve that is used up exactly goes with the frame, where a rest of it would keep the whole of it for as long as
//!   the socket is open.
//! * A frame has to go on as a body has to: silence in its middle is limited, and when capacity is short, the minimum rate of
//!   [`progress`](crate::server::progress) applies.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::fault::{Fault, FaultKind};
use crate::platform::Instant;
use crate::server::capacity::{Capacity, Room};
use crate::server::progress::Progress;

/// The count of what one socket reads. Clones share it: one is with the socket, one with the session.
#[derive(Debug, Clone)]
pub(super) struct Meter(Arc<Mutex<Count>>);

/// What a [`Meter`] counts.
#[derive(Debug)]
struct Count {
    capacity: Capacity,
    room: Room,
    /// The bytes since the last complete frame.
    length: usize,
    heard: Instant,
    progress: Progress,
    refused: Option<Fault>,
}

impl Meter {
    /// Creates the count of a socket that has received `length` bytes already.
    pub(super) fn new(capacity: Capacity, length: usize) -> Self {
        let room = capacity.room();
        let (heard, progress) = (Instant::now(), Progress::begin());
        Self(Arc::new(Mutex::new(Count { capacity, room, length, heard, progress, refused: None })))
    }

    /// Wraps `socket`, whose bytes are counted here from now on.
    pub(super) fn on<S>(&self, socket: S) -> Metered<S> {
        Metered { socket, meter: self.clone() }
    }

    /// Records that a frame is complete, and returns the room of its `length` bytes.
    pub(super) fn complete(&self, length: usize) -> Room {
        let mut count = self.count();
        count.length = 0;
        let next = count.capacity.room();
        let room = std::mem::replace(&mut count.room, next);
        room.now_holds(length);
        room
    }

    /// Records that a control frame, such as a ping, with `length` bytes of content is complete. It may have come in the middle
    /// of another frame's fragments.
    pub(super) fn skip(&self, length: usize) {
        let mut count = self.count();
        count.length = count.length.saturating_sub(length + CONTROL);
    }

    /// Returns the error that ended reading: the bytes of all bodies are taken.
    pub(super) fn take_refusal(&self) -> Option<Fault> {
        self.count().refused.take()
    }

    /// Returns the error of a frame that does not go on.
    pub(super) fn stalled(&self, silence: Duration) -> Option<Fault> {
        let mut count = self.count();
        if count.length == 0 {
            return None;
        }
        let is_silent = Instant::now() >= count.heard + silence;
        let is_slow = count.progress.is_too_little() && count.room.is_short();
        let message = "the rest of the frame did not arrive in time";
        (is_silent || is_slow).then(|| Fault::new(FaultKind::RequestTimeout, message))
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn add(&mut self, bytes: usize) -> io::Result<()> {
        if self.length == 0 {
            self.progress = Progress::begin();
        }
        self.heard = Instant::now();
        self.progress.add(bytes);
        let counted = self.length.max(FREE);
        self.length += bytes;
        let more = self.length.saturating_sub(counted);
        if more > 0
            && let Err(error) = self.room.hold(more)
        {
            self.refused = Some(error);
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Ok(())
    }
}

/// A socket whose bytes a [`Meter`] counts as they are read.
#[derive(Debug)]
pub(super) struct Metered<S> {
    socket: S,
    meter: Meter,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = if self.meter.count().length == 0 { HEADER } else { usize::MAX };
        let most = most.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        if read == 0 { Poll::Ready(Ok(())) } else { Poll::Ready(self.meter.count().add(read)) }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// The longest header of a client's frame: two bytes, eight of length, four of mask.
const HEADER: usize = 14;

/// The header of a client's control frame, with its mask.
const CONTROL: usize = 6;

/// The free bytes of each frame.
const FREE: usize = super::session::READ;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_takes_room_from_its_first_read_on() {
        let capacity = Capacity::new(1, 2 * FREE);
        let meter = Meter::new(capacity.clone(), 0);
        for (read, held) in [(10, 0), (FREE - 10, 0), (7, 7), (1, 8)] {
            meter.count().add(read).expect("room");
            assert_eq!(capacity.held(), held);
        }
        let frame = meter.complete(FREE + 8);
        assert_eq!(capacity.held(), FREE + 8);
        let other = Meter::new(capacity.clone(), FREE);
        assert!(
            other.count().add(2 * FREE).is_err()
                && other.take_refusal().is_some_and(|error| error.kind == FaultKind::Busy)
        );
        drop((frame, other));
        assert_eq!(capacity.held(), 0);
    }

    #[tokio::test]
    async fn the_first_read_of_a_frame_is_its_header() {
        use tokio::io::AsyncReadExt as _;
        let meter = Meter::new(Capacity::new(1, FREE), 0);
        let mut socket = meter.on(&[0; 100][..]);
        let mut buffer = [0; 64];
        assert_eq!(socket.read(&mut buffer).await.expect("bytes"), HEADER);
        assert_eq!(socket.read(&mut buffer).await.expect("bytes"), 64);
        drop(meter.complete(1));
        assert_eq!(socket.read(&mut buffer).await.expect("bytes"), HEADER);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_in_the_middle_of_a_frame_is_limited_and_between_two_it_is_not() {
        let silence = Duration::from_secs(10);
        let meter = Meter::new(Capacity::new(1, FREE), 0);
        tokio::time::advance(silence).await;
        assert!(meter.stalled(silence).is_none());
        meter.count().add(1).expect("room");
        tokio::time::advance(silence / 2).await;
        assert!(meter.stalled(silence).is_none());
        meter.count().add(1).expect("room");
        tokio::time::advance(silence).await;
        assert!(meter.stalled(silence).is_some_and(|error| error.kind == FaultKind::RequestTimeout));
        drop(meter.complete(2));
        assert!(meter.stalled(silence).is_none());
        meter.count().add(7).expect("room");
        meter.skip(1);
        tokio::time::advance(silence).await;
        assert!(meter.stalled(silence).is_none(), "a ping is no beginning");
    }
}
