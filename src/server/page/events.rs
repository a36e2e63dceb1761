//! `GET /page/events`: the parts of the page that have changed, as server-sent events.
//!
//! * An event is a JSON object from the id of a part to its inside. The first has every part.
//! * A listener looks every [`PACE`], and only while it reads: its stream waits for the client to take what was sent.
//! * A stream ends with its session or its key, and at once when the server stops: a page that is open somewhere does not
//!   hold a shutdown up. Listeners are few; one more is refused with 503.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;

use crate::dialect::COMMENT;
use crate::fault::{Fault, FaultKind};
use crate::page::view::{PagePart, STAMP};
use crate::platform::{Instant, sleep};
use crate::server::App;
use crate::server::answer::EVENT_STREAM;
use crate::server::page::{admits, state::MOST_LISTENERS};

/// Keeps a page current.
pub(super) async fn stream(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Fault> {
    if !admits(&app, &headers) {
        return Err(Fault::new(FaultKind::InvalidApiKey, "the page needs one of the proxy's keys; load / again"));
    }
    let place = app.page.listeners.clone().try_acquire_owned().map_err(|_| {
        let message = format!("{MOST_LISTENERS} pages are kept current already");
        Fault::new(FaultKind::Busy, message).with_retry_after(Duration::from_secs(30))
    })?;
    let cut_off = app.cut_off.clone();
    // Polled before each event: the connection is polled when the server stops.
    let stopping = poll_fn(move |_| if cut_off.is_stopping() { Poll::Ready(()) } else { Poll::Pending });
    let listener = Listener { app, headers, sent: Vec::new(), sent_at: Instant::now(), _place: place };
    let events = stream::unfold(listener, |mut listener| async {
        listener.next().await.map(|event| (Ok::<_, Infallible>(event), listener))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, Body::from_stream(events.take_until(stopping))).into_response())
}

/// One open page.
struct Listener {
    app: Arc<App>,
    /// The head of its request, which has to be admitted as long as it is served.
    headers: HeaderMap,
    /// The parts as they were sent last; none before the first event.
    sent: Vec<PagePart>,
    sent_at: Instant,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// Waits for the next event; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.sent.is_empty() {
                sleep(PACE).await;
            }
            if !admits(&self.app, &self.headers) {
                return None;
            }
            let rendered = self.app.page.current(&self.app).await;
            if let Some(event) = event(&self.sent, &rendered.parts) {
                self.sent.clone_from(&rendered.parts);
                self.sent_at = Instant::now();
                return Some(event);
            }
            if self.sent_at.elapsed() >= self.app.settings.keepalive {
                self.sent_at = Instant::now();
                return Some(Bytes::from_static(COMMENT));
            }
        }
    }
}

/// Writes the parts of `now` that differ from those of `before`; `None` if none does but the time.
fn event(before: &[PagePart], now: &[PagePart]) -> Option<Bytes> {
    let changed = now.iter().filter(|part| !before.contains(part));
    let changed: Map<String, Value> = changed.map(|(id, inside)| ((*id).to_owned(), inside.as_str().into())).collect();
    if changed.keys().all(|id| id == STAMP) {
        return None;
    }
    Some(format!("data: {}\n\n", Value::Object(changed)).into())
}

/// The time between two looks.
const PACE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_what_changed() {
        let parts = |verdict: &str, stamp: &str| vec![("verdict", verdict.to_owned()), (STAMP, stamp.to_owned())];
        let told = |event: Option<Bytes>| event.map(|event| String::from_utf8(event.to_vec()).expect("text"));
        let first = told(event(&[], &parts("a\n<b>", "1")));
        assert_eq!(first.as_deref(), Some("data: {\"verdict\":\"a\\n<b>\",\"stamp\":\"1\"}\n\n"));
        assert_eq!(told(event(&parts("a", "1"), &parts("a", "2"))), None);
        let next = told(event(&parts("a", "1"), &parts("b", "1")));
        assert_eq!(next.as_deref(), Some("data: {\"verdict\":\"b\"}\n\n"));
    }
}
