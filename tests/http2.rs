//! HTTP/2 as the real backend speaks it: over TLS, many streams on one connection, streams that are reset, connections
//! that go away.
//!
//! The program runs as a process of its own, since whom it trusts is told by its environment (`SSL_CERT_FILE`).

#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test runs on a laptop and may panic"
)]

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use h2::server::{Connection, SendResponse};
use h2::{Reason, SendStream};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longer than anything takes, shorter than a test may.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the backend does with a call.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Answers it.
    Answer,
    /// Resets its stream without an answer.
    Reset(Reason),
    /// Says that it goes away, and that this call was not worked on.
    GoAwayUnheard,
    /// Says that it goes away, and answers all the same.
    GoAwayAndAnswer,
    /// Shows some output, then resets the stream.
    ResetLater(Reason),
    /// Shows some output, then ends the connection.
    GoAwayLater,
    /// Shows some output and waits.
    Hold,
    /// Sends small pieces until nobody takes them any more, then ends the answer.
    Flood,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// It arrived on the connection with this number.
    Call(usize),
    /// The client reset its stream.
    ResetByClient(Reason),
    /// The client has taken nothing for some time.
    Stalled,
}

struct Backend {
    url: String,
    acts: Arc<Mutex<VecDeque<Act>>>,
    seen: Mutex<mpsc::UnboundedReceiver<Seen>>,
    /// The authority to trust.
    certificate: tempfile::NamedTempFile,
}

impl Backend {
    async fn start() -> Self {
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let certificate = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(certificate.path(), identity.cert.pem()).expect("written");
        let key = PrivateKeyDer::Pkcs8(identity.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth();
        let mut config = config.with_single_cert(vec![identity.cert.der().clone()], key).expect("an identity");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://localhost:{}/codex", listener.local_addr().expect("bound").port());
        let acts = Arc::<Mutex<VecDeque<Act>>>::default();
        let (tell, seen) = mpsc::unbounded_channel();
        tokio::spawn(accept(listener, acceptor, acts.clone(), tell));
        Self { url, acts, seen: Mutex::new(seen), certificate }
    }

    fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.acts.lock().expect("whole").extend(acts);
    }

    /// The numbers of the connections that the calls so far came on.
    fn calls(&self) -> Vec<usize> {
        let mut seen = self.seen.lock().expect("whole");
        std::iter::from_fn(|| seen.try_recv().ok())
            .filter_map(|seen| match seen {
                Seen::Call(connection) => Some(connection),
                Seen::ResetByClient(_) | Seen::Stalled => None,
            })
            .collect()
    }

    async fn saw(&self, wanted: &Seen) {
        let wait = std::future::poll_fn(|context| {
            let mut seen = self.seen.lock().expect("whole");
            loop {
                match std::task::ready!(seen.poll_recv(context)).expect("a backend") {
                    seen if seen == *wanted => return std::task::Poll::Ready(()),
                    _ => {}
                }
            }
        });
        tokio::time::timeout(PATIENCE, wait).await.expect("in time");
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    acts: Arc<Mutex<VecDeque<Act>>>,
    tell: mpsc::UnboundedSender<Seen>,
) {
    for number in 0.. {
        let (socket, _) = listener.accept().await.expect("a connection");
        let (acceptor, acts, tell) = (acceptor.clone(), acts.clone(), tell.clone());
        tokio::spawn(async move {
            let Ok(socket) = acceptor.accept(socket).await else { return };
            assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 was agreed on");
            let Ok(connection) = h2::server::handshake(socket).await else { return };
            serve(connection, number, &acts, &tell).await;
        });
    }
}

/// How a call's task ends its connection.
enum End {
    /// Calls that are being answered are answered.
    Gracefully,
    Abruptly,
}

async fn serve(
    mut connection: Connection<TlsStream<TcpStream>, Bytes>,
    number: usize,
    acts: &Mutex<VecDeque<Act>>,
    tell: &mpsc::UnboundedSender<Seen>,
) {
    let (end, mut ends) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, mut answer))) = accepted else { return };
                if request.method() != "POST" {
                    let response = http::Response::builder().status(404).body(()).expect("a response");
                    let _ = answer.send_response(response, true);
                    continue;
                }
                let _ = tell.send(Seen::Call(number));
                let act = acts.lock().expect("whole").pop_front().unwrap_or(Act::Answer);
                if matches!(act, Act::GoAwayUnheard) {
                    connection.graceful_shutdown();
                }
                tokio::spawn(answer_call(act, answer, request.into_body(), tell.clone(), end.clone()));
            }
            Some(end) = ends.recv() => match end {
                End::Gracefully => connection.graceful_shutdown(),
                End::Abruptly => connection.abrupt_shutdown(Reason::INTERNAL_ERROR),
            },
        }
    }
}

