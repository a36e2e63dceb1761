//! `service`: runs the proxy in the background from the user's login on, without root.
//!
//! * `install` writes the files and says what starts the service; a second time it changes nothing. What an earlier install
//!   wrote and this one does not need is removed.
//! * A file that somebody changed is neither replaced nor removed without `--force`.
//! * The files are rendered from one [`definition`]: units of [`systemd`], an agent of [`launchd`], a [`task`] of Windows.

mod definition;
mod files;
mod installed;
mod launchd;
mod manager;
mod stamp;
mod systemd;
mod task;
#[cfg(test)]
mod tests;
mod xml;

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use crate::cli::config::Config;
use crate::cli::config::args::{InstallArguments, LogsArguments, ServiceAction, UninstallArguments};
use crate::cli::config::origins::OptionOrigin;
use crate::cli::error::CliError;
use crate::cli::service::definition::ServiceDefinition;
use crate::cli::service::files::{Found, ServiceFile};
use crate::cli::service::manager::{ServiceManager, SocketChange, Words};
use crate::cli::{health, variable};
use crate::credentials::StoreChoice;
use crate::files::private;

/// Does `action`. `flags` are the options of the command line, which become the service's.
pub(super) async fn run(
    config: &Config,
    action: ServiceAction,
    flags: &[OsString],
    output: &mut impl Write,
) -> Result<(), CliError> {
    match action {
        ServiceAction::Install(arguments) => install(config, arguments, flags, output),
        ServiceAction::Uninstall(arguments) => uninstall(config, arguments, output),
        ServiceAction::Status => status(config, output).await,
        ServiceAction::Logs(arguments) => logs(config, arguments, output),
    }
}

fn install(
    config: &Config,
    arguments: InstallArguments,
    flags: &[OsString],
    output: &mut impl Write,
) -> Result<(), CliError> {
    let manager = ServiceManager::of_this_system();
    let program = env::current_exe()?;
    let force = arguments.force;
    let arguments = InstallArguments {
        no_sandbox: arguments.no_sandbox || lacks_namespaces() || systemd::fails_in_sandbox(&program),
        ..arguments
    };
    let definition = ServiceDefinition::new(config, arguments, flags, &program, variable)?;
    let files = placed(manager, config, &definition)?;
    check_works(config, flags, &files)?;
    let states = files.iter().map(ServiceFile::found).collect::<Result<Vec<_>, _>>()?;
    let (left, left_states) = left_over(manager, config, &files)?;
    let all = files.iter().chain(&left).zip(states.iter().chain(&left_states));
    if let Some((file, _)) = all.clone().find(|(_, state)| **state == Found::Changed && !force) {
        return Err(changed(&file.path, "nothing was written; --force replaces it"));
    }
    for (file, state) in files.iter().zip(&states) {
        let path = file.path.display();
        if *state == Found::Same {
            writeln!(output, "unchanged: {path}")?;
        } else {
            let differences = if *state == Found::Nothing { Vec::new() } else { file.differences() };
            file.write()?;
            writeln!(output, "wrote: {path}")?;
            // Options that are not given again are taken back.
            for line in differences {
                writeln!(output, "  {line}")?;
            }
        }
    }
    for file in &left {
        // Without its file a unit cannot be disabled; one that runs is not touched by that.
        if let Some(step) = manager.disabling(file) {
            let _ = manager::run(&step, true);
        }
        file.remove()?;
        writeln!(output, "removed: {} (of an earlier install)", file.path.display())?;
    }
    if manager == ServiceManager::Systemd
        && let Some(ledger) = config.environment.own_state_directory()
    {
        // What the unit lets the service write has to be there when it starts. `StateDirectory=` is another place before systemd
        // 254 (https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#RuntimeDirectory=).
        private::create_directory(&ledger)?;
    }
    let change = SocketChange::of(&states, !left.is_empty());
    advise(config, manager, &definition, &files, &states, change, output)
}

/// The files of an earlier install that `files` are without, and what became of them.
fn left_over(
    manager: ServiceManager,
    config: &Config,
    files: &[ServiceFile],
) -> Result<(Vec<ServiceFile>, Vec<Found>), CliError> {
    let mut left = everything(manager, config)?;
    left.retain(|file| !files.iter().any(|needed| needed.path == file.path));
    let states = left.iter().map(ServiceFile::found).collect::<Result<Vec<_>, _>>()?;
    Ok(left.into_iter().zip(states).filter(|(_, state)| *state != Found::Nothing).unzip())
}

