//! Limits of sizes, counts and times, and panics.

use super::*;

#[tokio::test]
async fn a_body_over_the_limit_is_refused_while_its_client_still_sends() {
    let server = Server::start(ServerSettings { max_body_size: 1000, ..ServerSettings::default() }).await;
    let mut socket = server.connect().await;
    let head = "POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 100000000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.expect("written");
    // More than all buffers on the way: the answer has to come although a handler never reads most of this.
    let _ = socket.write_all(&vec![b'x'; 8 << 20]).await;
    let answer = rest(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains(r#""code":"request_too_large""#), "{answer}");
}

#[tokio::test]
async fn a_body_within_the_limit_comes_back() {
    let server = Server::start(ServerSettings { max_body_size: 1000, ..ServerSettings::default() }).await;
    let body = "x".repeat(1000);
    let answer = rest(&mut server.post("/echo", "", &body).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&body), "{answer}");
}

#[tokio::test]
async fn a_silent_body_is_given_up() {
    let settings = ServerSettings { body_silence: Duration::from_millis(50), ..ServerSettings::default() };
    let server = Server::start(settings).await;
    let mut socket = server.connect().await;
    let head =
        "POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.expect("written");
    let answer = rest(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let server = Server::start(ServerSettings::default()).await;
    let mut socket = server.connect().await;
    let head = format!("GET /health HTTP/1.1\r\nhost: localhost\r\nx-large: {}\r\n\r\n", "x".repeat(70_000));
    let _ = socket.write_all(head.as_bytes()).await;
    let answer = rest(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(answer.contains("\r\nx-request-id: req_") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.contains("\r\ncontent-type: application/json\r\n"), "{answer}");
    assert!(answer.contains(r#""code":"request_head_too_large""#), "{answer}");
}

#[tokio::test]
async fn a_head_of_too_many_headers_is_told_so() {
    let server = Server::start(ServerSettings::default()).await;
    for (more, refused) in [(99, false), (100, true)] {
        let mut socket = server.connect().await;
        let headers = "x-header: value\r\n".repeat(more - 1);
        let head = format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{headers}connection: close\r\n\r\n");
        socket.write_all(head.as_bytes()).await.expect("written");
        let answer = rest(&mut socket).await;
        assert_eq!(answer.starts_with("HTTP/1.1 431 "), refused, "{answer}");
        assert_eq!(answer.contains("more than 100 headers"), refused, "{answer}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused_in_the_shape_of_every_error() {
    let server = Server::start(ServerSettings::default()).await;
    for (head, words) in [
        ("\u{16}\u{3}\u{1} TLS\r\n\r\n", "this looks like TLS"),
        ("\u{16}\u{2}\u{1}\r\n\r\n", "invalid HTTP method"),
        ("GET /health HTTP/9.9\r\n\r\n", "invalid HTTP version"),
        ("GET /health HTTP/1.1\r\nno colon\r\n\r\n", "invalid HTTP header"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP version"),
        ("GET /he\u{0}alth HTTP/1.1\r\n\r\n", "invalid"),
    ] {
        let mut socket = server.connect().await;
        socket.write_all(head.as_bytes()).await.expect("written");
        let answer = rest(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head:?}: {answer}");
        assert!(answer.contains("\r\nx-request-id: req_") && answer.contains(words), "{head:?}: {answer}");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["error"]["type"], "invalid_request_error", "{head:?}");
    }
}

#[tokio::test]
async fn a_refused_head_leaves_the_answer_before_it_alone() {
    let server = Server::start(ServerSettings::default()).await;
    let mut socket = server.connect().await;
    let good = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    socket.write_all(good.as_bytes()).await.expect("written");
    let mut first = [0; 4096];
    let length = within(socket.read(&mut first)).await.expect("an answer");
    assert!(first[..length].starts_with(b"HTTP/1.1 200 "));
    socket.write_all(b"nonsense\r\n\r\n").await.expect("written");
    let answer = rest(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.matches("HTTP/1.1 ").count() == 1, "{answer}");
}

#[tokio::test]
async fn requests_beyond_the_limit_are_sent_away_until_a_place_is_free() {
    let server = Server::start(ServerSettings { max_concurrent: 1, ..ServerSettings::default() }).await;
    let mut first = server.post("/v1/wait", "", "{}").await;
    within(server.begun.notified()).await;
    let refused = rest(&mut server.post("/v1/echo", "", "{}").await).await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(refused.contains(r#""code":"too_many_concurrent_requests""#), "{refused}");
    let mut health = server.connect().await;
    health.write_all(b"GET /health HTTP/1.0\r\nhost: localhost\r\n\r\n").await.expect("written");
    assert!(rest(&mut health).await.contains(" 200 "), "health is not limited");

    server.release.notify_one();
    assert!(rest(&mut first).await.ends_with("released"));
    let answer = rest(&mut server.post("/v1/echo", "", "{}").await).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_place_is_held_until_a_stream_has_ended() {
    let server = Server::start(ServerSettings { max_concurrent: 1, ..ServerSettings::default() }).await;
    let stream = server.post("/v1/drip", "", "{}").await;
    within(server.begun.notified()).await;
    let refused = rest(&mut server.post("/v1/echo", "", "{}").await).await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");

    drop(stream);
    within(server.dropped.notified()).await;
    within(async {
        while server.app.capacity.taken() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Waits until bodies of so many bytes are held.
async fn held(server: &Server, bytes: usize) {
    within(async {
        while server.app.capacity.held() != bytes {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn bodies_beyond_the_memory_are_sent_away_until_there_is_room() {
    let settings = ServerSettings { max_body_size: 1000, body_memory: 2000, ..ServerSettings::default() };
    let server = Server::start(settings).await;
    let body = "x".repeat(900);
    let one = server.post("/v1/keep", "", &body).await;
    let _two = server.post("/v1/keep", "", &body).await;
    held(&server, 1800).await;
    let refused = rest(&mut server.post("/v1/echo", "", &body).await).await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 1\r\n"), "{refused}");
    let small = rest(&mut server.post("/v1/echo", "", "{}").await).await;
    assert!(small.starts_with("HTTP/1.1 200 "), "{small}");
    drop(one);
    held(&server, 900).await;
    let answer = rest(&mut server.post("/v1/echo", "", &body).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&body), "{answer}");
}

/// A client that reads nothing of an endless answer, after two minutes: the system's buffers may fill during the first.
async fn unread(slots: usize) -> (Server, TcpStream) {
    let server = Server::start(ServerSettings { max_concurrent: slots, ..ServerSettings::default() }).await;
    let client = server.post("/v1/flood", "", "{}").await;
    // Until the system's buffers are full.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.app.capacity.taken(), 1);
    for _ in 0..2 {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(61)).await;
        tokio::time::resume();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (server, client)
}

#[tokio::test]
async fn an_answer_that_nobody_takes_gives_its_place_up_once_room_is_short() {
    let (server, mut client) = unread(1).await;
    within(server.dropped.notified()).await;
    assert_eq!(server.app.capacity.taken(), 0);
    within(async { while client.read(&mut [0; 1 << 16]).await.is_ok_and(|read| read > 0) {} }).await;

    let (server, _client) = unread(4).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.app.capacity.taken(), 1, "nobody is hurried while there is room");
}

#[tokio::test]
async fn a_panic_is_one_requests_500() {
    let server = Server::start(ServerSettings::default()).await;
    let mut other = server.post("/v1/wait", "", "{}").await;
    within(server.begun.notified()).await;
    let answer = rest(&mut server.post("/v1/panic", "x-request-id: mine\r\n", "{}").await).await;
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("x-request-id: mine\r\n"), "{answer}");
    assert!(answer.contains(r#""code":"internal_error""#) && !answer.contains("a defect"), "{answer}");
    server.release.notify_one();
    assert!(rest(&mut other).await.ends_with("released"));
}
