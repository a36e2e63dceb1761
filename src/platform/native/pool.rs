//! The connections of one serving thread, and the choice of one for a call.
//!
//! * A connection of HTTP/2 carries as many calls as its server allows, at most
//!   [`TransportSettings::calls_per_connection`]. The first with room is taken, so that later ones become idle and close.
//! * A connection of HTTP/1.1 carries one call, and is kept for the next one.
//! * A call for which there is no connection waits for the first that has room. Connections are made for those that wait,
//!   not by them: one that is given up leaves its connection to others. An `https` server's protocol is known after the
//!   first connection, so that only one is made before.
//! * An unused connection is closed after [`IDLE_TIMEOUT`].

mod lease;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderValue, Uri};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::platform::native::connection::{Connection, Http1, Http2};
use crate::platform::native::connector::Connector;
use crate::platform::native::pool::lease::Carrier;
pub(super) use crate::platform::native::pool::lease::Lease;
use crate::platform::native::pool::state::{IDLE_TIMEOUT, Idle, MOST_SHARED, Shared, State};
use crate::platform::native::settings::TransportSettings;
use crate::platform::native::{Instant, TransportError, TransportErrorKind, sleep, spawn};

/// The connections of one thread, by server.
#[derive(Debug)]
pub(super) struct Pool {
    connector: Connector,
    settings: Arc<TransportSettings>,
    servers: Mutex<Vec<Arc<Server>>>,
}

impl Pool {
    /// Creates a pool whose connections `connector` makes.
    pub(super) const fn new(connector: Connector, settings: Arc<TransportSettings>) -> Self {
        Self { connector, settings, servers: Mutex::new(Vec::new()) }
    }

    /// Returns the connections to the server of `uri`, if there were any.
    pub(super) fn find(&self, uri: &Uri) -> Option<Arc<Server>> {
        self.servers().iter().find(|server| server.is_of(uri)).cloned()
    }

    /// Returns the connections to the server of `uri`.
    pub(super) fn server(&self, uri: &Uri) -> Result<Arc<Server>, TransportError> {
        let mut servers = self.servers();
        if let Some(server) = servers.iter().find(|server| server.is_of(uri)) {
            return Ok(server.clone());
        }
        let server = Arc::new(Server::new(uri.clone(), self.connector.clone(), self.settings.clone())?);
        servers.push(server.clone());
        Ok(server)
    }

    fn servers(&self) -> MutexGuard<'_, Vec<Arc<Server>>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections of one thread to one server.
#[derive(Debug)]
pub(super) struct Server {
    /// An address there.
    uri: Uri,
    /// The `Host` header.
    host: HeaderValue,
    connector: Connector,
    settings: Arc<TransportSettings>,
    state: Mutex<State>,
}

impl Server {
    fn new(uri: Uri, connector: Connector, settings: Arc<TransportSettings>) -> Result<Self, TransportError> {
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let host = HeaderValue::try_from(authority)
            .map_err(|error| TransportError { kind: TransportErrorKind::Request, message: error.to_string() })?;
        Ok(Self { uri, host, connector, settings, state: Mutex::default() })
    }

    fn is_of(&self, uri: &Uri) -> bool {
        self.uri.authority() == uri.authority() && self.uri.scheme() == uri.scheme()
    }

    /// Assigns a connection to a call, and waits for one if necessary.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease, TransportError> {
        let (leased, makings) = {
            let mut state = self.state();
            if let Some(lease) = self.free(&mut state) {
                return Ok(lease);
            }
            let (tell, leased) = oneshot::channel();
            state.waiting.push_back(tell);
            (leased, self.make_for_waiting(&mut state))
        };
        start(makings);
        // The other end is dropped if the runtime ends.
        leased.await.unwrap_or_else(|_| {
            Err(TransportError { kind: TransportErrorKind::Connect, message: "the program is ending".to_owned() })
        })
    }

    /// Assigns a connection that has room for a call.
    pub(super) fn lease_now(self: &Arc<Self>) -> Option<Lease> {
        self.free(&mut self.state())
    }

    /// Returns whether there is no connection, in use or not.
    pub(super) fn is_cold(&self) -> bool {
        let mut state = self.state();
        state.forget_closed();
        state.shared.is_empty() && state.idle.is_empty() && state.busy == 0
    }

