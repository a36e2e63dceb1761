//! `doctor`: checks for common problems and their solutions.
//!
//! * Read-only: a login is neither renewed nor imported, nothing is written.
//! * Every check runs, whatever the others found; a failed check makes the exit code 1.
//! * A check that cannot run says so, and why.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use tokio::time::timeout;

use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::serve::{CONNECT_TIMEOUT, issuer};
use crate::cli::workspace::{Problem, Workspace};
use crate::cli::{health, setup};
use crate::credentials::status::AdminStatus;
use crate::credentials::store::file::FileStore;
use crate::credentials::{CredentialStore as _, Login, StoreChoice, TokenSupplier, open_store};
#[cfg(unix)]
use crate::files::trust;
use crate::keys::file;
use crate::models::Models;
use crate::platform::{HttpClient, unix_now};
use crate::server::listen;
use crate::server::listen::BindError;
use crate::upstream::page::Asker;

/// Runs every check and writes a line about each.
pub(super) async fn examine(config: &Config, output: &mut impl Write) -> Result<(), CliError> {
    let client = HttpClient::new(CONNECT_TIMEOUT)?;
    let supplier = TokenSupplier::new(open_store(&config.store, &config.environment), issuer(config, &client));
    let mut findings = vec![program(config), port(config).await];
    findings.extend(named_keys(config));
    findings.extend(login(config, &supplier).await);
    let login = supplier.login().await.ok();
    let (reached, clock) = upstream(config, &client, login.as_ref()).await;
    let is_offline = reached.verdict == Verdict::Broken;
    findings.extend([reached, token_issuer(config, &client).await, clock]);
    findings.extend(workspace(config, &client, login.as_ref(), is_offline).await);
    findings.extend(claude_code(config, &setup::remembered(config, &client, &supplier)));
    let written = write(&findings, login.is_some(), output);
    // The exit code is the answer, with or without a reader of the lines.
    if findings.iter().any(|finding| finding.verdict == Verdict::Broken) {
        return Err(CliError::Reported);
    }
    Ok(written?)
}

fn write(findings: &[Finding], has_login: bool, output: &mut impl Write) -> std::io::Result<()> {
    for finding in findings {
        writeln!(output, "{} {:9} {}", finding.verdict.mark(), finding.about, finding.text)?;
    }
    // Nobody was overloaded without a login.
    if has_login { writeln!(output, "{OVERLOAD_HINT}") } else { Ok(()) }
}

/// The result of one check.
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
    /// The check could not run.
    Unchecked,
}

impl Verdict {
    const fn mark(self) -> &'static str {
        match self {
            Self::Fine => "✅",
            Self::Doubtful => "⚠️ ",
            Self::Broken => "❌",
            Self::Unchecked => "➖",
        }
    }

    fn about(self, about: &'static str, text: impl Display) -> Finding {
        Finding { verdict: self, about, text: text.to_string() }
    }
}

/// Tells the version, and where the options in force come from.
fn program(config: &Config) -> Finding {
    let file =
        config.origins.file().map_or_else(|| "no configuration file".to_owned(), |path| path.display().to_string());
    let variables = config.origins.variables();
    let variables =
        if variables.is_empty() { String::new() } else { format!(", and {} of the environment", variables.join(", ")) };
    Verdict::Fine.about("program", format!("codex-proxy {}, with {file}{variables}", env!("CARGO_PKG_VERSION")))
}

/// Checks the file of the named keys, if there are any.
fn named_keys(config: &Config) -> Option<Finding> {
    let path = config.keys_path.as_deref()?;
    match file::load(path) {
        Ok(set) if set.is_empty() => None,
        Ok(set) => {
            Some(Verdict::Fine.about("keys", format!("{} with names in {}", set.iter().count(), path.display())))
        }
        Err(problem) => Some(Verdict::Broken.about("keys", CliError::Keys { path: path.to_owned(), problem })),
    }
}

