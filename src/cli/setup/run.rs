//! `run`: starts a tool with this machine's settings, and changes none of its files.
//!
//! * On Unix the tool takes this process's place: arguments, input, signals and exit code are its own.
//! * A proxy has to be running; none is started.
//! * Settings that a tool takes from files alone go into this program's own cache directory.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::config::Config;
use crate::cli::config::args::RunArguments;
use crate::cli::config::origins::OptionOrigin;
use crate::cli::error::CliError;
use crate::cli::setup::facts::{ClientKey, Facts, Running, address, flags, key_place, running, shell_word};
use crate::cli::setup::places::Places;
use crate::cli::setup::tool::{Launch, Scene, Start, Tool};
use crate::cli::setup::{find, option};
use crate::cli::variable;
use crate::files::replace::{Readers, replace};

/// What is ready to be started.
pub(in crate::cli) struct Prepared {
    command: Command,
    name: String,
    /// While it is there, Ctrl-C ends the tool alone, which gets it too.
    #[cfg(windows)]
    _interrupts: tokio::signal::windows::CtrlC,
}

/// Finds the tool and its settings. The error says what is missing, and how to get it. `notes` is for hints beside it.
pub(in crate::cli) async fn prepare(
    config: &Config,
    arguments: &RunArguments,
    notes: &mut impl Write,
) -> Result<Prepared, CliError> {
    let (name, rest) = arguments.command.split_first().ok_or_else(|| option("TOOL", "name the tool to start"))?;
    let tool = find(&name.to_string_lossy())?;
    let start = tool.start.as_ref().ok_or_else(|| not_startable(config, tool))?;
    for note in given_to_the_tool(config, &arguments.command) {
        writeln!(notes, "{note}")?;
    }
    let (program, rest) = program(tool, start, rest)?;
    let facts = facts(config).await?;
    let texts: Vec<_> = rest.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let profiles = config.environment.own_cache_directory().unwrap_or_default().join("run");
    let scene = Scene { arguments: &texts, profiles: &profiles };
    let launch = (start.launch)(&facts, &Places::new(&variable), &scene);
    write_profiles(&launch, &profiles)?;
    let mut command = Command::new(&program);
    for name in launch.unset {
        command.env_remove(name);
    }
    command.args(&launch.arguments).args(rest).envs(launch.variables);
    Ok(Prepared {
        command,
        name: program.display().to_string(),
        #[cfg(windows)]
        _interrupts: tokio::signal::windows::ctrl_c()?,
    })
}

impl Prepared {
    /// Starts the tool, which takes this process's place. Returns only if it cannot be started.
    #[cfg(unix)]
    pub(in crate::cli) fn start(mut self) -> CliError {
        use std::os::unix::process::CommandExt as _;
        CliError::Tool(format!("{} cannot be started: {}", self.name, self.command.exec()))
    }

    /// Starts the tool and waits for its end. Returns only if it cannot be started.
    #[cfg(not(unix))]
    pub(in crate::cli) fn start(mut self) -> CliError {
        match self.command.status() {
            Ok(status) => std::process::exit(status.code().unwrap_or(1)),
            Err(error) => CliError::Tool(format!("{} cannot be started: {error}", self.name)),
        }
    }
}

/// Notes on this program's options that stand after the tool, and so are the tool's: some tools have options of these names.
/// An option that also stands before the tool was not misplaced.
fn given_to_the_tool(config: &Config, command: &[OsString]) -> Vec<String> {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--").collect();
    let note = |name: &str| {
        let flag = format!("--{name}");
        let place = words.iter().position(|word| word.split('=').next() == Some(flag.as_str()))?;
        if place == 0 || config.origins.of(name) == Some(&OptionOrigin::Flag) {
            return None;
        }
        let value = words[place].split_once('=').map(|(_, value)| value);
        let value = value.or_else(|| words.get(place + 1).map(|word| &**word)).map(shell_word)?;
        let tool = words[..place].iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ");
        Some(format!(
            "note: {flag} after the tool is the tool's own; for another proxy: codex-proxy run {flag} {value} {tool}"
        ))
    };
    ["host", "port"].into_iter().filter_map(note).collect()
}

