//! The command line: its options, and its commands.
//!
//! * [`config::args`] parses the command line, [`config::layers`] adds environment and configuration file, [`config`]
//!   resolves the result.
//! * First of all, dumps of this process are disabled: it holds tokens.
//! * One file per command; each writes human-readable text to its `output`.
//! * A failure is one line on stderr that says what to do; the exit code is 1, or 2 for an invalid command line.

mod account;
pub mod config;
mod demo;
mod doctor;
pub mod error;
mod hardening;
mod logging;
pub mod login;
pub mod logout;
mod models;
mod serve;
mod setup;
pub mod status;
mod terminal;
mod usage;
mod workspace;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::cli::config::args::{Command, CommandLine, Options};
use crate::cli::config::{Config, config_file};
use crate::cli::error::CliError;
use crate::credentials::{Environment, process};
use crate::files::trust;

/// Runs the process's command line.
pub fn main() -> ExitCode {
    hardening::forbid_dumps();
    if env::args_os().nth(1).is_some_and(|first| first == process::ARGUMENT) {
        return process::answer(io::stdin(), &mut io::stdout());
    }
    let line = match parse(env::args_os()) {
        Ok(line) => line,
        Err(error) if error.use_stderr() => return fail(&usage_error(&error.to_string()), ExitCode::from(2)),
        Err(help) => return help.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
    };
    match run(line) {
        Ok(()) | Err(CliError::Output(_)) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), error.exit_code()),
    }
}

/// Parses a command line. The help of `setup` and `run` shows their own options alone: tools are set up without the others.
fn parse(words: impl IntoIterator<Item = OsString>) -> Result<CommandLine, clap::Error> {
    let mut command = CommandLine::command();
    // Before it is built, a subcommand lacks the options that all have.
    command.build();
    for own in ["setup", "run"] {
        command = command.mut_subcommand(own, |command| {
            command.mut_args(|argument| {
                let is_shared = argument.is_global_set() && !OWN_OPTIONS.contains(&argument.get_id().as_str());
                argument.hide(is_shared)
            })
        });
    }
    CommandLine::from_arg_matches(&command.try_get_matches_from(words)?)
}

/// The shared options that the help of `setup` and `run` shows: where the proxy is, and its key.
const OWN_OPTIONS: [&str; 4] = ["host", "port", "api_key_file", "help"];

fn run(line: CommandLine) -> Result<(), CliError> {
    let command = line.command.clone().unwrap_or_default();
    let mut output = io::stdout();
    if let Command::Completions(completions) = command {
        let mut script = Vec::new();
        clap_complete::generate(completions.shell, &mut CommandLine::command(), "codex-proxy", &mut script);
        return Ok(output.write_all(&script)?);
    }
    let (options, warnings) = options(line, &command)?;
    let log = start_log(&options, &command)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let config = Config::resolve(options, variable)?;
    let mut output = terminal::Escaped(output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut started = None;
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve => serve::serve(&config, &mut output).await,
            Command::Demo => demo::demo(config, &mut output).await,
            Command::Models(format) => models::list(&config, format, &mut output).await,
            Command::Usage(arguments) => usage::show(&config, arguments, &mut output),
            Command::Status(format) => account::show(&config, format, &mut output).await,
            Command::Login(login) => account::log_in(&config, login, &mut output).await,
            Command::Logout(logout) => account::log_out(&config, logout, &mut output).await,
            Command::Setup(arguments) => setup::set_up(&config, arguments, &mut output).await,
            Command::Run(arguments) => {
                started = Some(setup::run::prepare(&config, &arguments).await?);
                Ok(())
            }
            Command::Doctor => doctor::examine(&config, &mut output).await,
            Command::Completions(_) => Ok(()),
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    // A tool that takes this process's place leaves no time for lines that are not written yet.
    drop(log);
    outcome.and_then(|()| started.map_or(Ok(()), |tool| Err(tool.start())))
}

/// Merges flags, environment and configuration file. The demo reads only a file named explicitly. Also returns warnings
/// for the log, which does not exist yet.
fn options(line: CommandLine, command: &Command) -> Result<(Options, Vec<String>), CliError> {
    let environment = Environment::from_variables(variable);
    let named = line.config.or_else(|| variable("CODEX_PROXY_CONFIG").filter(|path| !path.is_empty()).map(Into::into));
    let path = if named.is_none() && *command == Command::Demo { None } else { config_file(named, &environment) };
    let file = path.as_deref().map(Options::from_file).transpose()?.unwrap_or_default();
    let mut warnings = Vec::new();
    if !line.options.api_key.is_empty() {
        let words = "⚠️ every user of this machine can read --api-key in the process list; use --api-key-file";
        warnings.push(words.to_owned());
    }
    warnings.extend(path.filter(|_| !file.api_key.is_empty()).and_then(|path| trust::exposure(&path)));
    Ok((line.options.or(Options::from_environment(variable)?).or(file), warnings))
}

/// Reads a variable of the process. The home directory defaults to the user database's.
fn variable(name: &str) -> Option<OsString> {
    let value = env::var_os(name).filter(|value| !value.is_empty());
    if name != "HOME" {
        return value;
    }
    value.or_else(|| env::home_dir().filter(|home| home.is_absolute()).map(Into::into))
}

/// Short commands have an output of their own: only warnings are logged beside it.
fn start_log(options: &Options, command: &Command) -> Result<logging::Log, CliError> {
    let usual = if matches!(command, Command::Serve | Command::Demo) { "info" } else { "warn" };
    let production = config::layers::text("ENV", variable("ENV"))?;
    let production = production.is_some_and(|value| value.trim().eq_ignore_ascii_case("production"));
    logging::start(options.log_level.as_deref().unwrap_or(usual), production)
}

/// Reports a failure on stderr.
fn fail(message: &str, code: ExitCode) -> ExitCode {
    if !message.is_empty() {
        // With stderr closed, the failure cannot be reported.
        let _ = writeln!(terminal::Escaped(io::stderr()), "codex-proxy: {message}");
    }
    code
}

/// Puts the parser's message on one line.
fn usage_error(message: &str) -> String {
    let parts = message.lines().map(str::trim);
    let parts = parts.filter(|part| !part.is_empty() && !part.starts_with("Usage:") && !part.starts_with("For more"));
    let parts: Vec<_> = parts.map(|part| part.strip_prefix("error: ").unwrap_or(part)).collect();
    format!("{}; see codex-proxy --help", parts.join("; "))
}

#[cfg(test)]
mod tests;