/// Refuses a service that could not work, as it has none of this shell's variables. One with changes of the user's own may have
/// others.
fn check_works(config: &Config, flags: &[OsString], files: &[ServiceFile]) -> Result<(), CliError> {
    if manager::drop_ins(files).is_some() {
        return Ok(());
    }
    let seen = installed::config_of(config, flags)?;
    let wrong =
        |option: &str, problem: &str| CliError::Option { option: option.to_owned(), problem: problem.to_owned() };
    if seen.store.choice == StoreChoice::Env {
        return Err(wrong(
            "--creds-store",
            "a service has none of this shell's variables; use another store, and codex-proxy login",
        ));
    }
    let host = seen.host.trim().trim_matches(['[', ']']).parse::<IpAddr>();
    if !seen.has_key && host.is_ok_and(|host| !host.is_loopback()) {
        let problem = "the service would not start without a key, for everybody who can reach this machine could use your \
                       subscription; name a file with one in --api-key-file, or run codex-proxy keys add";
        return Err(wrong("--host", problem));
    }
    Ok(())
}

/// Says what to do next.
fn advise(
    config: &Config,
    manager: ServiceManager,
    definition: &ServiceDefinition,
    files: &[ServiceFile],
    states: &[Found],
    change: SocketChange,
    output: &mut impl Write,
) -> Result<(), CliError> {
    let program = Path::new(&definition.program);
    writeln!(output, "The service runs {}; install again if that file moves.", program.display())?;
    if program.components().any(|part| part.as_os_str() == "target") {
        writeln!(output, "⚠️ That looks like a build directory; copy the program to ~/.local/bin first.")?;
    }
    let variables = config.origins.variables();
    if !variables.is_empty() {
        let names = variables.join(", ");
        writeln!(output, "⚠️ Variables of this shell are not the service's: {names}. Give flags, or use config.toml.")?;
    }
    if manager == ServiceManager::Systemd && !definition.has_sandbox {
        writeln!(output, "⚠️ This unit goes without user namespaces, which hide files and devices from the service.")?;
    }
    // A service that was installed before has perhaps never been started.
    let runs = if states.first() == Some(&Found::Nothing) { Ok(false) } else { manager.runs() };
    if runs != Ok(true) {
        tell_steps("Start it, now and at each login", &manager.starting(files), output)?;
    }
    if runs != Ok(false) {
        let title = if runs.is_ok() { "Apply it" } else { "Or, where it runs already" };
        tell_steps(title, &manager.restarting(files, change), output)?;
    }
    if manager == ServiceManager::Systemd {
        writeln!(output, "\nIt ends with your last session. To start it with the machine: loginctl enable-linger")?;
        writeln!(output, "(where that is refused: sudo loginctl enable-linger \"$USER\")")?;
    }
    writeln!(output, "Then: codex-proxy service status, codex-proxy service logs")?;
    Ok(())
}

fn tell_steps(title: &str, steps: &[Words], output: &mut impl Write) -> Result<(), CliError> {
    writeln!(output, "\n{title}:")?;
    for step in steps {
        writeln!(output, "  {}", manager::typed(step))?;
    }
    Ok(())
}

fn uninstall(config: &Config, arguments: UninstallArguments, output: &mut impl Write) -> Result<(), CliError> {
    let manager = ServiceManager::of_this_system();
    let files = everything(manager, config)?;
    let mut present = Vec::new();
    for file in files {
        match file.found()? {
            Found::Nothing => {}
            Found::Changed if !arguments.force => {
                return Err(changed(&file.path, "nothing was removed; --force removes it"));
            }
            Found::Same | Found::Untouched | Found::Changed => present.push(file),
        }
    }
    if present.is_empty() {
        writeln!(output, "There is no service of codex-proxy.")?;
        return Ok(());
    }
    for step in manager.stopping(&present) {
        if let Err(problem) = manager::run(&step, true) {
            writeln!(output, "⚠️ {problem}; a service that runs goes on until it is stopped.")?;
        }
    }
    let drop_ins = manager::drop_ins(&present);
    for file in &present {
        file.remove()?;
        writeln!(output, "removed: {}", file.path.display())?;
    }
    if let Some(step) = manager.forgetting() {
        // Without the manager there is nothing to forget.
        let _ = manager::run(&step, true);
    }
    if let Some(directory) = drop_ins {
        writeln!(output, "Your own changes stay in {}.", directory.display())?;
    }
    writeln!(output, "The login and the configuration stay: codex-proxy logout removes the login.")?;
    Ok(())
}

