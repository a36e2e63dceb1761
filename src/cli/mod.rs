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
mod health;
mod keys;
mod logging;
pub mod login;
pub mod logout;
mod models;
mod notify;
mod serve;
mod service;
mod setup;
mod show_config;
pub mod status;
mod terminal;
mod usage;
mod workspace;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ErrorKind};

use crate::cli::config::args::{Command, ConfigAction, ConfigArguments, Options};
use crate::cli::config::help::{self, Given};
use crate::cli::config::layers::FileChoice;
use crate::cli::config::origins::Origins;
use crate::cli::config::variables::{check_names, text};
use crate::cli::config::{Config, DEFAULT_LOG_LEVEL, config_file};
use crate::cli::error::CliError;
use crate::credentials::{Environment, process};
use crate::files::trust;

/// Runs the process's command line.
pub fn main() -> ExitCode {
    hardening::forbid_dumps();
    if env::args_os().nth(1).is_some_and(|first| first == process::ARGUMENT) {
        return process::answer(io::stdin(), &mut io::stdout());
    }
    let arguments: Vec<_> = env::args_os().collect();
    let given = match Given::parse(&arguments) {
        Ok(given) => given,
        // A group of commands without one of them: its help says which there are.
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // With stderr closed, the help cannot be shown.
            let _ = error.print();
            return ExitCode::from(2);
        }
        Err(error) if error.use_stderr() => return fail(&usage_error(&error), ExitCode::from(2)),
        Err(help) => return help.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
    };
    match run(given) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough of it, as `head` has.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), error.exit_code()),
    }
}

/// Runs a command, and names the options of its failure by the places where they were set.
fn run(given: Given) -> Result<(), CliError> {
    let command = given.line.command.clone().unwrap_or_default();
    if let Command::Completions(completions) = &command {
        let mut script = Vec::new();
        clap_complete::generate(completions.shell, &mut help::definition(false), "codex-proxy", &mut script);
        return Ok(terminal::Escaped(io::stdout()).write_all(&script)?);
    }
    if let Command::Config(ConfigArguments { action: ConfigAction::Schema }) = &command {
        return show_config::schema(&mut terminal::Escaped(io::stdout()));
    }
    let mut origins = given.origins.clone();
    let flags = given.flags.clone();
    let outcome = options(given, &command, &mut origins)
        .and_then(|(options, warnings)| run_with(command, options, &warnings, &origins, &flags));
    outcome.map_err(|error| error.located(&origins))
}

fn run_with(
    command: Command,
    options: Options,
    warnings: &[String],
    origins: &Origins,
    flags: &[OsString],
) -> Result<(), CliError> {
    hardening::check_descriptors()?;
    let log = start_log(&options, &command)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let merged = options.clone();
    let config = Config { origins: origins.clone(), ..Config::resolve(options, variable)? };
    let config = with_keys(config, &command)?;
    let mut output = terminal::Escaped(io::stdout());
    let is_server = matches!(command, Command::Serve);
    let inherited = if is_server { notify::inherited_listeners()? } else { Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut started = None;
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve => serve::serve(&config, inherited, &mut output).await,
            Command::Demo => demo::demo(config, &mut output).await,
            Command::Models(format) => models::list(&config, format, &mut output).await,
            Command::Keys(arguments) => {
                keys::run(&config, arguments.action, &mut output, &mut terminal::Escaped(io::stderr()))
            }
            Command::Usage(arguments) => usage::show(&config, arguments, &mut output).await,
            Command::Status(format) => account::show(&config, format, &mut output).await,
            Command::Login(login) => account::log_in(&config, login, &mut output).await,
            Command::Logout(logout) => account::log_out(&config, logout, &mut output).await,
            Command::Setup(arguments) => {
                setup::set_up(&config, arguments, &mut output, &mut terminal::Escaped(io::stderr())).await
            }
            Command::Run(arguments) => {
                started = Some(setup::run::prepare(&config, &arguments, &mut terminal::Escaped(io::stderr())).await?);
                Ok(())
            }
            Command::Doctor => doctor::examine(&config, &mut output).await,
            Command::Health => health::check(&config, &mut output).await,
            Command::Service(arguments) => service::run(&config, arguments.action, flags, &mut output).await,
            Command::Config(ConfigArguments { action: ConfigAction::Show(format) }) => {
                show_config::show(&config, merged, format, &mut output)
            }
            Command::Config(ConfigArguments { action: ConfigAction::Schema }) | Command::Completions(_) => Ok(()),
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    // A tool that takes this process's place leaves no time for lines that are not written yet.
    drop(log);
    outcome.and_then(|()| started.map_or(Ok(()), |tool| Err(tool.start())))
}

/// Adds the named keys for the commands that care whether there are any. Only a server fails over a file that cannot be
/// used: `doctor` tells of it, and the demo uses no files.
fn with_keys(config: Config, command: &Command) -> Result<Config, CliError> {
    match command {
        Command::Serve => config.with_named_keys(),
        Command::Demo => Ok(config),
        _ => Ok(config.clone().with_named_keys().unwrap_or(config)),
    }
}

/// Merges flags, environment and configuration file. The demo reads only a file named explicitly. Also returns warnings
/// for the log, which does not exist yet.
fn options(given: Given, command: &Command, origins: &mut Origins) -> Result<(Options, Vec<String>), CliError> {
    let line = given.line;
    let environment = Environment::from_variables(variable);
    let named = line.config.or_else(|| variable("CODEX_PROXY_CONFIG").filter(|path| !path.is_empty()).map(Into::into));
    let choice = if named.is_some() { FileChoice::Named } else { FileChoice::Usual };
    let path = if named.is_none() && *command == Command::Demo { None } else { config_file(named, &environment) };
    let unknown = check_names(env::vars_os().map(|(name, _)| name), &OF_NO_OPTION)?;
    let variables = Options::from_environment(variable, origins);
    let file = path.as_deref().map(|path| Options::from_file(path, choice, origins)).transpose()?.unwrap_or_default();
    let mut warnings = unknown;
    if !line.options.api_key.is_empty() {
        let words = "⚠️ every user of this machine can read --api-key in the process list; use --api-key-file";
        warnings.push(words.to_owned());
    }
    warnings.extend(path.filter(|_| !file.api_key.is_empty()).and_then(|path| trust::exposure(&path)));
    Ok((line.options.or(variables?).or(file), warnings))
}

/// Reads a variable of the process. The home directory defaults to the user database's.
fn variable(name: &str) -> Option<OsString> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let own = WITHOUT_FLAG.contains(&name).then(|| set(&format!("CODEX_PROXY_{name}"))).flatten();
    let value = own.or_else(|| set(name));
    if name != "HOME" {
        return value;
    }
    value.or_else(|| env::home_dir().filter(|home| home.is_absolute()).map(Into::into))
}