    /// Makes a connection for later calls, unless one is being made.
    pub(super) fn make_ready(self: &Arc<Self>) {
        let making = {
            let mut state = self.state();
            (state.making == 0).then(|| self.make(&mut state))
        };
        start(making);
    }

    /// Returns whether there will be a connection for `time`, in use or not, or one is being made. One of HTTP/2 counts as just used,
    /// since its PINGs are answered; one of HTTP/1.1 is closed when it has been unused for too long.
    pub(super) fn stays_ready(&self, time: Duration) -> bool {
        let mut state = self.state();
        state.forget_closed();
        match state.shared.first_mut() {
            Some(first) => {
                first.used = Instant::now();
                true
            }
            None => state.making > 0 || state.busy > 0 || state.idle.iter().any(|idle| idle.lasts(time)),
        }
    }

    fn free(self: &Arc<Self>, state: &mut State) -> Option<Lease> {
        if let Some(idle) = std::iter::from_fn(|| state.idle.pop()).find(|idle| idle.connection.is_ready()) {
            state.busy += 1;
            return Some(Lease::new(self, Carrier::Http1(Some(idle.connection)), idle.was_used));
        }
        let shared = state.with_room(&self.settings)?;
        let was_used = std::mem::replace(&mut shared.was_used, true);
        shared.calls += 1;
        Some(Lease::new(self, Carrier::Http2(shared.connection.clone()), was_used))
    }

    /// Assigns what has room to the calls that wait, and makes connections for the others.
    fn serve_waiting(self: &Arc<Self>) {
        let makings = loop {
            let (call, lease) = {
                let mut state = self.state();
                while state.waiting.front().is_some_and(oneshot::Sender::is_closed) {
                    state.waiting.pop_front();
                }
                if state.waiting.is_empty() {
                    return;
                }
                let Some(lease) = self.free(&mut state) else { break self.make_for_waiting(&mut state) };
                (state.waiting.pop_front(), lease)
            };
            // A lease that nobody waits for any more returns by being dropped, which needs the state.
            drop(call.map(|call| call.send(Ok(lease))));
        };
        start(makings);
    }

    /// Counts the connections that the waiting calls need and that are not being made, and returns them to be started.
    fn make_for_waiting(self: &Arc<Self>, state: &mut State) -> Vec<Making> {
        let waiting = state.waiting.len();
        let wanted = match (self.speaks_http2(state), state.shared.last()) {
            (Some(false), _) => waiting,
            (_, None) => 1,
            (_, Some(last)) if last.is_told() => waiting.div_ceil(last.most_calls(&self.settings)),
            (_, Some(last)) => usize::from(last.is_late(&self.settings)),
        };
        let room = MOST_SHARED.saturating_sub(state.shared.len());
        let missing = wanted.min(waiting).min(room).saturating_sub(state.making);
        (0..missing).map(|_| self.make(state)).collect()
    }

    /// Returns whether the server speaks HTTP/2, which is agreed on in a TLS handshake.
    fn speaks_http2(&self, state: &State) -> Option<bool> {
        if self.uri.scheme() == Some(&Scheme::HTTPS) { state.speaks_http2 } else { Some(false) }
    }

    fn make(self: &Arc<Self>, state: &mut State) -> Making {
        state.making += 1;
        Making(self.clone())
    }

    /// Ends the wait of the calls that depended on a connection that cannot be made: their share of those being made.
    fn fail(self: &Arc<Self>, error: &TransportError) {
        let failed: Vec<_> = {
            let mut state = self.state();
            let share = state.waiting.len().div_ceil(state.making + 1);
            state.waiting.drain(..share).collect()
        };
        if failed.is_empty() {
            tracing::debug!(%error, "no connection could be made for later calls");
        }
        for call in failed {
            // An error means that the call was given up.
            let _ = call.send(Err(error.clone()));
        }
        self.serve_waiting();
    }

