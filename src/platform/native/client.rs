//! The HTTP client of the daemon.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::header::{ACCEPT, PROXY_AUTHORIZATION};
use http::request::Parts;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use rustls::ClientConfig;

use crate::platform::native::connection::Payload;
use crate::platform::native::connector::Connector;
use crate::platform::native::failure::{body_error, call_error, causes};
use crate::platform::native::outgoing::Outgoing;
use crate::platform::native::pool::{Lease, Pool};
use crate::platform::native::proxies::Proxies;
use crate::platform::native::settings::{Reach, TransportSettings};
use crate::platform::native::target::target;
use crate::platform::native::{ByteStream, Cores, OnSent, TransportError, inflate, trust};

/// A pooled client for the backend and the token issuer: HTTP/2 if TLS negotiates it, the environment's proxies
/// honoured, redirects never followed (they would carry the login to another host). Clones share the connections.
///
/// * HTTP/2 connections are watched with PINGs, whether or not calls are open on them: a silent one (sleep, VPN,
///   another network) is closed within [`TransportSettings::death_noticed_within`], and its calls fail.
/// * HTTP/1.1 has no PING. The kernel notices unacknowledged data (Linux) and unacknowledged TCP keepalives. A
///   middlebox that acknowledges and forwards nothing goes unnoticed.
/// * Each of the threads that serve ([`Cores`]) has connections of its own. The first calls of one that has none yet go over
///   another's, if it has one to spare: no call waits for a handshake that another thread has behind it.
#[derive(Clone)]
pub struct HttpClient(Arc<Shared>);

/// The parts that clones share.
struct Shared {
    /// The connections of each thread, made when it first calls.
    pools: Box<[OnceLock<Pool>]>,
    connector: Connector,
    /// Makes the connections of WebSockets, once there is one.
    sockets: OnceLock<Connector>,
    tls: Arc<ClientConfig>,
    proxies: Option<Arc<Proxies>>,
    settings: Arc<TransportSettings>,
}

impl HttpClient {
    /// Creates a client that gives up connecting after `connect_timeout` and does not limit the time of a call.
    pub fn new(connect_timeout: Duration) -> Result<Self, TransportError> {
        Self::with_settings(TransportSettings { connect_timeout, ..TransportSettings::default() })
    }

    /// Creates a client with `settings`. The error names the unusable environment variable.
    pub fn with_settings(settings: TransportSettings) -> Result<Self, TransportError> {
        let proxies = match settings.reach {
            Reach::Network => Some(Arc::new(Proxies::from_system()?)),
            Reach::Loopback => None,
        };
        let tls = Arc::new(trust::tls(&settings)?);
        Ok(Self(Arc::new(Shared {
            pools: (0..Cores::MOST).map(|_| OnceLock::new()).collect(),
            connector: Connector::new(&settings, tls.clone(), proxies.clone()),
            sockets: OnceLock::new(),
            tls,
            proxies,
            settings: Arc::new(settings),
        })))
    }

    /// Returns the connections of the current thread.
    fn pool(&self) -> &Pool {
        let Shared { pools, connector, settings, .. } = &*self.0;
        pools[Cores::current()].get_or_init(|| Pool::new(connector.clone(), settings.clone()))
    }

