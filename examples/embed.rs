//! The proxy inside another axum program: its own route beside those of the proxy, on one port.
//!
//! The built-in simulator stands for the backend and the token issuer, so that this runs without an account and a network:
//! `cargo run --example embed`. With a real login, the store is a `FileStore` and the addresses are those in
//! `upstream::defaults`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use codex_proxy::credentials::store::memory::MemoryStore;
use codex_proxy::credentials::{AuthDocument, TokenSupplier};
use codex_proxy::models::Models;
use codex_proxy::oauth;
use codex_proxy::platform::{Cores, HttpClient};
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::server::{App, listen, router};
use codex_proxy::simulator::{RunningSimulator, SimulatedLogin, Simulator};
use codex_proxy::upstream;
use codex_proxy::upstream::defaults;
use http::Request;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let simulator = Simulator::new();
    let running = simulator.start().await?;
    let app = Arc::new(app(&simulator, &running)?);

    // Whatever this program has no route for is the proxy's.
    let program = Router::new().route("/hello", get(|| async { "This is another program." }));
    let program = program.fallback_service(router(app.clone()));

    let listeners = listen::bind("127.0.0.1", 0, false).await?;
    let base = format!("http://{}", listeners.first().ok_or("no listener")?.local_addr()?);
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let grace = Duration::from_secs(1);
    let cores = Cores::single();
    let (cut_off, capacity) = (app.cut_off.clone(), app.capacity.clone());
    let serving = listen::run(listeners, program, &cores, shutdown, grace, cut_off, capacity);
    let asking = async {
        let asked = ask(&base).await;
        drop(stop);
        asked
    };
    let ((), asked) = tokio::join!(serving, asking);
    asked
}

/// A proxy whose login is one of the simulator's.
fn app(simulator: &Simulator, running: &RunningSimulator) -> Result<App, Box<dyn Error>> {
    let client = HttpClient::new(Duration::from_secs(10))?;
    let login = AuthDocument::parse(&simulator.issue_login(SimulatedLogin::default()).to_string())?;
    let issuer = oauth::Client::new(client.clone(), &running.auth_url(), defaults::ORIGINATOR, "embed-example/0.1");
    let supplier = TokenSupplier::new(Arc::new(MemoryStore::new(Some(login))), issuer);
    let upstream = upstream::UpstreamSettings {
        base_url: running.upstream_url(),
        originator: defaults::ORIGINATOR.to_owned(),
        client_version: defaults::CLIENT_VERSION.to_owned(),
        user_agent: upstream::UpstreamSettings::user_agent(),
        idle_timeout: upstream::UpstreamSettings::IDLE_TIMEOUT,
        routing: upstream::Routing::default(),
        transport: upstream::UpstreamTransport::Http,
    };
    Ok(App::new(ServerSettings::default(), Models::default(), supplier, upstream, client)?)
}

/// Asks both halves of the program, and prints what they say.
async fn ask(base: &str) -> Result<(), Box<dyn Error>> {
    let hello = Request::get(format!("{base}/hello")).body(Bytes::new())?;
    println!("GET /hello\n{}\n", answer(hello).await?);
    let body = r#"{"messages":[{"role":"user","content":"Good morning!"}]}"#;
    let chat = Request::post(format!("{base}/v1/chat/completions")).header("content-type", "application/json");
    println!("POST /v1/chat/completions\n{}", answer(chat.body(Bytes::from_static(body.as_bytes()))?).await?);
    Ok(())
}

async fn answer(request: Request<Bytes>) -> Result<String, Box<dyn Error>> {
    let (head, body) = HttpClient::new(Duration::from_secs(10))?.send(request).await?.into_parts();
    let pieces = futures_util::TryStreamExt::map_ok(body, http_body::Frame::data);
    let text = String::from_utf8(StreamBody::new(pieces).collect().await?.to_bytes().to_vec())?;
    if head.status.is_success() { Ok(text) } else { Err(format!("{}: {text}", head.status).into()) }
}
