//! An open WebSocket of the simulated backend.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::account::Account;
use crate::answer::perform::Performance;
use crate::record::{AnswerOutcome, RecordedRequest};
use crate::script::HangUp;
use crate::server::{BACKEND, Closing};
use crate::socket::events::{Events, is_last};
use crate::socket::memory::ConnectionMemory;
use crate::socket::{SocketAct, SocketFault};
use crate::turn::Turn;
use crate::validate::Rejection;
use crate::{Simulator, locked};

/// The state of one connection besides its two directions.
#[derive(Debug)]
pub(super) struct Session {
    simulator: Simulator,
    account: Account,
    headers: HeaderMap,
    memory: ConnectionMemory,
    opened: Instant,
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Whether the connection goes on.
type Next = ControlFlow<()>;

impl Session {
    pub(super) fn new(simulator: Simulator, account: Account, headers: HeaderMap) -> Self {
        Self { simulator, account, headers, memory: ConnectionMemory::default(), opened: Instant::now() }
    }

    /// Serves the connection to its end, or until the simulator is dropped.
    pub(super) async fn run(mut self, upgrade: OnUpgrade, closing: Option<Closing>) {
        let dropped = async {
            match closing {
                Some(closing) => closing.wait().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = dropped => {}
            () = self.serve(upgrade) => {}
        }
    }

    async fn serve(&mut self, upgrade: OnUpgrade) {
        let Ok(upgraded) = upgrade.await else { return };
        let largest = Some(self.simulator.settings().sockets.largest_frame);
        let config = WebSocketConfig::default().max_message_size(largest).max_frame_size(largest);
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        let (writer, reader) = socket.split();
        let mut ends = Ends { writer, reader };
        while let Some(frame) = self.next(&mut ends).await {
            if self.request(&frame, &mut ends).await.is_break() {
                return;
            }
        }
    }

    /// Waits for the next request, and pings meanwhile.
    async fn next(&self, ends: &mut Ends) -> Option<Bytes> {
        let mut awaits_pong = false;
        let settings = self.simulator.settings();
        let mut idle = std::pin::pin!(tokio::time::sleep(settings.sockets.idle_limit.unwrap_or(FOREVER)));
        loop {
            let interval = self.simulator.settings().sockets.ping_interval;
            let message = tokio::select! {
                message = ends.reader.next() => message,
                () = &mut idle => {
                    let answered = ends.close(1001).await;
                    self.simulator.inner.journal.count(|counters| counters.last_close = answered);
                    return None;
                }
                () = tokio::time::sleep(interval.unwrap_or(FOREVER)) => {
                    if std::mem::replace(&mut awaits_pong, true) {
                        return None;
                    }
                    ends.send(Message::Ping(Bytes::new())).await.ok()?;
                    continue;
                }
            };
            match message? {
                Ok(Message::Text(text)) => return Some(text.into()),
                Ok(Message::Ping(_) | Message::Frame(_)) => {}
                Ok(Message::Pong(_)) => {
                    awaits_pong = false;
                    self.simulator.inner.journal.count(|counters| counters.pongs += 1);
                }
                Ok(Message::Binary(_)) => {
                    ends.close(1003).await;
                    return None;
                }
                Ok(Message::Close(frame)) => {
                    let code = frame.map_or(1005, |frame| frame.code.into());
                    self.simulator.inner.journal.count(|counters| counters.last_close = Some(code));
                    // The library answers when it is polled.
                    let _ = tokio::time::timeout(CLOSING, ends.reader.next()).await;
                    return None;
                }
                Err(Error::Capacity(_)) => {
                    ends.close(1009).await;
                    return None;
                }
                Err(_) => return None,
            }
        }
    }

    /// Answers a request.
    async fn request(&mut self, frame: &Bytes, ends: &mut Ends) -> Next {
        let simulator = self.simulator.clone();
        simulator.inner.journal.count(|counters| counters.frames += 1);
        let guard = simulator.inner.journal.open(self.record(frame), simulator.settings().record_limit);
        let fault = locked(&simulator.inner.socket_faults).pop_front();
        if let Some(SocketFault::Instead(act)) = &fault {
            guard.answered(StatusCode::OK);
            return act.perform(ends).await;
        }
        if let Some(SocketFault::Before(text)) = &fault {
            ends.send(Message::Text(text.into())).await.map_or(Next::Break(()), Next::Continue)?;
        }
        if self.opened.elapsed() >= simulator.settings().sockets.lifetime {
            let message = "Responses websocket connection limit reached (60 minutes). Create a new websocket connection to continue.";
            let rejection = Rejection::error(Some("websocket_connection_limit_reached"), None, message);
            let _ = ends.refuse(rejection.status, &rejection.body, &HeaderMap::new()).await;
            return Next::Break(());
        }
        let turn = match self.accept(frame) {
            Ok(turn) => turn,
            Err(rejection) => {
                guard.answered(rejection.status);
                return ends.refuse(rejection.status, &rejection.body, &HeaderMap::new()).await;
            }
        };
        let model = turn.model().to_owned();
        let response = Performance::new(&simulator, turn, self.account.plan.clone()).play(guard).await;
        if response.extensions().get::<HangUp>().is_some() {
            return Next::Break(());
        }
        let response = simulator.with_headers(response, &model, Some(&self.account));
        let within = if let Some(SocketFault::Within(act)) = fault { Some(act) } else { None };
        self.play(response, within, ends).await
    }

    fn record(&self, frame: &Bytes) -> RecordedRequest {
        RecordedRequest {
            index: 0,
            method: Method::GET,
            path: format!("{BACKEND}/responses"),
            query: String::new(),
            headers: self.headers.clone(),
            bytes: frame.clone(),
            arrived: Instant::now(),
            status: None,
            outcome: AnswerOutcome::Open,
        }
    }

    /// Returns the request in a frame, with what it continues.
    fn accept(&mut self, frame: &[u8]) -> Result<Turn, Rejection> {
        let body = serde_json::from_slice(frame);
        let mut body: Map<String, Value> =
            body.map_err(|error| Rejection::detail(format!("JSON decode error: {error}")))?;
        let kind = body.remove("type");
        if kind.as_ref().and_then(Value::as_str) != Some("response.create") {
            return Err(Rejection::error(Some("invalid_value"), Some("type"), "Unknown type of a request."));
        }
        self.memory.complete(&mut body)?;
        self.simulator.validate(&self.account, &body, false)?;
        self.memory.asked(&body);
        let size = serde_json::to_vec(&body).map_or(frame.len(), |whole| whole.len());
        Ok(Turn::new(body, size, self.account.account_id.clone()))
    }

    /// Sends the events of an answer, which `within` ends early.
    async fn play(&mut self, response: Response<Body>, within: Option<SocketAct>, ends: &mut Ends) -> Next {
        let (head, mut body) = response.into_parts();
        if head.status != StatusCode::OK {
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            return ends.refuse(head.status, &serde_json::from_slice(&body).unwrap_or_default(), &head.headers).await;
        }
        let mut events = Events::default();
        let mut is_complete = false;
        loop {
            let piece = tokio::select! {
                piece = body.frame() => piece,
                message = ends.reader.next() => {
                    self.interrupted(message, ends).await?;
                    continue;
                }
            };
            let Some(piece) = piece else { break };
            let Ok(Ok(piece)) = piece.map(http_body::Frame::into_data) else { return Next::Break(()) };
            let mut texts = VecDeque::from(events.feed(&piece));
            while let Some(text) = texts.pop_front() {
                let event: Value = serde_json::from_str(&text).unwrap_or_default();
                self.memory.answered(&event);
                is_complete |= event["type"] == "error";
                if ends.send(Message::Text(text.into())).await.is_err() {
                    return Next::Break(());
                }
                if is_last(&event) {
                    // What the body holds beyond that is nothing that a connection waits for.
                    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
                    let _ = tokio::time::timeout(REST, rest).await;
                    return Next::Continue(());
                }
                if let Some(act) = within.as_ref().filter(|_| event["type"] == "response.output_text.delta") {
                    return act.perform(ends).await;
                }
            }
        }
        if !is_complete {
            ends.close(1011).await;
            return Next::Break(());
        }
        Next::Continue(())
    }

    /// Takes what a client sends while its answer is under way: a second request ends the connection.
    async fn interrupted(&self, message: Option<Result<Message, Error>>, ends: &mut Ends) -> Next {
        match message {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Next::Continue(()),
            Some(Ok(Message::Text(_))) => {
                self.simulator.inner.journal.count(|counters| counters.overlaps += 1);
                ends.close(1008).await;
                Next::Break(())
            }
            Some(Ok(_) | Err(_)) | None => Next::Break(()),
        }
    }
}

impl SocketAct {
    async fn perform(&self, ends: &mut Ends) -> Next {
        match self {
            Self::Close(code) => {
                ends.close(*code).await;
                Next::Break(())
            }
            Self::Cut => Next::Break(()),
            Self::Binary => {
                ends.send(Message::Binary(Bytes::from_static(b"\0"))).await.map_or(Next::Break(()), Next::Continue)
            }
            Self::Text(text) => ends.send(Message::Text(text.into())).await.map_or(Next::Break(()), Next::Continue),
            Self::Silence => {
                // Until the client leaves.
                while let Some(Ok(_)) = ends.reader.next().await {}
                Next::Break(())
            }
        }
    }
}

/// The two directions of a connection.
struct Ends {
    writer: SplitSink<Socket, Message>,
    reader: SplitStream<Socket>,
}

impl Ends {
    async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.writer.send(message).await
    }

