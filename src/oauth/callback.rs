//! The callback server of a browser sign-in.
//!
//! * The server listens on both loopback addresses of one port, because the redirect says `localhost`, which may
//!   resolve to either.
//! * A callback of another sign-in gets a 400 and is otherwise ignored; waiting goes on.
//! * Any web page can send a request here. An accepted request is addressed to this port of a loopback name, comes from
//!   no page of another origin, is a navigation if the browser says so, and holds the sign-in's state. The Codex CLI's
//!   `GET /cancel`, a request for the port, holds none: it is refused, and the CLI uses its other port.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::oauth::client::AuthorizationCode;
use crate::oauth::pkce::{SignIn, SignInError};
use crate::platform::spawn;

/// The ports that the issuer redirects to, in order of preference.
pub const PORTS: [u16; 2] = [1455, 1457];

/// The bound port, before the browser comes.
#[derive(Debug)]
pub struct Callback {
    port: u16,
    v4: TcpListener,
    v6: Option<TcpListener>,
}

type Answer = Result<AuthorizationCode, SignInError>;

impl Callback {
    /// Binds the first of `ports` that is free on both loopback addresses.
    pub async fn bind(ports: &[u16]) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no port to listen on");
        for port in ports {
            match Self::bind_one(*port).await {
                Ok(callback) => return Ok(callback),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn bind_one(port: u16) -> io::Result<Self> {
        let v4 = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let port = v4.local_addr()?.port();
        let v6 = match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
            Ok(listener) => Some(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => {
                tracing::debug!("no IPv6 loopback: {error}");
                None
            }
        };
        Ok(Self { port, v4, v6 })
    }

    /// Returns the bound port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the browser's redirect from `sign_in`.
    pub async fn wait(self, sign_in: &SignIn) -> Answer {
        let (sender, mut answers) = mpsc::channel(1);
        loop {
            tokio::select! {
                Some(answer) = answers.recv() => return answer,
                connection = self.v4.accept() => self.take(connection, sign_in, &sender),
                connection = accept(self.v6.as_ref()) => self.take(connection, sign_in, &sender),
            }
        }
    }

    /// Browsers open connections ahead of time, so a silent one must not delay another.
    fn take(&self, connection: io::Result<(TcpStream, SocketAddr)>, sign_in: &SignIn, sender: &mpsc::Sender<Answer>) {
        match connection {
            Ok((stream, _)) => spawn(serve(stream, sign_in.clone(), self.port, sender.clone())),
            Err(error) => tracing::debug!("a connection from the browser failed: {error}"),
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Answers one request, and reports its result once the browser has the page.
async fn serve(stream: TcpStream, sign_in: SignIn, port: u16, sender: mpsc::Sender<Answer>) {
    let outcome = Arc::<Mutex<Option<Answer>>>::default();
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let (page, answer) = answer(&request, &sign_in, port);
        if let Some(answer) = answer {
            *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        }
        async move { Ok::<_, Infallible>(page) }
    });
    let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a connection from the browser broke: {error}");
    }
    let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(outcome) = outcome {
        // Without a receiver, an earlier callback has already been accepted.
        let _ = sender.send(outcome).await;
    }
}

fn answer<B>(request: &Request<B>, sign_in: &SignIn, port: u16) -> (Response<String>, Option<Answer>) {
    if request.method() != Method::GET {
        return (page(StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered here."), None);
    }
    if !is_own(request.headers(), port) {
        return (page(StatusCode::FORBIDDEN, "This page accepts only the redirect of its own sign-in."), None);
    }
    let query = request.uri().query().unwrap_or_default();
    match request.uri().path() {
        "/auth/callback" => {}
        "/cancel" if sign_in.is_named_by(query) => {
            return (page(StatusCode::OK, "The sign-in was cancelled."), Some(Err(SignInError::TakenOver)));
        }
        "/cancel" => {
            return (page(StatusCode::BAD_REQUEST, "Another sign-in is under way on this port."), None);
        }
        _ => return (page(StatusCode::NOT_FOUND, "There is nothing here."), None),
    }
    match sign_in.accept(query) {
        Ok(code) => {
            let text = "You are signed in to codex-proxy. You can close this window and go back to the terminal.";
            (page(StatusCode::OK, text), Some(Ok(code)))
        }
        Err(error @ SignInError::Refused(_)) => (page(StatusCode::OK, &error.to_string()), Some(Err(error))),
        Err(error) => (page(StatusCode::BAD_REQUEST, &error.to_string()), None),
    }
}

/// Returns whether a request is the browser's redirect from the issuer, not the request of a page of another origin or
/// of a page whose name was rebound to this machine.
fn is_own(headers: &HeaderMap, port: u16) -> bool {
    let is_loopback = |authority: &str| {
        let (host, written) = authority.rsplit_once(':').unwrap_or_default();
        written.parse() == Ok(port) && matches!(host.to_ascii_lowercase().as_str(), "localhost" | "127.0.0.1" | "[::1]")
    };
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let says = |name: &str, expected: &str| headers.get_all(name).iter().all(|value| value == expected);
    let is_own_origin = |origin: &HeaderValue| {
        origin.to_str().is_ok_and(|origin| origin.strip_prefix("http://").is_some_and(is_loopback))
    };
    host.to_str().is_ok_and(is_loopback)
        && headers.get_all(ORIGIN).iter().all(is_own_origin)
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
}

/// Creates a page with `text`, which may come from another program.
fn page(status: StatusCode, text: &str) -> Response<String> {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let body = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>codex-proxy</title>\
         <body style=\"font:1.1rem system-ui;margin:4rem auto;max-width:36rem\"><p>{text}</p>\n"
    );
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(target: &str) -> (StatusCode, String, Option<Answer>) {
        ask_with(&SignIn::begin(1455).unwrap(), target, &[("host", "localhost:1455")])
    }

    fn ask_with(sign_in: &SignIn, target: &str, headers: &[(&str, &str)]) -> (StatusCode, String, Option<Answer>) {
        let request = headers.iter().fold(Request::get(target), |request, (name, value)| request.header(*name, *value));
        let (page, answer) = answer(&request.body(()).unwrap(), sign_in, 1455);
        (page.status(), page.into_body(), answer)
    }

    /// Returns the state of `sign_in` as the issuer sends it back.
    fn state(sign_in: &SignIn) -> String {
        let address = sign_in.address("https://auth.example", "codex-proxy");
        address.split(['?', '&']).find(|pair| pair.starts_with("state=")).unwrap().to_owned()
    }

    #[test]
    fn a_foreign_state_is_400_and_waiting_goes_on() {
        let (status, _, answer) = ask("/auth/callback?code=c&state=foreign");
        assert_eq!((status, answer), (StatusCode::BAD_REQUEST, None));
        assert_eq!(ask("/auth/callback").0, StatusCode::BAD_REQUEST);
        assert_eq!(ask("/favicon.ico").0, StatusCode::NOT_FOUND);
    }

    #[test]
    fn only_who_knows_the_state_may_cancel() {
        let sign_in = SignIn::begin(1455).unwrap();
        let host = [("host", "127.0.0.1:1455")];
        assert_eq!(ask_with(&sign_in, "/cancel", &host).2, None);
        assert_eq!(ask_with(&sign_in, "/cancel?state=guessed", &host).2, None);
        let known = format!("/cancel?{}", state(&sign_in));
        assert_eq!(ask_with(&sign_in, &known, &host).2, Some(Err(SignInError::TakenOver)));
    }

    #[test]
    fn what_a_foreign_page_sends_does_not_count() {
        let sign_in = SignIn::begin(1455).unwrap();
        let targets = [format!("/auth/callback?code=c&{}", state(&sign_in)), format!("/cancel?{}", state(&sign_in))];
        let local = ("host", "localhost:1455");
        for target in &targets {
            for headers in [
                &[("host", "evil.example:1455")][..],
                &[("host", "localhost")],
                &[("host", "localhost:80")],
                &[("host", "localhost.evil.example:1455")],
                &[local, ("host", "localhost:1455")],
                &[],
                &[local, ("origin", "https://evil.example")],
                &[local, ("origin", "null")],
                &[local, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
                &[local, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            ] {
                let (status, _, answer) = ask_with(&sign_in, target, headers);
                assert_eq!((status, answer), (StatusCode::FORBIDDEN, None), "{target} {headers:?}");
            }
            for headers in [
                &[local][..],
                &[("host", "[::1]:1455")],
                &[local, ("origin", "http://localhost:1455")],
                &[
                    local,
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                    ("sec-fetch-site", "cross-site"),
                ],
            ] {
                assert!(ask_with(&sign_in, target, headers).2.is_some(), "{target} {headers:?}");
            }
        }
    }

    #[test]
    fn foreign_text_is_no_markup() {
        assert!(page(StatusCode::OK, "<script>&").body().contains("&lt;script&gt;&amp;"));
    }

    #[tokio::test]
    async fn the_next_port_is_taken_where_one_is_busy() {
        let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let callback = Callback::bind(&[busy.local_addr().unwrap().port(), 0]).await.unwrap();
        assert_ne!(callback.port(), busy.local_addr().unwrap().port());
        assert!(Callback::bind(&[busy.local_addr().unwrap().port()]).await.is_err());
    }

    #[test]
    fn only_a_look_at_the_page_counts() {
        let sign_in = SignIn::begin(1455).unwrap();
        let request = Request::post("/cancel").body(()).unwrap();
        let (page, outcome) = answer(&request, &sign_in, 1455);
        assert_eq!((page.status(), outcome), (StatusCode::METHOD_NOT_ALLOWED, None));
    }
}
