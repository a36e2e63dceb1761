//! The HTTP side: routes, the listener, and a handle that stops it.
//!
//! * Every request is read whole, recorded, and dispatched.
//! * `POST …/responses/compact` is not a route: the backend has answered 404 `{"detail":"Not Found"}` there since
//!   2026-08-12, for every account and client version (Soju06/codex-lb#1715, openai/codex#38323).
//! * Dropping [`RunningSimulator`] closes the listener and every connection at once.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use http::header::{DATE, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::call::{Call, UnreadableBody};
use crate::images::ImageEndpoint;
use crate::record::{AnswerOutcome, Guard, RecordedRequest};
use crate::script::{HangUp, ScriptedAnswer};
use crate::{Simulator, issuer};

/// A simulator that listens on a free loopback port until it is dropped.
#[derive(Debug)]
pub struct RunningSimulator {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl RunningSimulator {
    /// Returns `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the backend's base URL.
    pub fn upstream_url(&self) -> String {
        format!("{}{BACKEND}", self.base_url())
    }

    /// Returns the issuer's base URL.
    pub fn auth_url(&self) -> String {
        self.base_url()
    }
}

impl Simulator {
    /// Returns all routes, for another server.
    pub fn router(&self) -> Router {
        Router::new().fallback(entry).with_state(self.clone())
    }

    /// Listens on a free port of 127.0.0.1.
    pub async fn start(&self) -> io::Result<RunningSimulator> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let simulator = self.clone();
        tokio::spawn(async move {
            simulator
                .serve(listener, async {
                    // Resolves with an error as soon as the handle is dropped.
                    let _ = stopped.await;
                })
                .await;
        });
        Ok(RunningSimulator { address, _stop: stop })
    }

    /// Serves `listener` until `shutdown` resolves, then closes every connection.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        let (open, closed) = watch::channel(());
        let router = self.router().layer(axum::Extension(Closing(closed)));
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            let stream = tokio::select! {
                () = &mut shutdown => {
                    drop(open);
                    return;
                }
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::debug!(%error, "the simulator could not accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let _ = stream.set_nodelay(true);
            let service = TowerToHyperService::new(tower::util::MapResult::new(router.clone(), hang_up));
            connections.spawn(async move {
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                if let Err(error) = connection.with_upgrades().await {
                    tracing::trace!(%error, "a connection to the simulator ended early");
                }
            });
        }
    }

    async fn dispatch(&self, call: Call, mut guard: Guard) -> Response<Body> {
        let path = call.head.uri.path().to_owned();
        match (&call.head.method, path.as_str()) {
            (&Method::POST, "/oauth/token") => {
                guard.token_request();
                issuer::token(self, &call).await.play(guard).await
            }
            (&Method::GET, "/oauth/authorize") => issuer::authorize(self, &call).play(guard).await,
            (&Method::POST, "/oauth/revoke") => issuer::revoke(self, &call).play(guard).await,
            (&Method::POST, "/api/accounts/deviceauth/usercode") => issuer::user_code(self, &call).play(guard).await,
            (&Method::POST, "/api/accounts/deviceauth/token") => issuer::device_poll(self, &call).play(guard).await,
            (&Method::GET, "/codex/device") => issuer::device_page().play(guard).await,
            (&Method::POST, "/codex/device") => issuer::device_approval(self, &call).play(guard).await,
            (&Method::POST, "/backend-api/codex/responses") => self.responses(&call, guard).await,
            (&Method::GET, "/backend-api/codex/responses") => self.get_responses(call, guard).await,
            (&Method::POST, "/backend-api/codex/images/generations") => {
                self.images(&call, ImageEndpoint::Generations, guard).await
            }
            (&Method::POST, "/backend-api/codex/images/edits") => self.images(&call, ImageEndpoint::Edits, guard).await,
            (&Method::POST, "/backend-api/codex/alpha/search") => self.search(&call, guard).await,
            (&Method::GET, "/backend-api/codex/models") => self.models(&call).play(guard).await,
            (&Method::GET, "/backend-api/wham/accounts/check") => self.account_check(&call).play(guard).await,
            (&Method::GET, "/backend-api/wham/usage") => self.usage(&call).play(guard).await,
            _ => not_found().play(guard).await,
        }
    }
}

async fn entry(State(simulator): State<Simulator>, request: Request<Body>) -> Response<Body> {
    let (head, bytes) = Call::read(request).await;
    let (bytes, fault) = match bytes {
        Ok(bytes) => (bytes, None),
        Err(fault) => (bytes::Bytes::new(), Some(fault)),
    };
    let call = Call { head, bytes };
    let guard = simulator.inner.journal.open(record(&call), simulator.settings().record_limit);
    let mut response = match fault {
        Some(fault) => unreadable(&fault).play(guard).await,
        None => simulator.dispatch(call, guard).await,
    };
    response.headers_mut().insert(SIMULATION, HeaderValue::from_static("true"));
    response.headers_mut().extend(date(simulator.now()).map(|date| (DATE, date)));
    response
}

/// Formats the simulator's time (Unix seconds) as a header.
fn date(now: i64) -> Option<HeaderValue> {
    let now = std::time::Duration::from_secs(u64::try_from(now).ok()?);
    HeaderValue::try_from(httpdate::fmt_http_date(std::time::UNIX_EPOCH.checked_add(now)?)).ok()
}

/// The end of the listener, at which its WebSockets end.
#[derive(Debug, Clone)]
pub(super) struct Closing(watch::Receiver<()>);

impl Closing {
    /// Ready once the listener has ended.
    pub(super) async fn wait(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// The reason that a connection gets no answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
struct Severed;

impl From<Infallible> for Severed {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Returns an error in place of an answer, at which the server closes the connection without a head.
fn hang_up(answered: Result<Response<Body>, Infallible>) -> Result<Response<Body>, Severed> {
    let Ok(response) = answered;
    if response.extensions().get::<HangUp>().is_some() {
        return Err(Severed);
    }
    Ok(response)
}

fn record(call: &Call) -> RecordedRequest {
    RecordedRequest {
        index: 0,
        method: call.head.method.clone(),
        path: call.head.uri.path().to_owned(),
        query: call.query().to_owned(),
        headers: call.head.headers.clone(),
        bytes: call.bytes.clone(),
        arrived: tokio::time::Instant::now(),
        status: None,
        outcome: AnswerOutcome::Open,
    }
}

fn not_found() -> ScriptedAnswer {
    ScriptedAnswer::json(StatusCode::NOT_FOUND, &json!({ "detail": "Not Found" }))
}

fn unreadable(fault: &UnreadableBody) -> ScriptedAnswer {
    ScriptedAnswer::json(StatusCode::BAD_REQUEST, &json!({ "detail": fault.to_string() }))
}

/// The backend's path below the base URL.
pub(super) const BACKEND: &str = "/backend-api/codex";

const SIMULATION: HeaderName = HeaderName::from_static("x-simulation");
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
