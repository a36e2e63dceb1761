//! The page at `/`: who gets it, who may see it, and what its session is good for.

use std::time::Duration;

use codex_proxy::ledger::LedgerPlace;
use codex_proxy::server::guard::Guard;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::settings::ServerSettings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Proxy;
use crate::common::PATIENCE;
use crate::common::answer::Answer;
use crate::common::app::{Served, Setup};

const BROWSER: &str = "accept: text/html,application/xhtml+xml,*/*;q=0.8";
const HOST: &str = "host: localhost:9879";

async fn keyed() -> Proxy {
    let guard = Guard { api_keys: Keys::new(["secret-key"]), ..Guard::default() };
    Proxy::start(ServerSettings { guard, ..ServerSettings::default() }).await
}

async fn sign_in(proxy: &Proxy, key: &str, origin: &str) -> Answer {
    let lines = ["POST /page/key", HOST, origin, "content-type: application/x-www-form-urlencoded"];
    proxy.send(&lines, &format!("key={key}")).await
}

/// The cookie of a session, as a browser sends it.
fn cookie(answer: &Answer) -> String {
    format!("cookie: {}", answer.header("set-cookie").split(';').next().expect("a cookie"))
}

/// Begins to read the events, and returns the connection with what came until the end of the first.
async fn first_event(proxy: &Proxy, lines: &[&str]) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(proxy.0.address).await.expect("connected");
    let head = format!("GET /page/events HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"));
    socket.write_all(head.as_bytes()).await.expect("written");
    let mut text = String::new();
    let reading = async {
        let mut piece = [0; 4096];
        while !text.contains("\n\n") {
            let read = socket.read(&mut piece).await.expect("a piece");
            assert!(read > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&piece[..read]));
            if !text.starts_with("HTTP/1.1 200") {
                break;
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("in time");
    (socket, text)
}

#[tokio::test]
async fn people_get_the_page_and_programs_what_they_always_got() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    let page = proxy.send(&["GET /", HOST, BROWSER], "").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.text.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{}", page.text);
    assert!(page.text.contains("Not signed in") && page.text.contains("codex-proxy login"), "{}", page.text);
    for accept in ["accept: */*", "accept: application/json"] {
        let answer = proxy.send(&["GET /", HOST, accept], "").await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (404, "not_found"), "{accept}");
    }
    let head = proxy.send(&["HEAD /", HOST, BROWSER], "").await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""), "Claude Code asks so whether there is a server");
    assert_eq!(proxy.send(&["GET /page/key", HOST], "").await.error_code(), "method_not_allowed");
}

#[tokio::test]
async fn the_page_may_do_nothing_but_show_itself() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    let page = proxy.send(&["GET /", HOST, BROWSER], "").await;
    let policy = page.header("content-security-policy");
    for rule in ["default-src 'none'; ", "connect-src 'self'; ", "form-action 'self'; ", "frame-ancestors 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    for (name, value) in [
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("allow", ""),
        ("set-cookie", ""),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn a_foreign_page_and_a_rebound_name_see_nothing() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    for lines in [
        &["GET /", "host: evil.example", BROWSER][..],
        &["GET /page/events", "host: evil.example"],
        &["GET /", HOST, BROWSER, "origin: https://evil.example"],
        &["GET /page/events", HOST, "sec-fetch-site: cross-site"],
    ] {
        let answer = proxy.send(lines, "").await;
        assert_eq!(answer.status.as_u16(), 403, "{lines:?}");
        assert!(!answer.text.contains("<html"), "{lines:?}");
    }
    assert_eq!(sign_in(&keyed().await, "secret-key", "origin: https://evil.example").await.status.as_u16(), 403);
}

