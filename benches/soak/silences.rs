//! A backend that falls silent for seconds, now and then.
//!
//! The answer comes whole all the same. One that a stop cuts off has all that the backend sent before it fell silent, and
//! ends with an error that says so.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::client::{Counts, Target, read, send};

/// Where an answer is silent: the directive, and whether deltas come before it.
const STAGES: [(&str, bool); 3] =
    [("stall-before-head", false), ("stall-before-output", false), ("stall-mid-stream", true)];

/// Asks for one silent answer after the other.
pub(crate) async fn run(http: reqwest::Client, target: Target, counts: Arc<Counts>, end: Instant) {
    // Deltas that come before a silence in the middle, once they have been seen.
    let mut before = 1;
    for (directive, in_the_middle) in STAGES.iter().cycle() {
        if Instant::now() > end {
            return;
        }
        let seen = ask(&http, &target, &counts, directive, if *in_the_middle { before } else { 0 }).await;
        before = seen.filter(|_| *in_the_middle).unwrap_or(before);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads an answer that is silent where `directive` says. One that is cut off must have `before` deltas. Says how many came
/// before the silence of one that is not.
async fn ask(
    http: &reqwest::Client,
    target: &Target,
    counts: &Counts,
    directive: &str,
    before: usize,
) -> Option<usize> {
    let prompt = format!("[[simulate:{directive}={SILENCE}]]");
    let (url, response) = send(http, target, &prompt, counts).await?;
    let read = read(response).await;
    counts.silences.fetch_add(1, Ordering::Relaxed);
    let text = read.texts.concat();
    if read.is_whole {
        // The simulator repeats what it was asked.
        if !(text.starts_with(FIRST) && text.contains(&prompt) && text.ends_with(LAST)) {
            counts.wrong(&format!("{directive}: {text:?} is not the whole answer"));
        }
        return read.longest_pause();
    }
    counts.cut_off.fetch_add(1, Ordering::Relaxed);
    let was_stopped = read.is_failed && target.was_stopped(&url);
    if !was_stopped || read.texts.len() < before || !(text.starts_with(FIRST) || text.len() < FIRST.len()) {
        counts.wrong(&format!("{directive}: an answer broke off after {text:?}, stopped: {was_stopped}"));
    }
    None
}

/// Longer than a stop's grace leaves time for, where one comes meanwhile; shorter than a backend is waited for.
const SILENCE: &str = "12s";
const PAUSE: Duration = Duration::from_secs(3);
const FIRST: &str = "This is a simulation";
const LAST: &str = "👋🏽";
