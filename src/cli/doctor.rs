//! `doctor`: why it does not work, and what to do about it.
//!
//! * It only looks: a login is neither renewed nor imported, nothing is written.
//! * Every check is made, whatever the others found; one that fails makes the exit code 1.

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use tokio::time::timeout;

use super::config::Config;
use super::error::CliError;
use super::serve::{CONNECT_TIMEOUT, issuer};
use crate::credentials::admin::AdminStatus;
use crate::credentials::{StoreChoice, TokenSupplier, open_store};
use crate::platform::{HttpClient, unix_now};
use crate::server::listen::{self, BindError};

/// Makes every check and writes a line about each.
pub(super) async fn examine(config: &Config, output: &mut impl Write) -> Result<(), CliError> {
    let client = HttpClient::new(CONNECT_TIMEOUT)?;
    let supplier = TokenSupplier::new(open_store(&config.store, &config.environment), issuer(config, &client));
    let mut findings = vec![port(config, &client).await];
    findings.extend(login(config, &supplier).await);
    let (reached, clock) = upstream(config, &client).await;
    findings.extend([reached, token_issuer(config, &client).await]);
    findings.extend(clock);
    for finding in &findings {
        writeln!(output, "{} {:8} {}", finding.verdict.mark(), finding.about, finding.text)?;
    }
    if findings.iter().any(|finding| finding.verdict == Verdict::Broken) { Err(CliError::Reported) } else { Ok(()) }
}

/// What one check found.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    verdict: Verdict,
    about: &'static str,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    Doubtful,
    Broken,
}

impl Verdict {
    const fn mark(self) -> &'static str {
        match self {
            Self::Fine => "✅",
            Self::Doubtful => "⚠️ ",
            Self::Broken => "❌",
        }
    }

    fn about(self, about: &'static str, text: impl Display) -> Finding {
        Finding { verdict: self, about, text: text.to_string() }
    }
}

async fn port(config: &Config, client: &HttpClient) -> Finding {
    match listen::bind(&config.host, config.port, config.has_key).await {
        Ok(_) => Verdict::Fine.about("port", format!("{} on {} is free", config.port, config.host)),
        Err(BindError::InUse { port, .. }) if is_ours(client, port).await => {
            Verdict::Fine.about("port", format!("codex-proxy is serving on {port}"))
        }
        Err(error) => Verdict::Broken.about("port", error),
    }
}

async fn is_ours(client: &HttpClient, port: u16) -> bool {
    let answer = ask(client, &format!("http://127.0.0.1:{port}/health")).await;
    answer.is_ok_and(|headers| headers.contains_key("x-request-id"))
}

async fn login(config: &Config, supplier: &TokenSupplier) -> Vec<Finding> {
    let status = supplier.status().await;
    let place = supplier.place();
    let mut findings = vec![token(&status, config.store.choice, &place)];
    findings.extend(permissions(config, &place.location));
    findings
}

fn token(status: &AdminStatus, choice: StoreChoice, place: &impl Display) -> Finding {
    let left = status.minutes_until_expiry.unwrap_or_default();
    match &status.error {
        Some(error) if status.has_credentials && !status.is_expired => Verdict::Doubtful.about("login", error),
        Some(error) if !status.has_credentials && choice == StoreChoice::Auto => Verdict::Broken
            .about("login", format!("{error}; where the Codex CLI is signed in, `codex-proxy` takes its login over")),
        Some(error) => Verdict::Broken.about("login", error),
        None if status.is_expired => Verdict::Doubtful
            .about("login", format!("the token in {place} has expired; it is renewed on the next start")),
        None => Verdict::Fine.about("login", format!("the token in {place} is good for {left} more minutes")),
    }
}

/// Whether others on this machine could read the login's file.
#[cfg(unix)]
fn permissions(config: &Config, location: &str) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt as _;
    if matches!(config.store.choice, StoreChoice::Keychain | StoreChoice::Env) {
        return None;
    }
    let mode = std::fs::metadata(location).ok()?.permissions().mode() & 0o777;
    Some(if mode & 0o077 == 0 {
        Verdict::Fine.about("file", format!("{location} is yours alone"))
    } else {
        Verdict::Doubtful
            .about("file", format!("others can read {location} (mode {mode:03o}); run: chmod 600 {location}"))
    })
}

#[cfg(not(unix))]
fn permissions(_config: &Config, _location: &str) -> Option<Finding> {
    None
}

/// Whether the backend can be reached, and what its clock says of ours.
async fn upstream(config: &Config, client: &HttpClient) -> (Finding, Option<Finding>) {
    let url = format!("{}/models?client_version={}", config.upstream.base_url, config.upstream.client_version);
    match ask(client, &url).await {
        Ok(headers) => (Verdict::Fine.about("backend", "can be reached"), clock(&headers)),
        Err(problem) => {
            let text =
                format!("{} cannot be reached: {problem}; check the network and HTTPS_PROXY", config.upstream.base_url);
            (Verdict::Broken.about("backend", text), None)
        }
    }
}

async fn token_issuer(config: &Config, client: &HttpClient) -> Finding {
    match ask(client, &config.auth_url).await {
        Ok(_) => Verdict::Fine.about("issuer", "can be reached"),
        Err(problem) => Verdict::Broken
            .about("issuer", format!("{} cannot be reached: {problem}; tokens cannot be renewed", config.auth_url)),
    }
}

fn clock(headers: &HeaderMap) -> Option<Finding> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let theirs = httpdate::parse_http_date(date).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let apart = theirs.abs_diff(unix_now());
    Some(if apart <= CLOCK_TOLERANCE {
        Verdict::Fine.about("clock", "agrees with the backend's")
    } else {
        Verdict::Doubtful.about(
            "clock",
            format!("is {} s off the backend's; set it, or tokens are renewed too early or too late", apart.as_secs()),
        )
    })
}

/// The head of any answer at all; nothing is sent but the question.
async fn ask(client: &HttpClient, url: &str) -> Result<HeaderMap, String> {
    let request = Request::get(url)
        .header(header::USER_AGENT, crate::upstream::Settings::user_agent())
        .body(Bytes::new())
        .map_err(|error| error.to_string())?;
    match timeout(PATIENCE, client.send(request)).await {
        Ok(Ok(response)) => Ok(response.into_parts().0.headers),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_far_off_is_told() {
        let at = |offset: u64| {
            let now = unix_now().saturating_sub(Duration::from_secs(offset));
            let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + now);
            let headers = HeaderMap::from_iter([(header::DATE, date.parse().expect("a date"))]);
            clock(&headers).map(|finding| finding.verdict)
        };
        assert_eq!((at(0), at(3600)), (Some(Verdict::Fine), Some(Verdict::Doubtful)));
        assert_eq!(clock(&HeaderMap::new()), None);
    }
}