/// The executable and the tool's own arguments.
fn program<'a>(tool: &Tool, start: &Start, rest: &'a [OsString]) -> Result<(PathBuf, &'a [OsString]), CliError> {
    let path = env::var_os("PATH").unwrap_or_default();
    if start.programs.is_empty() {
        let (named, rest) = rest.split_first().ok_or_else(|| option("PROGRAM", "name the program to start"))?;
        let found = look_up(named, &path);
        let found = found
            .ok_or_else(|| CliError::Tool(format!("there is no program {:?} in PATH", named.to_string_lossy())))?;
        return Ok((found, rest));
    }
    let found = start.programs.iter().find_map(|program| look_up(OsStr::new(program), &path));
    let found = found.ok_or_else(|| {
        let program = start.programs.first().copied().unwrap_or_default();
        CliError::Tool(format!(
            "{} is not installed: there is no {program} in PATH; install it: {}",
            tool.title, start.install
        ))
    })?;
    Ok((found, rest))
}

/// The first file in `path` that can be executed as `name`; on Windows scripts too, which are not found otherwise.
fn look_up(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if Path::new(name).components().count() > 1 {
        return Some(PathBuf::from(name)).filter(|path| is_executable(path));
    }
    let endings: &[&str] = if cfg!(windows) { &[".exe", ".cmd", ".bat", ".com"] } else { &[""] };
    let named = |ending: &&str| {
        let mut file = name.to_owned();
        file.push(ending);
        file
    };
    let files: Vec<_> = endings.iter().map(named).collect();
    // An empty entry would be the current directory, which anybody may fill.
    let mut folders = env::split_paths(path).filter(|folder| folder.is_absolute());
    folders.find_map(|folder| files.iter().map(|file| folder.join(file)).find(|path| is_executable(path)))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// The facts of a proxy that runs.
async fn facts(config: &Config) -> Result<Facts, CliError> {
    if config.port == 0 {
        return Err(option("--port", "0 is any port; name the one that the proxy has"));
    }
    let place = address(config);
    match running(config).await? {
        Running::Yes(models) => {
            let key = config.client_key.clone().map_or(ClientKey::Any, ClientKey::Given);
            Ok(Facts::new(config, key, &models))
        }
        Running::No => Err(CliError::Tool(format!(
            "no proxy is running at {place}; start one in another terminal with `codex-proxy`, or `codex-proxy demo` to try \
             it, and name its port with --port before the tool"
        ))),
        Running::Other => {
            Err(CliError::Tool(format!("another program answers at {place}; name the proxy's port with --port")))
        }
        Running::Locked if config.client_key.is_some() => Err(CliError::Tool(format!(
            "the proxy at {place} refuses the key of {}; name one of its own in CODEX_PROXY_API_KEY or with --api-key-file \
             before the tool",
            key_place(config)
        ))),
        Running::Locked => Err(CliError::Tool(format!(
            "the proxy at {place} asks for a key; name one in CODEX_PROXY_API_KEY or with --api-key-file before the tool"
        ))),
    }
}

fn not_startable(config: &Config, tool: &Tool) -> CliError {
    let (title, name, flags) = (tool.title, tool.name, flags(config));
    option(
        "TOOL",
        &format!("{title} takes its settings from files alone; `codex-proxy setup {flags}{name}` shows them"),
    )
}

fn write_profiles(launch: &Launch, directory: &Path) -> Result<(), CliError> {
    if !launch.profiles.is_empty() && !directory.is_absolute() {
        return Err(option("HOME", "this user has no home directory; set it to an absolute path"));
    }
    for (name, text) in &launch.profiles {
        let path = directory.join(name);
        let failed = |error| CliError::Tool(format!("{} cannot be written: {error}", path.display()));
        replace(&path, text, Readers::Owner).map_err(failed)?;
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_program_is_found_where_it_can_be_executed() {
        let (first, second) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        fs::write(first.path().join("tool"), "").expect("written");
        let program = second.path().join("tool");
        fs::write(&program, "").expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("changed");
        let path = env::join_paths(
            ["", ".", "relative"].map(PathBuf::from).into_iter().chain([first.path().into(), second.path().into()]),
        );
        let path = path.expect("a PATH");
        assert_eq!(look_up(OsStr::new("tool"), &path), Some(program.clone()));
        assert_eq!(look_up(OsStr::new("other"), &path), None);
        assert_eq!(look_up(program.as_os_str(), OsStr::new("")), Some(program));
        assert_eq!(look_up(first.path().join("tool").as_os_str(), &path), None);
    }
}
