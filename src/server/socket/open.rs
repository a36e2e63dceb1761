//! The upgrade of a request to a WebSocket.
//!
//! * A Codex CLI takes 426 as the advice to use POST for the rest of its session, at once; other refusals it repeats for a
//!   while (0.169). So does whoever sends half a handshake, as through a reverse proxy that drops `Upgrade`, and whoever finds
//!   all places taken.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use crate::server::App;
use crate::server::routes::absent;
use crate::server::socket::session::Session;

/// The router that turns are posted to.
#[derive(Debug, Clone)]
pub(in crate::server) struct Turns(pub(in crate::server) Router);

/// Answers with the upgrade, after which the connection runs the [`Session`] in the answer's extensions.
pub(in crate::server) async fn open(
    State(app): State<Arc<App>>,
    Extension(Turns(turns)): Extension<Turns>,
    request: Request,
) -> Response {
    if request.method() != Method::GET || !absent::wants_websocket(request.headers()) {
        let response = absent::wrong_method(request).await;
        return ([(header::ALLOW, HeaderValue::from_static("POST"))], response).into_response();
    }
    let mut response = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => return absent::upgrade_required(&format!("this is no WebSocket handshake: {error}")),
    };
    let Some(place) = app.capacity.place() else {
        return absent::upgrade_required("as many WebSockets are open as this proxy serves requests");
    };
    let session = Session::new(app, turns, turn_headers(request.headers()), place);
    response.extensions_mut().insert(session);
    response
}

/// Returns the headers that each turn of the socket is posted with: all but those of the connection and of the handshake.
fn turn_headers(headers: &HeaderMap) -> HeaderMap {
    let is_kept = |name: &HeaderName| !LEFT_OUT.contains(name) && !name.as_str().starts_with("sec-websocket-");
    let kept = headers.iter().filter(|(name, _)| is_kept(name));
    let mut headers: HeaderMap = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

/// Each turn has an id of its own, and its body is no longer encoded.
const LEFT_OUT: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("x-request-id"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_keeps_what_is_not_of_the_connection() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer k"),
            ("host", "localhost"),
            ("session-id", "s"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "k"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("content-encoding", "zstd"),
            ("x-request-id", "mine"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers.append("authorization", HeaderValue::from_static("Bearer l"));
        let kept = turn_headers(&headers);
        let mut names: Vec<_> = kept.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "authorization", "content-type", "host", "session-id"]);
    }
}
