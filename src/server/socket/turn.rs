//! One turn of a WebSocket: a frame is posted to the router, and the answer's events become frames.
//!
//! * An event's `data` is a frame, byte for byte. Comments, which keep an HTTP stream alive, are left out: the session pings.
//! * An answer that is an error is one frame, with the status and the headers that the answer has.
//! * A Codex client first gets the headers of the answer, in the events that the backend has for them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body::Body as _;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tower::ServiceExt as _;

use crate::backend::event::sse::Framer;
use crate::dialect::responses::notice;
use crate::fault::{Fault, FaultKind};
use crate::server::memory::OverSocket;

/// A turn under way. Dropping it ends the call to the backend.
pub(super) struct SocketTurn {
    phase: Phase,
    /// Whether the client knows the backend's events about an answer.
    is_codex: bool,
}

enum Phase {
    /// The router has the request.
    Asking(Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>),
    /// The answer is a stream.
    Reading(Body, Framer),
    /// There is no more.
    Ended,
}

impl SocketTurn {
    /// Posts `frame` to `turns` with `headers`, as a turn of the socket with this `memory`.
    pub(super) fn begin(turns: &Router, headers: HeaderMap, memory: OverSocket, is_codex: bool, frame: Bytes) -> Self {
        let mut request = Request::new(Body::from(frame));
        (*request.method_mut(), *request.headers_mut()) = (Method::POST, headers);
        *request.uri_mut() = Uri::from_static("/v1/responses");
        request.extensions_mut().insert(memory);
        Self { phase: Phase::Asking(Box::pin(turns.clone().oneshot(request))), is_codex }
    }

    /// Polls the next frames for the client; `None` at the end of the turn.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<Utf8Bytes>>> {
        loop {
            match &mut self.phase {
                Phase::Asking(answer) => {
                    let Ok(response) = ready!(answer.as_mut().poll(context));
                    let frames = self.head(response);
                    if !frames.is_empty() {
                        return Poll::Ready(Some(frames));
                    }
                }
                Phase::Reading(body, framer) => match ready!(Pin::new(body).poll_frame(context)) {
                    Some(Ok(frame)) => {
                        let frames = frame.data_ref().map(|data| frames(framer, data)).unwrap_or_default();
                        if framer.is_overfull() {
                            self.phase = Phase::Ended;
                            return Poll::Ready(Some(vec![broken("an event of the answer is too large")]));
                        }
                        if !frames.is_empty() {
                            return Poll::Ready(Some(frames));
                        }
                    }
                    Some(Err(error)) => {
                        self.phase = Phase::Ended;
                        return Poll::Ready(Some(vec![broken(&error.to_string())]));
                    }
                    None => self.phase = Phase::Ended,
                },
                Phase::Ended => return Poll::Ready(None),
            }
        }
    }

    /// Takes the head of the answer, and returns the frames that tell it.
    fn head(&mut self, response: Response) -> Vec<Utf8Bytes> {
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            self.phase = Phase::Ended;
            let error = head.extensions.get::<Fault>().map_or_else(internal, Clone::clone);
            return vec![notice::error(head.status, &error.to_json_object(), &head.headers).into()];
        }
        self.phase = Phase::Reading(body, Framer::default());
        if !self.is_codex {
            return Vec::new();
        }
        let limits = notice::limits(&head.headers).into_iter();
        notice::metadata(&head.headers).into_iter().chain(limits).map(Utf8Bytes::from).collect()
    }
}

/// Returns the frame of an error that has no answer of its own.
pub(super) fn refusal(error: &Fault) -> Utf8Bytes {
    notice::error(error.status(), &error.to_json_object(), &HeaderMap::new()).into()
}

/// Returns the events completed by `bytes` as frames.
fn frames(framer: &mut Framer, bytes: &[u8]) -> Vec<Utf8Bytes> {
    let mut frames = Vec::new();
    framer.feed(bytes, |event| {
        frames.push(String::from_utf8_lossy(&event.data).into_owned().into());
        true
    });
    frames
}

fn broken(cause: &str) -> Utf8Bytes {
    refusal(&Fault::new(FaultKind::Internal, format!("the answer broke off: {cause}")))
}

fn internal() -> Fault {
    Fault::new(FaultKind::Internal, "the proxy failed on this request; see its log")
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use axum::response::IntoResponse as _;
    use axum::routing::post;
    use proptest::prelude::*;

    use super::*;
    use crate::server::memory::{AnswerMemory, SocketMemory};

    async fn turn(router: Router, is_codex: bool) -> Vec<String> {
        let memory = OverSocket(Arc::new(SocketMemory::new(AnswerMemory::default())));
        let mut turn = SocketTurn::begin(&router, HeaderMap::new(), memory, is_codex, Bytes::from_static(b"{}"));
        let mut all = Vec::new();
        while let Some(frames) = poll_fn(|context| turn.poll(context)).await {
            all.extend(frames.iter().map(ToString::to_string));
        }
        all
    }

    #[tokio::test]
    async fn an_answer_becomes_frames() {
        let events = "event: a\ndata: {\"a\":\"é\"}\n\n: keepalive\ndata: 1\n\n";
        let headers = [("x-codex-turn-state", "s"), ("content-type", "text/event-stream")];
        let router = || Router::new().route("/v1/responses", post(move || async move { (headers, events) }));
        assert_eq!(turn(router(), false).await, ["{\"a\":\"é\"}", "1"]);
        let told = r#"{"type":"codex.response.metadata","headers":{"x-codex-turn-state":"s"}}"#;
        assert_eq!(turn(router(), true).await, [told, "{\"a\":\"é\"}", "1"]);
    }

    #[tokio::test]
    async fn an_error_is_one_frame() {
        let error = || async { Fault::new(FaultKind::Busy, "later").into_response() };
        let router = Router::new().route("/v1/responses", post(error));
        let frames = turn(router, true).await;
        assert_eq!(frames.len(), 1);
        assert!(frames[0].starts_with(r#"{"type":"error","status":503,"error":{"message":"later""#), "{frames:?}");
        assert_eq!(turn(Router::new(), true).await.len(), 1, "whatever the answer is");
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(cuts in prop::collection::vec(0..EVENTS.len(), 0..9)) {
            let whole = frames(&mut Framer::default(), EVENTS.as_bytes());
            let mut cuts = cuts;
            cuts.extend([0, EVENTS.len()]);
            cuts.sort_unstable();
            let mut framer = Framer::default();
            let pieces = cuts.windows(2).map(|cut| &EVENTS.as_bytes()[cut[0]..cut[1]]);
            let split: Vec<_> = pieces.flat_map(|piece| frames(&mut framer, piece)).collect();
            prop_assert_eq!(split, whole);
        }
    }

    const EVENTS: &str = "event: response.created\ndata: {\"type\":\"response.created\"}\n\n: keepalive\nevent: x\r\n\
                          data: {\"delta\":\"🤖é\"}\r\n\r\ndata: {\"a\":\ndata: 1}\n\ndata: last\n\n";
}
