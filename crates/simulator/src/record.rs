//! The simulator's records: every request, the end of its answer, and the counters.
//!
//! * The newest requests are kept, up to the configured limit and [`MOST_BYTES`] of bodies, so that a long demo does not grow.
//! * Every change wakes the tasks in [`Journal::changed`], so a test never has to sleep.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::locked;

/// A received request.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// The index, counted from 0 over the simulator's life.
    pub index: u64,
    /// The method.
    pub method: Method,
    /// The path without the query.
    pub path: String,
    /// The query as sent, without the question mark; empty if there was none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The decompressed body.
    pub bytes: Bytes,
    /// The time at which the whole request had arrived.
    pub arrived: Instant,
    /// The status of the answer, once the head was sent.
    pub status: Option<StatusCode>,
    /// The end of the answer.
    pub outcome: AnswerOutcome,
}

impl RecordedRequest {
    /// Returns the body as JSON; `null` if it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// Returns a header's text, `""` if absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// The end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerOutcome {
    /// The answer has not ended.
    Open,
    /// The whole answer was sent.
    Finished,
    /// The client disconnected before that.
    Disconnected,
}

/// Counters since the simulator was created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests of every kind.
    pub requests: u64,
    /// Requests to `POST …/responses`.
    pub responses: u64,
    /// Upgrades asked for.
    pub upgrades: u64,
    /// Requests on WebSockets.
    pub frames: u64,
    /// Requests on a WebSocket whose last answer was under way.
    pub overlaps: u64,
    /// Answers to pings.
    pub pongs: u64,
    /// The code of the latest close by a client.
    pub last_close: Option<u16>,
    /// Requests to the token endpoint.
    pub token_requests: u64,
    /// Refresh tokens exchanged.
    pub refreshes: u64,
    /// Reuses of a spent refresh token.
    pub reuse_attempts: u64,
    /// The most concurrent token requests.
    pub peak_token_requests: u64,
    /// Revoked chains.
    pub revoked_chains: u64,
    /// Answers under way.
    pub open_answers: u64,
    /// The most concurrent answers.
    pub peak_open_answers: u64,
    /// Answers with a client that disconnected early.
    pub disconnects: u64,
}

/// The simulator's records.
#[derive(Debug)]
pub(super) struct Journal {
    entries: Mutex<Entries>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Entries {
    requests: VecDeque<RecordedRequest>,
    counters: Counters,
    open_token_requests: u64,
}

impl Entries {
    /// Drops the oldest requests beyond `limit` or [`MOST_BYTES`], but never the newest for its size.
    fn drop_oldest(&mut self, limit: usize) {
        let mut bytes: usize = self.requests.iter().map(|request| request.bytes.len()).sum();
        while self.requests.len() > limit || bytes > MOST_BYTES && self.requests.len() > 1 {
            bytes -= self.requests.pop_front().map_or(0, |oldest| oldest.bytes.len());
        }
    }
}

/// The bytes of bodies that are kept: a few of the largest.
const MOST_BYTES: usize = 128 << 20;

impl Journal {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { entries: Mutex::default(), changes: watch::Sender::new(0) })
    }

    /// Records a request, drops the oldest beyond `limit`, and returns the guard of its answer.
    pub(super) fn open(self: &Arc<Self>, mut request: RecordedRequest, limit: usize) -> Guard {
        let index = {
            let mut entries = locked(&self.entries);
            request.index = entries.counters.requests;
            let index = request.index;
            entries.counters.requests += 1;
            entries.counters.open_answers += 1;
            entries.counters.peak_open_answers = entries.counters.peak_open_answers.max(entries.counters.open_answers);
            entries.requests.push_back(request);
            entries.drop_oldest(limit);
            index
        };
        self.touch();
        Guard { journal: Arc::clone(self), index, token: false, ended: false }
    }

    /// Changes the counters.
    pub(super) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut locked(&self.entries).counters);
        self.touch();
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        locked(&self.entries).requests.iter().cloned().collect()
    }

    pub(super) fn counters(&self) -> Counters {
        locked(&self.entries).counters
    }

    /// Returns a receiver of every change from now on.
    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Clears the requests; the counters stay.
    pub(super) fn clear(&self) {
        locked(&self.entries).requests.clear();
    }

    fn touch(&self) {
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
    }

    fn update(&self, index: u64, change: impl FnOnce(&mut RecordedRequest)) {
        let mut entries = locked(&self.entries);
        if let Some(request) = entries.requests.iter_mut().find(|request| request.index == index) {
            change(request);
        }
    }
}

/// Tracks one answer; a drop before [`Guard::finished`] means that the client disconnected.
#[derive(Debug)]
pub(super) struct Guard {
    journal: Arc<Journal>,
    index: u64,
    token: bool,
    ended: bool,
}

impl Guard {
    /// Counts a request to the token endpoint until it ends.
    pub(super) fn token_request(&mut self) {
        self.token = true;
        {
            let mut entries = locked(&self.journal.entries);
            entries.open_token_requests += 1;
            entries.counters.token_requests += 1;
            let open = entries.open_token_requests;
            entries.counters.peak_token_requests = entries.counters.peak_token_requests.max(open);
        }
        self.journal.touch();
    }

    /// Records the sent head.
    pub(super) fn answered(&self, status: StatusCode) {
        self.journal.update(self.index, |request| request.status = Some(status));
        self.journal.touch();
    }

    /// Records that the whole answer was sent.
    pub(super) fn finished(&mut self) {
        self.end(AnswerOutcome::Finished);
    }

    fn end(&mut self, outcome: AnswerOutcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.journal.update(self.index, |request| request.outcome = outcome);
        {
            let mut entries = locked(&self.journal.entries);
            entries.counters.open_answers -= 1;
            entries.counters.disconnects += u64::from(outcome == AnswerOutcome::Disconnected);
            entries.open_token_requests -= u64::from(self.token);
        }
        self.journal.touch();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end(AnswerOutcome::Disconnected);
    }
}
