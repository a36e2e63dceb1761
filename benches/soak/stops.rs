//! A daemon that is stopped in the middle of a refresh, again and again, and its login afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use codex_proxy::simulator::Simulator;

use super::client::Target;
use super::daemon::Daemon;

/// What came of all stops.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    /// Stops between an exchange at the issuer and its answer.
    pub(crate) in_refresh: u64,
    /// Stops for which no refresh began in time.
    pub(crate) missed: u64,
    /// Logins whose refresh token is no longer good.
    pub(crate) lost: u64,
    pub(crate) most_megabytes: f64,
}

/// Stops `daemon` every minute, or three times in a shorter run, and starts it again at once. The last one goes on running.
pub(crate) async fn run(
    mut daemon: Daemon,
    target: Target,
    simulator: Simulator,
    begun: Instant,
    duration: Duration,
) -> (Stops, Daemon) {
    let interval = Duration::from_secs(60).min(duration / 4);
    let mut stops = Stops::default();
    let mut next = begun + interval;
    while next + interval / 2 < begun + duration {
        tokio::time::sleep_until(next.into()).await;
        next += interval;
        stops.most_megabytes = stops.most_megabytes.max(daemon.resident_megabytes());
        if begin_refresh(&daemon, &simulator).await {
            stops.in_refresh += 1;
        } else {
            stops.missed += 1;
        }
        let home = Arc::clone(&daemon.home);
        target.stops();
        let status = daemon.stop().await;
        assert!(status.success(), "a stop ends with {status}");
        if !simulator.accepts_refresh_token(&home.refresh_token()) {
            println!("WRONG: the login is lost");
            stops.lost += 1;
            home.log_in(&simulator);
        }
        daemon = Daemon::start(&home);
        target.is_now(&daemon);
    }
    (stops, daemon)
}

/// Makes the access token useless, and waits until the refresh token has been exchanged and its answer is on its way. Says
/// whether that happened.
async fn begin_refresh(daemon: &Daemon, simulator: &Simulator) -> bool {
    let spent = daemon.home.refresh_token();
    simulator.expire_access_tokens();
    let begun = Instant::now();
    while simulator.accepts_refresh_token(&spent) {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

/// Streams begin many times a second, and the first that does finds the token useless.
const PATIENCE: Duration = Duration::from_secs(20);
