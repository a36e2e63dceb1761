//! A backend that speaks HTTP/2 over TLS and does with each call as it is told.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, SendStream};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::common::PATIENCE;

/// What the backend does with a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
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
    /// Does not answer.
    NoHead,
    /// Sends the answer's head and nothing else.
    HeadOnly,
    /// Answers after this time.
    Think(Duration),
    /// Shows some output, then the rest after this time.
    Pause(Duration),
    /// Sends small pieces until nobody takes them any more, then ends the answer.
    Flood,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It arrived on the connection with this number.
    Call(usize),
    /// The client reset its stream.
    ResetByClient(Reason),
    /// The client has taken nothing for some time.
    Stalled,
}

pub(crate) struct Backend {
    pub(crate) url: String,
    acts: Arc<Mutex<VecDeque<Act>>>,
    seen: Mutex<mpsc::UnboundedReceiver<Seen>>,
    /// The authority to trust.
    pub(crate) certificate: tempfile::NamedTempFile,
    pub(crate) authority: CertificateDer<'static>,
    pub(crate) port: u16,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        Self::with_streams(None).await
    }

    /// A backend that allows so many streams on a connection.
    pub(crate) async fn with_streams(streams: Option<u32>) -> Self {
        Self::on(Ipv4Addr::LOCALHOST, "localhost", streams).await
    }

    /// A backend that listens on `address` and goes by `name`.
    pub(crate) async fn on(address: Ipv4Addr, name: &str, streams: Option<u32>) -> Self {
        let Identity { acceptor, certificate, authority } = Identity::of(name, &["h2", "http/1.1"]);
        let listener = TcpListener::bind((address, 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let url = format!("https://{name}:{port}/codex");
        let acts = Arc::<Mutex<VecDeque<Act>>>::default();
        let (tell, seen) = mpsc::unbounded_channel();
        tokio::spawn(accept(listener, acceptor, streams, acts.clone(), tell));
        Self { url, acts, seen: Mutex::new(seen), certificate, authority, port }
    }

    pub(crate) fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.acts.lock().expect("whole").extend(acts);
    }

    /// The numbers of the connections that the calls so far came on.
    pub(crate) fn calls(&self) -> Vec<usize> {
        let mut seen = self.seen.lock().expect("whole");
        std::iter::from_fn(|| seen.try_recv().ok())
            .filter_map(|seen| match seen {
                Seen::Call(connection) => Some(connection),
                Seen::ResetByClient(_) | Seen::Stalled => None,
            })
            .collect()
    }

    /// Waits for the next call.
    pub(crate) async fn saw_call(&self) {
        self.saw_one(|seen| matches!(seen, Seen::Call(_))).await;
    }

    pub(crate) async fn saw(&self, wanted: &Seen) {
        self.saw_one(|seen| seen == wanted).await;
    }

    async fn saw_one(&self, is_wanted: impl Fn(&Seen) -> bool) {
        let wait = std::future::poll_fn(|context| {
            let mut seen = self.seen.lock().expect("whole");
            loop {
                match std::task::ready!(seen.poll_recv(context)).expect("a backend") {
                    seen if is_wanted(&seen) => return std::task::Poll::Ready(()),
                    _ => {}
                }
            }
        });
        tokio::time::timeout(PATIENCE, wait).await.expect("in time");
    }
}

/// A server's certificate, and what speaks TLS with it.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    /// The authority to trust, as a file.
    pub(crate) certificate: tempfile::NamedTempFile,
    pub(crate) authority: CertificateDer<'static>,
}

impl Identity {
    /// A server of this name, or address, that speaks one of these protocols.
    pub(crate) fn of(name: &str, protocols: &[&str]) -> Self {
        let identity = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        let certificate = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(certificate.path(), identity.cert.pem()).expect("written");
        let key = PrivateKeyDer::Pkcs8(identity.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth();
        let authority = identity.cert.der().clone();
        let mut config = config.with_single_cert(vec![authority.clone()], key).expect("an identity");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate, authority }
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    streams: Option<u32>,
    acts: Arc<Mutex<VecDeque<Act>>>,
    tell: mpsc::UnboundedSender<Seen>,
) {
    for number in 0.. {
        let (socket, _) = listener.accept().await.expect("a connection");
        let (acceptor, acts, tell) = (acceptor.clone(), acts.clone(), tell.clone());
        tokio::spawn(async move {
            let Ok(socket) = acceptor.accept(socket).await else { return };
            assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "HTTP/2 was agreed on");
            let mut builder = h2::server::Builder::new();
            streams.map(|streams| builder.max_concurrent_streams(streams));
            let Ok(connection) = builder.handshake(socket).await else { return };
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
    acts: &Arc<Mutex<VecDeque<Act>>>,
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
                let (acts, tell, end) = (acts.clone(), tell.clone(), end.clone());
                tokio::spawn(async move {
                    // A call that was given to another connection has no body.
                    if !is_whole(request.into_body()).await {
                        return;
                    }
                    let _ = tell.send(Seen::Call(number));
                    let act = acts.lock().expect("whole").pop_front().unwrap_or(Act::Answer);
                    answer_call(act, answer, tell, end).await;
                });
            }
            Some(end) = ends.recv() => match end {
                End::Gracefully => connection.graceful_shutdown(),
                End::Abruptly => connection.abrupt_shutdown(Reason::INTERNAL_ERROR),
            },
        }
    }
}

async fn is_whole(mut body: h2::RecvStream) -> bool {
    while let Some(piece) = body.data().await {
        let Ok(piece) = piece else { return false };
        let _ = body.flow_control().release_capacity(piece.len());
    }
    true
}

async fn answer_call(
    act: Act,
    mut answer: SendResponse<Bytes>,
    tell: mpsc::UnboundedSender<Seen>,
    end: mpsc::UnboundedSender<End>,
) {
    match act {
        Act::Reset(reason) => return answer.send_reset(reason),
        Act::GoAwayUnheard => {
            let _ = end.send(End::Gracefully);
            // The client is to know that the connection goes away before it tries again.
            tokio::time::sleep(Duration::from_millis(100)).await;
            return answer.send_reset(Reason::REFUSED_STREAM);
        }
        Act::NoHead => {
            let reason = std::future::poll_fn(|context| answer.poll_reset(context)).await;
            return drop(reason.map(|reason| tell.send(Seen::ResetByClient(reason))));
        }
        Act::Think(time) => tokio::time::sleep(time).await,
        _ => {}
    }
    let mut stream = answer.send_response(http::Response::new(()), false).expect("a head");
    if matches!(act, Act::HeadOnly) {
        let reason = std::future::poll_fn(|context| stream.poll_reset(context)).await;
        return drop(reason.map(|reason| tell.send(Seen::ResetByClient(reason))));
    }
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
            let reason = std::future::poll_fn(|context| stream.poll_reset(context)).await;
            drop(reason.map(|reason| tell.send(Seen::ResetByClient(reason))));
        }
        _ => {
            if let Act::Pause(time) = act {
                tokio::time::sleep(time).await;
            }
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