async fn answer_call(
    act: Act,
    mut answer: SendResponse<Bytes>,
    mut body: h2::RecvStream,
    tell: mpsc::UnboundedSender<Seen>,
    end: mpsc::UnboundedSender<End>,
) {
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
    }
    match act {
        Act::Reset(reason) => return answer.send_reset(reason),
        Act::GoAwayUnheard => {
            // The client is to know that the connection goes away before it tries again.
            tokio::time::sleep(Duration::from_millis(100)).await;
            return answer.send_reset(Reason::REFUSED_STREAM);
        }
        _ => {}
    }
    let mut stream = answer.send_response(http::Response::new(()), false).expect("a head");
    let created = json!({ "type": "response.created", "response": { "id": "resp_1" } });
    send(&mut stream, &created);
    for word in ["over ", "HTTP/2"] {
        let delta = json!({ "type": "response.output_text.delta", "item_id": "m", "output_index": 0, "delta": word });
        send(&mut stream, &delta);
    }
    match act {
        Act::ResetLater(reason) => {
            // What was sent before must not be lost with the reset.
            tokio::time::sleep(Duration::from_millis(200)).await;
            stream.send_reset(reason);
        }
        Act::GoAwayLater => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let _ = end.send(End::Abruptly);
        }
        Act::GoAwayAndAnswer => {
            let _ = end.send(End::Gracefully);
            tokio::time::sleep(Duration::from_millis(100)).await;
            complete(&mut stream);
        }
        Act::Hold => {
            let reason = std::future::poll_fn(|context| stream.poll_reset(context)).await.expect("a reset");
            let _ = tell.send(Seen::ResetByClient(reason));
        }
        _ => {
            if matches!(act, Act::Flood) {
                flood(&mut stream).await;
                let _ = tell.send(Seen::Stalled);
            }
            complete(&mut stream);
        }
    }
}

fn complete(stream: &mut SendStream<Bytes>) {
    let completed = json!({ "type": "response.completed", "response": { "id": "resp_1", "output": [] } });
    send(stream, &completed);
    let _ = stream.send_data(Bytes::new(), true);
}

/// Sends one small piece after the other for as long as they are taken.
async fn flood(stream: &mut SendStream<Bytes>) {
    let delta = json!({ "type": "response.output_text.delta", "item_id": "m", "output_index": 0, "delta": "drop" });
    let piece = Bytes::from(format!("data: {delta}\n\n"));
    loop {
        stream.reserve_capacity(piece.len());
        let room = async {
            while stream.capacity() < piece.len() {
                let more = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
                more.expect("an open stream").expect("an open connection");
            }
        };
        if tokio::time::timeout(Duration::from_millis(500), room).await.is_err() {
            return;
        }
        stream.send_data(piece.clone(), false).expect("an open stream");
    }
}

fn send(stream: &mut SendStream<Bytes>, event: &Value) {
    stream.send_data(format!("data: {event}\n\n").into(), false).expect("an open stream");
}

/// The program; killed with its owner.
struct Daemon {
    child: Child,
    base: String,
    http: reqwest::Client,
    _home: tempfile::TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    fn start(backend: &Backend) -> Self {
        // An error only says that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let home = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
        command.args(["--port", "0", "--upstream-url", &backend.url]);
        command.env_clear().env("HOME", home.path()).env("CREDS_STORE", "env");
        command.env("ACCESS_TOKEN", "token").env("ACCOUNT_ID", "account");
        command.env("SSL_CERT_FILE", backend.certificate.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut first).expect("a first line");
        let base = first.trim().strip_prefix("listening on ").expect("the address").to_owned();
        Self { child, base, http: reqwest::Client::new(), _home: home }
    }

    async fn begin(&self, stream: bool) -> reqwest::Response {
        let body = json!({ "messages": [{ "role": "user", "content": "hi" }], "stream": stream });
        let request = self.http.post(format!("{}/v1/chat/completions", self.base)).json(&body);
        tokio::time::timeout(PATIENCE, request.send()).await.expect("in time").expect("an answer")
    }

    /// Status and body.
    async fn ask(&self, stream: bool) -> (u16, String) {
        let response = self.begin(stream).await;
        let status = response.status().as_u16();
        (status, tokio::time::timeout(PATIENCE, response.text()).await.expect("in time").expect("an orderly end"))
    }
}

