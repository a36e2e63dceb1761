//! The phases of a request up to its first visible event: where its time went.
//!
//! * The phases follow one another without a gap, so their sum is the time to the first token. What is repeated, by a
//!   retry or a renewed token, adds to its phase.
//! * A [`PhaseClock`] is entered by whoever knows that a phase begins. It stops at the first visible event, or with the
//!   request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::platform::Instant;

/// A phase of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The request is received, checked and translated.
    Request,
    /// A large request waits for a free processor to be translated on.
    Place,
    /// The call waits for an access token: for the store, or for a refresh.
    Token,
    /// The call waits for a connection: names are resolved, TCP and TLS are set up, or a stream of an HTTP/2 connection
    /// becomes free. It ends when the connection takes the request's body; on a Worker, whose host connects by itself, at
    /// once.
    Connect,
    /// The request is with the backend, which has not sent the head of its answer.
    Head,
    /// The backend holds the answer back for a check, as its events or headers say (`safety_buffering`).
    Hold,
    /// The answer has begun, without anything to show yet.
    Event,
    /// The call waits before another attempt.
    Retry,
}

impl Phase {
    /// All phases, in the order of a request.
    pub const ALL: [Self; 8] =
        [Self::Request, Self::Place, Self::Token, Self::Connect, Self::Head, Self::Hold, Self::Event, Self::Retry];

    /// Returns the name in log, metrics and ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Place => "place",
            Self::Token => "token",
            Self::Connect => "connect",
            Self::Head => "upstream_head",
            Self::Hold => "upstream_hold",
            Self::Event => "first_event",
            Self::Retry => "retry",
        }
    }
}

/// The time spent in each phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PhaseTimes([Duration; Phase::ALL.len()]);

impl PhaseTimes {
    /// Returns the time spent in `phase`.
    pub fn of(&self, phase: Phase) -> Duration {
        self.0.get(phase as usize).copied().unwrap_or_default()
    }

    /// Returns each phase with its time, in the order of a request.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        Phase::ALL.into_iter().map(|phase| (phase, self.of(phase)))
    }

    /// Adds `time` to that of `phase`.
    pub fn add(&mut self, phase: Phase, time: Duration) {
        if let Some(sum) = self.0.get_mut(phase as usize) {
            *sum += time;
        }
    }
}

/// Measures the phases of one request. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct PhaseClock(Arc<Mutex<Running>>);

#[derive(Debug)]
struct Running {
    times: PhaseTimes,
    /// The phase that runs; `None` once the clock has stopped.
    phase: Option<Phase>,
    since: Instant,
}

impl PhaseClock {
    /// Starts in [`Phase::Request`].
    pub fn start() -> Self {
        let running = Running { times: PhaseTimes::default(), phase: Some(Phase::Request), since: Instant::now() };
        Self(Arc::new(Mutex::new(running)))
    }

    /// Ends the running phase and begins `phase`. Without effect once the clock has stopped.
    pub fn enter(&self, phase: Phase) {
        self.running().turn(Some(phase));
    }

    /// Stops, and returns the times. Further calls return the same.
    pub fn stop(&self) -> PhaseTimes {
        let mut running = self.running();
        running.turn(None);
        running.times
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn turn(&mut self, next: Option<Phase>) {
        let Some(phase) = self.phase.filter(|phase| Some(*phase) != next) else { return };
        let now = Instant::now();
        self.times.add(phase, now - self.since);
        (self.phase, self.since) = (next, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_has_its_own_place() {
        for (index, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, index, "{}", phase.as_str());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn phases_add_up_and_end_with_the_clock() {
        let clock = PhaseClock::start();
        for (phase, seconds) in
            [(Phase::Token, 1), (Phase::Connect, 2), (Phase::Retry, 4), (Phase::Token, 8), (Phase::Head, 16)]
        {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            clock.enter(phase);
        }
        tokio::time::advance(Duration::from_secs(32)).await;
        clock.enter(Phase::Head);
        let times = clock.stop();
        tokio::time::advance(Duration::from_secs(64)).await;
        clock.enter(Phase::Event);
        assert_eq!(clock.stop(), times, "nothing counts after the end");
        let seconds: Vec<_> = times.iter().map(|(_, time)| time.as_secs()).collect();
        // The time before a phase is that of the one before it.
        assert_eq!(seconds, [1, 0, 2 + 16, 4, 32, 0, 0, 8]);
    }
}