async fn port(config: &Config) -> Finding {
    let error = match listen::bind(&config.host, config.port, config.has_key).await {
        Ok(_) => {
            let text = format!("{} on {} is free; `codex-proxy` serves on it", config.port, config.host);
            return Verdict::Fine.about("port", text);
        }
        Err(error) => CliError::from(error).located(&config.origins),
    };
    if !matches!(error, CliError::Bind { error: BindError::InUse { .. }, .. }) {
        return Verdict::Broken.about("port", error);
    }
    match health::ask(&health::url(config)).await {
        Ok(health) if health.mode == "demo" => Verdict::Doubtful.about(
            "port",
            format!("the demo is serving on {}, and no model answers there; stop it first", config.port),
        ),
        Ok(_) => Verdict::Fine.about("port", format!("codex-proxy is serving on {}", config.port)),
        Err(_) => Verdict::Broken.about("port", error),
    }
}

async fn login(config: &Config, supplier: &TokenSupplier) -> Vec<Finding> {
    let status = supplier.status().await;
    let place = supplier.place();
    let is_importable =
        config.store.choice == StoreChoice::Auto && config.environment.legacy_path().parent().is_some_and(Path::exists);
    let mut findings = vec![token(&status, is_importable, &place)];
    findings.extend(shared_chain(config, supplier).await);
    findings.extend(permissions(config, &place.location));
    findings
}

/// Checks whether the Codex CLI holds the same refresh token, which works once.
async fn shared_chain(config: &Config, supplier: &TokenSupplier) -> Option<Finding> {
    if !config.store.choice.is_own_file() {
        return None;
    }
    let ours = supplier.login().await.ok()?.refresh_token?;
    let path = config.environment.legacy_path();
    let is_same_file = std::fs::canonicalize(&supplier.place().location).ok()? == std::fs::canonicalize(&path).ok()?;
    let theirs = FileStore::legacy(path.clone()).read().await.ok()??.login().ok()?.refresh_token?;
    (ours == theirs && !is_same_file).then(|| {
        Verdict::Doubtful.about(
            "login",
            format!(
                "{} holds the same refresh token, which works once: the Codex CLI or this proxy will have to sign in again; \
                 `codex-proxy login` gives the proxy one of its own",
                path.display()
            ),
        )
    })
}

/// Checks the login's token. `is_importable`: there is a Codex CLI here, whose login the next start might copy.
fn token(status: &AdminStatus, is_importable: bool, place: &impl Display) -> Finding {
    let left = status.minutes_until_expiry.unwrap_or_default();
    match &status.error {
        Some(error) if status.has_credentials && !status.is_expired => Verdict::Doubtful.about("login", error),
        Some(error) if !status.has_credentials && is_importable => {
            Verdict::Broken.about("login", format!("{error}. {IMPORT_COST}"))
        }
        Some(error) => Verdict::Broken.about("login", error),
        None if status.is_expired => Verdict::Doubtful
            .about("login", format!("the token in {place} has expired; it is renewed on the next start")),
        None => Verdict::Fine.about("login", format!("the token in {place} is valid for {left} more minutes")),
    }
}

/// Checks whether other users of this machine could read or replace the login's file.
#[cfg(unix)]
fn permissions(config: &Config, location: &str) -> Vec<Finding> {
    use std::os::unix::fs::PermissionsExt as _;
    if !config.store.choice.is_file() {
        return Vec::new();
    }
    let mode = |path: &Path| std::fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o777);
    let file = mode(Path::new(location)).map(|mode| match mode & 0o077 {
        0 => Verdict::Fine.about("file", format!("{location} is private")),
        _ => Verdict::Doubtful
            .about("file", format!("others can read {location} (mode {mode:03o}); run: chmod 600 {location}")),
    });
    let directory = Path::new(location).parent().and_then(|directory| trust::check_directory(directory).err());
    let directory = directory.map(|problem| Verdict::Broken.about("directory", format!("{location}: {problem}")));
    file.into_iter().chain(directory).collect()
}

#[cfg(not(unix))]
fn permissions(_config: &Config, _location: &str) -> Vec<Finding> {
    Vec::new()
}

/// Checks the connection to the backend, and this machine's clock against the backend's.
async fn upstream(config: &Config, client: &HttpClient, login: Option<&Login>) -> (Finding, Finding) {
    let settings = &config.upstream;
    let base_url = login.map_or(settings.base_url.as_str(), |login| settings.url_for(&login.access));
    let url = format!("{base_url}/models?client_version={}", settings.client_version);
    match ask(client, &url).await {
        Ok(headers) => (Verdict::Fine.about("backend", "can be reached"), clock(&headers)),
        Err(problem) => {
            let text = format!("{base_url} cannot be reached: {problem}; check the network and HTTPS_PROXY");
            (Verdict::Broken.about("backend", text), Verdict::Unchecked.about("clock", OFFLINE))
        }
    }
}

