//! The commands `login`, `logout` and `status`, with the configuration applied.

use std::io::{self, BufReader, IsTerminal as _, Write};

use crate::cli::config::Config;
use crate::cli::config::args::{Format, LoginArguments, LogoutArguments};
use crate::cli::error::CliError;
use crate::cli::login::{CredentialContext, LoginOptions, Method, Seat};
use crate::cli::logout::{LogoutOptions, ServerSeen};
use crate::cli::serve::{CONNECT_TIMEOUT, issuer};
use crate::cli::status::StatusOptions;
use crate::cli::{health, login, logout, status, variable};
use crate::credentials::open_store;
use crate::ledger::LedgerPlace;
use crate::platform::HttpClient;
use crate::upstream::page::Asker;

pub(super) async fn log_in(
    config: &Config,
    arguments: LoginArguments,
    output: &mut (dyn Write + Send),
) -> Result<(), CliError> {
    let method = match arguments {
        LoginArguments { device: true, .. } => Method::Device,
        LoginArguments { no_browser: true, .. } => Method::Paste,
        LoginArguments { .. } => Method::Browser,
    };
    let seat = Seat::of(|name| variable(name).is_some(), io::stdout().is_terminal());
    let options = LoginOptions { method, seat, ..LoginOptions::default() };
    let input = Box::new(BufReader::new(io::stdin()));
    Ok(login::login(&options, &context(config)?, input, output).await?)
}

pub(super) async fn log_out(
    config: &Config,
    arguments: LogoutArguments,
    output: &mut (dyn Write + Send),
) -> Result<(), CliError> {
    let imports = config.store.choice.imports();
    let server = match health::ask(&health::url(config)).await {
        Ok(health) if health.mode == "live" => ServerSeen::Running,
        Ok(_) | Err(_) => ServerSeen::Absent,
    };
    let options = LogoutOptions { revoke: arguments.revoke, imports, server };
    Ok(logout::logout(options, &context(config)?, output).await?)
}

/// Shows the login. Fails, after an explanation, if there is no working login.
pub(super) async fn show(config: &Config, format: Format, output: &mut (dyn Write + Send)) -> Result<(), CliError> {
    let asker = Asker { http: HttpClient::new(CONNECT_TIMEOUT)?, upstream: config.upstream.clone() };
    let options = StatusOptions {
        json: format.json,
        usage: Some(asker),
        ledger: config.ledger_path.clone().map(LedgerPlace::File),
    };
    let works = status::status(&options, &context(config)?, output).await?;
    if works { Ok(()) } else { Err(CliError::Reported) }
}

fn context(config: &Config) -> Result<CredentialContext, CliError> {
    let client = HttpClient::new(CONNECT_TIMEOUT)?;
    Ok(CredentialContext { store: open_store(&config.store, &config.environment), oauth: issuer(config, &client) })
}
