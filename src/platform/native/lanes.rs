//! The connections of a client, and the choice of one for a call.
//!
//! * A lane is a pool of its own: one HTTP/2 connection to a server, or as many HTTP/1.1 connections as there are calls.
//!   Lanes are filled in order, so that later ones become idle and close.
//! * hyper knows a server's stream limit (`http2::Connection::current_max_send_streams`), but the pool keeps the
//!   connection to itself. The limit is inferred from calls that wait although no connection is being made; it applies to
//!   all lanes and expires, since servers differ and change.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::client::legacy::{Builder, Client};

use crate::platform::native::Instant;
use crate::platform::native::connector::Connector;
use crate::platform::native::outgoing::{Opening, Outgoing};

/// The lanes of one HTTP client.
pub(super) struct Lanes {
    connector: Connector,
    pool: Builder,
    most_calls: usize,
    state: Mutex<State>,
}

struct State {
    lanes: Vec<Arc<Lane>>,
    /// The inferred number of calls per connection, and its expiry.
    learned: Option<(usize, Instant)>,
}

/// One pool and the counts of its calls.
#[derive(Debug)]
struct Lane {
    /// The bodies lie behind a pointer: hyper keeps room for 32 requests for each connection.
    client: Client<Connector, Box<Outgoing>>,
    connector: Connector,
    /// Calls assigned to this lane, sent or not.
    taken: AtomicUsize,
    /// Calls that were sent.
    opened: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lanes").field("lanes", &self.state().lanes.len()).finish_non_exhaustive()
    }
}

impl Lanes {
    /// Creates lanes of at most `most_calls` calls each, whose connections `connector` makes and `pool` keeps.
    pub(super) fn new(most_calls: usize, connector: Connector, pool: Builder) -> Self {
        let state = Mutex::new(State { lanes: Vec::new(), learned: None });
        Self { connector, pool, most_calls: most_calls.max(1), state }
    }

    /// Assigns a call to the first lane with room.
    pub(super) fn take(&self) -> Place {
        let mut state = self.state();
        let most_calls = state.most_calls(self.most_calls);
        let free = state.lanes.iter().find(|lane| lane.taken.load(Ordering::Relaxed) < most_calls);
        let may_add = state.lanes.len() < MOST_LANES;
        let lane = match free {
            Some(lane) => Some(lane.clone()),
            None if may_add => None,
            None => state.emptiest(),
        };
        let lane = lane.unwrap_or_else(|| {
            let lane = Arc::new(self.make_lane(state.lanes.is_empty()));
            state.lanes.push(lane.clone());
            lane
        });
        Place::on(lane, state.lanes.len() < MOST_LANES)
    }

    /// Records that the server of `place` allows no more calls than are open there.
    pub(super) fn learn(&self, place: &Place) {
        let open = place.lane.opened.load(Ordering::Relaxed);
        if open == 0 {
            return;
        }
        let mut state = self.state();
        let most_calls = open.min(state.most_calls(self.most_calls));
        tracing::debug!(most_calls, "a connection to a server is full; calls move to another one");
        state.learned = Some((most_calls, Instant::now() + LEARNED_FOR));
    }

    /// Makes a lane. Each but the first keeps a single idle connection: after a peak, those of HTTP/1.1 would otherwise be as many
    /// for each lane.
    fn make_lane(&self, is_first: bool) -> Lane {
        let connector = self.connector.counted();
        let mut pool = self.pool.clone();
        if !is_first {
            pool.pool_max_idle_per_host(1);
        }
        let client = pool.build(connector.clone());
        Lane { client, connector, taken: AtomicUsize::new(0), opened: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn most_calls(&self, configured: usize) -> usize {
        match self.learned {
            Some((learned, until)) if Instant::now() < until => learned.min(configured),
            Some(_) | None => configured,
        }
    }

    fn emptiest(&self) -> Option<Arc<Lane>> {
        self.lanes.iter().min_by_key(|lane| lane.taken.load(Ordering::Relaxed)).cloned()
    }
}

/// A call's assignment to a lane, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    lane: Arc<Lane>,
    opening: Opening,
    has_neighbours: bool,
    may_move: bool,
}

impl Place {
    fn on(lane: Arc<Lane>, may_move: bool) -> Self {
        let has_neighbours = lane.taken.fetch_add(1, Ordering::Relaxed) > 0;
        let opening = Opening::new(lane.opened.clone());
        Self { lane, opening, has_neighbours, may_move }
    }

    /// Returns the client for the call.
    pub(super) fn client(&self) -> &Client<Connector, Box<Outgoing>> {
        &self.lane.client
    }

