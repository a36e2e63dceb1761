//! A long run: many streams through real processes for minutes, every event counted and in its place, whatever goes wrong.
//!
//! * `just soak` runs ten minutes; `just soak SECONDS STREAMS` as long and as wide as wanted.
//! * `just soak sockets SECONDS SOCKETS` runs conversations over WebSockets instead ([`sockets`]); the rest of this is not of it.
//! * The backend and the issuer are the simulator, in this process. Two daemons share it, each with half of the streams and a
//!   login of its own: one runs from the beginning to the end, so that its memory and its descriptors can be judged; the other
//!   is stopped with SIGTERM in the middle of a refresh, every minute, and started again ([`stops`]).
//! * The logs of both go to a reader that stops reading for long stretches ([`log`]).
//! * Now and then the backend is silent for seconds, before its head, before its output or in the middle ([`silences`]).
//! * It fails on an event lost, doubled or out of place; on an answer that a stop broke off though its time was enough; on a
//!   login lost; on fewer than 1,667 events a second; on memory that grows by 1 MB a minute or more after the first minute;
//!   and on descriptors that do not come back to where they began.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a measuring program runs on a laptop, speaks to a person and may panic"
)]

mod client;
mod daemon;
mod log;
mod silences;
mod sockets;
mod stops;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use codex_proxy::simulator::Simulator;

use self::client::{Counts, Target, read_stream};
use self::daemon::{Daemon, Home};
use self::stops::Stops;

/// Deltas of one answer, 20 ms apart: an answer ends within the ten seconds that a stop leaves it, even one whose beginning
/// waited for a refresh.
const DELTAS: u64 = 350;
const LEAST_RATE: u64 = 1_667;
const WARM_UP: Duration = Duration::from_secs(60);
/// Idle connections to the backend are kept for a minute and a half, and looked at as often.
const SETTLING: Duration = Duration::from_secs(200);
/// How long the issuer holds an answer back after an exchange: the time in which a stop is in the middle of a refresh.
const EXCHANGE: Duration = Duration::from_millis(1000);

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (seconds, width) = (numbers.next(), numbers.next());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if std::env::args().any(|argument| argument == "sockets") {
        return runtime.block_on(sockets::run(Duration::from_secs(seconds.unwrap_or(60)), width.unwrap_or(200)));
    }
    runtime.block_on(soak(Duration::from_secs(seconds.unwrap_or(600)), width.unwrap_or(50)))
}

async fn soak(duration: Duration, streams: u64) -> ExitCode {
    let http = reqwest::Client::new();
    let simulator = Simulator::new();
    simulator.configure(|settings| {
        settings.record_limit = 64;
        settings.issuer.delay = EXCHANGE;
    });
    let running = simulator.start().await.expect("a simulator");
    let steady = Daemon::start(&Arc::new(Home::new(&simulator, &running)));
    let stopped = Daemon::start(&Arc::new(Home::new(&simulator, &running)));
    let (at_steady, at_stopped) = (Target::new(&steady), Target::new(&stopped));
    let counts = Arc::new(Counts::default());
    read_stream(&http, &at_steady, 10, &Counts::default()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let base = steady.descriptors();
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..streams {
        let (http, counts) = (http.clone(), counts.clone());
        let target = if number % 2 == 0 { at_steady.clone() } else { at_stopped.clone() };
        tasks.push(tokio::spawn(async move {
            while begun.elapsed() < duration {
                read_stream(&http, &target, DELTAS, &counts).await;
            }
        }));
    }
    for target in [&at_steady, &at_stopped] {
        tasks.push(tokio::spawn(silences::run(http.clone(), target.clone(), counts.clone(), begun + duration)));
    }
    let stopping = tokio::spawn(stops::run(stopped, at_stopped, simulator.clone(), begun, duration));
    let samples = watch(&steady, begun, duration, &counts).await;
    drop(http);
    for task in tasks {
        task.await.expect("a client ends in good order");
    }
    let took = begun.elapsed();
    let (stops, _daemon) = stopping.await.expect("stopping ends in good order");
    report(&steady, base, took, &samples, &counts, &stops).await
}

/// Minutes since the beginning, and MB in memory.
type Sample = (f64, f64);

async fn watch(daemon: &Daemon, begun: Instant, duration: Duration, counts: &Counts) -> Vec<Sample> {
    let mut samples = Vec::new();
    while begun.elapsed() < duration {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if begun.elapsed() > WARM_UP {
            samples.push((begun.elapsed().as_secs_f64() / 60.0, daemon.resident_megabytes()));
        }
        let seconds = begun.elapsed().as_secs();
        if seconds.is_multiple_of(60) {
            let (events, size) = (counts.events.load(Ordering::Relaxed), daemon.resident_megabytes());
            println!("{seconds} s: {events} events, {size:.1} MB, {} descriptors", daemon.descriptors());
        }
    }
    samples
}

async fn report(
    daemon: &Daemon,
    base: usize,
    took: Duration,
    samples: &[Sample],
    counts: &Counts,
    stops: &Stops,
) -> ExitCode {
    let (events, wrong) = (counts.events.load(Ordering::Relaxed), counts.wrong.load(Ordering::Relaxed));
    let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "{events} events in {} answers over {:.0} s: {wrong} lost or out of place",
        count(&counts.answers),
        took.as_secs_f64()
    );
    println!(
        "{} silences, {} of them cut off by a stop; {} requests came to a daemon that was stopping and were sent again",
        count(&counts.silences),
        count(&counts.cut_off),
        count(&counts.sent_again)
    );
    let log = daemon.log();
    println!(
        "the log: {} kB read, {} stretches unread, {} bytes in the pipe at most, {} lines lost",
        log.bytes / 1024,
        log.stretches,
        log.fullest,
        log.lost
    );
    println!(
        "{} stops in the middle of a refresh, {} of no refresh: {} logins lost, at most {:.1} MB in memory",
        stops.in_refresh, stops.missed, stops.lost, stops.most_megabytes
    );
    let slope = slope(samples);
    match slope {
        Some(slope) => println!("memory grows by {slope:.3} MB a minute after the first"),
        None => println!("memory: not judged, the run is too short"),
    }
    let settling = Instant::now();
    while daemon.descriptors() > base && settling.elapsed() < SETTLING {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let left = daemon.descriptors();
    println!("descriptors: {base} at the beginning, {left} at the end ({} s later)", settling.elapsed().as_secs());
    let fast = events >= LEAST_RATE * took.as_secs();
    if !fast {
        println!("fewer than {LEAST_RATE} events a second: this machine is too busy to judge by");
    }
    let sound = wrong == 0 && left <= base && slope.is_none_or(|slope| slope < 1.0) && stops.lost == 0;
    if sound && fast { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// MB a minute, by least squares; `None` for less than a minute of samples.
fn slope(samples: &[Sample]) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    if last.0 - first.0 < 0.9 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "some hundred samples")]
    let count = samples.len() as f64;
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (minutes, size) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let covariance: f64 = samples.iter().map(|sample| (sample.0 - minutes) * (sample.1 - size)).sum();
    let variance: f64 = samples.iter().map(|sample| (sample.0 - minutes).powi(2)).sum();
    Some(covariance / variance)
}