fn assert_whole(answer: &(u16, String)) {
    let (status, text) = answer;
    assert!(*status == 200 && text.contains(r#""finish_reason":"stop""#) && text.contains("HTTP/2"), "{answer:?}");
}

#[tokio::test]
async fn calls_share_one_connection() {
    let backend = Backend::start().await;
    let daemon = Daemon::start(&backend);
    assert_whole(&daemon.ask(false).await);
    let answers = futures_util::future::join_all((0..50).map(|nth| daemon.ask(nth % 2 == 0))).await;
    answers.iter().for_each(assert_whole);
    let calls = backend.calls();
    assert_eq!(calls.len(), 51);
    assert!(calls.iter().all(|connection| *connection == calls[0]), "{calls:?}");
}

#[tokio::test]
async fn a_stream_reset_before_its_answer_is_tried_again() {
    let backend = Backend::start().await;
    let daemon = Daemon::start(&backend);
    for stream in [false, true] {
        for reason in [Reason::INTERNAL_ERROR, Reason::REFUSED_STREAM, Reason::CANCEL] {
            backend.next([Act::Reset(reason)]);
            assert_whole(&daemon.ask(stream).await);
            assert_eq!(backend.calls().len(), 2, "{reason}");
        }
        backend.next([Act::Reset(Reason::INTERNAL_ERROR); 3]);
        let (status, text) = daemon.ask(stream).await;
        assert!(status == 502 && text.contains(r#""code":"upstream_unreachable""#), "{status} {text}");
        assert_eq!(backend.calls().len(), 3);
    }
}

#[tokio::test]
async fn a_connection_that_goes_away_is_replaced() {
    let backend = Backend::start().await;
    let daemon = Daemon::start(&backend);
    for stream in [false, true] {
        backend.next([Act::GoAwayUnheard]);
        assert_whole(&daemon.ask(stream).await);
        let calls = backend.calls();
        assert!(calls.len() == 2 && calls[0] != calls[1], "{calls:?}");

        backend.next([Act::GoAwayAndAnswer]);
        assert_whole(&daemon.ask(stream).await);
        assert_whole(&daemon.ask(stream).await);
        let calls = backend.calls();
        assert!(calls.len() == 2 && calls[0] != calls[1], "the answer was whole, and so is the next: {calls:?}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_in_the_middle_is_an_error() {
    let backend = Backend::start().await;
    let daemon = Daemon::start(&backend);
    let breaks = [
        Act::ResetLater(Reason::INTERNAL_ERROR),
        Act::ResetLater(Reason::CANCEL),
        Act::ResetLater(Reason::NO_ERROR),
        Act::GoAwayLater,
    ];
    for act in breaks {
        backend.next([act, act]);
        let (status, text) = daemon.ask(false).await;
        assert!(status == 502 && text.contains("upstream_stream_interrupted"), "{act:?}: {status} {text}");
        let (status, text) = daemon.ask(true).await;
        assert!(
            status == 200 && text.contains("over ") && text.contains("upstream_stream_interrupted"),
            "{act:?}: {text}"
        );
        assert!(!text.contains(r#""finish_reason":"stop""#) && text.ends_with("data: [DONE]\n\n"), "{act:?}: {text}");
        assert_eq!(backend.calls().len(), 2, "what a client has seen a part of is not asked for again");
        assert_whole(&daemon.ask(true).await);
        backend.calls();
    }
}

#[tokio::test]
async fn a_client_that_leaves_resets_its_stream_and_no_other() {
    let backend = Backend::start().await;
    let daemon = Daemon::start(&backend);
    let mut best = PATIENCE;
    for _ in 0..5 {
        backend.next([Act::Hold, Act::Hold]);
        let (mut leaves, stays) = (daemon.begin(true).await.bytes_stream(), daemon.begin(true).await);
        leaves.next().await.expect("some").expect("output");
        let left = Instant::now();
        drop(leaves);
        backend.saw(&Seen::ResetByClient(Reason::CANCEL)).await;
        best = best.min(left.elapsed());
        assert_whole(&daemon.ask(true).await);
        drop(stays);
        backend.saw(&Seen::ResetByClient(Reason::CANCEL)).await;
    }
    // Other programs may hold the machine up, this one may not: the best of several counts.
    assert!(best <= Duration::from_millis(100), "{best:?}");
}

#[tokio::test]
async fn clients_that_take_nothing_disturb_no_other() {
    let backend = Backend::start().await;
    let daemon = Daemon::start(&backend);
    assert_whole(&daemon.ask(false).await);
    backend.next([Act::Flood, Act::Flood]);
    let stalled = [daemon.begin(true).await, daemon.begin(true).await];
    backend.saw(&Seen::Stalled).await;
    backend.saw(&Seen::Stalled).await;
    backend.next([Act::Answer]);
    assert_whole(&daemon.ask(true).await);
    assert_eq!(backend.calls().len(), 1, "at the first try");
    for response in stalled {
        let text = tokio::time::timeout(PATIENCE, response.text()).await.expect("in time").expect("an orderly end");
        assert!(text.contains("drop") && text.contains(r#""finish_reason":"stop""#), "{}", text.len());
    }
}
