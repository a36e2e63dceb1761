//! `health`: asks the running server whether it serves, for health checks of containers and services.
//!
//! * The address comes from the same configuration as the server's.
//! * A server without a login serves all the same: the login is told, and does not decide.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use serde::Deserialize;
use tokio::time::timeout;

use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::platform::{HttpClient, Reach, TransportSettings};

/// What a server of this program says in `/health`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ServerHealth {
    pub(super) version: String,
    /// `live`, or `demo` before the simulator. Older versions do not say.
    #[serde(default = "live")]
    pub(super) mode: String,
    /// `ok`, `missing` or `expired`.
    pub(super) credentials: String,
}

/// Asks the configured server, and writes one line about it. Fails if it does not answer.
pub(super) async fn check(config: &Config, output: &mut impl Write) -> Result<(), CliError> {
    if config.port == 0 {
        let problem = "0 is any free port; name the one that the server has".to_owned();
        return Err(CliError::Option { option: "--port".to_owned(), problem });
    }
    let url = url(config);
    match ask(&url).await {
        Ok(health) => {
            let ServerHealth { version, mode, credentials } = health;
            let line = format!("ok: codex-proxy {version} serves on {url}, mode {mode}, login {credentials}");
            // The exit code is the answer, with or without a reader of the line.
            let _ = writeln!(output, "{line}");
            Ok(())
        }
        Err(problem) => {
            let _ = writeln!(output, "not serving: {url} {problem}");
            Err(CliError::Reported)
        }
    }
}

/// Returns the address at which this machine reaches the configured server.
pub(super) fn url(config: &Config) -> String {
    let host = match config.host.trim() {
        "localhost" | "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" | "[::]" => "[::1]".to_owned(),
        host if host.parse::<std::net::Ipv6Addr>().is_ok() => format!("[{host}]"),
        host => host.to_owned(),
    };
    format!("http://{host}:{}", config.port)
}

/// Asks the server at `url` for its health. The error is a predicate without a subject.
pub(super) async fn ask(url: &str) -> Result<ServerHealth, String> {
    // The server is this machine's own: the environment's proxies have no part in it.
    let settings = TransportSettings { reach: Reach::Loopback, ..TransportSettings::default() };
    let client = HttpClient::with_settings(settings).map_err(|error| error.to_string())?;
    let request = Request::get(format!("{url}/health")).body(Bytes::new());
    let request = request.map_err(|_| "is no address".to_owned())?;
    let answer = timeout(PATIENCE, answer(&client, request)).await;
    answer.map_err(|_| format!("does not answer within {} seconds", PATIENCE.as_secs()))?
}

async fn answer(client: &HttpClient, request: Request<Bytes>) -> Result<ServerHealth, String> {
    let failed = |error: crate::platform::TransportError| format!("cannot be reached: {error}");
    let (head, mut stream) = client.send(request).await.map_err(failed)?.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        body.extend_from_slice(&chunk.map_err(failed)?);
        if body.len() > LARGEST {
            break;
        }
    }
    match head.status {
        StatusCode::OK if head.headers.contains_key("x-request-id") => {
            serde_json::from_slice(&body).map_err(|_| "answers, but is no codex-proxy".to_owned())
        }
        StatusCode::OK => Err("answers, but is no codex-proxy".to_owned()),
        status => Err(format!("answers {status}")),
    }
}

fn live() -> String {
    "live".to_owned()
}

const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 64 << 10;