    /// Returns the connections of all threads that have called.
    fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.0.pools.iter().filter_map(OnceLock::get)
    }

    /// Returns the maker of connections that speak HTTP/1.1 alone.
    pub(super) fn socket_connector(&self) -> Connector {
        let Shared { sockets, tls, settings, proxies, .. } = &*self.0;
        let make = || {
            let mut tls = ClientConfig::clone(tls);
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            Connector::new(settings, Arc::new(tls), proxies.clone())
        };
        sockets.get_or_init(make).clone()
    }

    /// Has a connection to the server of `uri` ready for `time`: makes one unless a thread has one that is not closed as unused
    /// before. Never waits; a connection that cannot be made is the later call's error.
    pub fn warm(&self, uri: &Uri, time: Duration) {
        let Ok(uri) = target(uri.clone()) else { return };
        let is_warm = self.pools().filter_map(|pool| pool.find(&uri)).any(|server| server.stays_ready(time));
        if !is_warm && let Ok(server) = self.pool().server(&uri) {
            server.make_ready();
        }
    }

    /// Sends one request and returns the response as soon as its head has arrived.
    ///
    /// A request that the server did not begin (RFC 9113 8.7) is sent again, as is one that its connection did not take,
    /// since it had closed.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<ByteStream>, TransportError> {
        let (mut head, body) = request.into_parts();
        let on_sent = head.extensions.remove::<OnSent>();
        self.complete(&mut head)?;
        let uri = head.uri.clone();
        let mut request = Request::from_parts(head, Box::new(Outgoing::new(body, on_sent)));
        let mut resends_left = MOST_RESENDS;
        loop {
            let mut lease = self.lease(&uri).await?;
            let spare = (lease.can_refuse() && resends_left > 0).then(|| copy(&request));
            let mut unanswered = match lease.send(request).await {
                Ok(response) => return Ok(answer(response, lease)),
                Err(unanswered) => unanswered,
            };
            let returned = unanswered.take_message();
            let error = unanswered.into_error();
            // Any number of used connections may have closed; a new one that closes at once may do so again and again.
            let is_counted = returned.is_none() || !lease.was_used();
            request = match (returned, spare) {
                (Some(returned), _) if !is_counted || resends_left > 0 => returned,
                (None, Some(spare)) if is_not_begun(&error) => spare,
                _ => return Err(call_error(&error, uri.host().unwrap_or_default())),
            };
            resends_left -= u32::from(is_counted);
            *request.uri_mut() = uri.clone();
        }
    }

    /// Assigns a connection to a call to the server of `uri`.
    async fn lease(&self, uri: &Uri) -> Result<Lease, TransportError> {
        let server = self.pool().server(uri)?;
        if let Some(lease) = server.lease_now() {
            return Ok(lease);
        }
        if server.is_cold() {
            let elsewhere = self.pools().filter_map(|pool| pool.find(uri)).find_map(|server| server.lease_now());
            if let Some(lease) = elsewhere {
                server.make_ready();
                return Ok(lease);
            }
        }
        server.lease().await
    }

    /// Gives `head` its URI's final form and the headers that every request has.
    fn complete(&self, head: &mut Parts) -> Result<(), TransportError> {
        head.uri = target(std::mem::take(&mut head.uri))?;
        head.headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if let Some(login) = self.0.proxies.as_ref().and_then(|proxies| proxies.login(&head.uri)) {
            head.headers.entry(PROXY_AUTHORIZATION).or_insert(login);
        }
        Ok(())
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pools: Vec<_> = self.pools().collect();
        formatter.debug_struct("HttpClient").field("pools", &pools).finish_non_exhaustive()
    }
}

/// Copies a request, whose body is shared.
fn copy(request: &Request<Payload>) -> Request<Payload> {
    let mut copy = Request::new(request.body().clone());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy
}

/// Creates a response that holds `lease` until its body is dropped.
fn answer(response: Response<Incoming>, lease: Lease) -> Response<ByteStream> {
    let (mut head, body) = response.into_parts();
    let body = BodyDataStream::new(body).map_err(move |error| {
        let _held = &lease;
        body_error(&error)
    });
    let body = inflate(&mut head.headers, Box::pin(body));
    Response::from_parts(head, body)
}

/// Returns whether the server declared that it has not begun the request: it refused the stream, or sent GOAWAY.
fn is_not_begun(error: &hyper::Error) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>()).any(|error| {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let going_away = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        error.is_remote() && (refused || going_away)
    })
}

