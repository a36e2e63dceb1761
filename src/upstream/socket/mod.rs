//! Calls over WebSockets: one for each conversation, on which a request holds only what is new.
//!
//! * A WebSocket is a way to send a call faster, and decides nothing: on any doubt before the answer begins the call goes by
//!   HTTP, which says what is wrong. Such doubts are a refused upgrade, a connection that fails or ends, and a frame that
//!   is no text. A call is not sent again once its answer has begun.
//! * The answer is what HTTP would have returned: the events as server-sent events, or an error frame as a status with its
//!   body. [`answer`] makes it.
//! * [`pool`] keeps the sockets, each for calls whose upgrade would have had the same headers, the token among them.
//!   [`connection`] is one socket.
//! * A second call of a conversation whose socket is taken goes by HTTP, and does not wait.

mod answer;
mod connection;
mod outgoing;
mod pool;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::backend::event::sse::LARGEST_FRAME;
use crate::backend::frame::{FrameRequest, TURN_HEADERS};
use crate::platform::{ByteStream, HttpClient, OnSent, UpgradeError};
use crate::upstream::idle::within;
use answer::{Beginning, SocketAnswer};
use connection::Connection;
use outgoing::Outgoing;
use pool::{Place, Pool, Taken};

/// The way of calls to the backend. The comments of the variants are the help text of `--upstream-transport`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[value(rename_all = "kebab-case")]
pub enum UpstreamTransport {
    /// A request for each call
    #[default]
    Http,
    /// A WebSocket for each conversation, and HTTP on any doubt
    #[value(name = "websocket")]
    #[serde(rename = "websocket")]
    WebSocket,
}

/// How a call of a conversation was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketUse {
    /// Over a WebSocket, with its whole input.
    Whole,
    /// Over a WebSocket, with what is new since the last answer.
    Increment,
    /// By HTTP after all.
    Http,
}

impl SocketUse {
    /// Returns the name in the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Increment => "increment",
            Self::Http => "http",
        }
    }
}

/// An extension of a request: the conversation that it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    /// The account of the request.
    pub(super) account: String,
    /// The conversation's cache key.
    pub(super) key: String,
}

/// Takes the usage windows that a frame tells of an account.
pub(super) type OnLimits = Arc<dyn Fn(&str, &[u8]) + Send + Sync>;

/// The calls over WebSockets. Clones share the sockets, which are closed with the last of them.
#[derive(Clone)]
pub(super) struct Sockets {
    client: HttpClient,
    pool: Arc<Pool>,
    on_limits: OnLimits,
}

impl Sockets {
    /// Creates calls through `client` that tell of usage windows to `on_limits`.
    pub(super) fn new(client: HttpClient, on_limits: OnLimits) -> Self {
        Self { client, pool: Pool::new(), on_limits }
    }

    /// Closes all sockets without a call, and opens no more.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Sends `request` over the socket of its conversation. `None` if it has to go by HTTP. Returns how it was sent, too.
    pub(super) async fn send(
        &self,
        request: &Request<Bytes>,
        conversation: Conversation,
    ) -> Option<(Response<ByteStream>, SocketUse)> {
        let asked = FrameRequest::read(request.body())?;
        let place = Place::new(&request.uri().to_string(), &conversation.account, &conversation.key);
        let headers = upgrade_headers(request.headers());
        let mut taken = self.take(place, request, &headers).await?;
        let turn = TURN_HEADERS.iter().filter_map(|name| Some((*name, headers.get(*name)?.to_str().ok()?)));
        let turn: Vec<_> = turn.collect();
        let known = taken.connection().known.take();
        let covered = known.as_ref().and_then(|known| known.covers(&asked));
        let mut used = if covered.is_some() { SocketUse::Increment } else { SocketUse::Whole };
        let mut frame = covered.map_or_else(|| asked.whole(&turn), |(id, first)| asked.after(id, first, &turn));
        loop {
            let beginning = self.ask(taken.connection(), frame, request).await;
            match beginning {
                Ok(Beginning::Answer(lead)) => {
                    let connection = taken.connection();
                    let head = connection.answer_headers();
                    let on_limits = self.on_limits.clone();
                    let body = SocketAnswer::new(taken, lead, asked, conversation.account, on_limits);
                    let mut response = Response::new(Box::pin(body) as ByteStream);
                    *response.headers_mut() = head;
                    return Some((response, used));
                }
                Ok(Beginning::NotFound) if used == SocketUse::Increment => {
                    tracing::debug!("the backend no longer knows the answer before; sending the whole input");
                    used = SocketUse::Whole;
                    frame = asked.whole(&turn);
                }
                Ok(Beginning::Refused(response)) => return Some((response, used)),
                Ok(Beginning::NotFound | Beginning::TooOld) => {
                    tracing::debug!("the backend takes no more requests on this WebSocket; the call goes by HTTP");
                    return None;
                }
                Err(broken) => {
                    if !taken.connection().is_used() {
                        self.pool.pause(FAILED_PAUSE);
                    }
                    tracing::info!("a WebSocket of the backend failed, and the call goes by HTTP: {broken}");
                    return None;
                }
            }
        }
    }

