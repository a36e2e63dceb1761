//! The connections of one thread to one server: which has room, and which is unused for too long.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::platform::native::connection::{Http1, Http2};
use crate::platform::native::pool::lease::Lease;
use crate::platform::native::settings::TransportSettings;
use crate::platform::native::{Instant, TransportError};

#[derive(Debug, Default)]
pub(super) struct State {
    /// Whether the server speaks HTTP/2, once a connection was made.
    pub(super) speaks_http2: Option<bool>,
    pub(super) shared: Vec<Shared>,
    /// Unused connections of HTTP/1.1, the last used one last.
    pub(super) idle: Vec<Idle>,
    /// The number of connections of HTTP/1.1 in use.
    pub(super) busy: usize,
    /// The number of connections being made.
    pub(super) making: usize,
    pub(super) waiting: VecDeque<oneshot::Sender<Result<Lease, TransportError>>>,
    /// Whether a task closes what is idle for too long.
    pub(super) is_swept: bool,
}

/// A connection of HTTP/2.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) connection: Arc<Http2>,
    pub(super) made: Instant,
    pub(super) calls: usize,
    /// When the last call ended.
    pub(super) used: Instant,
    pub(super) was_used: bool,
}

/// An unused connection of HTTP/1.1.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) connection: Http1,
    pub(super) since: Instant,
    pub(super) was_used: bool,
}

impl Idle {
    /// Returns whether the connection may stay unused for `time`.
    pub(super) fn lasts(&self, time: Duration) -> bool {
        self.since.elapsed() + time < IDLE_TIMEOUT
    }
}

impl Shared {
    pub(super) fn new(connection: Http2) -> Self {
        let now = Instant::now();
        Self { connection: Arc::new(connection), made: now, calls: 0, used: now, was_used: false }
    }

    /// Returns how many calls the connection may carry. A server that allows none is asked all the same.
    pub(super) fn most_calls(&self, settings: &TransportSettings) -> usize {
        self.connection.most_requests().clamp(1, settings.calls_per_connection.max(1))
    }

    /// Returns whether the server has said how many calls it allows.
    pub(super) fn is_told(&self) -> bool {
        self.connection.most_requests() != Http2::UNTOLD
    }

    /// Returns whether the server had the time to say it. One that allows a single call never seems to.
    pub(super) fn is_late(&self, settings: &TransportSettings) -> bool {
        self.made.elapsed() >= settings.settings_timeout
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.connection.is_closed() || self.calls == 0 && now >= self.used + IDLE_TIMEOUT
    }
}

impl State {
    /// Returns the first connection of HTTP/2 with room; if there may be no more connections, the one with the fewest
    /// calls, on which the next one waits for its turn.
    pub(super) fn with_room(&mut self, settings: &TransportSettings) -> Option<&mut Shared> {
        self.forget_closed();
        let is_most = self.shared.len() >= MOST_SHARED;
        let has_room = |shared: &Shared| shared.calls < shared.most_calls(settings);
        match self.shared.iter().position(has_room) {
            Some(first) => self.shared.get_mut(first),
            None if is_most => self.shared.iter_mut().min_by_key(|shared| shared.calls),
            None => None,
        }
    }

    pub(super) fn forget_closed(&mut self) {
        self.shared.retain(|shared| !shared.connection.is_closed());
        self.idle.retain(|idle| idle.connection.is_ready());
    }

    /// Closes the connections that are unused for too long; returns when the next will be, if there are any.
    pub(super) fn close_expired(&mut self, now: Instant) -> Option<Instant> {
        self.shared.retain(|shared| !shared.is_expired(now));
        self.idle.retain(|idle| idle.connection.is_ready() && idle.lasts(Duration::ZERO));
        // One in use is looked at again, too.
        let used = self.shared.iter().map(|shared| if shared.calls == 0 { shared.used } else { now });
        let next = used.chain(self.idle.iter().map(|idle| idle.since)).min()?;
        Some(next + IDLE_TIMEOUT)
    }
}

/// The time after which an unused connection is closed.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Connections of HTTP/2 to a server: far more than calls need (`--max-concurrent` is 512 by default), unless the server
/// allows only a few per connection.
pub(super) const MOST_SHARED: usize = 64;