    /// Returns whether the call has been sent.
    pub(super) const fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Returns whether the connection may be full, and another one is available.
    pub(super) const fn may_have_to_move(&self) -> bool {
        self.has_neighbours && self.may_move
    }

    /// Returns whether the call may still be waiting for a connection to be made.
    pub(super) fn is_connecting(&self) -> bool {
        self.lane.connector.is_connecting()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.opening.close();
        self.lane.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Far more than calls need (`--max-concurrent` is 512 by default), unless a server allows only a few per connection.
const MOST_LANES: usize = 64;
/// The lifetime of an inferred limit. Inferring it again costs a call its turn's timeout, and a large upload on a slow
/// connection looks like a limit, too.
const LEARNED_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::future::join_all;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::Barrier;

    use super::*;
    use crate::platform::native::settings::{Reach, TransportSettings};
    use crate::platform::native::{spawn, trust};

    fn lanes(most_calls: usize) -> Lanes {
        let settings = TransportSettings { reach: Reach::Loopback, ..TransportSettings::default() };
        let tls = Arc::new(trust::tls(&settings).expect("TLS"));
        let connector = Connector::new(&settings, tls, None);
        Lanes::new(most_calls, connector, Client::builder(TokioExecutor::new()))
    }

    fn is_same(one: &Place, other: &Place) -> bool {
        Arc::ptr_eq(&one.lane, &other.lane)
    }

    #[tokio::test]
    async fn the_first_lane_with_a_place_is_taken() {
        let lanes = lanes(2);
        let (one, two, three) = (lanes.take(), lanes.take(), lanes.take());
        assert!(is_same(&one, &two) && !is_same(&one, &three));
        assert!(!one.may_have_to_move() && two.may_have_to_move() && !three.may_have_to_move());
        drop(one);
        assert!(is_same(&two, &lanes.take()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_was_learned_holds_for_all_lanes_and_for_a_time() {
        let lanes = lanes(8);
        let places: Vec<_> = (0..3).map(|_| lanes.take()).collect();
        lanes.learn(&places[0]);
        assert!(is_same(&places[0], &lanes.take()), "a connection on which nothing is open teaches nothing");
        places[0].lane.opened.store(2, Ordering::Relaxed);
        lanes.learn(&places[0]);
        let others: Vec<_> = (0..3).map(|_| lanes.take()).collect();
        assert!(!is_same(&places[0], &others[0]) && is_same(&others[0], &others[1]));
        assert!(!is_same(&others[1], &others[2]));
        tokio::time::advance(LEARNED_FOR).await;
        assert!(is_same(&places[0], &lanes.take()));
        places[0].lane.opened.store(0, Ordering::Relaxed);
    }

    /// Answers one request on each connection once all have come, and counts the connections that stay open.
    async fn answer_together(listener: TcpListener, calls: usize, open: Arc<AtomicUsize>) {
        let together = Arc::new(Barrier::new(calls));
        loop {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let (together, open) = (Arc::clone(&together), Arc::clone(&open));
            spawn(async move {
                open.fetch_add(1, Ordering::Relaxed);
                let mut received = [0; 1024];
                let read = socket.read(&mut received).await.expect("a request");
                assert!(read > 0, "a request");
                together.wait().await;
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("an answer");
                while socket.read(&mut received).await.is_ok_and(|read| read > 0) {}
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    #[tokio::test]
    async fn after_a_peak_of_http_1_few_connections_stay() {
        const CALLS: usize = 24;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri = format!("http://{}/", listener.local_addr().expect("bound"));
        let open = Arc::<AtomicUsize>::default();
        spawn(answer_together(listener, CALLS, Arc::clone(&open)));
        let lanes = lanes(8);
        let calls = (0..CALLS).map(|_| {
            let place = lanes.take();
            let body = Outgoing::new(Bytes::new(), place.opening().clone(), None);
            let request = http::Request::get(&uri).body(Box::new(body)).expect("a request");
            async move {
                let answer = place.client().request(request).await.expect("an answer");
                assert_eq!(answer.status(), 200);
            }
        });
        join_all(calls).await;
        // Eight of the first lane, and one of each of the two others.
        let few = async {
            while open.load(Ordering::Relaxed) > 10 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), few).await.expect("the others are closed");
    }

    #[tokio::test]
    async fn the_number_of_lanes_is_bounded() {
        let lanes = lanes(1);
        let places: Vec<_> = (0..=MOST_LANES).map(|_| lanes.take()).collect();
        assert_eq!(lanes.state().lanes.len(), MOST_LANES);
        assert!(!places[MOST_LANES].may_have_to_move());
    }
}
