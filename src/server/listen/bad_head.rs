//! The answer to an unreadable request head: too large, too slow, or no HTTP.

use std::io;

use axum::response::{IntoResponse as _, Response};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::fault::{Fault, FaultKind};
use crate::platform::unix_now;
use crate::server::capacity::busy;
use crate::server::listen::gate::Activity;
use crate::server::listen::limits::Limits;
use crate::server::observe::request_id;

/// Returns the error for the client; `None` if it has disconnected, is in the middle of an answer, or was merely idle. `head` is
/// what it has sent.
pub(super) fn of(error: &hyper::Error, head: &[u8], activity: &Activity, limits: Limits) -> Option<Fault> {
    if !activity.is_heard() {
        return None;
    }
    if activity.is_crowded() {
        Some(busy("too many long heads of requests are being read".to_owned()))
    } else if error.is_timeout() {
        let message = format!("the request's head did not arrive within {} s", limits.head.as_secs());
        Some(Fault::new(FaultKind::RequestTimeout, message))
    } else if error.is_parse_too_large() {
        let size = limits.head_size >> 10;
        let message = format!("the request's head is larger than {size} KiB or has more than {MOST_HEADERS} headers");
        Some(Fault::new(FaultKind::HeadTooLarge, message))
    } else if error.is_parse() && head.starts_with(&TLS_HANDSHAKE) {
        let message =
            "this looks like TLS, and the port speaks plain HTTP: clients use http://, not https://".to_owned();
        Some(Fault::new(FaultKind::InvalidRequest, message))
    } else if error.is_parse() {
        let message = format!("the request's head is not HTTP/1.1: {error}");
        Some(Fault::new(FaultKind::InvalidRequest, message))
    } else {
        None
    }
}

/// Writes `error` as the connection's last answer.
pub(super) async fn write(error: &Fault, socket: &mut TcpStream) -> io::Result<()> {
    let id = request_id(&HeaderMap::new());
    let id_text = id.to_str().unwrap_or_default();
    tracing::info!(request_id = id_text, status = error.status().as_u16(), error = %error, "refused a head");
    let mut response = error.clone().into_response();
    response.headers_mut().insert("x-request-id", id);
    socket.write_all(&as_text(response).await).await
}

/// Formats a response after which the connection closes.
async fn as_text(response: Response) -> Vec<u8> {
    let (mut head, body) = response.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + unix_now());
    head.headers.extend(HeaderValue::try_from(date).map(|date| (DATE, date)));
    let mut text = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(&body);
    text
}

/// The first bytes of a TLS record with a handshake, of any version
/// (<https://www.rfc-editor.org/rfc/rfc8446#section-5.1>).
const TLS_HANDSHAKE: [u8; 2] = [0x16, 0x03];
/// hyper's default limit of headers. Any other number would cost each request two allocations.
const MOST_HEADERS: usize = 100;
