//! What the backend and a proxy are sent, to the byte where it is the connection's own doing.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use codex_proxy::platform::{HttpClient, TransportSettings};
use http::request::Parts;
use tokio::net::TcpListener;

use super::assert_whole;
use super::backend::{Backend, Identity};
use super::daemon::Daemon;
use super::proxy::{Proxy, patient};
use super::recorder::{Recorder, Role};
use crate::common::PATIENCE;

/// The names of the headers of a call, in the order in which they are sent.
const NAMES: [&str; 10] = [
    "authorization",
    "chatgpt-account-id",
    "user-agent",
    "originator",
    "version",
    "accept",
    "content-type",
    "session-id",
    "host",
    "content-length",
];

fn names(head: &str) -> Vec<&str> {
    head.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0)).collect()
}

fn line<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn a_call_over_http1_has_its_own_headers_then_the_connections() {
    let backend = Recorder::start(Role::Server).await;
    let daemon = Daemon::start_with(&format!("http://LocalHost:{}/codex", backend.port), &[]);
    assert_whole(&daemon.ask(true).await);
    let head = backend.posts().remove(0);
    assert!(head.starts_with("POST /codex/responses HTTP/1.1\r\n"), "{head}");
    assert_eq!(names(&head), NAMES, "{head}");
    assert_eq!(line(&head, "accept"), Some("text/event-stream"));
    assert_eq!(line(&head, "host"), Some(format!("localhost:{}", backend.port).as_str()));
}

#[tokio::test]
async fn a_request_without_headers_says_what_it_accepts_and_whom_it_asks() {
    let backend = Recorder::start(Role::Server).await;
    let client = HttpClient::new(PATIENCE).expect("a client");
    let request = http::Request::get(format!("http://LOCALHOST:{}/x?y=z#w", backend.port));
    let answer = client.send(request.body(Bytes::new()).expect("a request")).await.expect("an answer");
    assert_eq!(answer.status(), 404);
    let expected = format!("GET /x?y=z HTTP/1.1\r\naccept: */*\r\nhost: localhost:{}\r\n\r\n", backend.port);
    assert_eq!(String::from_utf8(backend.said().remove(0)).expect("text"), expected);
}

