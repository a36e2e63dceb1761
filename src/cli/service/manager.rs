//! The service manager of this system: where its files are, and how it is called.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::cli::config::Config;
use crate::cli::service::definition::ServiceDefinition;
use crate::cli::service::files::{Found, ServiceFile, TextEncoding};
use crate::cli::service::{launchd, systemd, task};

/// A service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServiceManager {
    /// systemd's user manager.
    Systemd,
    /// launchd, of macOS.
    Launchd,
    /// The task scheduler of Windows.
    TaskScheduler,
}

/// What an install changes about who opens the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SocketChange {
    /// Nothing.
    Same,
    /// The manager opens it from now on.
    Added,
    /// The program opens it from now on.
    Removed,
}

impl SocketChange {
    /// Tells the change from what was found at the places of a service's files, and whether some are `left` over.
    pub(super) fn of(states: &[Found], left: bool) -> Self {
        match states {
            [_] if left => Self::Removed,
            [service, Found::Nothing] if *service != Found::Nothing => Self::Added,
            _ => Self::Same,
        }
    }
}

/// A command line.
pub(super) type Words = Vec<String>;

impl ServiceManager {
    /// Returns the manager of the system that the program was built for.
    pub(super) const fn of_this_system() -> Self {
        if cfg!(windows) {
            Self::TaskScheduler
        } else if cfg!(target_os = "macos") {
            Self::Launchd
        } else {
            Self::Systemd
        }
    }

    /// Renders the files of `definition`, each at its place; none without a home directory.
    pub(super) fn files(self, config: &Config, definition: &ServiceDefinition) -> Option<Vec<ServiceFile>> {
        let mut files = Vec::new();
        match self {
            Self::Systemd => {
                let directory = config.environment.config_directory.as_ref()?.join("systemd/user");
                let mut add = |name: &str, text: &str| {
                    files.push(ServiceFile::new(directory.join(name), text, TextEncoding::Utf8));
                };
                add(SERVICE, &systemd::service(definition));
                if let Some(socket) = systemd::socket(definition) {
                    add(SOCKET, &socket);
                }
            }
            Self::Launchd => {
                let path = config.environment.home.as_ref()?.join("Library/LaunchAgents/codex-proxy.plist");
                files.push(ServiceFile::new(path, &launchd::agent(definition), TextEncoding::Utf8));
            }
            Self::TaskScheduler => {
                config.environment.config_directory.as_ref()?;
                let path = config.environment.own_directory().join("codex-proxy-task.xml");
                files.push(ServiceFile::new(path, &task::task(definition), TextEncoding::Utf16));
            }
        }
        Some(files)
    }

    /// The commands that start the service of `files` now and at each login.
    pub(super) fn starting(self, files: &[ServiceFile]) -> Vec<Words> {
        let path = files.first().map(|file| file.path.display().to_string()).unwrap_or_default();
        match self {
            Self::Systemd => {
                let unit = if files.len() > 1 { SOCKET } else { SERVICE };
                vec![words("systemctl --user daemon-reload"), words(&format!("systemctl --user enable --now {unit}"))]
            }
            Self::Launchd => vec![with(words("launchctl bootstrap"), [domain(), path])],
            Self::TaskScheduler => vec![
                with(words("schtasks /Create /F /TN"), [task::NAME.to_owned(), "/XML".to_owned(), path]),
                with(words("schtasks /Run /TN"), [task::NAME.to_owned()]),
            ],
        }
    }

    /// The commands that apply changed `files` to a service that runs.
    pub(super) fn restarting(self, files: &[ServiceFile], change: SocketChange) -> Vec<Words> {
        match self {
            Self::Systemd if change == SocketChange::Added => vec![
                words("systemctl --user daemon-reload"),
                words(&format!("systemctl --user disable --now {SERVICE}")),
                words(&format!("systemctl --user enable --now {SOCKET}")),
            ],
            Self::Systemd if change == SocketChange::Removed => vec![
                words("systemctl --user daemon-reload"),
                words(&format!("systemctl --user stop {SOCKET} {SERVICE}")),
                words(&format!("systemctl --user enable --now {SERVICE}")),
            ],
            // A socket cannot be opened anew while its service has it.
            Self::Systemd if files.len() > 1 => vec![
                words("systemctl --user daemon-reload"),
                words(&format!("systemctl --user stop {SERVICE}")),
                words(&format!("systemctl --user restart {SOCKET}")),
            ],
            Self::Systemd => {
                vec![words("systemctl --user daemon-reload"), words("systemctl --user restart codex-proxy")]
            }
            Self::Launchd => vec![with(words("launchctl kickstart -k"), [format!("{}/{}", domain(), launchd::LABEL)])],
            Self::TaskScheduler => vec![words("schtasks /End /TN codex-proxy"), words("schtasks /Run /TN codex-proxy")],
        }
    }

