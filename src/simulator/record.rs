//! What the simulator saw: every request, how its answer ended, and the counters.
//!
//! * The newest requests are kept, up to the limit of the settings, so that a long demo does not grow.
//! * Every change wakes those who wait in [`Journal::changed`], so a test never has to sleep.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use tokio::sync::watch;

use crate::platform::Instant;
use crate::simulator::locked;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// Its number, counted from 0 over the simulator's life.
    pub index: u64,
    /// The method.
    pub method: Method,
    /// The path without the query.
    pub path: String,
    /// The query as sent, without the question mark; empty if there was none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body after undoing its content encoding.
    pub bytes: Bytes,
    /// When the request had arrived whole.
    pub arrived: Instant,
    /// The status it was answered with, once the head has been sent.
    pub status: Option<StatusCode>,
    /// How the answer ended.
    pub outcome: Outcome,
}

impl RecordedRequest {
    /// The body as JSON; `null` if it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// The text of a header, `""` when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has not ended yet.
    Open,
    /// Everything there was to send has been handed over.
    Finished,
    /// The client left before that.
    Disconnected,
}

/// Counts since the simulator was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests of every kind.
    pub requests: u64,
    /// Requests to `POST …/responses`.
    pub responses: u64,
    /// Requests to the token endpoint.
    pub token_requests: u64,
    /// Refresh tokens exchanged.
    pub refreshes: u64,
    /// Times a spent refresh token was sent again.
    pub reuse_attempts: u64,
    /// The most token requests that were open at one time.
    pub peak_token_requests: u64,
    /// Chains that were revoked.
    pub revoked_chains: u64,
    /// Answers that have not ended yet.
    pub open_answers: u64,
    /// The most answers that were open at one time.
    pub peak_open_answers: u64,
    /// Answers whose client left early.
    pub disconnects: u64,
}

/// The record behind the simulator.
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

impl Journal {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { entries: Mutex::default(), changes: watch::Sender::new(0) })
    }

    /// Writes a request down, forgetting the oldest beyond `limit`, and returns the guard of its answer.
    pub(super) fn open(self: &Arc<Self>, mut request: RecordedRequest, limit: usize) -> Guard {
        let index = {
            let mut entries = locked(&self.entries);
            request.index = entries.counters.requests;
            let index = request.index;
            entries.counters.requests += 1;
            entries.counters.open_answers += 1;
            entries.counters.peak_open_answers = entries.counters.peak_open_answers.max(entries.counters.open_answers);
            entries.requests.push_back(request);
            while entries.requests.len() > limit {
                entries.requests.pop_front();
            }
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

    /// A receiver that is told about every change from now on.
    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Forgets the requests; the counters stay.
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

/// Follows one answer; dropped before [`Guard::finished`] it means that the client left.
#[derive(Debug)]
pub(super) struct Guard {
    journal: Arc<Journal>,
    index: u64,
    token: bool,
    ended: bool,
}

impl Guard {
    /// Counts this as a request to the token endpoint until it ends.
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

    /// The head goes out now.
    pub(super) fn answered(&self, status: StatusCode) {
        self.journal.update(self.index, |request| request.status = Some(status));
        self.journal.touch();
    }

    /// Everything has been handed over.
    pub(super) fn finished(&mut self) {
        self.end(Outcome::Finished);
    }

    fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.journal.update(self.index, |request| request.outcome = outcome);
        {
            let mut entries = locked(&self.journal.entries);
            entries.counters.open_answers -= 1;
            entries.counters.disconnects += u64::from(outcome == Outcome::Disconnected);
            entries.open_token_requests -= u64::from(self.token);
        }
        self.journal.touch();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end(Outcome::Disconnected);
    }
}
