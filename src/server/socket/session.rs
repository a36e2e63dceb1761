//! A WebSocket from the upgrade to the end of its connection.
//!
//! * One task does everything, so that nothing has to be shared: what is to be written first, then what the client sends, then
//!   the turn, which is polled only when everything before it is written.
//! * A turn runs alone; frames that come meanwhile wait in their order ([`MOST_WAITING`]).
//! * A socket without a turn stays open. After the keepalive interval without a frame to the client, it is pinged.
//! * At shutdown the turn under way may end, frames that wait are refused, and the socket is closed with 1001.
//! * What a client sends without reading is answered up to a bound ([`MOST_UNWRITTEN`]); then it is not read, either.
//! * A frame that is no request is answered with an error and changes nothing else. Only what breaks the protocol, or has no
//!   room, closes the socket, with the code of its [`Reason`].

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use futures_util::{Sink as _, Stream as _};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::dialect::responses::frame::is_cancel;
use crate::fault::{Fault, FaultKind};
use crate::platform::{Instant, Timer, Wire};
use crate::server::App;
use crate::server::capacity::{Room, SocketPlace};
use crate::server::cut_off::CutOff;
use crate::server::memory::{OverSocket, SocketMemory};
use crate::server::socket::close::Reason;
use crate::server::socket::meter::Meter;
use crate::server::socket::outgoing::Outgoing;
use crate::server::socket::turn::{SocketTurn, refusal};
use crate::upstream::BackendCall;

/// The state of one socket besides its connection. Clones are handles to the same socket.
#[derive(Debug, Clone)]
pub(in crate::server) struct Session {
    app: Arc<App>,
    turns: Router,
    headers: HeaderMap,
    memory: OverSocket,
    _place: Arc<SocketPlace>,
}

/// The shutdown of the server.
#[derive(Debug)]
pub(in crate::server) struct Ends<S, C> {
    /// Ready once answers under way may end and nothing new begins.
    pub(in crate::server) stopping: S,
    /// Ready once answers under way must end; the turn's own answer does so when it is polled.
    pub(in crate::server) cutting_off: C,
}

impl Session {
    /// Creates the state of a socket whose turns are posted to `turns` with `headers`.
    pub(super) fn new(app: Arc<App>, turns: Router, headers: HeaderMap, place: SocketPlace) -> Self {
        let memory = OverSocket(Arc::new(SocketMemory::new(app.turns.clone())));
        Self { app, turns, headers, memory, _place: Arc::new(place) }
    }

    /// Serves the socket on `connection`, of which `received` has been read already, until either side has closed it.
    pub(in crate::server) async fn run<C: AsyncRead + AsyncWrite + Send + Unpin>(
        &self,
        connection: C,
        received: Bytes,
        ends: Ends<impl Future<Output = ()>, impl Future<Output = ()>>,
    ) {
        let meter = Meter::new(self.app.capacity.clone(), received.len());
        let wire: Wire<'_> = Box::new(meter.on(connection));
        let role = Role::Server;
        let socket = WebSocketStream::from_partially_read(wire, received.into(), role, Some(self.config())).await;
        let (mut stopping, mut cutting_off) = (pin!(ends.stopping), pin!(ends.cutting_off));
        let mut open = Open::new(self, socket, meter);
        let mut is_cut_off = false;
        loop {
            let event = poll_fn(|context| {
                if !open.is_stopping && stopping.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Event::Stopping);
                }
                // The wake-up suffices: the turn is polled below, and checks the flag itself.
                is_cut_off = is_cut_off || cutting_off.as_mut().poll(context).is_ready();
                open.poll(context)
            });
            match event.await {
                Event::Received(message) => open.received(message),
                Event::Broken(error) => open.broken(&error),
                Event::Answered(events) => open.answered(events),
                Event::TurnEnded => open.turn_ended(),
                Event::Stopping => open.stop(),
                Event::Due => open.due(),
                Event::Gone => return,
            }
        }
    }

    fn config(&self) -> WebSocketConfig {
        let most = Some(self.app.settings.max_body_size);
        let config = WebSocketConfig::default().read_buffer_size(READ).write_buffer_size(WRITE);
        config.max_message_size(most).max_frame_size(most)
    }

    fn begin(&self, frame: Bytes) -> SocketTurn {
        let is_codex = BackendCall::is_from_codex(&self.headers);
        SocketTurn::begin(&self.turns, self.headers.clone(), self.memory.clone(), is_codex, frame)
    }
}

