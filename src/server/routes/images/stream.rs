//! Images as events: each is sent as soon as the backend has made it.
//!
//! * As with every stream, a failure before the first event has its own status, unless a keepalive was sent already.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{Stream, StreamExt as _};
use http_body::Frame;

use super::calls::{CallPiece, ImageCalls};
use crate::dialect::COMMENT;
use crate::dialect::images::events;
use crate::fault::{Fault, FaultKind};
use crate::platform::{Instant, sleep, unix_now};
use crate::server::answer::{EVENT_STREAM, Keepalive, respond as answered};
use crate::server::cut_off::CutOff;
use crate::upstream::Head;

type Pieces = Pin<Box<dyn Stream<Item = Result<CallPiece, Fault>> + Send>>;

/// Streams the images of `count` calls.
pub(super) async fn respond(calls: Arc<ImageCalls>, count: usize, ignored: &[String]) -> Result<Response, Fault> {
    let accepted = Instant::now();
    let interval = calls.app.settings.keepalive;
    let mut pieces: Pieces = Box::pin(calls.all(count));
    let (first, head) = match select(pin!(first_image(&mut pieces)), pin!(sleep(interval))).await {
        Either::Left((first, _)) => first.map(|(piece, head)| (Some(piece), head))?,
        Either::Right(((), _)) => (None, Head::default()),
    };
    let keepalive = Keepalive::new(COMMENT, interval, accepted);
    let body = ImageEvents { calls, pieces, first, keepalive, handed: 0, is_ended: false };
    Ok(answered(EVENT_STREAM, &head, ignored, Body::new(body)))
}

/// Waits for the first piece that a client sees.
async fn first_image(pieces: &mut Pieces) -> Result<(CallPiece, Head), Fault> {
    let mut head = Head::default();
    while let Some(piece) = pieces.next().await {
        match piece? {
            CallPiece::Head(told) => head = *told,
            piece => return Ok((piece, head)),
        }
    }
    Err(Fault::new(FaultKind::UpstreamInvalid, "the backend's answer holds no image"))
}

/// The body of a streamed answer.
struct ImageEvents {
    calls: Arc<ImageCalls>,
    pieces: Pieces,
    /// The first piece, if it came before the head was sent.
    first: Option<CallPiece>,
    keepalive: Keepalive,
    /// The bytes of the piece that was handed over last. Whoever asks for more has taken it.
    handed: usize,
    is_ended: bool,
}

impl ImageEvents {
    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.calls.release(std::mem::take(&mut self.handed));
        if self.is_ended {
            return Poll::Ready(None);
        }
        if self.calls.app.cut_off.is_reached() {
            return Poll::Ready(Some(self.fail(&CutOff::error())));
        }
        loop {
            let piece = match self.first.take() {
                Some(piece) => Some(Ok(piece)),
                None => match self.pieces.poll_next_unpin(context) {
                    Poll::Ready(piece) => piece,
                    Poll::Pending => return self.keepalive.poll(context).map(Some),
                },
            };
            match piece {
                Some(Ok(CallPiece::Head(_))) => {}
                Some(Ok(piece)) => {
                    self.keepalive.sent();
                    self.handed = piece.length();
                    return Poll::Ready(Some(self.write(&piece)));
                }
                Some(Err(error)) => return Poll::Ready(Some(self.fail(&error))),
                None => {
                    self.is_ended = true;
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn write(&mut self, piece: &CallPiece) -> Bytes {
        let mut out = Vec::new();
        match piece {
            CallPiece::Head(_) => {}
            CallPiece::Partial(event) => events::partial(event, &mut out),
            CallPiece::Completed(answer) => {
                events::completed(self.calls.task, answer, unix_now().as_secs(), &mut out);
            }
        }
        out.into()
    }

    /// Ends the stream with the event of a failure, and the calls under way.
    fn fail(&mut self, error: &Fault) -> Bytes {
        self.is_ended = true;
        self.pieces = Box::pin(futures_util::stream::empty());
        self.calls.log.failed(error);
        let mut out = Vec::new();
        events::failed(error, &mut out);
        out.into()
    }
}

impl http_body::Body for ImageEvents {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.poll_bytes(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
