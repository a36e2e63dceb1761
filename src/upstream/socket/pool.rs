//! The sockets between their calls.
//!
//! * A socket belongs to a place: an address, an account and a conversation. One call at a time has it.
//! * A socket without a call is watched by a task of its own: it answers pings, without which the backend would take the
//!   connection for dead, and it notices a close at once. It closes the socket when it is idle for [`IDLE`], too old, no
//!   longer wanted, or when the pool ends.
//! * At most [`MOST`] sockets are open. The one that has been idle longest gives way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::{oneshot, watch};

use crate::backend::event::Name;
use crate::platform::{Instant, sleep, spawn};
use crate::upstream::idle::within;
use crate::upstream::socket::answer::is_before_the_answer;
use crate::upstream::socket::connection::{Broken, Connection};

/// Where a call belongs, as a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place([u8; 32]);

impl Place {
    /// Creates the place of a conversation of `account` at `address`.
    pub(super) fn new(address: &str, account: &str, conversation: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [address, account, conversation] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// The sockets of a process.
#[derive(Debug)]
pub(super) struct Pool {
    state: Mutex<State>,
    /// The number of tasks that watch a socket or close it.
    watchers: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// The sockets without a call, the longest idle first.
    resting: Vec<Resting>,
    /// The places whose socket has a call, or is being opened.
    busy: Vec<Place>,
    /// No socket is opened before.
    paused: Option<Instant>,
    is_closed: bool,
    next_id: u64,
}

/// A socket without a call. Dropping this closes it.
#[derive(Debug)]
struct Resting {
    id: u64,
    place: Place,
    fingerprint: [u8; 32],
    taker: Taker,
}

/// Asks the watcher of a socket to hand it over.
type Taker = oneshot::Sender<oneshot::Sender<Connection>>;

impl Pool {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), watchers: watch::Sender::new(0) })
    }

    /// Reserves `place` for one call whose upgrade has the headers of `fingerprint`; `None` if it has to go another way.
    pub(super) fn reserve(self: &Arc<Self>, place: Place, fingerprint: [u8; 32]) -> Option<Reserved> {
        let mut state = self.state();
        if state.is_closed || state.busy.contains(&place) {
            return None;
        }
        let resting = state.resting.iter().position(|resting| resting.place == place);
        let resting = resting.map(|index| state.resting.remove(index));
        // One that was opened with other headers is closed by being dropped.
        let taker = resting.filter(|resting| resting.fingerprint == fingerprint).map(|resting| resting.taker);
        if taker.is_none() && state.resting.len() + state.busy.len() >= MOST {
            if state.resting.is_empty() {
                return None;
            }
            state.resting.remove(0);
        }
        state.busy.push(place);
        Some(Reserved { pool: self.clone(), place, fingerprint, taker })
    }

    /// Returns whether a new socket may be opened now.
    pub(super) fn may_open(&self) -> bool {
        self.state().paused.is_none_or(|until| Instant::now() >= until)
    }

    /// Opens no socket for this long.
    pub(super) fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state();
        state.paused = state.paused.max(Some(until));
    }

    /// Closes the sockets without a call, and waits for it. No more are opened or kept.
    pub(super) async fn close(&self) {
        {
            let mut state = self.state();
            state.is_closed = true;
            state.resting.clear();
        }
        let mut watchers = self.watchers.subscribe();
        within(PATIENCE, watchers.wait_for(|count| *count == 0)).await;
    }

    /// Keeps a socket until its next call.
    fn keep(self: &Arc<Self>, place: Place, fingerprint: [u8; 32], connection: Connection) {
        let (taker, taken) = oneshot::channel();
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        // Of a closed pool the taker is dropped here, at which the watcher closes the socket.
        if !state.is_closed {
            state.resting.push(Resting { id, place, fingerprint, taker });
        }
        drop(state);
        self.watchers.send_modify(|count| *count += 1);
        let watcher = Watcher { pool: Arc::downgrade(self), id };
        spawn(async move { watcher.watch(connection, taken).await });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of a socket without a call.
struct Watcher {
    pool: Weak<Pool>,
    id: u64,
}

impl Watcher {
    async fn watch(self, mut connection: Connection, mut taken: oneshot::Receiver<oneshot::Sender<Connection>>) {
        let idle = Instant::now() + IDLE;
        let rest = idle.min(connection.ends()).saturating_duration_since(Instant::now());
        let mut due = std::pin::pin!(sleep(rest));
        loop {
            tokio::select! {
                biased;
                // What has arrived comes first, so that nobody is handed a socket that is closed already.
                text = connection.next() => match text {
                    Ok(text) if Name::parse(&text).is_some_and(|name| is_before_the_answer(&name.kind)) => {}
                    Err(Broken::Closed(Some(_))) => {
                        self.forget();
                        return connection.closed().await;
                    }
                    Ok(_) | Err(_) => return,
                },
                taker = &mut taken => {
                    match taker {
                        Ok(taker) => drop(taker.send(connection)),
                        Err(_) => connection.close().await,
                    }
                    return;
                }
                () = &mut due => break,
            }
        }
        self.forget();
        connection.close().await;
    }

    /// Lets no call take the socket.
    fn forget(&self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.state().resting.retain(|resting| resting.id != self.id);
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.forget();
        if let Some(pool) = self.pool.upgrade() {
            pool.watchers.send_modify(|count| *count -= 1);
        }
    }
}

/// A place reserved for one call.
#[derive(Debug)]
pub(super) struct Reserved {
    pool: Arc<Pool>,
    place: Place,
    fingerprint: [u8; 32],
    taker: Option<Taker>,
}

impl Reserved {
    /// Takes the place's socket, if it has one that is open.
    pub(super) async fn rested(&mut self) -> Option<Connection> {
        let (give, given) = oneshot::channel();
        self.taker.take()?.send(give).ok()?;
        given.await.ok()
    }

    /// Gives the call its socket.
    pub(super) fn with(self, connection: Connection) -> Taken {
        Taken { reserved: self, connection }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.pool.state().busy.retain(|busy| *busy != self.place);
    }
}

/// A socket with its call. Dropping it ends the connection.
#[derive(Debug)]
pub(super) struct Taken {
    reserved: Reserved,
    connection: Connection,
}

impl Taken {
    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Ends the connection, and opens no socket for this long.
    pub(super) fn failed(self, pause: Duration) {
        self.reserved.pool.pause(pause);
    }

    /// Gives the socket back after its call.
    pub(super) fn give_back(self) {
        let Self { reserved, connection } = self;
        reserved.pool.keep(reserved.place, reserved.fingerprint, connection);
        // The place is free only now, when its socket is there.
        drop(reserved);
    }
}

/// The sockets of a process: one costs some 100 kB, and more conversations at once are rare.
const MOST: usize = 32;

/// The time after which a socket without a call is closed.
const IDLE: Duration = Duration::from_secs(5 * 60);

/// The longest wait for the sockets to close.
const PATIENCE: Duration = Duration::from_millis(1500);