/// What happens on a socket.
enum Event {
    /// The client sent something whole.
    Received(Message),
    /// Reading failed.
    Broken(Error),
    /// The turn has events for the client.
    Answered(Vec<Utf8Bytes>),
    /// The turn has ended.
    TurnEnded,
    /// The server is stopping.
    Stopping,
    /// The timer fired.
    Due,
    /// The socket has ended.
    Gone,
}

/// An open socket.
struct Open<'s> {
    session: &'s Session,
    socket: WebSocketStream<Wire<'s>>,
    meter: Meter,
    outgoing: Outgoing,
    turn: Option<SocketTurn>,
    waiting: VecDeque<(Bytes, Room)>,
    timer: Timer,
    last_sent: Instant,
    is_written: bool,
    /// The frames received since everything was written. Each has at most one short answer.
    unwritten: usize,
    is_stopping: bool,
    /// Whether either side has closed the socket. The timer then limits the wait for the other side.
    is_closing: bool,
    /// Whether nothing more can be read.
    is_deaf: bool,
}

impl<'s> Open<'s> {
    fn new(session: &'s Session, socket: WebSocketStream<Wire<'s>>, meter: Meter) -> Self {
        Self {
            session,
            socket,
            meter,
            outgoing: Outgoing::default(),
            turn: None,
            waiting: VecDeque::new(),
            timer: Timer::after(session.app.settings.keepalive),
            last_sent: Instant::now(),
            is_written: true,
            unwritten: 0,
            is_stopping: false,
            is_closing: false,
            is_deaf: false,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        let written = self.outgoing.poll(&mut self.socket, context);
        self.is_written = written.is_ready();
        match written {
            Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone),
            Poll::Ready(Ok(())) if self.is_deaf => return Poll::Ready(Event::Gone),
            Poll::Ready(Ok(())) => self.unwritten = 0,
            Poll::Pending => {}
        }
        if !self.is_deaf
            && self.unwritten < MOST_UNWRITTEN
            && let Poll::Ready(received) = Pin::new(&mut self.socket).poll_next(context)
        {
            self.unwritten += 1;
            return Poll::Ready(match received {
                Some(Ok(message)) => Event::Received(message),
                Some(Err(error)) => Event::Broken(error),
                None => Event::Gone,
            });
        }
        if self.is_written
            && let Some(turn) = &mut self.turn
            && let Poll::Ready(events) = turn.poll(context)
        {
            return Poll::Ready(events.map_or(Event::TurnEnded, Event::Answered));
        }
        let is_closing = self.is_closing;
        self.timer.poll(context).map(|()| if is_closing { Event::Gone } else { Event::Due })
    }

    fn received(&mut self, message: Message) {
        match message {
            Message::Text(text) => self.received_text(text.into()),
            Message::Binary(bytes) => {
                drop(self.meter.complete(bytes.len()));
                self.close(Reason::Binary);
            }
            Message::Ping(data) | Message::Pong(data) => self.meter.skip(data.len()),
            // The library answers it, and reports the end next.
            Message::Close(_) => self.give_up(),
            Message::Frame(_) => {}
        }
    }

