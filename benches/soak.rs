//! A long run: many streams through a real process for minutes, every event counted and in its place.
//!
//! * `just soak` runs ten minutes; `just soak SECONDS STREAMS` as long and as wide as wanted.
//! * The backend is the simulator, in this process; the proxy is a process of its own, so that its memory and its
//!   descriptors are its own.
//! * It fails on an event lost, doubled or out of place; on fewer than 1,667 events a second; on memory that grows by
//!   1 MB a minute or more after the first minute; and on descriptors that do not come back to where they began.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a measuring program runs on a laptop, speaks to a person and may panic"
)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use codex_proxy::platform::HttpClient;
use codex_proxy::simulator::{Login, RunningSimulator, Simulator};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

/// Deltas of one answer, and the pause before each.
const DELTAS: u64 = 500;
const PAUSE: &str = "20ms";
const LEAST_RATE: u64 = 1_667;
const WARM_UP: Duration = Duration::from_secs(60);
/// Idle connections to the backend are kept for a minute and a half.
const SETTLING: Duration = Duration::from_secs(150);

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let duration = Duration::from_secs(numbers.next().unwrap_or(600));
    let streams = numbers.next().unwrap_or(50);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(soak(duration, streams))
}

async fn soak(duration: Duration, streams: u64) -> ExitCode {
    // Installs the provider of cryptography that every client here wants, though nothing is encrypted.
    HttpClient::new(Duration::from_secs(10)).expect("a client");
    let http = reqwest::Client::new();
    let simulator = Simulator::new();
    simulator.configure(|settings| settings.record_limit = 64);
    let running = simulator.start().await.expect("a simulator");
    let daemon = Daemon::start(&simulator, &running);
    read_stream(&http, &daemon.url, 10, &Counts::default()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let base = daemon.descriptors();
    let begun = Instant::now();
    let counts = Arc::new(Counts::default());
    let clients: Vec<_> = (0..streams)
        .map(|_| {
            let (http, url, counts) = (http.clone(), daemon.url.clone(), counts.clone());
            tokio::spawn(async move {
                while begun.elapsed() < duration {
                    read_stream(&http, &url, DELTAS, &counts).await;
                }
            })
        })
        .collect();
    let samples = watch(&daemon, begun, duration, &counts).await;
    drop(http);
    for client in clients {
        client.await.expect("a client ends in good order");
    }
    report(&daemon, base, begun.elapsed(), &samples, &counts).await
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

async fn report(daemon: &Daemon, base: usize, took: Duration, samples: &[Sample], counts: &Counts) -> ExitCode {
    let events = counts.events.load(Ordering::Relaxed);
    let wrong = counts.wrong.load(Ordering::Relaxed);
    let answers = counts.answers.load(Ordering::Relaxed);
    println!("{events} events in {answers} answers over {:.0} s: {wrong} lost or out of place", took.as_secs_f64());
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
    let sound = wrong == 0 && left <= base && slope.is_none_or(|slope| slope < 1.0);
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

#[derive(Debug, Default)]
struct Counts {
    answers: AtomicU64,
    events: AtomicU64,
    /// Events that are not the next one, and answers that do not end as they should.
    wrong: AtomicU64,
}

/// Reads one answer of so many numbered deltas.
async fn read_stream(http: &reqwest::Client, url: &str, deltas: u64, counts: &Counts) {
    let prompt = format!("[[simulate:paced={deltas}x{PAUSE}]]");
    let body = json!({ "messages": [{ "role": "user", "content": prompt }], "stream": true }).to_string();
    let request = http.post(url).header("content-type", "application/json").body(body);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let mut pieces = response.bytes_stream();
    let (mut pending, mut next, mut ended) = (Vec::new(), 0, false);
    while let Some(piece) = pieces.next().await {
        pending.extend_from_slice(&piece.expect("an unbroken answer"));
        while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let Some(data) = line.strip_prefix(b"data: ").map(<[u8]>::trim_ascii_end) else { continue };
            ended = data == b"[DONE]";
            if let Some(number) = number(data) {
                counts.events.fetch_add(1, Ordering::Relaxed);
                counts.wrong.fetch_add(u64::from(number != next), Ordering::Relaxed);
                next = number + 1;
            }
        }
    }
    counts.wrong.fetch_add(u64::from(!ended || next != deltas), Ordering::Relaxed);
    counts.answers.fetch_add(1, Ordering::Relaxed);
}

/// The number that a delta says.
fn number(data: &[u8]) -> Option<u64> {
    let event: Value = serde_json::from_slice(data).ok()?;
    event["choices"][0]["delta"]["content"].as_str()?.trim().parse().ok()
}

/// The proxy; killed with its owner.
struct Daemon {
    child: Child,
    url: String,
    _home: tempfile::TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    fn start(simulator: &Simulator, running: &RunningSimulator) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let login = home.path().join("auth.json");
        std::fs::write(&login, simulator.issue_login(Login::default()).to_string()).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
        command.args(["--port", "0", "--log-level", "warn", "--creds-store", "xdg", "--creds-path"]).arg(&login);
        command.args(["--upstream-url", &running.upstream_url(), "--auth-url", &running.auth_url()]);
        command.env_clear().env("HOME", home.path());
        // The login of a simulator may be read by anybody: no word about that.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut first).expect("a first line");
        let address = first.trim().strip_prefix("listening on ").expect("where it listens");
        Self { child, url: format!("{address}/v1/chat/completions"), _home: home }
    }

    /// MB in memory; 0 where the system has no such file.
    fn resident_megabytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
    }

    /// Open descriptors; 0 where nobody but an administrator may count them.
    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }
}
