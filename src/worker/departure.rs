//! Clients that disconnect.
//!
//! * The host reports a disconnect through the request's signal, and releases its own objects. This program's objects
//!   for the answer would stay until the isolate ends; they are dropped here, and the call to the backend ends with
//!   them.

use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::{LocalBoxFuture, select};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::oneshot;
use worker::AbortSignal;
use worker::js_sys::Promise;
use worker::wasm_bindgen_futures::JsFuture;

/// The client of one request, as far as the host reports it.
#[derive(Debug, Clone)]
pub(super) struct Client(Option<AbortSignal>);

impl Client {
    /// The client that sent `request`.
    pub(super) fn of<B>(request: &http::Request<B>) -> Self {
        Self(request.extensions().get().cloned())
    }

    /// Waits until the client has disconnected.
    pub(super) async fn left(self) {
        let Some(signal) = self.0 else { return pending().await };
        if !signal.aborted() {
            let aborted = Promise::new(&mut |resolve, _| signal.set_onabort(Some(&resolve)));
            let _ = JsFuture::from(aborted).await;
        }
    }

    /// Ends `body` when the client disconnects. `watch` is given the work that does so, which is over when the body is.
    pub(super) fn attend(self, body: Body, watch: impl FnOnce(LocalBoxFuture<'static, ()>)) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let slot = Arc::new(Mutex::new(Some(body)));
        let (finished, end) = oneshot::channel();
        let attended = Attended { slot: slot.clone(), _finished: finished };
        watch(Box::pin(async move {
            select(pin!(self.left()), end).await;
            drop(held(&slot).take());
        }));
        Body::new(attended)
    }
}

/// A body that can be cancelled.
struct Attended {
    slot: Arc<Mutex<Option<Body>>>,
    /// Its drop tells the watcher to stop.
    _finished: oneshot::Sender<()>,
}

impl HttpBody for Attended {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match held(&self.slot).as_mut() {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        held(&self.slot).as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        held(&self.slot).as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

fn held(slot: &Mutex<Option<Body>>) -> MutexGuard<'_, Option<Body>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
