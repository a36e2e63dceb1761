//! Signals in the middle of a token refresh: whatever asks the program to stop, short of SIGKILL, the login is there
//! afterwards.
//!
//! * A round starts the daemon with an expired token, waits until the issuer has exchanged it and holds its answer back,
//!   and then signals. The new refresh token exists nowhere but on the way: a login that is still good afterwards has been
//!   stored.
//! * Targets: the daemon alone; its process group, as a terminal does; every process of it, as a service manager does with
//!   a control group; and the first process of a PID namespace, as a container runtime does.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use codex_proxy::platform::Instant;
use codex_proxy::simulator::{SimulatedLogin, Simulator};

use crate::common::daemon::{Home, coverage};
use crate::{LOGIN_FILE, pointed_at, simulated};

#[derive(Clone, Copy, PartialEq)]
enum Target {
    Daemon,
    Group,
    Everything,
}

fn expired_login(simulator: &Simulator) -> String {
    simulator.issue_login(SimulatedLogin::default().expiring_in(-60)).to_string()
}

fn stored_token(path: &std::path::Path) -> String {
    let document: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path).expect("a login")).expect("a whole file");
    document["tokens"]["refresh_token"].as_str().expect("a refresh token").to_owned()
}

/// The process and everything it has started, directly or not.
fn family(root: u32) -> Vec<u32> {
    let parent = |process: &std::path::Path| {
        let status = std::fs::read_to_string(process.join("stat")).ok()?;
        status.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let process = entry.file_name().to_str()?.parse::<u32>().ok()?;
        Some((process, parent(&entry.path())?))
    });
    let processes: Vec<_> = processes.collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&member) = family.get(next) {
        family.extend(processes.iter().filter(|(_, parent)| *parent == member).map(|(process, _)| *process));
        next += 1;
    }
    family
}

fn kill(signal: &str, targets: &[String]) {
    // One that has ended meanwhile needs no signal.
    let output = Command::new("kill").arg(format!("-{signal}")).arg("--").args(targets).output();
    output.expect("kill runs");
}

