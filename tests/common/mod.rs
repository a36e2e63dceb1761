//! A proxy in this process, on a port of its own, and a client that sends exactly the bytes it is told to.

#![allow(dead_code, clippy::expect_used, clippy::panic, reason = "each test program uses a part; a test may panic")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use codex_proxy::credentials::store::memory::MemoryStore;
use codex_proxy::credentials::{AuthDocument, TokenSupplier};
use codex_proxy::models::Models;
use codex_proxy::oauth::Client;
use codex_proxy::platform::HttpClient;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::server::{App, listen, router};
use codex_proxy::upstream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Longer than anything takes, shorter than a test may.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running proxy; ends with its owner.
pub(crate) struct Proxy {
    /// What its requests share.
    pub(crate) app: Arc<App>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    run: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.run.abort();
    }
}

impl Proxy {
    /// A proxy with these settings, without a login, whose backend and issuer nobody can reach.
    pub(crate) async fn start(settings: ServerSettings) -> Self {
        Self::serve(app(settings, None, "http://127.0.0.1:9", "http://127.0.0.1:9")).await
    }

    /// A proxy that serves `app`.
    pub(crate) async fn serve(app: App) -> Self {
        let app = Arc::new(app);
        let listeners = listen::bind("127.0.0.1", 0, false).await.expect("a listener");
        let address = listeners[0].local_addr().expect("bound");
        let (cut_off, capacity) = (app.cut_off.clone(), app.capacity.clone());
        let run = listen::run(listeners, router(app.clone()), std::future::pending(), PATIENCE, cut_off, capacity);
        #[expect(clippy::disallowed_methods, reason = "the handle ends it")]
        let run = tokio::spawn(run);
        Self { app, address, run }
    }

    /// Sends a request made of these lines (the first is `METHOD target`), and reads the answer to its end. Adds
    /// nothing but `connection: close` and, for a body, its length.
    pub(crate) async fn send(&self, lines: &[&str], body: &str) -> Answer {
        let (first, headers) = lines.split_first().expect("a first line");
        let mut text = format!("{first} HTTP/1.1\r\nconnection: close\r\n");
        for header in headers {
            let _ = write!(text, "{header}\r\n");
        }
        if !body.is_empty() {
            let _ = write!(text, "content-length: {}\r\n", body.len());
        }
        let _ = write!(text, "\r\n{body}");
        let exchange = async {
            let mut socket = TcpStream::connect(self.address).await.expect("connected");
            socket.write_all(text.as_bytes()).await.expect("written");
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await.expect("an orderly end");
            Answer::parse(&answer)
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
    }

    /// `GET path`, as a well-behaved program sends it.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(&[&format!("GET {path}"), "host: localhost"], "").await
    }
}

/// An app whose login is `login`, for a backend and an issuer at these addresses.
pub(crate) fn app(settings: ServerSettings, login: Option<AuthDocument>, upstream_url: &str, auth_url: &str) -> App {
    let client = HttpClient::new(PATIENCE).expect("a client");
    let oauth = Client::new(client.clone(), auth_url, "codex-proxy", "codex-proxy/test");
    let supplier = TokenSupplier::new(Arc::new(MemoryStore::new(login)), oauth);
    let upstream = upstream::UpstreamSettings {
        base_url: upstream_url.to_owned(),
        originator: "codex-proxy".to_owned(),
        client_version: "0.169.0".to_owned(),
        user_agent: upstream::UpstreamSettings::user_agent(),
        idle_timeout: PATIENCE,
        routing: upstream::Routing::default(),
    };
    App::new(settings, Models::default(), supplier, upstream, client).expect("an app")
}

/// An answer, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its headers, names in lower case, in their order.
    pub(crate) headers: Vec<(String, String)>,
    /// Its body as it came.
    pub(crate) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Self { status: status.expect("a status"), headers: headers.collect(), body: body.to_owned() }
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Checks that the body is the one error shape and nothing else, and returns its `code`.
    pub(crate) fn error_code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let json = self.json();
        let error = json["error"].as_object().unwrap_or_else(|| panic!("no error in {self:?}"));
        let keys: Vec<_> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["message", "type", "param", "code"], "{self:?}");
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(1), "{self:?}");
        error["code"].as_str().unwrap_or_default().to_owned()
    }
}
