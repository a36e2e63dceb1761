//! The backend's WebSocket: the upgrade of `GET …/responses`, and the requests on it.
//!
//! * WebSockets are offered on demand ([`Simulator::offer_sockets`]): the program, whose demo does without them, is smaller then.
//! * The upgrade needs the beta header, the token and the account. Half a handshake is answered with 426.
//! * A frame is a request, its answer's events are frames ([`events`]). One request may be in flight.
//! * `previous_response_id` names the latest complete answer of the same connection ([`memory`]), and no other.
//! * A connection that is older than [`SocketSettings::lifetime`] refuses requests.

mod events;
mod memory;
mod session;

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use serde_json::json;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use crate::account::Account;
use crate::call::Call;
use crate::record::Guard;
use crate::script::ScriptedAnswer;
use crate::server::Closing;
use crate::socket::session::Session;
use crate::validate::Rejection;
use crate::{Simulator, locked};

/// The settings of WebSockets.
#[derive(Debug, Clone)]
pub struct SocketSettings {
    /// The age at which a connection takes no more requests.
    pub lifetime: Duration,
    /// The time between two pings of a connection without a request; one without an answer ends it.
    pub ping_interval: Option<Duration>,
    /// The time after which a connection without a request is closed with 1001.
    pub idle_limit: Option<Duration>,
    /// The bytes of the largest frame; a larger one ends the connection with 1009.
    pub largest_frame: usize,
}

impl Default for SocketSettings {
    fn default() -> Self {
        Self { lifetime: LIFETIME, ping_interval: None, idle_limit: None, largest_frame: 128 << 20 }
    }
}

/// A fault of a WebSocket, for one request on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketFault {
    /// This happens in place of the answer, and the request is not accepted.
    Instead(SocketAct),
    /// This happens after the answer's first delta, and ends it.
    Within(SocketAct),
    /// The text of a frame that comes before the answer.
    Before(String),
}

/// Something that happens on a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketAct {
    /// A close with this code.
    Close(u16),
    /// The end of the connection without a close.
    Cut,
    /// A binary frame.
    Binary,
    /// A text frame.
    Text(String),
    /// Nothing at all.
    Silence,
}

/// Answers an upgrade.
pub(super) type Upgrade = fn(Simulator, Call, Guard) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

impl Simulator {
    /// Offers WebSockets from now on. Until then an upgrade is answered with 426.
    pub fn offer_sockets(&self) {
        let upgrade: Upgrade = |simulator, call, guard| Box::pin(async move { simulator.upgrade(&call, guard).await });
        self.inner.sockets.get_or_init(|| upgrade);
    }

    /// `GET …/responses`.
    pub(super) async fn get_responses(&self, call: Call, guard: Guard) -> Response<Body> {
        if !call.header("upgrade").eq_ignore_ascii_case("websocket") {
            let detail = json!({ "detail": "Method Not Allowed" });
            return ScriptedAnswer::json(StatusCode::METHOD_NOT_ALLOWED, &detail).play(guard).await;
        }
        match self.inner.sockets.get() {
            Some(upgrade) => upgrade(self.clone(), call, guard).await,
            None => upgrade_required().play(guard).await,
        }
    }

    /// Queues an answer for the next upgrade, in place of the WebSocket.
    pub fn script_upgrade_answer(&self, answer: ScriptedAnswer) {
        locked(&self.inner.upgrade_answers).push_back(answer);
    }

    /// Queues a fault for the next request on a WebSocket.
    pub fn queue_socket_fault(&self, fault: SocketFault) {
        locked(&self.inner.socket_faults).push_back(fault);
    }

    async fn upgrade(&self, call: &Call, mut guard: Guard) -> Response<Body> {
        self.inner.journal.count(|counters| counters.upgrades += 1);
        let scripted = locked(&self.inner.upgrade_answers).pop_front();
        if let Some(answer) = scripted {
            return answer.play(guard).await;
        }
        let (account, upgrade, mut response) = match self.accept_upgrade(call) {
            Ok(accepted) => accepted,
            Err(refusal) => return self.with_headers(refusal.play(guard).await, "", None),
        };
        guard.answered(StatusCode::SWITCHING_PROTOCOLS);
        guard.finished();
        response.headers_mut().insert(TURN_STATE, HeaderValue::from_static("simulated"));
        let response = self.with_headers(response, "", Some(&account));
        let closing = call.head.extensions.get::<Closing>().cloned();
        let session = Session::new(self.clone(), account, call.head.headers.clone());
        tokio::spawn(session.run(upgrade, closing));
        response
    }

    fn accept_upgrade(&self, call: &Call) -> Result<(Account, OnUpgrade, Response<Body>), ScriptedAnswer> {
        let mut head = Request::builder().method(&call.head.method).uri(&call.head.uri);
        if let Some(headers) = head.headers_mut() {
            headers.clone_from(&call.head.headers);
        }
        let upgrade = call.head.extensions.get::<OnUpgrade>();
        let answer = head.body(()).ok().and_then(|head| create_response_with_body(&head, Body::empty).ok());
        let (Some(upgrade), Some(answer)) = (upgrade, answer) else { return Err(upgrade_required()) };
        let account = self.authorize(call)?;
        if call.header("openai-beta") != BETA {
            return Err(Rejection::detail(format!("OpenAI-Beta must be {BETA}")).into());
        }
        Ok((account, upgrade.clone(), answer))
    }
}

fn upgrade_required() -> ScriptedAnswer {
    ScriptedAnswer::json(StatusCode::UPGRADE_REQUIRED, &json!({ "detail": "Upgrade Required" }))
}

/// The header of the version that the backend speaks (Codex CLI 0.169).
const BETA: &str = "responses_websockets=2026-02-06";

/// The header by which requests of one turn reach the same server.
const TURN_STATE: HeaderName = HeaderName::from_static("x-codex-turn-state");

/// The age that the backend names when it refuses: "Responses websocket connection limit reached (60 minutes)".
const LIFETIME: Duration = Duration::from_secs(60 * 60);
