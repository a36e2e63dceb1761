//! Clients that close their sending side and wait, and clients that disconnect.

use super::*;

/// Sends `head` with a body, and closes the sending side.
async fn half_closed(server: &Server, head: &str) -> TcpStream {
    let mut socket = server.connect().await;
    let text = format!("{head}\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}");
    socket.write_all(text.as_bytes()).await.expect("written");
    socket.shutdown().await.expect("half closed");
    socket
}

#[tokio::test]
async fn a_client_that_only_closed_its_sending_side_is_answered() {
    let server = Server::start(ServerSettings::default()).await;
    let mut socket = half_closed(&server, "POST /v1/wait HTTP/1.1").await;
    within(server.begun.notified()).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    server.release.notify_one();
    let answer = rest(&mut socket).await;
    let (interim, answer) = answer.split_at(answer.rfind("HTTP/1.1 ").expect("an answer"));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("released"), "{answer}");
    assert!(interim.starts_with("HTTP/1.1 100 Continue\r\n\r\n"), "{interim}");
    assert_eq!(interim.replace("HTTP/1.1 100 Continue\r\n\r\n", ""), "");
}

#[tokio::test]
async fn a_stream_goes_on_for_a_client_that_only_closed_its_sending_side() {
    let server = Server::start(ServerSettings::default()).await;
    for version in ["1.0", "1.1"] {
        let mut socket = half_closed(&server, &format!("POST /v1/events HTTP/{version}")).await;
        within(server.begun.notified()).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        server.release.notify_one();
        let answer = rest(&mut socket).await;
        let (first, last) = (answer.find("first ").expect("a beginning"), answer.find("last").expect("an end"));
        assert!(answer[first..last].contains(": keepalive\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_between_two_events_takes_its_stream_along() {
    let server = Server::start(ServerSettings::default()).await;
    let mut socket = server.post("/v1/events", "", "{}").await;
    within(server.begun.notified()).await;
    let mut read = Vec::new();
    while !read.ends_with(b"first \r\n") {
        within(socket.read_buf(&mut read)).await.expect("the first event");
    }
    // With everything read, only a FIN is sent.
    let left = tokio::time::Instant::now();
    drop(socket);
    within(server.dropped.notified()).await;
    assert!(left.elapsed() < Duration::from_secs(2), "{:?}", left.elapsed());
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_taken_to_have_left() {
    let server = Server::start(ServerSettings::default()).await;
    let mut socket = half_closed(&server, "POST /v1/wait HTTP/1.0").await;
    within(server.dropped.notified()).await;
    assert_eq!(rest(&mut socket).await, "");
}

#[tokio::test]
async fn half_a_body_is_no_request() {
    let server = Server::start(ServerSettings::default()).await;
    let mut socket = server.connect().await;
    let head = "POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    socket.write_all(format!("{head}content-length: 9\r\n\r\n{{").as_bytes()).await.expect("written");
    socket.shutdown().await.expect("half closed");
    let answer = rest(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("broke off"), "{answer}");
}
