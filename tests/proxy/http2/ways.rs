//! The way to the backend as the environment describes it: proxies, and whom TLS trusts.

use codex_proxy::platform::TransportSettings;

use super::assert_whole;
use super::backend::Backend;
use super::daemon::Daemon;
use super::forwarder::{Forwarder, Greeting};
use super::proxy::{Proxy, quick};
use crate::common::answer::Answer;

#[tokio::test]
async fn proxies_are_spoken_to_in_their_own_language() {
    let backend = Backend::start().await;
    let certificate = backend.certificate.path().to_str().expect("a path");
    let localhost = format!("localhost:{}", backend.port);
    for (greeting, scheme, variable, is_by_name) in [
        (Greeting::Connect, "http", "HTTPS_PROXY", true),
        (Greeting::Socks, "socks5h", "https_proxy", true),
        (Greeting::Socks, "socks5", "ALL_PROXY", false),
    ] {
        let forwarder = Forwarder::start(backend.port, greeting).await;
        let address = format!("{scheme}://127.0.0.1:{}", forwarder.port);
        let daemon = Daemon::start_with(&backend.url, &[("SSL_CERT_FILE", certificate), (variable, &address)]);
        for stream in [false, true] {
            assert_whole(&daemon.ask(stream).await);
        }
        let targets = forwarder.targets.lock().expect("whole").clone();
        assert!(!targets.is_empty(), "{scheme}");
        assert!(targets.iter().all(|target| (*target == localhost) == is_by_name), "{scheme}: {targets:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_an_error_and_no_direct_call() {
    let backend = Backend::start().await;
    let certificate = backend.certificate.path().to_str().expect("a path");
    for scheme in ["http", "socks5h"] {
        let address = format!("{scheme}://127.0.0.1:9");
        let daemon = Daemon::start_with(&backend.url, &[("SSL_CERT_FILE", certificate), ("HTTPS_PROXY", &address)]);
        let Answer { status, text, .. } = daemon.ask(false).await;
        assert!(status == 502 && text.contains("upstream_unreachable"), "{scheme}: {status} {text}");
        assert!(backend.calls().is_empty(), "{scheme}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_name_is_told_as_that_and_once() {
    let backend = Backend::start().await;
    let url = format!("https://127.0.0.1:{}/codex", backend.port);
    let proxy = Proxy::start(&url, quick(&backend)).await;
    for stream in [false, true] {
        let Answer { status, text, .. } = proxy.ask(stream).await;
        assert!(status == 502 && text.contains(r#""code":"upstream_unreachable""#), "{status} {text}");
        assert!(text.contains("its TLS certificate is for localhost, not for 127.0.0.1"), "{text}");
        assert!(!text.contains("resolved"), "{text}");
    }
    assert_eq!(proxy.metric("codex_proxy_upstream_retries_total").await, "0");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_told_as_that() {
    let backend = Backend::start().await;
    let proxy = Proxy::start(&backend.url, TransportSettings { authorities: Vec::new(), ..quick(&backend) }).await;
    let Answer { status, text, .. } = proxy.ask(false).await;
    assert!(status == 502 && text.contains("certificate of localhost is signed by nobody"), "{status} {text}");
    assert_eq!(proxy.metric("codex_proxy_upstream_retries_total").await, "0");
}

#[test]
fn what_cannot_be_used_is_named_at_start() {
    for (variable, value) in [
        ("HTTPS_PROXY", "ftp://proxy.example:21"),
        ("https_proxy", "socks://proxy.example:1080"),
        ("HTTP_PROXY", "http://proxy.example:port"),
        ("http_proxy", "http://"),
        ("ALL_PROXY", "proxy example"),
        ("all_proxy", "tor://127.0.0.1:9050"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem"),
        ("SSL_CERT_FILE", "/dev/null"),
        ("SSL_CERT_DIR", "/nowhere"),
    ] {
        let said = Daemon::refusal(&[(variable, value)]);
        assert!(said.contains(&format!("variable {variable} ")), "{variable}={value}: {said}");
        assert!(!variable.starts_with("SSL") || said.contains(value), "{variable}={value}: {said}");
    }
}