/// Short commands have an output of their own: only warnings are logged beside it.
fn start_log(options: &Options, command: &Command) -> Result<logging::Log, CliError> {
    let is_server = matches!(command, Command::Serve | Command::Demo);
    let usual = if is_server { DEFAULT_LOG_LEVEL } else { "warn" };
    let given = text("ENV", variable("ENV"))?.unwrap_or_default();
    let is = |word: &str| given.trim().eq_ignore_ascii_case(word);
    let production = is("production");
    // Under its short name the variable is other programs' too, with words of their own.
    if env::var_os("CODEX_PROXY_ENV").is_some() && !["production", "development", ""].iter().any(|word| is(word)) {
        let problem = format!("{given:?} is neither production nor development");
        return Err(CliError::Option { option: "CODEX_PROXY_ENV".to_owned(), problem });
    }
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

/// Puts the parser's error on one line, in the words of the other errors.
fn usage_error(error: &clap::Error) -> String {
    let told = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let option = told(ContextKind::InvalidArg);
    let option = option.split(' ').next().unwrap_or_default();
    let value = told(ContextKind::InvalidValue);
    let problem = match error.kind() {
        ErrorKind::InvalidValue if !value.is_empty() => {
            format!("{option}: {value:?} is none of {}", told(ContextKind::ValidValue))
        }
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            match reason.as_str() {
                "invalid digit found in string" | "cannot parse integer from empty string" => {
                    format!("{option}: {value:?} is not a whole number")
                }
                reason => format!("{option}: {reason}"),
            }
        }
        ErrorKind::MissingRequiredArgument => format!("{} is missing", told(ContextKind::InvalidArg)),
        _ => joined(&error.to_string()),
    };
    format!("{problem}; see codex-proxy --help")
}

/// Joins the lines of the parser's message that say what is wrong.
fn joined(message: &str) -> String {
    let parts = message.lines().map(str::trim);
    let parts = parts.filter(|part| !part.is_empty() && !part.starts_with("Usage:") && !part.starts_with("For more"));
    let parts: Vec<_> = parts.map(|part| part.strip_prefix("error: ").unwrap_or(part)).collect();
    parts.join("; ").replace(":; ", ": ")
}

/// Variables that are no options; each has a second name with the program's own prefix, which wins.
const WITHOUT_FLAG: [&str; 4] = ["ACCESS_TOKEN", "ACCOUNT_ID", "ADMIN_API_KEY", "ENV"];
/// The same, and the variable that names the configuration file.
const OF_NO_OPTION: [&str; 5] = ["ACCESS_TOKEN", "ACCOUNT_ID", "ADMIN_API_KEY", "CONFIG", "ENV"];

#[cfg(test)]
mod tests;
