//! The program as a service: what it tells its manager, whose sockets it takes over, and the files of `service`.

use std::io::Read as _;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::PATIENCE;
use crate::common::daemon::{Daemon, Home, coverage};
use crate::{HEALTH, text};

/// The manager's end of the socket that a service reports to.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        Self(socket)
    }

    /// Waits for a report with this line.
    fn hears(&self, line: &str) {
        let mut report = [0; 4096];
        loop {
            let length = self.0.recv(&mut report).unwrap_or_else(|error| panic!("{line} is never said: {error}"));
            if text(&report[..length]).lines().any(|said| said == line) {
                return;
            }
        }
    }
}

#[test]
fn the_manager_hears_of_the_start_of_life_and_of_the_end() {
    let home = Home::new();
    let path = home.path().join("notify");
    let manager = Manager::at(&path);
    let mut command = home.command(&["--port", "0"]);
    let daemon = Daemon::quiet(command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000"));
    manager.hears("READY=1");
    manager.hears("WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    daemon.signal("-TERM");
    manager.hears("STOPPING=1");
}

#[test]
fn a_socket_of_the_managers_is_taken_over() {
    let home = Home::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = socket.local_addr().expect("bound").port();
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_codex-proxy");
    // A configured port that is taken does not matter: nothing is bound.
    let start = format!("LISTEN_PID=$$ LISTEN_FDS=1 exec {program} --port 1 3<&0 </dev/null");
    command.arg("-c").arg(start).stdin(OwnedFd::from(socket));
    command.env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin").envs(coverage());
    let daemon = Daemon::start(&mut command);
    assert_eq!(daemon.address.port(), port);
    assert!(daemon.ask(HEALTH).contains(r#""status":"ok""#));
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0));
    assert!(log.contains("--port has no effect") && log.contains(&format!("127.0.0.1:{port}")), "{log}");
}

#[test]
fn health_tells_by_its_exit_code_and_in_one_line() {
    let home = Home::new();
    let demo = Daemon::start(&mut home.command(&["demo", "--port", "0"]));
    let port = demo.address.port().to_string();
    let output = home.run(&["health", "--port", &port]);
    let said = text(&output.stdout);
    assert!(output.status.success() && said.lines().count() == 1, "{output:?}");
    assert!(said.starts_with("ok: codex-proxy ") && said.contains("mode demo, login ok"), "{said}");
    let doctor = text(&home.run(&["doctor", "--port", &port]).stdout);
    assert!(doctor.contains("the demo is serving on"), "{doctor}");
    drop(demo);
    let mut command = home.command(&["health"]);
    let output = command.env("CODEX_PROXY_PORT", &port).output().expect("it runs");
    let said = text(&output.stdout);
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{output:?}");
    assert!(said.starts_with(&format!("not serving: http://127.0.0.1:{port} cannot be reached")), "{said}");
    assert_eq!(home.run(&["health", "--port", "0"]).status.code(), Some(2));
}

#[cfg(target_os = "linux")]
const UNIT: &str = ".config/systemd/user/codex-proxy.service";

/// `service` with a manager that only writes down how it is called.
#[cfg(target_os = "linux")]
fn service(home: &Home, arguments: &[&str]) -> Output {
    let tools = home.path().join("tools");
    if !tools.exists() {
        home.write("tools/systemctl", "#!/bin/sh\necho \"$@\" >> \"$HOME/calls\"\n");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(tools.join("systemctl"), mode).expect("a mode");
    }
    home.command(arguments).env("PATH", &tools).output().expect("it runs")
}

/// The same, whose answer to `is-active` is `state`.
#[cfg(target_os = "linux")]
fn service_in(home: &Home, state: &str, arguments: &[&str]) -> Output {
    let script =
        format!("#!/bin/sh\necho \"$@\" >> \"$HOME/calls\"\ncase \"$*\" in *is-active*) echo {state};; esac\n");
    home.write("tools/systemctl", &script);
    let tools = home.path().join("tools");
    std::fs::set_permissions(tools.join("systemctl"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    home.command(arguments).env("PATH", &tools).output().expect("it runs")
}

/// The files below the home, but for the tools and their record.
#[cfg(target_os = "linux")]
fn left(home: &Home) -> Vec<PathBuf> {
    fn add(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { add(&path, files) } else { files.push(path) }
        }
    }
    let mut files = Vec::new();
    add(home.path(), &mut files);
    files.retain(|file| !file.ends_with("calls") && !file.ends_with("systemctl"));
    files
}

#[test]
#[cfg(target_os = "linux")]
fn a_service_is_installed_once_and_leaves_nothing() {
    let home = Home::new();
    let install = ["service", "install", "--port", "3000", "--config", "~/c.toml"];
    home.write("c.toml", "log-level = \"debug\"\n");
    let first = service(&home, &install);
    let said = text(&first.stdout);
    assert!(first.status.success(), "{first:?}");
    for part in ["wrote: ", UNIT, "systemctl --user enable --now codex-proxy.service", "loginctl enable-linger"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let unit = std::fs::read_to_string(home.path().join(UNIT)).expect("a unit");
    let start = unit.lines().find(|line| line.starts_with("ExecStart=")).expect("a start");
    assert!(
        start.contains(" serve ") && start.contains("--port=3000") && start.contains("--config=~/c.toml"),
        "{start}"
    );
    assert!(!home.path().join("calls").exists(), "nothing is started");
    assert!(home.path().join(".local/state/codex-proxy").is_dir(), "the ledger could not be begun inside the sandbox");

    assert!(text(&service(&home, &install).stdout).contains("unchanged: "));
    let other = service_in(&home, "active", &["service", "install", "--port", "3001"]);
    assert!(
        text(&other.stdout).contains("wrote: ") && text(&other.stdout).contains("restart codex-proxy"),
        "{other:?}"
    );
    assert!(!text(&other.stdout).contains("enable --now"), "{other:?}");
    let bare = text(&service_in(&home, "inactive", &["service", "install"]).stdout);
    let changed: Vec<_> = bare.lines().filter(|line| line.starts_with("  - ") || line.starts_with("  + ")).collect();
    assert!(
        changed.len() == 2 && changed[0].starts_with("  - ExecStart=") && changed[0].contains("--port=3001"),
        "{bare}"
    );
    assert!(changed[1].starts_with("  + ExecStart=") && !changed[1].contains("--port"), "{bare}");
    assert!(bare.contains("enable --now codex-proxy.service") && !bare.contains("restart codex-proxy"), "{bare}");
    let untold = text(&service_in(&home, "", &["service", "install", "--port", "3002"]).stdout);
    assert!(untold.contains("enable --now codex-proxy.service") && untold.contains("restart codex-proxy"), "{untold}");

    let status = service(&home, &["service", "status", "--port", "9"]);
    assert!(text(&status.stdout).contains("installed: ") && text(&status.stdout).contains("not serving"), "{status:?}");
    let gone = service(&home, &["service", "uninstall"]);
    assert!(gone.status.success() && text(&gone.stdout).contains("removed: "), "{gone:?}");
    assert_eq!(left(&home), [home.path().join("c.toml")]);
    let calls = std::fs::read_to_string(home.path().join("calls")).expect("calls");
    assert!(calls.contains("--user disable --now codex-proxy.service\n--user daemon-reload\n"), "{calls}");
    assert!(text(&service(&home, &["service", "uninstall"]).stdout).contains("There is no service"));
}

#[test]
#[cfg(target_os = "linux")]
fn an_install_takes_back_the_socket_of_an_earlier_one() {
    let home = Home::new();
    let socket = home.path().join(UNIT).with_extension("socket");
    let install = |more: &[&str]| {
        let output = service_in(&home, "active", &[&["service", "install"], more].concat());
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    install(&["--port", "3000"]);
    let added = install(&["--socket", "--port", "3000"]);
    for step in ["disable --now codex-proxy.service", "enable --now codex-proxy.socket"] {
        assert!(added.contains(step), "{step}: {added}");
    }
    assert!(std::fs::read_to_string(&socket).expect("a socket").contains("ListenStream=127.0.0.1:3000"));
    let moved = install(&["--socket", "--port", "3001"]);
    assert!(moved.contains("restart codex-proxy.socket") && !moved.contains("enable --now"), "{moved}");
    let removed = install(&["--port", "3002"]);
    assert!(!socket.exists() && removed.contains("removed: "), "{removed}");
    for step in ["stop codex-proxy.socket codex-proxy.service", "enable --now codex-proxy.service"] {
        assert!(removed.contains(step), "{step}: {removed}");
    }
    let calls = std::fs::read_to_string(home.path().join("calls")).expect("calls");
    assert!(calls.contains("--user disable codex-proxy.socket\n"), "{calls}");
    install(&["--socket"]);
    std::fs::write(&socket, "[Socket]\nListenStream=9\n").expect("written");
    let refused = service(&home, &["service", "install", "--port", "3002"]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("was changed by hand"), "{refused:?}");
    assert!(socket.exists());
}

#[test]
#[cfg(target_os = "linux")]
fn the_status_is_that_of_the_port_in_the_unit() {
    let home = Home::new();
    let live = Daemon::quiet(&mut home.serving("http://127.0.0.1:9"));
    let port = live.address.port().to_string();
    let state = |home: &Home| text(&service_in(home, "active", &["service", "status"]).stdout);
    assert!(service(&home, &["service", "install", "--port", &port]).status.success());
    assert!(state(&home).contains("ok: codex-proxy"), "{}", state(&home));
    home.write("c.toml", &format!("port = {port}\n"));
    assert!(service(&home, &["service", "install", "--config", "~/c.toml"]).status.success());
    assert!(state(&home).contains("ok: codex-proxy"), "{}", state(&home));
    assert!(service(&home, &["service", "install", "--socket", "--port", &port]).status.success());
    // The file's port counts no more, since the socket is opened already.
    home.write(".config/codex-proxy/config.toml", "port = 1\n");
    assert!(state(&home).contains("ok: codex-proxy"), "{}", state(&home));
}

#[test]
#[cfg(target_os = "linux")]
fn a_service_that_could_not_work_is_not_installed() {
    let home = Home::new();
    for (flags, part) in
        [(["--host", "0.0.0.0"], "without a key"), (["--creds-store", "env"], "none of this shell's variables")]
    {
        let arguments = [&["service", "install"], &flags[..]].concat();
        let mut command = home.command(&arguments);
        let output = command.env("CODEX_PROXY_API_KEY", "k").output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(part), "{output:?}");
        assert!(!home.path().join(UNIT).exists());
    }
    home.write("k", "a-key\n");
    assert!(service(&home, &["service", "install", "--host", "0.0.0.0", "--api-key-file", "~/k"]).status.success());
}

#[test]
#[cfg(target_os = "linux")]
fn another_proxy_on_the_port_is_not_taken_for_the_service() {
    let home = Home::new();
    assert!(service(&home, &["service", "install"]).status.success());
    let demo = Daemon::quiet(&mut home.command(&["demo", "--port", "0"]));
    let live = Daemon::quiet(&mut home.serving("http://127.0.0.1:9"));
    let (on_demo, on_live) = (demo.address.port().to_string(), live.address.port().to_string());
    for (state, port, works, said) in [
        ("inactive", &on_demo, false, "installed, not running; another codex-proxy (mode demo) answers at"),
        ("failed", &on_live, false, "installed, not running; another codex-proxy (mode live) answers at"),
        ("", &on_live, false, "whether it runs cannot be told"),
        ("active", &on_demo, false, "a codex-proxy in mode demo answers"),
        ("active", &on_live, true, "ok: codex-proxy"),
    ] {
        let output = service_in(&home, state, &["service", "status", "--port", port]);
        assert_eq!(output.status.code(), Some(if works { 0 } else { 1 }), "{state}: {output:?}");
        assert!(text(&output.stdout).contains(said), "{state}: {output:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_unit_that_somebody_changed_is_theirs() {
    let home = Home::new();
    assert!(service(&home, &["service", "install", "--socket"]).status.success());
    let path = home.path().join(UNIT);
    let changed = std::fs::read_to_string(&path).expect("a unit").replace("RestartSec=5", "RestartSec=7");
    std::fs::write(&path, &changed).expect("written");
    for action in ["install", "uninstall"] {
        let output = service(&home, &["service", action]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(
            text(&output.stderr).contains("was changed by hand") && text(&output.stderr).contains("--force"),
            "{output:?}"
        );
        assert_eq!(std::fs::read_to_string(&path).expect("a unit"), changed, "{action}");
    }
    assert!(service(&home, &["service", "install", "--socket", "--force"]).status.success());
    assert!(std::fs::read_to_string(&path).expect("a unit").contains("RestartSec=5"));
    assert!(service(&home, &["service", "uninstall"]).status.success());
    assert_eq!(left(&home), Vec::<PathBuf>::new(), "the socket's unit goes, too");
}

#[test]
#[cfg(target_os = "linux")]
fn a_unit_goes_without_the_sandbox_that_cannot_be_made_here() {
    for (code, is_sandboxed) in [(0, true), (1, true), (226, false)] {
        let home = Home::new();
        home.write("tools/systemd-run", &format!("#!/bin/sh\necho \"$@\" > \"$HOME/calls\"\nexit {code}\n"));
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(home.path().join("tools/systemd-run"), mode).expect("a mode");
        let output =
            home.command(&["service", "install"]).env("PATH", home.path().join("tools")).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let unit = std::fs::read_to_string(home.path().join(UNIT)).expect("a unit");
        assert_eq!(unit.contains("ProtectSystem=strict"), is_sandboxed, "{code}");
        assert_eq!(text(&output.stdout).contains("without user namespaces"), !is_sandboxed, "{output:?}");
        let tried = std::fs::read_to_string(home.path().join("calls")).expect("a call");
        assert!(
            tried.contains("--property=ProtectSystem=strict") && tried.ends_with("codex-proxy --version\n"),
            "{tried}"
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_key_never_stands_in_a_unit() {
    let home = Home::new();
    let output = service(&home, &["service", "install", "--api-key", "canary"]);
    assert!(!output.status.success() && text(&output.stderr).contains("--api-key-file"), "{output:?}");
    let mut nothing = String::new();
    let _ = std::fs::File::open(home.path().join(UNIT)).map(|mut file| file.read_to_string(&mut nothing));
    assert_eq!(nothing, "");
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_made_for_a_service_is_its_users_alone() {
    let home = Home::new();
    let program = env!("CARGO_BIN_EXE_codex-proxy");
    let mut install = Command::new("sh");
    install.arg("-c").arg(format!("umask 000 && exec {program} service install")).env_clear().env("HOME", home.path());
    let output = install.output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    for path in [".config", ".config/systemd", ".config/systemd/user"] {
        let mode = std::fs::metadata(home.path().join(path)).expect("made").permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{path}");
    }
    let unit = home.path().join(UNIT);
    std::fs::remove_file(&unit).expect("removed");
    assert!(Command::new("mkfifo").arg(&unit).status().expect("mkfifo").success());
    let output = service(&home, &["service", "status"]);
    assert!(text(&output.stderr).contains("not a regular file"), "{output:?}");
}
