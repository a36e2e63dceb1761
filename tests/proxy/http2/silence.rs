//! Connections that fall silent and stay open: they are noticed, dropped, and what may be asked again is.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::json;

use super::assert_whole;
use super::backend::{Act, Backend};
use super::daemon::Daemon;
use super::forwarder::{Forwarder, Greeting};
use super::proxy::{Proxy, quick};
use crate::common::answer::Answer;

/// Within this a dead connection must have been noticed, whatever the settings.
const NOTICED: Duration = Duration::from_secs(20);

/// The backend, a line to it, and its address over that line.
async fn line(greeting: Greeting) -> (Backend, Forwarder, String) {
    let backend = Backend::start().await;
    let forwarder = Forwarder::start(backend.port, greeting).await;
    let url = format!("https://localhost:{}/codex", forwarder.port);
    (backend, forwarder, url)
}

#[tokio::test]
async fn one_that_died_while_idle_costs_the_next_request_some_time_and_nothing_else() {
    let (backend, forwarder, url) = line(Greeting::None).await;
    let proxy = Proxy::start(&url, quick(&backend)).await;
    for stream in [false, true] {
        assert_whole(&proxy.ask(stream).await);
        forwarder.fall_silent();
        let asked = Instant::now();
        assert_whole(&proxy.ask(stream).await);
        assert!(asked.elapsed() < NOTICED, "{:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn one_that_died_a_while_ago_is_not_used_again() {
    let (backend, forwarder, url) = line(Greeting::None).await;
    let settings = quick(&backend);
    let noticed = settings.death_noticed_within();
    let proxy = Proxy::start(&url, settings).await;
    assert_whole(&proxy.ask(false).await);
    forwarder.fall_silent();
    tokio::time::sleep(noticed * 2).await;
    assert_whole(&proxy.ask(false).await);
    assert_eq!(proxy.metric("codex_proxy_upstream_retries_total").await, "0");
    let calls = backend.calls();
    assert!(calls.len() == 2 && calls[0] != calls[1], "the second call came on a new connection: {calls:?}");
}

#[tokio::test]
async fn one_that_dies_before_there_is_output_is_replaced() {
    let (backend, forwarder, url) = line(Greeting::None).await;
    let proxy = Proxy::start(&url, quick(&backend)).await;
    for act in [Act::NoHead, Act::HeadOnly] {
        for stream in [false, true] {
            let opened = forwarder.connections();
            backend.next([act]);
            let asked = Instant::now();
            let (answer, ()) = tokio::join!(proxy.ask(stream), async {
                backend.saw_call().await;
                // The head is on its way.
                tokio::time::sleep(Duration::from_millis(200)).await;
                forwarder.fall_silent();
            });
            assert_whole(&answer);
            assert!(asked.elapsed() < NOTICED, "{act:?}: {:?}", asked.elapsed());
            assert!(forwarder.connections() > opened, "{act:?}");
        }
    }
}

#[tokio::test]
async fn one_that_dies_in_the_middle_of_an_answer_ends_it_with_an_error() {
    let (backend, forwarder, url) = line(Greeting::None).await;
    let proxy = Proxy::start(&url, quick(&backend)).await;
    for path in ["/v1/chat/completions", "/v1/responses"] {
        for stream in [false, true] {
            backend.next([Act::Hold]);
            let asked = Instant::now();
            let body = json!({ "input": "hi", "messages": [{ "role": "user", "content": "hi" }], "stream": stream });
            let mut body = body;
            body.as_object_mut().expect("an object").remove(if path.ends_with("responses") {
                "messages"
            } else {
                "input"
            });
            let (Answer { status, text, .. }, ()) = tokio::join!(proxy.post(path, &body), async {
                backend.saw_call().await;
                tokio::time::sleep(Duration::from_millis(200)).await;
                forwarder.fall_silent();
            });
            assert!(asked.elapsed() < NOTICED, "{path}: {:?}", asked.elapsed());
            assert_eq!(status, if stream { 200 } else { 502 }, "{path}: {text}");
            assert!(text.contains("upstream_stream_interrupted") && text.contains("fell silent"), "{path}: {text}");
            assert!(!text.contains(r#""finish_reason":"stop""#), "{path}: {text}");
            assert!(backend.calls().is_empty(), "what a client has seen a part of is not asked for again");
        }
    }
}

#[tokio::test]
async fn a_backend_that_thinks_is_left_to_it() {
    let backend = Backend::start().await;
    let settings = quick(&backend);
    let long = settings.death_noticed_within() * 3;
    let proxy = Proxy::start(&backend.url, settings).await;
    backend.next([Act::Think(long), Act::Pause(long), Act::Think(long), Act::Pause(long)]);
    let answers = futures_util::future::join_all([true, true, false, false].map(|stream| proxy.ask(stream))).await;
    answers.iter().for_each(assert_whole);
    assert_eq!(backend.calls().len(), 4, "at the first try");
}

/// The product's own times, and the way through a proxy: the PINGs go inside its tunnel.
#[tokio::test]
async fn one_that_dies_behind_a_proxy_is_noticed_in_twenty_seconds() {
    let backend = Backend::start().await;
    let proxies = [Greeting::Connect, Greeting::Socks].map(|greeting| Forwarder::start(backend.port, greeting));
    let proxies = futures_util::future::join_all(proxies).await;
    let certificate = backend.certificate.path().to_str().expect("a path");
    let checks = proxies.iter().zip(["http", "socks5h"]).map(|(forwarder, scheme)| {
        let address = format!("{scheme}://127.0.0.1:{}", forwarder.port);
        let environment = [("SSL_CERT_FILE", certificate), ("HTTPS_PROXY", address.as_str())];
        let daemon = Daemon::start_with(&backend.url, &environment);
        async move {
            assert_whole(&daemon.ask(true).await);
            forwarder.fall_silent();
            let asked = Instant::now();
            assert_whole(&daemon.ask(true).await);
            let elapsed = asked.elapsed();
            println!("{scheme}: answered {:.1} s after the connection had died", elapsed.as_secs_f64());
            assert!(elapsed < NOTICED, "{scheme}: {elapsed:?}");
        }
    });
    futures_util::future::join_all(checks).await;
}

/// The longest silence that was ever reported is minutes long. Not run by itself, since it takes two of them.
#[tokio::test]
#[ignore = "takes more than two minutes"]
async fn two_minutes_of_thought_and_a_death_with_the_products_own_times() {
    let (backend, forwarder, url) = line(Greeting::None).await;
    let certificate = backend.certificate.path().to_str().expect("a path");
    let daemon = &Daemon::start_with(&url, &[("SSL_CERT_FILE", certificate)]);
    backend.next([Act::Think(Duration::from_secs(130)), Act::Pause(Duration::from_secs(130))]);
    let patient = Duration::from_secs(200);
    let answers = futures_util::future::join_all([true, true].map(|stream| async move {
        let text = tokio::time::timeout(patient, async { daemon.begin_chat(stream).await.text().await }).await;
        text.expect("in time").expect("an orderly end")
    }));
    for text in answers.await {
        assert!(text.contains(r#""finish_reason":"stop""#), "{text}");
    }
    backend.next([Act::Hold]);
    let mut answer = daemon.begin_chat(true).await.bytes_stream();
    answer.next().await.expect("some").expect("output");
    forwarder.fall_silent();
    let died = Instant::now();
    let mut text = String::new();
    while let Some(Ok(bytes)) = answer.next().await {
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    println!("told {:.1} s after the connection had died: {text}", died.elapsed().as_secs_f64());
    assert!(text.contains("upstream_stream_interrupted") && died.elapsed() < NOTICED);
}
