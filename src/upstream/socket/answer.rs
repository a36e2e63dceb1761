//! An answer on a WebSocket, as HTTP would have returned it.
//!
//! * Each frame becomes a server-sent event with its type as its name.
//! * An error frame with a status is a response with that status if nothing has begun; afterwards it is an event.
//! * A complete answer gives its socket back. Dropping the answer earlier ends the connection: nothing else stops the
//!   backend.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

use crate::backend::event::failure::EVENT_TOO_LARGE;
use crate::backend::event::sse::{LARGEST_FRAME, on_one_line};
use crate::backend::event::{Event, Name, ResponseEnding};
use crate::backend::frame::FrameRequest;
use crate::backend::frame::continuation::ReturnedItems;
use crate::platform::{ByteStream, TransportError, TransportErrorKind};
use crate::upstream::socket::connection::{Broken, Connection};
use crate::upstream::socket::pool::Taken;
use crate::upstream::socket::{FAILED_PAUSE, OnLimits};

/// What comes first after a request.
pub(super) enum Beginning {
    /// The answer, with its frames so far.
    Answer(VecDeque<Bytes>),
    /// The request is refused.
    Refused(Response<ByteStream>),
    /// The backend does not know the answer before.
    NotFound,
    /// The socket is too old.
    TooOld,
}

impl Beginning {
    /// Reads the frames up to the first one of the answer.
    pub(super) async fn read(connection: &mut Connection) -> Result<Self, Broken> {
        let mut lead = VecDeque::new();
        loop {
            let frame = connection.next().await?;
            let kind = kind_of(&frame);
            if kind == "error"
                && let Some(refused) = ErrorFrame::read(&frame)
            {
                return Ok(refused.into_beginning(frame));
            }
            let is_before = is_before_the_answer(&kind) && frame.len() <= LONGEST_BEFORE && lead.len() < MOST_BEFORE;
            lead.push_back(frame);
            if !is_before {
                return Ok(Self::Answer(lead));
            }
        }
    }
}

/// Returns whether an event is the connection's, and none of an answer.
pub(super) fn is_before_the_answer(kind: &str) -> bool {
    kind == "response.metadata" || kind.starts_with("codex.") || kind.starts_with("responsesapi.")
}

/// An error frame with a status.
struct ErrorFrame {
    status: StatusCode,
    headers: HeaderMap,
    code: Option<String>,
    message: String,
}

impl ErrorFrame {
    /// Reads `frame`; `None` for an error without a status, which is an event.
    fn read(frame: &[u8]) -> Option<Self> {
        let frame: Value = serde_json::from_slice(frame).ok()?;
        let status = ["status", "status_code"].iter().find_map(|name| frame.get(*name)?.as_u64())?;
        let status = u16::try_from(status).ok().filter(|status| (400..600).contains(status))?;
        let text = |name: &str| frame.get("error")?.get(name)?.as_str().map(str::to_owned);
        Some(Self {
            status: StatusCode::from_u16(status).ok()?,
            headers: frame.get("headers").and_then(Value::as_object).map(headers).unwrap_or_default(),
            code: text("code"),
            message: text("message").unwrap_or_default(),
        })
    }

    fn into_beginning(self, frame: Bytes) -> Beginning {
        match self.code.as_deref() {
            Some("previous_response_not_found") => return Beginning::NotFound,
            Some("websocket_connection_limit_reached") => return Beginning::TooOld,
            // Seen with a null code.
            _ if self.message.contains("previous_response_id") => return Beginning::NotFound,
            _ => {}
        }
        let body: ByteStream = Box::pin(futures_util::stream::iter([Ok(frame)]));
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        Beginning::Refused(response)
    }
}

/// Reads the headers in an error frame, whose values are texts or numbers.
fn headers(told: &Map<String, Value>) -> HeaderMap {
    let header = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    };
    told.iter().filter_map(header).collect()
}

/// The events of an answer, one piece for each.
pub(super) struct SocketAnswer {
    /// The socket; `None` after the end.
    taken: Option<Taken>,
    /// Frames that came before the answer was given out.
    lead: VecDeque<Bytes>,
    returned: ReturnedItems,
    account: String,
    on_limits: OnLimits,
}

impl SocketAnswer {
    /// Creates the answer on `taken` to `asked`, which begins with the frames of `lead`.
    pub(super) fn new(
        taken: Taken,
        lead: VecDeque<Bytes>,
        asked: FrameRequest,
        account: String,
        on_limits: OnLimits,
    ) -> Self {
        Self { taken: Some(taken), lead, returned: ReturnedItems::of(asked), account, on_limits }
    }

    /// Takes a frame, and returns it as an event.
    fn event(&mut self, frame: &Bytes) -> Bytes {
        let kind = kind_of(frame);
        match kind.as_ref() {
            "response.output_item.done" => match Event::read(frame) {
                Some(event) => self.returned.finished(&event),
                None => self.returned.doubt(),
            },
            "response.completed" => self.completed(frame),
            "response.incomplete" | "response.failed" | "response.cancelled" => self.taken = None,
            "codex.rate_limits" => (self.on_limits)(&self.account, frame),
            _ => {}
        }
        framed(&kind, frame)
    }