async fn status(config: &Config, output: &mut impl Write) -> Result<(), CliError> {
    let manager = ServiceManager::of_this_system();
    let mut is_installed = false;
    let files = everything(manager, config)?;
    for file in &files {
        let path = file.path.display();
        match file.found()? {
            Found::Nothing => continue,
            Found::Changed => writeln!(output, "installed: {path} (changed by hand)")?,
            Found::Same | Found::Untouched => writeln!(output, "installed: {path}")?,
        }
        is_installed = true;
    }
    if !is_installed {
        writeln!(output, "not installed; run: codex-proxy service install")?;
        return Err(CliError::Reported);
    }
    output.flush()?;
    if let Err(problem) = manager::run(&manager.asking(), false) {
        writeln!(output, "⚠️ {problem}")?;
    }
    let config = &served_at(config, manager, &files);
    if config.port == 0 {
        return health::check(config, output).await;
    }
    let url = health::url(config);
    // Asked first: a service that waits behind its socket starts with that.
    let Ok(health) = health::ask(&url).await else { return health::check(config, output).await };
    let mode = &health.mode;
    match manager.runs() {
        Ok(true) if mode != "demo" => return health::check(config, output).await,
        Ok(true) => writeln!(output, "running, but a codex-proxy in mode {mode} answers at {url}: is that its port?")?,
        Ok(false) => {
            writeln!(output, "installed, not running; another codex-proxy (mode {mode}) answers at {url}")?;
        }
        Err(problem) => {
            let who = if mode == "demo" { "another" } else { "perhaps another" };
            let told = format!("installed, and whether it runs cannot be told ({problem})");
            writeln!(output, "{told}; {who} codex-proxy (mode {mode}) answers at {url}")?;
        }
    }
    Err(CliError::Reported)
}

/// Returns the configuration with the address of the service of `files`, unless this command line names one.
fn served_at(config: &Config, manager: ServiceManager, files: &[ServiceFile]) -> Config {
    if ["host", "port"].iter().any(|option| config.origins.of(option) == Some(&OptionOrigin::Flag)) {
        return config.clone();
    }
    let mut texts = files.iter().filter_map(ServiceFile::present);
    let flags = texts.next().map(|text| installed::flags(manager, &text)).unwrap_or_default();
    let flags: Vec<_> = flags.into_iter().map(OsString::from).collect();
    let mut config = installed::config_of(config, &flags).unwrap_or_else(|_| config.clone());
    if let Some(address) = texts.next().and_then(|text| installed::address(&text)) {
        (config.host, config.port) = (address.ip().to_string(), address.port());
    }
    config
}

fn logs(config: &Config, arguments: LogsArguments, output: &mut impl Write) -> Result<(), CliError> {
    let definition = ServiceDefinition::new(config, InstallArguments::default(), &[], Path::new(""), |_| None)?;
    let call = ServiceManager::of_this_system().showing(&definition.log, arguments.follow);
    output.flush()?;
    match manager::run(&call, false) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CliError::Reported),
        Err(problem) => Err(CliError::Service(problem)),
    }
}

fn placed(
    manager: ServiceManager,
    config: &Config,
    definition: &ServiceDefinition,
) -> Result<Vec<ServiceFile>, CliError> {
    let nowhere = || CliError::Option {
        option: "HOME".to_owned(),
        problem: "this user has no home directory for the service's files".to_owned(),
    };
    manager.files(config, definition).ok_or_else(nowhere)
}

/// Every file that a service may have.
fn everything(manager: ServiceManager, config: &Config) -> Result<Vec<ServiceFile>, CliError> {
    let mut definition = ServiceDefinition::new(config, InstallArguments::default(), &[], Path::new(""), |_| None)?;
    definition.sockets = vec![String::new()];
    placed(manager, config, &definition)
}

fn changed(path: &Path, advice: &str) -> CliError {
    CliError::Service(format!("{} was changed by hand; {advice}", path.display()))
}

/// Returns whether this kernel forbids its users what the sandbox needs.
fn lacks_namespaces() -> bool {
    let is = |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    is("/proc/sys/kernel/unprivileged_userns_clone", "0")
        || is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")
        || is("/proc/sys/user/max_user_namespaces", "0")
}