/// Attempts to resend a request that was not begun.
const MOST_RESENDS: u32 = 2;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::platform::native::{sleep, spawn};

    /// A server of HTTP/1.1 that answers with the number of the connection; returns its address.
    async fn numbering() -> Uri {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri = format!("http://{}/", listener.local_addr().expect("bound")).parse().expect("a URI");
        spawn(async move {
            for number in 0.. {
                let Ok((mut socket, _)) = listener.accept().await else { return };
                spawn(async move {
                    let mut received = [0; 1024];
                    while socket.read(&mut received).await.is_ok_and(|read| read > 0) {
                        let answer = format!("HTTP/1.1 200 OK\r\nx-number: {number}\r\ncontent-length: 0\r\n\r\n");
                        socket.write_all(answer.as_bytes()).await.expect("an answer");
                    }
                });
            }
        });
        uri
    }

    async fn ask(client: HttpClient, uri: Uri) -> HeaderValue {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri;
        let answer = client.send(request).await.expect("an answer");
        answer.headers()["x-number"].clone()
    }

    #[tokio::test]
    async fn a_thread_without_a_connection_takes_anothers_and_makes_its_own() {
        let uri = numbering().await;
        let settings = TransportSettings { reach: Reach::Loopback, ..TransportSettings::default() };
        let client = HttpClient::with_settings(settings).expect("a client");
        let cores = Cores::start(2).expect("threads");
        let own = cores.take();
        let other = cores.take().runtime.expect("another thread");
        client.warm(&uri, Duration::from_secs(1));
        client.warm(&uri, Duration::from_secs(1));
        while client.pool().server(&uri).expect("a server").is_cold() {
            sleep(Duration::from_millis(1)).await;
        }
        let first = other.spawn(ask(client.clone(), uri.clone())).await.expect("a task");
        assert_eq!(first, "0", "over the connection that was ready");
        let there = client.0.pools[1].get().and_then(|pool| pool.find(&uri)).expect("the other thread has called");
        while there.is_cold() {
            sleep(Duration::from_millis(1)).await;
        }
        let second = other.spawn(ask(client.clone(), uri.clone())).await.expect("a task");
        assert_eq!(second, "1", "over its own");
        assert_eq!(ask(client, uri).await, "0");
        drop(own);
    }

    #[tokio::test]
    async fn a_request_that_an_unused_connection_did_not_take_goes_over_another() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let uri: Uri = format!("http://{address}/").parse().expect("a URI");
        let mut asking = TcpStream::connect(address).await.expect("a connection");
        let (mut asker, _) = listener.accept().expect("a connection");
        let (sign, close) = std::sync::mpsc::channel();
        let server = std::thread::spawn(move || {
            let unused = listener.accept().expect("a connection");
            close.recv().expect("the sign");
            drop(unused);
            let (mut socket, _) = listener.accept().expect("another");
            assert!(socket.read(&mut [0; 1024]).expect("a request") > 0);
            socket.write_all(b"HTTP/1.1 200 OK\r\nx-number: 1\r\ncontent-length: 0\r\n\r\n").expect("an answer");
        });
        let settings = TransportSettings { reach: Reach::Loopback, ..TransportSettings::default() };
        let client = HttpClient::with_settings(settings).expect("a client");
        client.warm(&uri, Duration::from_secs(1));
        while client.pool().server(&uri).expect("a server").is_cold() {
            sleep(Duration::from_millis(1)).await;
        }
        let asked = async {
            asking.read_u8().await.expect("the sign");
            ask(client, uri).await
        };
        let signs = async {
            sleep(Duration::from_millis(20)).await;
            // The runtime hears of both at once, and of the end last.
            asker.write_all(b"!").expect("the sign");
            sign.send(()).expect("a server");
            std::thread::sleep(Duration::from_millis(200));
        };
        assert_eq!(tokio::join!(asked, signs).0, "1");
        server.join().expect("served");
    }
}
