//! Clients that read numbered streams to their end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::daemon::Daemon;

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) answers: AtomicU64,
    pub(crate) events: AtomicU64,
    /// Events that are not the next one, and answers that do not end as they should.
    pub(crate) wrong: AtomicU64,
    /// Answers of a backend that was silent, and those of them that a stop ended.
    pub(crate) silences: AtomicU64,
    pub(crate) cut_off: AtomicU64,
    /// Requests that a daemon turned away because it was stopping.
    pub(crate) sent_again: AtomicU64,
}

impl Counts {
    /// Says what is wrong, and counts it.
    pub(crate) fn wrong(&self, what: &str) {
        println!("WRONG: {what}");
        self.wrong.fetch_add(1, Ordering::Relaxed);
    }
}

/// The daemon that a client asks: another one after each stop.
#[derive(Debug, Clone)]
pub(crate) struct Target(Arc<Place>);

#[derive(Debug)]
struct Place {
    url: Mutex<String>,
    is_stopping: AtomicBool,
}

impl Target {
    pub(crate) fn new(daemon: &Daemon) -> Self {
        Self(Arc::new(Place { url: Mutex::new(daemon.url.clone()), is_stopping: AtomicBool::new(false) }))
    }

    pub(crate) fn url(&self) -> String {
        self.0.url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on a request may be turned away.
    pub(crate) fn stops(&self) {
        self.0.is_stopping.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_now(&self, daemon: &Daemon) {
        self.0.url.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&daemon.url);
        self.0.is_stopping.store(false, Ordering::SeqCst);
    }

    /// Whether a request to `url` had to expect a stop.
    pub(crate) fn was_stopped(&self, url: &str) -> bool {
        self.0.is_stopping.load(Ordering::SeqCst) || self.url() != url
    }
}

/// Sends a prompt. `None` if the daemon is stopping, or if what came is wrong, which is counted.
pub(crate) async fn send(
    http: &reqwest::Client,
    target: &Target,
    prompt: &str,
    counts: &Counts,
) -> Option<(String, reqwest::Response)> {
    // A daemon that is stopping has nothing for anybody new.
    while target.0.is_stopping.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let url = target.url();
    let body = json!({ "messages": [{ "role": "user", "content": prompt }], "stream": true }).to_string();
    let request = http.post(&url).header("content-type", "application/json").body(body);
    match request.send().await {
        Ok(response) if response.status() == 200 => Some((url, response)),
        // A connection that a stop closes while a request is on its way to it, and a refusal: nothing was begun.
        Err(_) if target.was_stopped(&url) => again(counts),
        Ok(response) if response.status() == 503 && target.was_stopped(&url) => again(counts),
        other => {
            counts.wrong(&format!("no answer to {prompt}: {other:?}"));
            None
        }
    }
}

fn again<T>(counts: &Counts) -> Option<T> {
    counts.sent_again.fetch_add(1, Ordering::Relaxed);
    None
}

/// What was read of an answer.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// The texts of its deltas.
    pub(crate) texts: Vec<String>,
    /// When each came.
    times: Vec<Instant>,
    /// `[DONE]` came last.
    pub(crate) is_whole: bool,
    /// An error event came last.
    pub(crate) is_failed: bool,
}

impl Read {
    /// How many deltas came before the longest pause between two.
    pub(crate) fn longest_pause(&self) -> Option<usize> {
        let pauses = self.times.iter().zip(self.times.iter().skip(1)).map(|(one, next)| *next - *one);
        pauses.enumerate().max_by_key(|(_, pause)| *pause).map(|(index, _)| index + 1)
    }
}

/// Reads an answer to its end, which may be a connection that breaks.
pub(crate) async fn read(response: reqwest::Response) -> Read {
    let mut pieces = response.bytes_stream();
    let (mut pending, mut read) = (Vec::new(), Read::default());
    while let Some(Ok(piece)) = pieces.next().await {
        pending.extend_from_slice(&piece);
        while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let Some(data) = line.strip_prefix(b"data: ").map(<[u8]>::trim_ascii_end) else { continue };
            read.is_whole = data == b"[DONE]" && !read.is_failed;
            let Ok(event) = serde_json::from_slice::<Value>(data) else { continue };
            read.is_failed |= event.get("error").is_some_and(|error| !error.is_null());
            if let Some(text) = event["choices"][0]["delta"]["content"].as_str().filter(|text| !text.is_empty()) {
                read.texts.push(text.to_owned());
                read.times.push(Instant::now());
            }
        }
    }
    read
}

/// Reads one answer of so many numbered deltas.
pub(crate) async fn read_stream(http: &reqwest::Client, target: &Target, deltas: u64, counts: &Counts) {
    let prompt = format!("[[simulate:paced={deltas}x20ms]]");
    let Some((_, response)) = send(http, target, &prompt, counts).await else { return };
    let read = read(response).await;
    counts.answers.fetch_add(1, Ordering::Relaxed);
    counts.events.fetch_add(read.texts.len() as u64, Ordering::Relaxed);
    let in_place = (0_u64..).zip(&read.texts).all(|(number, text)| text.trim() == number.to_string());
    if !in_place || !read.is_whole || read.texts.len() as u64 != deltas {
        let (length, whole, failed) = (read.texts.len(), read.is_whole, read.is_failed);
        counts.wrong(&format!("{length} of {deltas} deltas, in place: {in_place}, whole: {whole}, failed: {failed}"));
    }
}