    /// Closes the connection, and waits a moment for the client to do so. Returns the code of its close, if there was one.
    async fn close(&mut self, code: u16) -> Option<u16> {
        let frame = CloseFrame { code: code.into(), reason: "simulated".into() };
        if self.send(Message::Close(Some(frame))).await.is_ok() {
            let end = async {
                let mut answered = None;
                while let Some(Ok(message)) = self.reader.next().await {
                    if let Message::Close(frame) = message {
                        answered = Some(frame.map_or(1005, |frame| frame.code.into()));
                    }
                }
                answered
            };
            return tokio::time::timeout(CLOSING, end).await.unwrap_or_default();
        }
        None
    }

    /// Sends the frame of an error: its status, its body, and the headers that it would have had.
    async fn refuse(&mut self, status: StatusCode, body: &Value, headers: &HeaderMap) -> Next {
        let detail = body.get("detail").filter(|detail| detail.is_object());
        let error = match body.get("error").or(detail) {
            Some(error) => error.clone(),
            None => json!({ "message": body.get("detail"), "type": null, "code": null, "param": null }),
        };
        let told = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-") || *name == "retry-after");
        let told = told.filter_map(|(name, value)| Some((name.to_string(), Value::from(value.to_str().ok()?))));
        let headers: Map<String, Value> = told.collect();
        let frame = json!({ "type": "error", "status": status.as_u16(), "error": error, "headers": headers });
        self.send(Message::Text(frame.to_string().into())).await.map_or(Next::Break(()), Next::Continue)
    }
}

/// The longest wait for a client to answer a close.
const CLOSING: Duration = Duration::from_secs(1);

/// The longest wait for the end of a body after the last event.
const REST: Duration = Duration::from_millis(20);

/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(1 << 30);