    fn received_text(&mut self, text: Bytes) {
        let room = self.meter.complete(text.len());
        if self.is_closing {
            return;
        }
        if self.is_stopping {
            self.send(refusal(&CutOff::error()));
        } else if self.turn.is_some() && text.len() <= LONGEST_CANCEL && is_cancel(&text) {
            self.turn = None;
            let error = Fault::new(FaultKind::InvalidRequest, "the client cancelled this response");
            self.send(refusal(&error.with_code("response_cancelled")));
            self.turn_ended();
        } else if self.waiting.len() >= MOST_WAITING {
            let message = format!("{MOST_WAITING} requests wait for their turn on this WebSocket already");
            self.send(refusal(&Fault::new(FaultKind::Busy, message)));
        } else {
            self.waiting.push_back((text, room));
            self.begin_next();
        }
    }

    /// Begins the turn of the frame that has waited longest, if none is under way.
    fn begin_next(&mut self) {
        if self.turn.is_none()
            && let Some((frame, room)) = self.waiting.pop_front()
        {
            // The turn's own slot accounts for the bytes from now on.
            drop(room);
            self.turn = Some(self.session.begin(frame));
        }
    }

    fn answered(&mut self, events: Vec<Utf8Bytes>) {
        for event in events {
            self.send(event);
        }
    }

    fn turn_ended(&mut self) {
        self.turn = None;
        if self.is_stopping { self.close(Reason::Stopping) } else { self.begin_next() }
    }

    fn stop(&mut self) {
        self.is_stopping = true;
        for _ in std::mem::take(&mut self.waiting) {
            self.send(refusal(&CutOff::error()));
        }
        if self.turn.is_none() {
            self.close(Reason::Stopping);
        }
    }

    /// Ends the socket after a failure to read.
    fn broken(&mut self, error: &Error) {
        tracing::debug!(%error, "a WebSocket broke");
        self.is_deaf = true;
        match self.meter.take_refusal() {
            Some(refused) => self.refuse(&refused),
            None => match Reason::of(error) {
                Some(reason) => self.close(reason),
                None => self.give_up(),
            },
        }
    }

    fn due(&mut self) {
        let now = Instant::now();
        let settings = &self.session.app.settings;
        let (keepalive, silence) = (settings.keepalive, settings.body_silence);
        self.timer.reset(now + keepalive.min(silence));
        if let Some(error) = self.meter.stalled(silence) {
            self.refuse(&error);
        } else if self.is_written && now >= self.last_sent + keepalive {
            self.last_sent = now;
            // A failure shows at the next flush.
            let _ = Pin::new(&mut self.socket).start_send(Message::Ping(Bytes::new()));
        }
    }

    fn send(&mut self, event: Utf8Bytes) {
        self.last_sent = Instant::now();
        self.outgoing.push(event);
    }

    /// Tells the error and closes the socket.
    fn refuse(&mut self, error: &Fault) {
        self.send(refusal(error));
        self.close(Reason::with(error));
    }

    fn close(&mut self, reason: Reason) {
        self.outgoing.close(reason);
        self.give_up();
    }

    /// Ends the turn and drops what waits; only the rest of the closing is left.
    fn give_up(&mut self) {
        self.turn = None;
        self.waiting.clear();
        if !std::mem::replace(&mut self.is_closing, true) {
            self.timer.reset(Instant::now() + CLOSING);
        }
    }
}

/// The size of one read.
pub(super) const READ: usize = 16 << 10;

/// The bytes that short events are gathered to before a write.
const WRITE: usize = 64 << 10;

/// The most frames that wait for their turn. The public API allows as many at once (OpenAI's guide to its WebSocket mode).
const MOST_WAITING: usize = 16;

/// The most frames that are read while something waits to be written: room for what a client may send at once, and a cancel.
const MOST_UNWRITTEN: usize = 4 * MOST_WAITING;

/// The bytes of the longest frame that is looked at for a cancel while a turn is under way.
const LONGEST_CANCEL: usize = 4 << 10;

/// The time for a client to take and answer the closing frame.
const CLOSING: Duration = Duration::from_secs(1);
