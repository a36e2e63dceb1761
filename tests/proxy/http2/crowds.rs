//! More calls than a server allows on one connection.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::assert_whole;
use super::backend::{Act, Backend};
use super::proxy::{Proxy, patient};

/// Less than any time limit, more than a loaded machine needs.
const SOON: Duration = Duration::from_secs(20);

/// How many calls came on the connection with the most.
fn most(calls: &[usize]) -> usize {
    let mut counts = HashMap::new();
    for connection in calls {
        *counts.entry(connection).or_insert(0) += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

#[tokio::test]
async fn a_full_connection_gets_company() {
    let backend = Backend::with_streams(Some(3)).await;
    let proxy = Proxy::start(&backend.url, patient(&backend)).await;
    assert_whole(&proxy.ask(false).await);
    backend.next([Act::Hold; 3]);
    let held = join_all((0..3).map(|_| proxy.begin_chat(true))).await;
    let asked = Instant::now();
    let answers = join_all((0..12).map(|nth| proxy.ask(nth % 2 == 0))).await;
    answers.iter().for_each(assert_whole);
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(proxy.metric("codex_proxy_upstream_retries_total").await, "0", "none failed on the way");
    let calls = backend.calls();
    assert_eq!(calls.len(), 16, "each was sent once");
    assert!(calls[..4].iter().all(|connection| *connection == calls[0]), "{calls:?}");
    assert!(calls[4..].iter().all(|connection| *connection != calls[0]), "{calls:?}");

    // What was learned saves the next ones the wait.
    backend.next([Act::Hold; 3]);
    let more = join_all((0..3).map(|_| proxy.begin_chat(true))).await;
    assert_whole(&proxy.ask(true).await);
    drop((held, more));
}

#[tokio::test]
async fn a_crowd_on_a_cold_start_is_served() {
    let backend = Backend::with_streams(Some(2)).await;
    let proxy = Proxy::start(&backend.url, patient(&backend)).await;
    let act = Act::Pause(Duration::from_secs(1));
    backend.next([act; 40]);
    let asked = Instant::now();
    let answers = join_all((0..40).map(|nth| proxy.ask(nth % 2 == 0))).await;
    answers.iter().for_each(assert_whole);
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(backend.calls().len(), 40, "each was worked on once");
}

#[tokio::test]
async fn as_many_calls_as_the_proxy_takes_are_open_at_once() {
    let backend = Backend::with_streams(Some(100)).await;
    let proxy = Proxy::start(&backend.url, patient(&backend)).await;
    assert_whole(&proxy.ask(false).await);
    backend.calls();
    backend.next(vec![Act::Hold; 512]);
    let asked = Instant::now();
    let held = join_all((0..512).map(|_| proxy.begin_chat(true))).await;
    println!("512 calls were open after {:?}", asked.elapsed());
    assert!(held.iter().all(|response| response.status() == 200));
    let calls = backend.calls();
    assert!(calls.len() == 512 && most(&calls) <= 100, "{} {}", calls.len(), most(&calls));
}
