//! A WebSocket to a backend that offers HTTP/2 beside HTTP/1.1, and through proxies.

use std::net::Ipv4Addr;

use codex_proxy::simulator::{SimulatedLogin, Simulator};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use super::backend::Identity;
use super::daemon::Daemon;
use super::forwarder::{Forwarder, Greeting};

/// Serves the simulated backend over TLS. A connection on which HTTP/2 was agreed is dropped: none of an answer is.
async fn serve(simulator: &Simulator) -> (u16, tempfile::NamedTempFile) {
    let Identity { acceptor, certificate, .. } = Identity::of("localhost", &["h2", "http/1.1"]);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let router = simulator.router();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
            tokio::spawn(async move {
                let Ok(socket) = acceptor.accept(socket).await else { return };
                if socket.get_ref().1.alpn_protocol() == Some(&b"http/1.1"[..]) {
                    let server = hyper::server::conn::http1::Builder::new();
                    let _ = server.serve_connection(TokioIo::new(socket), service).with_upgrades().await;
                }
            });
        }
    });
    (port, certificate)
}

#[tokio::test]
async fn an_upgrade_goes_over_tls_and_through_proxies() {
    let simulator = Simulator::new();
    simulator.offer_sockets();
    let login = simulator.issue_login(SimulatedLogin::default());
    let told = |name: &str| login["tokens"][name].as_str().expect("a login").to_owned();
    let (token, account) = (told("access_token"), told("account_id"));
    let (port, certificate) = serve(&simulator).await;
    let url = format!("https://localhost:{port}/backend-api/codex");
    for (number, greeting) in (1..).zip([None, Some((Greeting::Connect, "http")), Some((Greeting::Socks, "socks5h"))]) {
        let mut environment = vec![
            ("SSL_CERT_FILE", certificate.path().to_str().expect("a path")),
            ("CODEX_PROXY_UPSTREAM_TRANSPORT", "websocket"),
            ("ACCESS_TOKEN", &token),
            ("ACCOUNT_ID", &account),
        ];
        let forwarder = match greeting {
            Some((greeting, scheme)) => {
                let forwarder = Forwarder::start(port, greeting).await;
                Some((format!("{scheme}://127.0.0.1:{}", forwarder.port), forwarder))
            }
            None => None,
        };
        environment.extend(forwarder.as_ref().map(|(address, _)| ("HTTPS_PROXY", address.as_str())));
        let daemon = Daemon::start_with(&url, &environment);
        for stream in [false, true] {
            let answer = daemon.ask(stream).await;
            assert!(answer.status == 200 && answer.text.contains(r#""finish_reason":"stop""#), "{answer:?}");
        }
        let counters = simulator.counters();
        assert_eq!((counters.upgrades, counters.frames, counters.responses), (number, 2 * number, 0));
        if let Some((_, forwarder)) = forwarder {
            assert!(forwarder.connections() > 0);
        }
    }
}
