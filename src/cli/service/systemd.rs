//! The units of systemd's user manager.
//!
//! * `KillMode=mixed`: the program alone is told to stop, ends its answers and waits for a token refresh under way.
//! * It is started again after a crash, a missed watchdog, or exit code 75 (an address that is not there yet); not after 1 or
//!   2, which stay until the configuration is put right.
//! * Everything is forbidden that the program does not do. Some of it needs user namespaces, which some systems forbid.

use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cli::service::definition::ServiceDefinition;
use crate::cli::service::stamp::MARK;

/// Renders `codex-proxy.service`.
pub(super) fn service(definition: &ServiceDefinition) -> String {
    let mut lines = vec![
        format!("# {MARK}"),
        "# Put changes into a drop-in, which stays: systemctl --user edit codex-proxy".to_owned(),
        "[Unit]".to_owned(),
        "Description=codex-proxy: OpenAI's and Anthropic's APIs on a ChatGPT plan".to_owned(),
        "Documentation=man:codex-proxy(1)".to_owned(),
    ];
    if !definition.sockets.is_empty() {
        lines.extend(["Requires=codex-proxy.socket", "After=codex-proxy.socket"].map(str::to_owned));
    }
    lines.extend(START_LIMIT.map(str::to_owned));
    lines.extend(["", "[Service]", "Type=notify", "NotifyAccess=main"].map(str::to_owned));
    lines.push(format!("ExecStart={}", command(definition)));
    lines.extend(definition.variables.iter().map(|(name, value)| {
        // A variable is expanded in a command line alone.
        format!("Environment={}", quoted(&format!("{name}={value}"), false))
    }));
    lines.extend(LIFE.map(str::to_owned));
    lines.extend(HARDENING.map(str::to_owned));
    if definition.has_sandbox {
        lines.extend(SANDBOX.map(str::to_owned));
        let writable = definition.writable.iter().map(|path| quoted(&format!("-{path}"), false));
        lines.push(format!("ReadWritePaths={}", writable.collect::<Vec<_>>().join(" ")));
    }
    lines.extend(["", "[Install]", "WantedBy=default.target", ""].map(str::to_owned));
    lines.join("\n")
}

/// Renders `codex-proxy.socket`; none if the program opens its own.
pub(super) fn socket(definition: &ServiceDefinition) -> Option<String> {
    if definition.sockets.is_empty() {
        return None;
    }
    let mut lines = vec![format!("# {MARK}"), "[Unit]".to_owned()];
    lines.extend(["Description=The port of codex-proxy", "", "[Socket]"].map(str::to_owned));
    lines.extend(definition.sockets.iter().map(|address| format!("ListenStream={address}")));
    lines.extend(["", "[Install]", "WantedBy=sockets.target", ""].map(str::to_owned));
    Some(lines.join("\n"))
}

/// Returns whether `program` cannot be started in the sandbox, as inside many containers, whose own mounts over `/proc` may
/// not be changed. A manager that cannot be asked says nothing of it.
pub(super) fn fails_in_sandbox(program: &Path) -> bool {
    let mut attempt = Command::new("systemd-run");
    attempt.args(["--user", "--wait", "--collect", "--quiet", "--property=RuntimeMaxSec=20"]);
    attempt.args(SANDBOX.iter().filter(|line| !line.starts_with('#')).map(|line| format!("--property={line}")));
    attempt.arg(program).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    attempt.status().is_ok_and(|status| status.code().is_some_and(|code| SETUP_FAILED.contains(&code)))
}

fn command(definition: &ServiceDefinition) -> String {
    let words = [definition.program.as_str(), "serve"].into_iter().chain(definition.flags.iter().map(String::as_str));
    words.map(|word| quoted(word, true)).collect::<Vec<_>>().join(" ")
}

/// Quotes a word (<https://www.freedesktop.org/software/systemd/man/latest/systemd.syntax.html#Quoting>); `%` and, in a
/// command, `$` would be expanded.
fn quoted(word: &str, is_command: bool) -> String {
    let mut word = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    if is_command {
        word = word.replace('$', "$$");
    }
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@+%,[]~$".contains(letter);
    if word.chars().all(is_plain) { word } else { format!("\"{word}\"") }
}

/// systemd's exit codes for a process that it could not set up; 226 is NAMESPACE
/// (<https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Process%20Exit%20Codes>).
const SETUP_FAILED: RangeInclusive<i32> = 200..=243;

const START_LIMIT: [&str; 2] = ["StartLimitIntervalSec=10min", "StartLimitBurst=10"];

const LIFE: [&str; 14] = [
    "Restart=on-failure",
    "RestartSec=5",
    "RestartPreventExitStatus=1 2",
    "WatchdogSec=60",
    "WatchdogSignal=SIGTERM",
    "KillMode=mixed",
    "TimeoutStopSec=60",
    "UMask=0077",
    "ConfigurationDirectory=codex-proxy",
    "ConfigurationDirectoryMode=0700",
    "CacheDirectory=codex-proxy",
    "CacheDirectoryMode=0700",
    "LimitCORE=0",
    "",
];

/// What works under every kernel and without rights.
const HARDENING: [&str; 11] = [
    "# What the program never does is forbidden.",
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    "SystemCallErrorNumber=EPERM",
    "SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources",
];

/// What needs user namespaces: <https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Sandboxing>.
const SANDBOX: [&str; 18] = [
    "PrivateUsers=yes",
    "AmbientCapabilities=",
    "CapabilityBoundingSet=",
    "DevicePolicy=closed",
    "KeyringMode=private",
    "PrivateDevices=yes",
    "PrivateTmp=yes",
    "ProcSubset=pid",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHome=read-only",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "ProtectSystem=strict",
    "# Its own directories, and the Codex CLI's for a shared login.",
];
