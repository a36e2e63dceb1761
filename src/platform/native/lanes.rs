//! The connections of a client, and the choice of one for a call.
//!
//! * A lane is a reqwest client of its own: one HTTP/2 connection to a server, or as many HTTP/1.1 connections as there
//!   are calls. Lanes are filled in order, so that later ones become idle and close.
//! * reqwest does not expose a server's stream limit. The limit is inferred from calls that wait although no connection
//!   is being made; it applies to all lanes and expires, since servers differ and change.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use reqwest::Url;
use tower::{Layer, Service};

use crate::platform::native::outgoing::Opening;
use crate::platform::native::{Instant, TransportError};

/// The lanes of one HTTP client.
pub(super) struct Lanes {
    /// Builds a lane's client.
    make: Box<dyn Fn(reqwest::ClientBuilder) -> Result<reqwest::Client, TransportError> + Send + Sync>,
    most_calls: usize,
    state: Mutex<State>,
    /// The URL that was called last: nearly every call has the same one, and parsing it is a tenth of a small call's cost.
    last_url: Mutex<Option<(Uri, Url)>>,
}

struct State {
    lanes: Vec<Arc<Lane>>,
    /// The inferred number of calls per connection, and its expiry.
    learned: Option<(usize, Instant)>,
}

/// One client and the counts of its calls.
#[derive(Debug)]
struct Lane {
    client: reqwest::Client,
    /// Calls assigned to this lane, sent or not.
    taken: AtomicUsize,
    /// Calls that were sent.
    opened: Arc<AtomicUsize>,
    /// Connections being made.
    connecting: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lanes").field("lanes", &self.state().lanes.len()).finish_non_exhaustive()
    }
}

impl Lanes {
    /// Creates lanes of at most `most_calls` calls each, with clients built by `make`. Builds the first at once.
    pub(super) fn new(
        most_calls: usize,
        make: impl Fn(reqwest::ClientBuilder) -> Result<reqwest::Client, TransportError> + Send + Sync + 'static,
    ) -> Result<Self, TransportError> {
        let lanes = Self {
            make: Box::new(make),
            most_calls: most_calls.max(1),
            state: Mutex::new(State { lanes: Vec::new(), learned: None }),
            last_url: Mutex::default(),
        };
        let first = lanes.make_lane()?;
        lanes.state().lanes.push(Arc::new(first));
        Ok(lanes)
    }

    /// Returns `uri` in the library's form.
    pub(super) fn url(&self, uri: &Uri) -> Result<Url, TransportError> {
        let mut last = self.last_url.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, url)) = last.as_ref().filter(|(known, _)| known == uri) {
            return Ok(url.clone());
        }
        let url = Url::parse(&uri.to_string()).map_err(|error| unusable(&error.to_string()))?;
        *last = Some((uri.clone(), url.clone()));
        Ok(url)
    }

    /// Assigns a call to the first lane with room.
    pub(super) fn take(&self) -> Result<Place, TransportError> {
        let mut state = self.state();
        let most_calls = state.most_calls(self.most_calls);
        let free = state.lanes.iter().find(|lane| lane.taken.load(Ordering::Relaxed) < most_calls);
        let lane = match free {
            Some(lane) => lane.clone(),
            None if state.lanes.len() < MOST_LANES => {
                let lane = Arc::new(self.make_lane()?);
                state.lanes.push(lane.clone());
                lane
            }
            None => state.emptiest().ok_or_else(|| unusable("no connection is available"))?,
        };
        Ok(Place::on(lane, state.lanes.len() < MOST_LANES))
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

    fn make_lane(&self) -> Result<Lane, TransportError> {
        let connecting = Arc::<AtomicUsize>::default();
        let counting = CountConnecting { connecting: connecting.clone() };
        let client = (self.make)(reqwest::Client::builder().connector_layer(counting))?;
        Ok(Lane { client, taken: AtomicUsize::new(0), opened: Arc::default(), connecting })
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

fn unusable(message: &str) -> TransportError {
    TransportError { kind: crate::platform::native::TransportErrorKind::Request, message: message.to_owned() }
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
    pub(super) fn client(&self) -> &reqwest::Client {
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
        self.lane.connecting.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.opening.close();
        self.lane.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts connections being made.
#[derive(Debug, Clone)]
struct CountConnecting {
    connecting: Arc<AtomicUsize>,
}

impl<S> Layer<S> for CountConnecting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, connecting: self.connecting.clone() }
    }
}

#[derive(Debug, Clone)]
struct Counted<S> {
    inner: S,
    connecting: Arc<AtomicUsize>,
}

impl<S, T> Service<T> for Counted<S>
where
    S: Service<T>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: T) -> Self::Future {
        let connect = self.inner.call(target);
        self.connecting.fetch_add(1, Ordering::Relaxed);
        let counted = Connecting(self.connecting.clone());
        Box::pin(async move {
            let connected = connect.await;
            drop(counted);
            connected
        })
    }
}

/// A connection being made.
struct Connecting(Arc<AtomicUsize>);

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Far more than calls need (`--max-concurrent` is 512 by default), unless a server allows only a few per connection.
const MOST_LANES: usize = 64;
/// The lifetime of an inferred limit. Inferring it again costs a call its turn's timeout, and a large upload on a slow
/// connection looks like a limit, too.
const LEARNED_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(most_calls: usize) -> Lanes {
        // No provider for the whole process: only a client that is built without this configuration would need one.
        let tls = || {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let config = config.expect("versions of TLS");
            config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
        };
        Lanes::new(most_calls, move |builder| {
            builder.tls_backend_preconfigured(tls()).build().map_err(|error| unusable(&error.to_string()))
        })
        .expect("lanes")
    }

    fn is_same(one: &Place, other: &Place) -> bool {
        Arc::ptr_eq(&one.lane, &other.lane)
    }

    #[tokio::test]
    async fn the_first_lane_with_a_place_is_taken() {
        let lanes = lanes(2);
        let (one, two, three) = (lanes.take().unwrap(), lanes.take().unwrap(), lanes.take().unwrap());
        assert!(is_same(&one, &two) && !is_same(&one, &three));
        assert!(!one.may_have_to_move() && two.may_have_to_move() && !three.may_have_to_move());
        drop(one);
        assert!(is_same(&two, &lanes.take().unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_was_learned_holds_for_all_lanes_and_for_a_time() {
        let lanes = lanes(8);
        let places: Vec<_> = (0..3).map(|_| lanes.take().unwrap()).collect();
        lanes.learn(&places[0]);
        assert!(is_same(&places[0], &lanes.take().unwrap()), "a connection on which nothing is open teaches nothing");
        places[0].lane.opened.store(2, Ordering::Relaxed);
        lanes.learn(&places[0]);
        let others: Vec<_> = (0..3).map(|_| lanes.take().unwrap()).collect();
        assert!(!is_same(&places[0], &others[0]) && is_same(&others[0], &others[1]));
        assert!(!is_same(&others[1], &others[2]));
        tokio::time::advance(LEARNED_FOR).await;
        assert!(is_same(&places[0], &lanes.take().unwrap()));
        places[0].lane.opened.store(0, Ordering::Relaxed);
    }

    #[tokio::test]
    async fn the_number_of_lanes_is_bounded() {
        let lanes = lanes(1);
        let places: Vec<_> = (0..=MOST_LANES).map(|_| lanes.take().unwrap()).collect();
        assert_eq!(lanes.state().lanes.len(), MOST_LANES);
        assert!(!places[MOST_LANES].may_have_to_move());
    }
}