/// Waits until the issuer has exchanged the token beyond `exchanges`.
fn await_exchange(simulator: &Simulator, exchanges: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while simulator.counters().refreshes <= exchanges {
        assert!(Instant::now() < deadline, "no refresh has begun");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until the file holds a refresh token that is good; the writer may outlive the daemon.
fn assert_kept(simulator: &Simulator, path: &std::path::Path, round: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !simulator.accepts_refresh_token(&stored_token(path)) {
        assert!(Instant::now() < deadline, "{round}: the login is lost");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn rounds_of(signal: &str, target: Target) {
    let (_runtime, simulator, running) = simulated();
    simulator.configure(|settings| settings.issuer.delay = Duration::from_millis(40));
    let home = Home::new();
    let path: PathBuf = home.path().join(LOGIN_FILE);
    let arguments = ["--port", "0", "--host", "127.0.0.1", "--creds-store", "xdg"];
    let (upstream, issuer) = (running.upstream_url(), running.auth_url());
    for round in 0..rounds() {
        home.write(LOGIN_FILE, &expired_login(&simulator));
        let exchanges = simulator.counters().refreshes;
        let mut command = home.command(&pointed_at(&arguments, &upstream, &issuer));
        let mut daemon =
            command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        await_exchange(&simulator, exchanges);
        // Spread over the time to the answer and a little beyond.
        std::thread::sleep(Duration::from_micros(round * 7919 % 50_000));
        let targets = match target {
            Target::Daemon => vec![daemon.id().to_string()],
            Target::Group => vec![format!("-{}", daemon.id())],
            Target::Everything => family(daemon.id()).iter().map(ToString::to_string).collect(),
        };
        kill(signal, &targets);
        daemon.wait().expect("an end");
        assert_kept(&simulator, &path, &format!("SIG{signal}, round {round}"));
    }
    assert_eq!(simulator.counters().reuse_attempts, 0);
}

/// A test for each signal and target, so that they run beside each other.
macro_rules! rounds {
    ($($name:ident: $signal:literal, $target:ident;)*) => {
        $(#[test]
        fn $name() {
            rounds_of($signal, Target::$target);
        })*
    };
}

rounds! {
    term_to_the_daemon_loses_no_login: "TERM", Daemon;
    term_to_the_group_loses_no_login: "TERM", Group;
    term_to_every_process_loses_no_login: "TERM", Everything;
    int_to_the_daemon_loses_no_login: "INT", Daemon;
    int_to_the_group_loses_no_login: "INT", Group;
    int_to_every_process_loses_no_login: "INT", Everything;
    hup_to_the_daemon_loses_no_login: "HUP", Daemon;
    hup_to_the_group_loses_no_login: "HUP", Group;
    hup_to_every_process_loses_no_login: "HUP", Everything;
    quit_to_every_process_loses_no_login: "QUIT", Everything;
    usr1_to_every_process_loses_no_login: "USR1", Everything;
}

#[test]
fn another_programs_lock_does_not_hold_up_the_end() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    home.write(LOGIN_FILE, &expired_login(&simulator));
    let lock = std::fs::File::create(home.path().join(format!("{LOGIN_FILE}.lock"))).expect("a lock file");
    lock.lock().expect("nobody has it");
    let (upstream, issuer) = (running.upstream_url(), running.auth_url());
    let arguments = ["--port", "0", "--host", "127.0.0.1", "--creds-store", "xdg"];
    let mut command = home.command(&pointed_at(&arguments, &upstream, &issuer));
    let mut daemon = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while family(daemon.id()).len() < 2 {
        assert!(Instant::now() < deadline, "no refresh has been asked for");
        std::thread::sleep(Duration::from_millis(5));
    }
    let refreshing = family(daemon.id())[1];
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    kill("TERM", &[daemon.id().to_string()]);
    assert!(daemon.wait().expect("an end").success());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(!std::path::Path::new(&format!("/proc/{refreshing}")).exists(), "the other process waits on");
    assert_eq!(simulator.counters().refreshes, 0);
}

/// Everything else in the namespace is killed as soon as its first process ends.
#[test]
#[cfg(target_os = "linux")]
fn the_first_process_of_a_container_waits_for_the_refresh() {
    let unshare = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let possible = Command::new("unshare").args(unshare).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CODEX_PROXY_REQUIRE_NAMESPACES").is_none(), "no PID namespace can be made");
        println!("not run: no PID namespace can be made here");
        return;
    }
    let (_runtime, simulator, running) = simulated();
    simulator.configure(|settings| settings.issuer.delay = Duration::from_millis(40));
    let home = Home::new();
    let path = home.path().join(LOGIN_FILE);
    let (upstream, issuer) = (running.upstream_url(), running.auth_url());
    for round in 0..rounds() {
        home.write(LOGIN_FILE, &expired_login(&simulator));
        let exchanges = simulator.counters().refreshes;
        let mut command = Command::new("unshare");
        command.args(unshare).arg(env!("CARGO_BIN_EXE_codex-proxy"));
        command.args(pointed_at(&["--port", "0", "--creds-store", "xdg"], &upstream, &issuer));
        command.env_clear().env("HOME", home.path()).env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").envs(coverage());
        let mut namespace = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        await_exchange(&simulator, exchanges);
        std::thread::sleep(Duration::from_micros(round * 7919 % 50_000));
        // As a container runtime does: the first process alone.
        let first = family(namespace.id())[1];
        kill("TERM", &[first.to_string()]);
        namespace.wait().expect("an end");
        assert!(simulator.accepts_refresh_token(&stored_token(&path)), "round {round}: the login is lost");
    }
}

/// Few by default, so that the suite stays quick; `.ci/run` asks for a hundred.
fn rounds() -> u64 {
    let wanted = std::env::var("CODEX_PROXY_SIGNAL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    wanted.unwrap_or(20)
}