    /// Gives the socket back.
    fn completed(&mut self, frame: &[u8]) {
        let Some(mut taken) = self.taken.take() else { return };
        let Some(event) = Event::read(frame).filter(|event| event.ending() == Some(ResponseEnding::Completed)) else {
            return;
        };
        taken.connection().known = self.returned.ended(&event);
        taken.give_back();
    }
}

impl Stream for SocketAnswer {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = match (self.lead.pop_front(), &mut self.taken) {
            (Some(frame), _) => Ok(frame),
            (None, Some(taken)) => ready!(taken.connection().poll_next(context)),
            (None, None) => return Poll::Ready(None),
        };
        match next {
            Ok(frame) => Poll::Ready(Some(Ok(self.event(&frame)))),
            Err(broken) => {
                if let Some(taken) = self.taken.take() {
                    taken.failed(FAILED_PAUSE);
                }
                Poll::Ready(Some(match broken {
                    Broken::TooLarge => Ok(too_large()),
                    other => {
                        let kind = TransportErrorKind::Interrupted;
                        Err(TransportError { kind, message: other.to_string() })
                    }
                }))
            }
        }
    }
}

/// Returns the type of an event; empty if it has none that can be read.
fn kind_of(frame: &[u8]) -> Cow<'_, str> {
    // The backend writes the type first.
    let usual = frame.strip_prefix(br#"{"type":""#).and_then(|rest| {
        let end = memchr::memchr2(b'"', b'\\', rest)?;
        rest.get(end).filter(|byte| **byte == b'"')?;
        str::from_utf8(rest.get(..end)?).ok()
    });
    usual.map_or_else(|| Name::parse(frame).map(|name| name.kind).unwrap_or_default(), Cow::Borrowed)
}

/// Writes a frame as a server-sent event.
fn framed(kind: &str, frame: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(frame.len() + kind.len() + 32);
    // A name with a line break would be the end of its line.
    if !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_graphic()) {
        event.put_slice(b"event: ");
        event.put_slice(kind.as_bytes());
        event.put_slice(b"\n");
    }
    event.put_slice(b"data: ");
    match str::from_utf8(frame) {
        Ok(text) => event.put_slice(on_one_line(text).as_bytes()),
        Err(_) => event.put_slice(frame),
    }
    event.put_slice(b"\n\n");
    event.freeze()
}

/// Returns the event of an answer with an event that exceeds the largest frame.
fn too_large() -> Bytes {
    let message = format!("the backend sent an event of more than {} MiB", LARGEST_FRAME >> 20);
    let event = serde_json::json!({ "type": "error", "error": { "code": EVENT_TOO_LARGE, "message": message } });
    framed("error", event.to_string().as_bytes())
}

/// The bytes of the longest frame that is held back until an answer begins, and the most such frames.
const LONGEST_BEFORE: usize = 16 << 10;
const MOST_BEFORE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_becomes_the_event_that_http_has() {
        for (frame, event) in [
            (r#"{"type":"a.b","n":1}"#, "event: a.b\ndata: {\"type\":\"a.b\",\"n\":1}\n\n"),
            ("{\"n\":1,\n\"type\":\"a\"}", "event: a\ndata: {\"n\":1, \"type\":\"a\"}\n\n"),
            (r#"{"type":"\u0061"}"#, "event: a\ndata: {\"type\":\"\\u0061\"}\n\n"),
            (r#"{"type":"a\nb"}"#, "data: {\"type\":\"a\\nb\"}\n\n"),
            ("no JSON", "data: no JSON\n\n"),
        ] {
            assert_eq!(framed(&kind_of(frame.as_bytes()), frame.as_bytes()), event.as_bytes(), "{frame}");
        }
    }

    #[test]
    fn an_error_with_a_status_is_a_response() {
        let read = |frame: &str| ErrorFrame::read(frame.as_bytes());
        let spent = r#"{"type":"error","status_code":429,"error":{"type":"usage_limit_reached"},"headers":{"X-Codex-Primary-Used-Percent":"100.0","x-codex-primary-window-minutes":15}}"#;
        let refused = read(spent).unwrap();
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers["x-codex-primary-used-percent"], "100.0");
        assert_eq!(refused.headers["x-codex-primary-window-minutes"], "15");
        for event in [
            r#"{"type":"error","error":{"message":"m"}}"#,
            r#"{"type":"error","status":200}"#,
            r#"{"type":"error","status":70000}"#,
        ] {
            assert!(read(event).is_none(), "{event}");
        }
        let beginning = |frame: &str| read(frame).unwrap().into_beginning(Bytes::new());
        for lost in [
            r#"{"type":"error","status":400,"error":{"code":"previous_response_not_found"}}"#,
            r#"{"type":"error","status":400,"error":{"code":null,"message":"Invalid `previous_response_id`."}}"#,
        ] {
            assert!(matches!(beginning(lost), Beginning::NotFound), "{lost}");
        }
        let old = r#"{"type":"error","status":400,"error":{"code":"websocket_connection_limit_reached"}}"#;
        assert!(matches!(beginning(old), Beginning::TooOld));
    }
}