    /// Ends a call over a connection of HTTP/1.1, which is kept once the rest of its answer has been read.
    fn take_back(self: &Arc<Self>, mut connection: Http1) {
        self.state().busy -= 1;
        if connection.is_ready() {
            return self.keep(connection, true);
        }
        // Without a runtime nobody would read it.
        if Handle::try_current().is_ok() {
            let server = self.clone();
            spawn(async move {
                if connection.is_reusable().await {
                    server.keep(connection, true);
                }
            });
        }
    }

    /// Keeps a connection of HTTP/1.1 that is ready for the next call.
    fn keep(self: &Arc<Self>, connection: Http1, was_used: bool) {
        let mut state = self.state();
        if state.idle.len() < MOST_IDLE.max(state.waiting.len()) {
            state.idle.push(Idle { connection, since: Instant::now(), was_used });
        }
        self.sweep_later(&mut state);
        drop(state);
        self.serve_waiting();
    }

    /// Ends a call over `connection`.
    fn end_call(self: &Arc<Self>, connection: &Arc<Http2>) {
        let mut state = self.state();
        if let Some(shared) = state.shared.iter_mut().find(|shared| Arc::ptr_eq(&shared.connection, connection)) {
            shared.calls -= 1;
            shared.used = Instant::now();
        }
        let is_waited_for = !state.waiting.is_empty();
        drop(state);
        if is_waited_for {
            self.serve_waiting();
        }
    }

    /// Has a task close the connections that are unused for too long, for as long as there are any.
    fn sweep_later(self: &Arc<Self>, state: &mut State) {
        if !state.is_swept && Handle::try_current().is_ok() {
            state.is_swept = true;
            spawn(sweep(Arc::downgrade(self)));
        }
    }

    fn has_shared(&self, connection: &Arc<Http2>) -> bool {
        self.state().shared.iter().any(|shared| Arc::ptr_eq(&shared.connection, connection))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what is unused for too long, until there is nothing left.
async fn sweep(server: Weak<Server>) {
    let mut next = Instant::now() + IDLE_TIMEOUT;
    loop {
        sleep(next.saturating_duration_since(Instant::now())).await;
        let Some(server) = server.upgrade() else { return };
        let mut state = server.state();
        match state.close_expired(Instant::now()) {
            Some(later) => next = later,
            None => {
                state.is_swept = false;
                return;
            }
        }
    }
}

/// A connection being made, which is counted until it is made or given up.
#[derive(Debug)]
struct Making(Arc<Server>);

/// Starts making connections. The state must not be held: a runtime that is ending drops each at once, which counts it out.
fn start(makings: impl IntoIterator<Item = Making>) {
    for making in makings {
        if Handle::try_current().is_ok() {
            spawn(making.run());
        }
    }
}

impl Making {
    async fn run(self) {
        let server = self.0.clone();
        let opened = Connection::open(server.connector.clone(), &server.uri, &server.settings).await;
        drop(self);
        match opened {
            Ok(Connection::Http1(connection)) => {
                server.state().speaks_http2 = Some(false);
                server.keep(connection, false);
            }
            Ok(Connection::Http2(connection)) => {
                let shared = Shared::new(connection);
                let connection = shared.connection.clone();
                {
                    let mut state = server.state();
                    state.speaks_http2 = Some(true);
                    state.shared.push(shared);
                    server.sweep_later(&mut state);
                }
                server.serve_waiting();
                watch(server, connection).await;
            }
            Err(error) => server.fail(&error),
        }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.0.state().making -= 1;
    }
}

/// Serves waiting calls when the limit of a new connection has come, or is late: the library tells nobody.
async fn watch(server: Arc<Server>, connection: Arc<Http2>) {
    let mut pause = SHORTEST_PAUSE;
    let end = Instant::now() + WATCH;
    let is_untold = || !connection.is_closed() && connection.most_requests() == Http2::UNTOLD;
    while is_untold() && Instant::now() < end {
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        if !server.has_shared(&connection) {
            return;
        }
        server.serve_waiting();
    }
    server.serve_waiting();
}

/// Unused connections of HTTP/1.1 that are kept; one costs some 30 kB.
const MOST_IDLE: usize = 16;
/// The time after which a server seems to allow a single call on a connection, as few do.
const WATCH: Duration = Duration::from_secs(20);
/// The first pause before a new connection's limit is looked at again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause before that: after [`TransportSettings::settings_timeout`], further connections are made meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
