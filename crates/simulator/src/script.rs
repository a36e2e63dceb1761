//! An answer as a script: status, headers, then bytes, pauses and faults of the connection.
//!
//! * Every answer of the simulator is such a script, so a test's faults and the simulator's own take the same path.
//! * An answer of one piece is sent with a length; any other is streamed piece by piece.
//! * [`ScriptStep::Cut`] closes the connection without the end of the body, after flushing the previous bytes.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use crate::record::Guard;

/// A step of sending a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptStep {
    /// Sends these bytes as one chunk.
    Bytes(Bytes),
    /// Pauses for this long.
    Wait(Duration),
    /// Breaks the connection.
    Cut,
    /// Sends nothing more, and keeps the connection open until the client disconnects.
    Hold,
}

/// An answer from a test or from the simulator.
#[derive(Debug, Clone)]
pub struct ScriptedAnswer {
    /// The status of the head.
    pub status: StatusCode,
    /// The headers of the head, in addition to the simulator's own.
    pub headers: HeaderMap,
    /// The delay of the head.
    pub delay: Duration,
    /// The steps of the body.
    pub steps: Vec<ScriptStep>,
    /// Whether the connection is closed instead of sending any of it. Requires the simulator's own listener; behind
    /// another server it is a 502.
    pub hang_up: bool,
}

/// Marks an answer that is never sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct HangUp;

impl ScriptedAnswer {
    /// Creates an empty answer with `status`.
    pub fn status(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), delay: Duration::ZERO, steps: Vec::new(), hang_up: false }
    }

    /// Creates an answer with `body` as JSON.
    pub fn json(status: StatusCode, body: &Value) -> Self {
        Self::status(status).header(CONTENT_TYPE, "application/json").bytes(body.to_string())
    }

    /// Creates an answer with `body` as HTML.
    pub fn html(status: StatusCode, body: &'static str) -> Self {
        Self::status(status).header(CONTENT_TYPE, "text/html; charset=UTF-8").bytes(body)
    }

    /// Creates a 200 without a content type, as the backend sends its streams.
    pub fn stream() -> Self {
        Self::status(StatusCode::OK)
    }

    /// Creates no answer: the connection is closed.
    pub fn hang_up() -> Self {
        Self { hang_up: true, ..Self::status(StatusCode::BAD_GATEWAY) }
    }

    /// Creates a redirect to `location`.
    pub fn redirect(status: StatusCode, location: &str) -> Self {
        Self::status(status).header(LOCATION, location)
    }

    /// Creates an error in OpenAI's shape.
    pub fn error(status: StatusCode, kind: &str, code: Option<&str>, message: &str) -> Self {
        let error = json!({ "message": message, "type": kind, "param": null, "code": code });
        Self::json(status, &json!({ "error": error }))
    }

    /// Creates the plain 429 of a request-rate limit.
    pub fn too_many_requests() -> Self {
        Self::status(StatusCode::TOO_MANY_REQUESTS).header(RETRY_AFTER, "1")
    }

    /// Creates a 403 page that asks for a browser.
    pub fn cloudflare_challenge() -> Self {
        Self::html(StatusCode::FORBIDDEN, CHALLENGE_PAGE)
            .header(HeaderName::from_static("cf-mitigated"), "challenge")
            .header(HeaderName::from_static("cf-ray"), "simulated-FRA")
    }

    /// Adds a header; an invalid value is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    /// Adds a chunk to the body.
    #[must_use]
    pub fn bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        self.steps.push(ScriptStep::Bytes(bytes.into()));
        self
    }

    /// Adds a step to the body.
    #[must_use]
    pub fn step(mut self, step: ScriptStep) -> Self {
        self.steps.push(step);
        self
    }

    /// Delays the head.
    #[must_use]
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Plays the answer; `guard` records its end.
    pub(super) async fn play(self, guard: Guard) -> Response<Body> {
        let whole = matches!(self.steps.as_slice(), [] | [ScriptStep::Bytes(_)]);
        let Self { status, headers, delay, steps, hang_up } = self;
        let mut response = play_steps(status, delay, steps.into_iter(), guard, whole).await;
        response.headers_mut().extend(headers);
        if hang_up {
            response.extensions_mut().insert(HangUp);
        }
        response
    }
}

/// Plays steps, which may be generated meanwhile. With `whole` the single chunk is sent with a length.
pub(super) async fn play_steps(
    status: StatusCode,
    delay: Duration,
    mut steps: impl Iterator<Item = ScriptStep> + Send + 'static,
    mut guard: Guard,
    whole: bool,
) -> Response<Body> {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    guard.answered(status);
    let body = if whole {
        guard.finished();
        match steps.next() {
            Some(ScriptStep::Bytes(bytes)) => Body::from(bytes),
            Some(ScriptStep::Wait(_) | ScriptStep::Cut | ScriptStep::Hold) | None => Body::empty(),
        }
    } else {
        Body::from_stream(futures_util::stream::unfold((steps, guard), next_chunk))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

async fn next_chunk<S: Iterator<Item = ScriptStep>>(
    (mut steps, mut guard): (S, Guard),
) -> Option<(io::Result<Bytes>, (S, Guard))> {
    loop {
        match steps.next() {
            Some(ScriptStep::Bytes(bytes)) => return Some((Ok(bytes), (steps, guard))),
            Some(ScriptStep::Wait(delay)) => tokio::time::sleep(delay).await,
            Some(ScriptStep::Hold) => std::future::pending().await,
            Some(ScriptStep::Cut) => {
                // An error drops the server's buffer; a short silence makes it flush first.
                tokio::time::sleep(FLUSH).await;
                guard.finished();
                return Some((Err(io::ErrorKind::ConnectionReset.into()), (steps, guard)));
            }
            None => {
                guard.finished();
                return None;
            }
        }
    }
}

const FLUSH: Duration = Duration::from_millis(10);

const CHALLENGE_PAGE: &str = "<!DOCTYPE html><html lang=\"en-US\"><head><title>Just a moment...</title></head><body>\
    <h1>chatgpt.com</h1><p>Attention Required! | Cloudflare</p><script>window._cf_chl_opt={cvId:'3'};</script>\
    <p>Sorry, you have been blocked (simulated)</p></body></html>";