#[tokio::test]
async fn where_keys_are_set_nothing_shows_without_one() {
    let proxy = keyed().await;
    let form = proxy.send(&["GET /", HOST, BROWSER], "").await;
    assert_eq!(form.status.as_u16(), 401);
    assert!(form.text.contains("<form method=\"post\" action=\"/page/key\">"), "{}", form.text);
    let (_, shown) = form.text.split_once("</style>").expect("a style");
    for told in ["signed in", "Plan", "window", "ledger", env!("CARGO_PKG_VERSION")] {
        assert!(!shown.contains(told), "{told}: {shown}");
    }
    let (_, refused) = first_event(&proxy, &[HOST]).await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    for header in ["authorization: Bearer secret-key", "x-api-key: secret-key"] {
        assert_eq!(proxy.send(&["GET /", HOST, BROWSER, header], "").await.status.as_u16(), 200, "{header}");
    }
    for wrong in ["", "wrong", "secret-key%0a", "secret-ke"] {
        let answer = sign_in(&proxy, wrong, "origin: http://localhost:9879").await;
        let expected = if wrong == "secret-key%0a" { 303 } else { 401 };
        assert_eq!(answer.status.as_u16(), expected, "{wrong:?}");
        assert!(expected == 303 || answer.header("set-cookie").is_empty());
    }
}

#[tokio::test]
async fn a_session_opens_the_page_and_nothing_else() {
    let proxy = keyed().await;
    let begun = sign_in(&proxy, "secret-key", "origin: http://localhost:9879").await;
    assert_eq!((begun.status.as_u16(), begun.header("location")), (303, "/"));
    assert!(begun.header("set-cookie").ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200"), "{begun:?}");
    let cookie = cookie(&begun);
    assert!(!cookie.contains("secret-key"), "{cookie}");
    assert_eq!(proxy.send(&["GET /", HOST, BROWSER, &cookie], "").await.status.as_u16(), 200);
    let (_, events) = first_event(&proxy, &[HOST, &cookie]).await;
    assert!(events.starts_with("HTTP/1.1 200 "), "{events}");
    for route in ["GET /v1/models", "GET /metrics", "GET /api/codex/usage", "GET /nowhere", "POST /v1/chat/completions"]
    {
        let answer = proxy.send(&[route, HOST, &cookie, "content-type: application/json"], "").await;
        assert_eq!(answer.status.as_u16(), 401, "{route}");
    }
    assert_eq!(proxy.send(&["GET /admin/credentials/status", HOST, &cookie], "").await.status.as_u16(), 403);
    let elsewhere = proxy.send(&["GET /", "host: localhost:9880", BROWSER, &cookie], "").await;
    assert_eq!(elsewhere.status.as_u16(), 401, "the session of another port");
    let other = keyed().await;
    assert_eq!(other.send(&["GET /", HOST, BROWSER, &cookie], "").await.status.as_u16(), 401, "of another process");
}

#[tokio::test]
async fn a_form_that_is_too_long_is_refused() {
    let answer = sign_in(&keyed().await, &"k".repeat(5000), "origin: http://localhost:9879").await;
    assert_eq!(answer.status.as_u16(), 413);
}

#[tokio::test]
async fn the_first_event_has_every_part_and_too_many_listeners_are_refused() {
    let proxy = Proxy::start(ServerSettings::default()).await;
    let mut open = Vec::new();
    for _ in 0..16 {
        let (socket, text) = first_event(&proxy, &[HOST]).await;
        assert!(text.contains("content-type: text/event-stream\r\n"), "{text}");
        for part in ["verdict", "login", "limits", "recent", "tokens", "models", "todo"] {
            assert!(text.contains(&format!("\"{part}\":")), "{part}: {text}");
        }
        open.push(socket);
    }
    let refused = proxy.send(&["GET /page/events", HOST], "").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "30"));
    // A listener that leaves makes room.
    open.pop();
    let free = async {
        while !first_event(&proxy, &[HOST]).await.1.starts_with("HTTP/1.1 200 ") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, free).await.expect("room");
}

#[tokio::test]
async fn an_open_page_does_not_hold_a_shutdown_up() {
    // A grace that no test waits for.
    let proxy = Proxy(Served::with_grace(Setup::default().app(), Duration::from_secs(600)).await);
    let (mut socket, _) = first_event(&proxy, &[HOST]).await;
    proxy.0.stop();
    let mut rest = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("an end in time").expect("an orderly end");
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream ends as it should: {:?}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ledger.sqlite3");
    std::fs::create_dir(&path).expect("a directory in its place");
    let setup = Setup { ledger: Some(LedgerPlace::File(path)), ..Setup::default() };
    let proxy = Proxy(Served::start(setup.app()).await);
    let page = proxy.send(&["GET /", HOST, BROWSER], "").await;
    assert_eq!(page.status.as_u16(), 200);
    assert!(page.text.contains("The ledger cannot be read"), "{}", page.text);
}
