//! A connection that is ready before the first call.

use std::time::{Duration, Instant};

use super::assert_whole;
use super::backend::Backend;
use super::forwarder::{Forwarder, Greeting};
use super::proxy::{Proxy, quick};
use crate::common::PATIENCE;

/// The proxy's look at its connection, and what a loaded machine needs beside.
const REPLACED: Duration = Duration::from_secs(90);

async fn until_connections(forwarder: &Forwarder, count: usize, patience: Duration) {
    let enough = async {
        while forwarder.connections() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(patience, enough).await.expect("a connection");
}

#[tokio::test]
async fn the_first_call_finds_a_connection() {
    let backend = Backend::start().await;
    let forwarder = Forwarder::start(backend.port, Greeting::None).await;
    let url = format!("https://localhost:{}/codex", forwarder.port);
    let proxy = Proxy::start(&url, quick(&backend)).await;
    tokio::spawn(proxy.upstream.clone().keep_warm());
    until_connections(&forwarder, 1, PATIENCE).await;
    assert!(backend.calls().is_empty(), "nothing was asked");
    assert_whole(&proxy.ask(true).await);
    assert_eq!((backend.calls(), forwarder.connections()), (vec![0], 1));
}

#[tokio::test]
async fn without_a_login_there_is_none() {
    let backend = Backend::start().await;
    let forwarder = Forwarder::start(backend.port, Greeting::None).await;
    let url = format!("https://localhost:{}/codex", forwarder.port);
    let proxy = Proxy::without_login(&url, quick(&backend)).await;
    let warm = tokio::time::timeout(Duration::from_millis(300), proxy.upstream.clone().keep_warm());
    assert!(warm.await.is_err(), "it looks again later");
    assert_eq!(forwarder.connections(), 0);
}

/// Not run by itself, since the proxy looks at its connection twice a minute.
#[tokio::test]
#[ignore = "takes half a minute"]
async fn one_that_died_is_replaced_before_the_next_call() {
    let backend = Backend::start().await;
    let forwarder = Forwarder::start(backend.port, Greeting::None).await;
    let url = format!("https://localhost:{}/codex", forwarder.port);
    let settings = quick(&backend);
    let noticed = settings.death_noticed_within();
    let proxy = Proxy::start(&url, settings).await;
    tokio::spawn(proxy.upstream.clone().keep_warm());
    assert_whole(&proxy.ask(true).await);
    assert_eq!(forwarder.connections(), 1);
    forwarder.fall_silent();
    tokio::time::sleep(noticed).await;
    until_connections(&forwarder, 2, REPLACED).await;
    let asked = Instant::now();
    assert_whole(&proxy.ask(true).await);
    assert!(asked.elapsed() < noticed, "{:?}", asked.elapsed());
    assert_eq!((backend.calls(), forwarder.connections()), (vec![0, 1], 2));
}
