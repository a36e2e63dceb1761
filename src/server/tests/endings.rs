//! The end of requests, connections and the server.

use super::*;
use crate::server::observe::metrics::Gathered;

#[tokio::test]
async fn a_client_that_leaves_takes_its_handler_along() {
    let server = Server::start(ServerSettings::default()).await;
    let socket = server.post("/v1/wait", "", "{}").await;
    within(server.begun.notified()).await;
    drop(socket);
    within(server.dropped.notified()).await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_stream_along() {
    let server = Server::start(ServerSettings::default()).await;
    let socket = server.post("/v1/drip", "", "{}").await;
    within(server.begun.notified()).await;
    drop(socket);
    within(server.dropped.notified()).await;
}

#[tokio::test]
async fn shutdown_lets_streams_end_and_takes_no_new_connection() {
    let server = Server::start(ServerSettings::default()).await;
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(server.post("/v1/drip", "", "{}").await);
        within(server.begun.notified()).await;
    }
    let mut idle = server.connect().await;
    let mut used = server.connect().await;
    used.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("written");
    assert!(used.read(&mut [0; 1024]).await.expect("an answer") > 0);

    server.stop.send(()).expect("running");
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed");
    assert_eq!(rest(&mut used).await, "", "a connection between two requests is closed");
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    assert!(!server.run.is_finished());
    for stream in &mut streams {
        server.release.notify_one();
        let answer = rest(stream).await;
        assert!(answer.contains("first ") && answer.contains("last") && answer.ends_with("0\r\n\r\n"), "{answer}");
    }
    within(server.run).await.expect("an orderly end");
}

#[tokio::test]
async fn streams_of_all_threads_end_in_good_order_or_are_dropped_with_the_run() {
    for is_stopped in [true, false] {
        let cores = Cores::start(3).expect("threads");
        let server = Server::start_on(cores, ServerSettings::default(), PATIENCE).await;
        let mut streams = Vec::new();
        for _ in 0..6 {
            streams.push(server.post("/v1/drip", "", "{}").await);
            within(server.begun.notified()).await;
        }
        if is_stopped {
            server.stop.send(()).expect("running");
            let (reads, run) = (futures_util::future::join_all(streams.iter_mut().map(rest)), server.run);
            let release = async {
                // A stream that was not waiting yet is released by the next call.
                while !run.is_finished() {
                    server.release.notify_one();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let (answers, ()) = tokio::join!(reads, within(release));
            assert!(
                answers.iter().all(|answer| answer.contains("last") && answer.ends_with("0\r\n\r\n")),
                "{answers:?}"
            );
        } else {
            server.run.abort();
            for stream in &mut streams {
                let mut text = Vec::new();
                let _ = within(stream.read_to_end(&mut text)).await;
                assert!(!String::from_utf8_lossy(&text).contains("last"));
            }
        }
    }
}

#[tokio::test]
async fn shutdown_does_not_wait_for_the_rest_of_a_head() {
    let server = Server::start(ServerSettings::default()).await;
    let mut fresh = server.connect().await;
    fresh.write_all(b"GET /health HTTP/1.1\r\nhost: loc").await.expect("written");
    let mut used = server.connect().await;
    used.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("written");
    assert!(within(used.read(&mut [0; 1024])).await.expect("an answer") > 0);
    used.write_all(b"POST /v1/echo HTTP/1.1\r\n").await.expect("written");
    server.stop.send(()).expect("running");
    within(server.run).await.expect("an end long before the grace time is over");
    for mut socket in [fresh, used] {
        let mut left = Vec::new();
        // A reset is fine too: the head was never read.
        let _ = within(socket.read_to_end(&mut left)).await;
        assert!(left.is_empty());
    }
}

#[tokio::test]
async fn shutdown_does_not_wait_longer_than_the_grace_time() {
    let server = Server::start_with_grace(ServerSettings::default(), Duration::from_millis(20)).await;
    let mut stream = server.post("/v1/drip", "", "{}").await;
    within(server.begun.notified()).await;
    server.stop.send(()).expect("running");
    within(server.run).await.expect("an orderly end");
    within(server.dropped.notified()).await;
    let mut text = Vec::new();
    let _ = within(stream.read_to_end(&mut text)).await;
    assert!(!String::from_utf8_lossy(&text).contains("last"));
}

#[tokio::test]
async fn dropping_the_run_ends_everything_at_once() {
    let server = Server::start(ServerSettings::default()).await;
    let _stream = server.post("/v1/drip", "", "{}").await;
    within(server.begun.notified()).await;
    server.run.abort();
    within(server.dropped.notified()).await;
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn requests_are_counted_from_head_to_end() {
    let server = Server::start(ServerSettings::default()).await;
    let mut stream = server.post("/v1/drip", "", "{}").await;
    within(server.begun.notified()).await;
    let text = || server.app.metrics.render(&Gathered::default()).expect("text");
    assert!(text().contains("codex_proxy_requests_in_flight 1\n"), "{}", text());
    assert!(text().contains(r#"codex_proxy_requests_total{route="/drip",status="200"} 1"#), "{}", text());
    server.release.notify_one();
    rest(&mut stream).await;
    within(async {
        while !text().contains("codex_proxy_requests_in_flight 0\n") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(text().contains(r#"codex_proxy_request_duration_seconds_count{route="/drip"} 1"#), "{}", text());
}