/// Checks whether calls go to the address that serves the login's workspace.
async fn workspace(config: &Config, client: &HttpClient, login: Option<&Login>, is_offline: bool) -> Vec<Finding> {
    let unchecked = |why: &str| vec![Verdict::Unchecked.about("workspace", why)];
    let Some(login) = login.filter(|login| !login.is_expired(unix_now().as_secs())) else {
        return unchecked("not checked: there is no login that works");
    };
    if is_offline {
        return unchecked(OFFLINE);
    }
    let settings = &config.upstream;
    let asker = Asker { http: client.clone(), upstream: settings.clone() };
    let workspace = match Workspace::ask(&asker, &login.access).await {
        Ok(workspace) => workspace,
        Err(problem) => return unchecked(&format!("not checked: {problem}")),
    };
    let route = settings.routing.account_override.as_deref();
    let problems = workspace.problems(settings.url_for(&login.access), route).into_iter();
    let findings: Vec<_> = problems
        .map(|problem| match problem {
            Problem::Unusable(text) => Verdict::Broken.about("workspace", text),
            Problem::Misrouted(text) => Verdict::Doubtful.about("workspace", text),
        })
        .collect();
    if findings.is_empty() { vec![Verdict::Fine.about("workspace", "is reached at its own address")] } else { findings }
}

/// Whether Claude Code, where it asks this program, takes its model for a larger one.
fn claude_code(config: &Config, models: &Models) -> Option<Finding> {
    Some(match setup::examine_claude(config, models)? {
        Ok(text) => Verdict::Fine.about("claude", text),
        Err(problem) => Verdict::Doubtful.about("claude", problem),
    })
}

async fn token_issuer(config: &Config, client: &HttpClient) -> Finding {
    match ask(client, &config.auth_url).await {
        Ok(_) => Verdict::Fine.about("issuer", "can be reached"),
        Err(problem) => Verdict::Broken
            .about("issuer", format!("{} cannot be reached: {problem}; tokens cannot be renewed", config.auth_url)),
    }
}

fn clock(headers: &HeaderMap) -> Finding {
    let date = headers.get(header::DATE).and_then(|date| date.to_str().ok());
    let theirs = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let theirs = theirs.and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok());
    let Some(apart) = theirs.map(|theirs| theirs.abs_diff(unix_now())) else {
        return Verdict::Unchecked.about("clock", "not checked: the backend sends no time");
    };
    if apart <= CLOCK_TOLERANCE {
        return Verdict::Fine.about("clock", "agrees with the backend's");
    }
    Verdict::Doubtful.about(
        "clock",
        format!("is {} s off the backend's; set it, or tokens are renewed too early or too late", apart.as_secs()),
    )
}

/// Returns the head of any answer; the request carries no login.
async fn ask(client: &HttpClient, url: &str) -> Result<HeaderMap, String> {
    let request = Request::get(url)
        .header(header::USER_AGENT, crate::upstream::UpstreamSettings::user_agent())
        .body(Bytes::new())
        .map_err(|error| error.to_string())?;
    match timeout(PATIENCE, client.send(request)).await {
        Ok(Ok(response)) => Ok(response.into_parts().0.headers),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

const OFFLINE: &str = "not checked: offline";
/// The effect of `auto`'s first start on a Codex CLI of this machine.
const IMPORT_COST: &str = "Where the Codex CLI is signed in, `codex-proxy` copies its login and renews it, after which the \
                           Codex CLI has to sign in again when its token ends; `codex-proxy login` and --creds-store legacy \
                           avoid that";
/// Reported for one account, which its owner fixed this way (2026-09-19); no check can detect it.
const OVERLOAD_HINT: &str = "💡 If every model has been overloaded for hours, sign in again: codex-proxy login";
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
            clock(&headers).verdict
        };
        assert_eq!((at(0), at(3600)), (Verdict::Fine, Verdict::Doubtful));
        assert_eq!(clock(&HeaderMap::new()).verdict, Verdict::Unchecked);
    }
}
