//! The layers around the routes, tested over real sockets with test routes.

mod endings;
mod leaving;
mod limits;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::credentials::TokenSupplier;
use crate::credentials::store::memory::MemoryStore;
use crate::fault::Fault;
use crate::models::Models;
use crate::oauth::Client;
use crate::platform::{Cores, HttpClient};
use crate::server::observe::RequestLog;
use crate::server::{App, ServerSettings, api, assemble, body, listen};
use crate::upstream;

/// Longer than any step here, shorter than a test's time limit.
const PATIENCE: Duration = Duration::from_secs(20);

/// An app without a login; its backend is a port without a listener.
pub(super) fn app(settings: ServerSettings) -> Arc<App> {
    let client = HttpClient::new(PATIENCE).expect("a client");
    let oauth = Client::new(client.clone(), "http://127.0.0.1:9", "test", "test");
    let supplier = TokenSupplier::new(Arc::new(MemoryStore::default()), oauth);
    let upstream = upstream::UpstreamSettings {
        base_url: "http://127.0.0.1:9".to_owned(),
        originator: "test".to_owned(),
        client_version: "0.0.0".to_owned(),
        user_agent: "test".to_owned(),
        idle_timeout: PATIENCE,
        routing: upstream::Routing::default(),
        transport: upstream::UpstreamTransport::Http,
    };
    Arc::new(App::new(settings, Models::default(), supplier, upstream, client).expect("an app"))
}

/// A server with the routes `echo`, `keep`, `panic`, `wait`, `drip`, `flood` and `events` beside the usual ones.
struct Server {
    address: SocketAddr,
    app: Arc<App>,
    /// Wakes one `wait`, or lets one `drip` end.
    release: Arc<Notify>,
    /// Woken when `wait` or `drip` has begun.
    begun: Arc<Notify>,
    /// Woken when `wait` or `drip` was dropped.
    dropped: Arc<Notify>,
    stop: oneshot::Sender<()>,
    run: JoinHandle<()>,
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Server {
    async fn start(settings: ServerSettings) -> Self {
        Self::start_with_grace(settings, PATIENCE).await
    }

    async fn start_with_grace(settings: ServerSettings, grace: Duration) -> Self {
        Self::start_on(Cores::single(), settings, grace).await
    }

    async fn start_on(cores: Cores, settings: ServerSettings, grace: Duration) -> Self {
        let app = app(settings);
        let (release, begun, dropped) = <(Arc<Notify>, Arc<Notify>, Arc<Notify>)>::default();
        let wait = waiting(&release, &begun, &dropped);
        let drip = dripping(&release, &begun, &dropped);
        let flood = flooding(&dropped);
        let events = drip.clone();
        let events = move || {
            let answer = events();
            async { ([("content-type", "text/event-stream")], answer.await.into_body()) }
        };
        let routes = Router::new()
            .route("/echo", post(echo))
            .route("/keep", post(keep))
            .route(
                "/panic",
                post(|| async {
                    if true {
                        panic!("a defect")
                    }
                }),
            )
            .route("/wait", post(wait))
            .route("/drip", post(drip))
            .route("/flood", post(flood))
            .route("/events", post(events));
        let listeners = listen::bind("127.0.0.1", 0, false).await.expect("a listener");
        let address = listeners[0].local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel();
        let router: Router = assemble(app.clone(), |base| match base {
            "" => api(base).merge(routes.clone()),
            base => api(base).nest(base, routes.clone()),
        });
        let shutdown = async {
            let _ = stopped.await;
        };
        let (cut_off, capacity) = (app.cut_off.clone(), app.capacity.clone());
        #[expect(clippy::disallowed_methods, reason = "the test waits for its end")]
        let run = tokio::spawn(async move {
            listen::run(listeners, router, &cores, shutdown, grace, cut_off, capacity).await;
        });
        Self { address, app, release, begun, dropped, stop, run }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connected")
    }

    /// Posts `body` to `path` with these further header lines, and returns the open connection.
    async fn post(&self, path: &str, lines: &str, body: &str) -> TcpStream {
        let mut socket = self.connect().await;
        let length = body.len();
        let text = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n{lines}\r\n{body}"
        );
        socket.write_all(text.as_bytes()).await.expect("written");
        socket
    }
}

async fn echo(State(app): State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let log = RequestLog::of(&app, &request);
    let body = body::read(request, app.settings.max_body_size, app.settings.body_silence, log.slot()).await?;
    Ok(Response::new(Body::from(body)))
}

/// Reads the body and never answers.
async fn keep(state: State<Arc<App>>, request: Request) -> Result<Response, Fault> {
    let log = RequestLog::of(&state, &request);
    let _body = echo(state, request).await?;
    drop(log);
    std::future::pending().await
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers once released.
fn waiting(release: &Arc<Notify>, begun: &Arc<Notify>, dropped: &Arc<Notify>) -> impl Fn() -> Answer + Clone + use<> {
    let (release, begun, dropped) = (release.clone(), begun.clone(), dropped.clone());
    move || {
        let (release, begun, dropped) = (release.clone(), begun.clone(), NotifyOnDrop(dropped.clone()));
        Box::pin(async move {
            let _dropped = dropped;
            begun.notify_one();
            release.notified().await;
            Response::new(Body::from("released"))
        })
    }
}

/// Sends one piece at once, and a last one when released.
fn dripping(release: &Arc<Notify>, begun: &Arc<Notify>, dropped: &Arc<Notify>) -> impl Fn() -> Answer + Clone + use<> {
    let (release, begun, dropped) = (release.clone(), begun.clone(), dropped.clone());
    move || {
        let (release, begun, dropped) = (release.clone(), begun.clone(), NotifyOnDrop(dropped.clone()));
        Box::pin(async move {
            let first = futures_util::stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"first ")) });
            let last = futures_util::stream::once(async move {
                let _dropped = dropped;
                begun.notify_one();
                release.notified().await;
                Ok(Bytes::from_static(b"last"))
            });
            Response::new(Body::from_stream(first.chain(last)))
        })
    }
}

/// Sends without end.
fn flooding(dropped: &Arc<Notify>) -> impl Fn() -> Answer + Clone + use<> {
    let dropped = dropped.clone();
    move || {
        let dropped = NotifyOnDrop(dropped.clone());
        Box::pin(async move {
            let pieces = futures_util::stream::repeat_with(move || {
                let _ = &dropped;
                Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 16 << 10]))
            });
            Response::new(Body::from_stream(pieces))
        })
    }
}

/// Reads `socket` to its end.
async fn rest(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut text)).await.expect("an end in time");
    read.expect("an orderly end");
    String::from_utf8_lossy(&text).into_owned()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}
