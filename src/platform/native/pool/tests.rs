//! The pool over real sockets of this machine: which connection a call gets, and when one ends.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::{Request, Uri};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::*;
use crate::platform::native::outgoing::Outgoing;
use crate::platform::native::settings::Reach;
use crate::platform::native::trust;

/// A server of HTTP/1.1 that answers each request once there is a permit for it.
struct Plain {
    uri: Uri,
    answers: Arc<Semaphore>,
    /// Connections so far, and those that are open.
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Plain {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri = format!("http://{}/", listener.local_addr().expect("bound")).parse().expect("a URI");
        let plain =
            Self { uri, answers: Arc::new(Semaphore::new(0)), connections: Arc::default(), open: Arc::default() };
        let (answers, connections, open) = (plain.answers.clone(), plain.connections.clone(), plain.open.clone());
        spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let (answers, open) = (answers.clone(), open.clone());
                spawn(async move {
                    open.fetch_add(1, Ordering::Relaxed);
                    let mut received = [0; 1024];
                    while socket.read(&mut received).await.is_ok_and(|read| read > 0) {
                        answers.acquire().await.expect("permits").forget();
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                        socket.write_all(answer).await.expect("an answer");
                    }
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        plain
    }

    async fn until_open(&self, is_enough: impl Fn(usize) -> bool) {
        let enough = async {
            while !is_enough(self.open.load(Ordering::Relaxed)) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), enough).await.expect("in time");
    }
}

fn server(uri: &Uri) -> Arc<Server> {
    let settings = TransportSettings { reach: Reach::Loopback, ..TransportSettings::default() };
    let connector = Connector::new(&settings, Arc::new(trust::tls(&settings).expect("TLS")), None);
    Pool::new(connector, Arc::new(settings)).server(uri).expect("a server")
}

async fn ask(server: &Arc<Server>) {
    let mut lease = server.lease().await.expect("a connection");
    let mut request = Request::new(Box::new(Outgoing::new(Bytes::new(), None)));
    *request.uri_mut() = server.uri.clone();
    let answer = lease.send(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn after_a_peak_of_http_1_few_connections_stay() {
    const CALLS: usize = 24;
    let plain = Plain::start().await;
    let server = server(&plain.uri);
    let calls = join_all((0..CALLS).map(|_| ask(&server)));
    let answers = async {
        plain.until_open(|open| open == CALLS).await;
        plain.answers.add_permits(CALLS);
    };
    tokio::join!(calls, answers);
    plain.until_open(|open| open <= MOST_IDLE).await;
}

#[tokio::test]
async fn one_call_after_the_other_takes_the_same_connection() {
    let plain = Plain::start().await;
    plain.answers.add_permits(3);
    let server = server(&plain.uri);
    for _ in 0..3 {
        ask(&server).await;
    }
    assert_eq!(plain.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_connection_of_a_call_that_is_given_up_serves_another() {
    let plain = Plain::start().await;
    plain.answers.add_permits(1);
    let server = server(&plain.uri);
    assert!(server.lease().now_or_never().is_none());
    plain.until_open(|open| open == 1).await;
    ask(&server).await;
    assert_eq!(plain.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn one_that_is_unused_for_long_is_closed() {
    let plain = Plain::start().await;
    plain.answers.add_permits(1);
    let server = server(&plain.uri);
    ask(&server).await;
    assert!(!server.is_cold() && server.stays_ready(IDLE_TIMEOUT / 2));
    tokio::time::pause();
    tokio::time::advance(IDLE_TIMEOUT / 2).await;
    assert!(server.stays_ready(Duration::from_secs(1)) && !server.stays_ready(IDLE_TIMEOUT / 2));
    tokio::time::advance(IDLE_TIMEOUT / 2).await;
    tokio::time::resume();
    plain.until_open(|open| open == 0).await;
    assert!(server.is_cold() && !server.state().is_swept);
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_the_error_of_all_that_waited_for_it() {
    // Nobody speaks TLS there.
    let plain = Plain::start().await;
    plain.answers.add_permits(1);
    let uri: Uri = plain.uri.to_string().replace("http:", "https:").parse().expect("a URI");
    let server = server(&uri);
    let failed = join_all((0..3).map(|_| async { server.lease().await.map(drop) })).await;
    assert!(failed.iter().all(Result::is_err), "{failed:?}");
    assert_eq!(plain.connections.load(Ordering::Relaxed), 1, "the protocol was not known");
}

#[tokio::test]
async fn a_connection_that_is_ready_or_being_made_is_not_made_again() {
    let plain = Plain::start().await;
    let server = server(&plain.uri);
    assert!(!server.stays_ready(Duration::ZERO));
    server.make_ready();
    assert!(server.stays_ready(Duration::ZERO));
    server.make_ready();
    plain.until_open(|open| open == 1).await;
    while server.is_cold() {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(server.stays_ready(Duration::ZERO));
    plain.answers.add_permits(1);
    ask(&server).await;
    assert_eq!(plain.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn no_call_to_a_server_that_refuses_waits_for_another() {
    const CALLS: usize = 100;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}/", listener.local_addr().expect("bound")).parse().expect("a URI");
    drop(listener);
    let server = server(&uri);
    let refused = join_all((0..CALLS).map(|_| async { server.lease().await.map(drop) }));
    let refused = tokio::time::timeout(Duration::from_secs(20), refused).await.expect("in time");
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
    assert_eq!(server.state().making, 0);
}

/// A runtime that ends drops its tasks one by one: the call that gives its connection back may do so when those that wait
/// for it are still there, and nothing can be started any more.
#[cfg(target_os = "linux")]
#[test]
fn a_runtime_may_end_while_calls_wait() {
    const CALLS: usize = 100;
    let (ended, is_ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            // The system makes two connections to it, since nobody accepts them, and lets all others wait.
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
            let listener = socket.listen(1).expect("a listener");
            let uri = format!("http://{}/", listener.local_addr().expect("bound")).parse().expect("a URI");
            let server = server(&uri);
            for _ in 0..CALLS {
                let server = server.clone();
                spawn(async move {
                    let _lease = server.lease().await;
                    std::future::pending::<()>().await;
                });
            }
            while server.state().busy < 2 {
                sleep(Duration::from_millis(1)).await;
            }
            sleep(Duration::from_millis(20)).await;
            drop(listener);
        });
        drop(runtime);
        ended.send(()).expect("a test");
    });
    is_ended.recv_timeout(Duration::from_secs(20)).expect("it ends");
}
