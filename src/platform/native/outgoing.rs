//! A request's body of one piece, which tells once a connection takes it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::platform::OnSent;

/// A body of one piece.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    bytes: Bytes,
    on_sent: Option<OnSent>,
}

impl Outgoing {
    /// Creates a body of `bytes` that calls `on_sent` when a connection takes it: over HTTP/2, once its stream is open.
    pub(super) const fn new(bytes: Bytes, on_sent: Option<OnSent>) -> Self {
        Self { bytes, on_sent }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(on_sent) = self.on_sent.take() {
            on_sent.call();
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn the_sender_is_told_once_a_connection_takes_the_body() {
        let told = Arc::<AtomicUsize>::default();
        let count = told.clone();
        let on_sent = OnSent::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let body = Outgoing::new(Bytes::from_static(b"body"), Some(on_sent));
        assert_eq!((body.size_hint().exact(), told.load(Ordering::Relaxed)), (Some(4), 0));
        let sent = body.collect().now_or_never().expect("at once").expect("a body").to_bytes();
        assert_eq!((sent.as_ref(), told.load(Ordering::Relaxed)), (&b"body"[..], 1));
    }

    #[test]
    fn no_body_is_never_asked_for() {
        assert!(Outgoing::new(Bytes::new(), None).is_end_stream());
    }
}
