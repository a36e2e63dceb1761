//! Who may open a WebSocket: whatever holds for a request holds for the upgrade.

use codex_proxy::server::guard::Guard;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::settings::ServerSettings;

use super::Proxy;
use crate::common::socket::{CODEX, Refused, Socket};

type Headers = &'static [(&'static str, &'static str)];

async fn refused(proxy: &Proxy, headers: Headers) -> Option<Refused> {
    Socket::try_open(proxy.0.address, headers).await.err()
}

#[tokio::test]
async fn a_foreign_page_or_name_opens_none() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    let table: [(Headers, &str); 5] = [
        (&[("host", "evil.example")], "host_not_allowed"),
        (&[("host", "localhost.evil:9879")], "host_not_allowed"),
        (&[("origin", "https://evil.example")], "origin_not_allowed"),
        (&[("origin", "null")], "origin_not_allowed"),
        (&[("sec-fetch-site", "cross-site")], "origin_not_allowed"),
    ];
    for (headers, code) in table {
        assert_eq!(refused(&proxy, headers).await, Some(Refused(403, code.to_owned())), "{headers:?}");
    }
    Socket::open(proxy.0.address, CODEX).await;
}

#[tokio::test]
async fn a_key_is_needed_where_there_are_keys() {
    let guard = Guard { api_keys: Keys::new(["k"]), ..Guard::default() };
    let proxy = Proxy::start(ServerSettings { guard, ..ServerSettings::default() }).await;
    for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("x-api-key", "")]] {
        assert_eq!(refused(&proxy, headers).await, Some(Refused(401, "invalid_api_key".to_owned())), "{headers:?}");
    }
    for headers in [&[("authorization", "Bearer k")][..], &[("x-api-key", "k")]] {
        let mut socket = Socket::open(proxy.0.address, headers).await;
        // The key opens the turn too; what is missing is a login.
        let frame = socket.refused(&serde_json::json!({ "input": "hi" })).await;
        assert_eq!(frame["error"]["code"], "no_credentials", "{frame}");
    }
}

#[tokio::test]
async fn half_a_handshake_is_sent_to_post_at_once() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    let (upgrade, connection) = ("upgrade: WebSocket", "connection: upgrade");
    let (version, key) = ("sec-websocket-version: 13", "sec-websocket-key: w5ogdajPNxY+F7nYXsIz7g==");
    for lines in [
        &[upgrade, version, key][..],
        &[upgrade, connection, key],
        &[upgrade, connection, version],
        &[upgrade, connection, version, "sec-websocket-key: short"],
        &[upgrade, connection, "sec-websocket-version: 8", key],
        // As a reverse proxy leaves it.
        &[version, key],
    ] {
        let lines = [&["GET /v1/responses", "host: localhost"], lines].concat();
        let answer = proxy.send(&lines, "").await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (426, "upgrade_required"), "{lines:?}");
        assert_eq!(answer.header("sec-websocket-version"), "13");
    }
    let plain = proxy.get("/v1/responses").await;
    assert_eq!((plain.status.as_u16(), plain.header("allow")), (405, "POST"));
}