    /// Takes the conversation's socket, or opens one.
    async fn take(&self, place: Place, request: &Request<Bytes>, headers: &HeaderMap) -> Option<Taken> {
        let mut reserved = self.pool.reserve(place, fingerprint(headers))?;
        if let Some(connection) = reserved.rested().await {
            return Some(reserved.with(connection));
        }
        if !self.pool.may_open() {
            return None;
        }
        let mut upgrade = Request::new(());
        request.uri().clone_into(upgrade.uri_mut());
        headers.clone_into(upgrade.headers_mut());
        match within(UPGRADE_TIMEOUT, self.client.upgrade(upgrade, LARGEST_FRAME)).await {
            Some(Ok((socket, headers))) => Some(reserved.with(Connection::new(socket, headers))),
            Some(Err(UpgradeError::Refused(StatusCode::UNAUTHORIZED))) => {
                // The same token fails by HTTP, and the login is renewed there.
                tracing::debug!("the backend does not take the token for a WebSocket; the call goes by HTTP");
                None
            }
            Some(Err(error)) => {
                let is_refusal = matches!(error, UpgradeError::Refused(_));
                self.pool.pause(if is_refusal { REFUSED_PAUSE } else { FAILED_PAUSE });
                tracing::warn!("the backend cannot be reached over a WebSocket, and calls go by HTTP for now: {error}");
                None
            }
            None => {
                self.pool.pause(FAILED_PAUSE);
                let seconds = UPGRADE_TIMEOUT.as_secs();
                tracing::warn!("no WebSocket within {seconds} s, and calls go by HTTP for now");
                None
            }
        }
    }

    /// Sends a frame and reads up to the beginning of the answer.
    async fn ask(
        &self,
        connection: &mut Connection,
        frame: Vec<Bytes>,
        request: &Request<Bytes>,
    ) -> Result<Beginning, connection::Broken> {
        connection.send(Outgoing::new(frame)).await?;
        if let Some(on_sent) = request.extensions().get::<OnSent>() {
            on_sent.call();
        }
        Beginning::read(connection).await
    }
}

/// Returns the headers of the upgrade for a request.
fn upgrade_headers(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove(ACCEPT);
    headers.remove(CONTENT_TYPE);
    headers.insert(BETA, HeaderValue::from_static("responses_websockets=2026-02-06"));
    headers
}

/// Returns the digest of the headers that must be the same for all calls of one socket, in their order: equal calls have
/// them in the same.
fn fingerprint(headers: &HeaderMap) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (name, value) in headers.iter().filter(|(name, _)| !TURN_HEADERS.contains(&name.as_str())) {
        for part in [name.as_str().as_bytes(), value.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

/// The header that asks for a WebSocket of this version (Codex CLI 0.169).
const BETA: HeaderName = HeaderName::from_static("openai-beta");

/// The longest wait for an upgrade, as in the Codex CLI (0.147).
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(15);

/// The time without new sockets after an upgrade was refused: a Codex CLI asks no more for the rest of its session (0.147).
const REFUSED_PAUSE: Duration = Duration::from_secs(10 * 60);

/// The time without new sockets after one failed otherwise: each failure may take [`UPGRADE_TIMEOUT`], or cost an answer.
const FAILED_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_for_calls_with_the_same_headers_but_those_of_a_turn() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
        };
        let one = fingerprint(&headers(&[("authorization", "a"), ("version", "1"), ("x-codex-turn-state", "s")]));
        assert_eq!(one, fingerprint(&headers(&[("authorization", "a"), ("version", "1")])));
        assert_ne!(one, fingerprint(&headers(&[("authorization", "b"), ("version", "1")])));
        assert_ne!(one, fingerprint(&headers(&[("authorization", "a"), ("version", "1"), ("x-codex-new", "1")])));
    }
}