#[tokio::test]
async fn a_call_over_http2_has_the_same_headers_without_a_host() {
    let Identity { acceptor, authority, .. } = Identity::of("localhost", &["h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let heads = Arc::<Mutex<Vec<Parts>>>::default();
    let seen = heads.clone();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("a connection");
        let socket = acceptor.accept(socket).await.expect("TLS");
        let mut connection = h2::server::handshake(socket).await.expect("HTTP/2");
        while let Some(Ok((request, mut answer))) = connection.accept().await {
            seen.lock().expect("whole").push(request.into_parts().0);
            let response = http::Response::builder().status(404).body(()).expect("a response");
            let mut body = answer.send_response(response, false).expect("a head");
            body.send_data(Bytes::from_static(b"{}"), true).expect("a body");
        }
    });
    let backend = Backend::start().await;
    let settings = TransportSettings { authorities: vec![authority], ..patient(&backend) };
    let proxy = Proxy::start(&format!("https://LocalHost:{port}/codex"), settings).await;
    proxy.ask(true).await;
    let heads = heads.lock().expect("whole");
    let head = heads.iter().find(|head| head.method == "POST").expect("a call");
    assert_eq!(head.uri.to_string(), format!("https://localhost:{port}/codex/responses"));
    let mut sent: Vec<_> = head.headers.keys().map(http::HeaderName::as_str).collect();
    sent.sort_unstable();
    let mut expected: Vec<_> = NAMES.into_iter().filter(|name| *name != "host").collect();
    expected.sort_unstable();
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn a_proxy_for_http_is_sent_the_whole_address_and_its_own_login() {
    let proxy = Recorder::start(Role::Server).await;
    let target = "http://localhost:9/codex";
    for user in ["", "user:p%40ss%20word@"] {
        let address = format!("http://{user}127.0.0.1:{}", proxy.port);
        let daemon = Daemon::start_with(target, &[("HTTP_PROXY", &address)]);
        assert_whole(&daemon.ask(false).await);
        let head = proxy.posts().pop().expect("a call");
        assert!(head.starts_with("POST http://localhost:9/codex/responses HTTP/1.1\r\n"), "{head}");
        assert_eq!(line(&head, "host"), Some("localhost:9"));
        let login = (!user.is_empty()).then_some("Basic dXNlcjpwQHNzIHdvcmQ=");
        assert_eq!(line(&head, "proxy-authorization"), login, "{head}");
    }
    for exception in ["localhost", "*", ".x, LOCALHOST"] {
        let before = proxy.said().len();
        let address = format!("http://127.0.0.1:{}", proxy.port);
        let daemon = Daemon::start_with(target, &[("all_proxy", &address), ("no_proxy", exception)]);
        assert_eq!(daemon.ask(false).await.status, 502, "nobody listens there");
        assert_eq!(proxy.said().len(), before, "{exception}");
    }
}

#[tokio::test]
async fn a_tunnel_is_asked_for_with_the_proxys_login_which_the_backend_never_sees() {
    let backend = Backend::start().await;
    let certificate = backend.certificate.path().to_str().expect("a path");
    let place = format!("localhost:{}", backend.port);
    for (user, login) in [("", ""), ("user:word@", "Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n")] {
        let proxy = Recorder::over(Role::Connect, None, backend.port).await;
        let address = format!("http://{user}127.0.0.1:{}", proxy.port);
        let daemon = Daemon::start_with(&backend.url, &[("SSL_CERT_FILE", certificate), ("https_proxy", &address)]);
        assert_whole(&daemon.ask(false).await);
        let expected = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{login}\r\n");
        assert_eq!(String::from_utf8(proxy.said().remove(0)).expect("text"), expected);
    }
}

#[tokio::test]
async fn an_address_of_ipv6_is_reached_through_a_proxy() {
    let backend = Backend::on(Ipv4Addr::LOCALHOST, "::1", None).await;
    let certificate = backend.certificate.path().to_str().expect("a path");
    let url = format!("https://[::1]:{}/codex", backend.port);
    let [high, low] = backend.port.to_be_bytes();
    let socks = [b"\x05\x01\x02\x01\x01u\x01p\x05\x01\0\x04".as_slice(), &[0; 15], &[1, high, low]].concat();
    let connect = format!("CONNECT [::1]:{} ", backend.port).into_bytes();
    for (scheme, role, expected) in [("http", Role::Connect, connect), ("socks5", Role::Socks5, socks)] {
        let proxy = Recorder::over(role, None, backend.port).await;
        let address = format!("{scheme}://u:p@127.0.0.1:{}", proxy.port);
        let daemon = Daemon::start_with(&url, &[("SSL_CERT_FILE", certificate), ("HTTPS_PROXY", &address)]);
        assert_whole(&daemon.ask(false).await);
        assert!(proxy.said()[0].starts_with(&expected), "{scheme}: {:?}", proxy.said());
    }
}

#[tokio::test]
async fn a_proxy_may_itself_be_spoken_to_over_tls() {
    let backend = Backend::start().await;
    let Identity { acceptor, certificate, .. } = Identity::of("127.0.0.1", &["h2", "http/1.1"]);
    let both = [certificate.path(), backend.certificate.path()].map(|path| std::fs::read_to_string(path).expect("PEM"));
    std::fs::write(certificate.path(), both.concat()).expect("written");
    let trusted = certificate.path().to_str().expect("a path");
    let proxy = Recorder::over(Role::Connect, Some(acceptor), backend.port).await;
    let address = format!("https://127.0.0.1:{}", proxy.port);
    let daemon = Daemon::start_with(&backend.url, &[("SSL_CERT_FILE", trusted), ("HTTPS_PROXY", &address)]);
    assert_whole(&daemon.ask(true).await);
    assert!(proxy.said()[0].starts_with(format!("CONNECT localhost:{} ", backend.port).as_bytes()));
}

#[tokio::test]
async fn socks_proxies_are_told_the_name_or_the_address_as_their_scheme_says() {
    let backend = Backend::start().await;
    let certificate = backend.certificate.path().to_str().expect("a path");
    let [high, low] = backend.port.to_be_bytes();
    let with_name = |head: &[u8]| [head, b"localhost"].concat();
    let login = b"\x05\x01\x02\x01\x04user\x04word";
    for (scheme, role, expected) in [
        ("socks4", Role::Socks4, vec![4, 1, high, low, 127, 0, 0, 1, 0]),
        ("socks4a", Role::Socks4, [&with_name(&[4, 1, high, low, 0, 0, 0, 255, 0])[..], &[0]].concat()),
        ("socks5h", Role::Socks5, [&login[..], &with_name(&[5, 1, 0, 3, 9]), &[high, low]].concat()),
    ] {
        let proxy = Recorder::over(role, None, backend.port).await;
        let address = format!("{scheme}://user:word@127.0.0.1:{}", proxy.port);
        let daemon = Daemon::start_with(&backend.url, &[("SSL_CERT_FILE", certificate), ("ALL_PROXY", &address)]);
        assert_whole(&daemon.ask(false).await);
        assert_eq!(proxy.said()[0], expected, "{scheme}");
    }
}

#[tokio::test]
async fn socks_carries_unencrypted_calls_too() {
    let backend = Recorder::start(Role::Server).await;
    let proxy = Recorder::over(Role::Socks5, None, backend.port).await;
    let address = format!("socks5h://user:word@127.0.0.1:{}", proxy.port);
    let url = format!("http://localhost:{}/codex", backend.port);
    let daemon = Daemon::start_with(&url, &[("HTTP_PROXY", &address)]);
    assert_eq!(daemon.ask(false).await.status, 200);
    let head = backend.posts().remove(0);
    assert!(head.starts_with("POST /codex/responses HTTP/1.1\r\n"), "{head}");
    assert_eq!(line(&head, "proxy-authorization"), None, "{head}");
    assert!(!proxy.said().is_empty());
}