    /// The commands that stop the service of `files` and forget it.
    pub(super) fn stopping(self, files: &[ServiceFile]) -> Vec<Words> {
        match self {
            Self::Systemd => {
                let units = files.iter().filter_map(|file| file.path.file_name()?.to_str().map(str::to_owned));
                let mut call = words("systemctl --user disable --now");
                call.extend(units);
                vec![call]
            }
            Self::Launchd => vec![with(words("launchctl bootout"), [format!("{}/{}", domain(), launchd::LABEL)])],
            Self::TaskScheduler => {
                vec![words("schtasks /End /TN codex-proxy"), words("schtasks /Delete /F /TN codex-proxy")]
            }
        }
    }

    /// The command that keeps `file`, which is about to be removed, from the next login's start.
    pub(super) fn disabling(self, file: &ServiceFile) -> Option<Words> {
        let unit = file.path.file_name()?.to_str()?;
        (self == Self::Systemd).then(|| words(&format!("systemctl --user disable {unit}")))
    }

    /// The command after files were removed, if the manager needs one.
    pub(super) fn forgetting(self) -> Option<Words> {
        (self == Self::Systemd).then(|| words("systemctl --user daemon-reload"))
    }

    /// The command that tells whether the service runs.
    pub(super) fn asking(self) -> Words {
        match self {
            Self::Systemd => words("systemctl --user --no-pager --lines=0 status codex-proxy"),
            Self::Launchd => with(words("launchctl print"), [format!("{}/{}", domain(), launchd::LABEL)]),
            Self::TaskScheduler => words("schtasks /Query /TN codex-proxy /V /FO LIST"),
        }
    }

    /// Asks the manager whether the service runs. The error says why it cannot be asked.
    pub(super) fn runs(self) -> Result<bool, String> {
        match self {
            Self::Systemd => {
                // A socket that waits is the service too.
                let (_, told) = heard(&words(&format!("systemctl --user is-active {SERVICE} {SOCKET}")))?;
                if told.trim().is_empty() {
                    return Err("systemctl --user tells nothing".to_owned());
                }
                // A service that its socket has just started says within a moment that it is ready.
                Ok(told.lines().any(|state| matches!(state.trim(), "active" | "activating" | "reloading")))
            }
            Self::Launchd => {
                let (_, told) = heard(&self.asking())?;
                Ok(told.lines().any(|line| line.trim() == "state = running"))
            }
            // The words of schtasks are those of the user's language; these are not.
            Self::TaskScheduler => {
                let script = "exit [int]((Get-ScheduledTask -TaskName codex-proxy).State -ne 'Running')";
                Ok(heard(&with(words("powershell -NoProfile -Command"), [script.to_owned()]))?.0)
            }
        }
    }

    /// The command that shows the log.
    pub(super) fn showing(self, log: &str, follow: bool) -> Words {
        match self {
            Self::Systemd => {
                let call = words("journalctl --user --unit codex-proxy --lines 200 --output cat");
                with(call, [if follow { "--follow" } else { "--no-pager" }.to_owned()])
            }
            Self::Launchd if follow => with(words("tail -n 200 -F"), [log.to_owned()]),
            Self::Launchd => with(words("tail -n 200"), [log.to_owned()]),
            Self::TaskScheduler => {
                let wait = if follow { " -Wait" } else { "" };
                let script = format!("Get-Content -LiteralPath '{}' -Tail 200{wait}", log.replace('\'', "''"));
                with(words("powershell -NoProfile -Command"), [script])
            }
        }
    }
}

/// Runs a command with this program's own output. Returns whether it succeeded; the error is the reason that it did not
/// start.
pub(super) fn run(words: &Words, is_quiet: bool) -> Result<bool, String> {
    let Some((program, arguments)) = words.split_first() else { return Ok(true) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    if is_quiet {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    command.status().map(|status| status.success()).map_err(|error| not_started(program, &error))
}

/// Runs a command for its answer: whether it succeeded, and what it printed.
fn heard(words: &Words) -> Result<(bool, String), String> {
    let Some((program, arguments)) = words.split_first() else { return Ok((true, String::new())) };
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.map_err(|error| not_started(program, &error))?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn not_started(program: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no {program} here"),
        _ => format!("{program} cannot be started: {error}"),
    }
}

/// Writes a command as it is typed.
pub(super) fn typed(words: &Words) -> String {
    let quoted = words.iter().map(|word| if word.contains(' ') { format!("\"{word}\"") } else { word.clone() });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Returns the directory of the user's own changes to the unit.
pub(super) fn drop_ins(files: &[ServiceFile]) -> Option<PathBuf> {
    let path = files.first()?.path.with_extension("service.d");
    path.is_dir().then_some(path)
}

fn words(text: &str) -> Words {
    text.split(' ').map(str::to_owned).collect()
}

fn with<const N: usize>(mut words: Words, more: [String; N]) -> Words {
    words.extend(more);
    words
}

/// launchd's domain of the logged-in user.
fn domain() -> String {
    #[cfg(unix)]
    let user = rustix::process::getuid().as_raw();
    #[cfg(not(unix))]
    let user = 0;
    format!("gui/{user}")
}

const SERVICE: &str = "codex-proxy.service";
const SOCKET: &str = "codex-proxy.socket";
