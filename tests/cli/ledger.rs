//! The ledger of a program that is killed, stopped, or has nowhere to write; and `usage`, which reads it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use codex_proxy::ledger::LedgerPlace;
use codex_proxy::ledger::summary::LedgerReader;
use codex_proxy::platform::Instant;
use codex_proxy::simulator::RunningSimulator;
use rusqlite::Connection;
use serde_json::Value;

use crate::common::PATIENCE;
use crate::common::daemon::{Daemon, Home};
use crate::{simulated, text};

const CHAT: &str = r#"{"messages":[{"role":"user","content":"Hello!"}],"model":"gpt-6.1-sol"}"#;
const METRICS: &str = "GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n";
const LEDGER: &str = ".local/state/codex-proxy/ledger.sqlite3";

/// A daemon before the simulator, whose login it has.
fn serving(home: &Home, running: &RunningSimulator, login: &str) -> Command {
    let mut command = home.serving(&running.upstream_url());
    // The token names its account.
    command.env("ACCESS_TOKEN", login).env_remove("ACCOUNT_ID");
    command
}

fn ask(daemon: &Daemon) -> String {
    let mut answer = String::new();
    daemon.chat(CHAT).read_to_string(&mut answer).expect("an answer");
    answer
}

/// Asks a daemon that may be killed meanwhile.
fn is_answered(address: SocketAddr) -> bool {
    let Ok(mut socket) = TcpStream::connect(address) else { return false };
    let length = CHAT.len();
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json";
    let mut answer = String::new();
    socket.write_all(format!("{head}\r\ncontent-length: {length}\r\n\r\n{CHAT}").as_bytes()).is_ok()
        && socket.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200 ")
}

/// The rows that the daemon says it has written, and those it has lost.
fn counted(daemon: &Daemon) -> (u64, u64) {
    let metrics = daemon.ask(METRICS);
    let value = |outcome: &str| {
        let line = format!("codex_proxy_ledger_rows_total{{outcome=\"{outcome}\"}} ");
        let line = metrics.lines().find_map(|found| found.strip_prefix(line.as_str()));
        line.unwrap_or_else(|| panic!("{metrics}")).parse().expect("a count")
    };
    (value("written"), value("lost"))
}

fn wait_for(daemon: &Daemon, what: impl Fn((u64, u64)) -> bool) -> (u64, u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let counts = counted(daemon);
        if what(counts) {
            return counts;
        }
        assert!(Instant::now() < deadline, "{counts:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The rows of the ledger at `path`, which must be sound. One whose first batch never came has no tables yet.
fn rows(path: &Path) -> u64 {
    let connection = Connection::open(path).expect("a database");
    if connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).expect("a version") == 0 {
        return 0;
    }
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
    assert_eq!(sound, "ok");
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    let rows = number("SELECT count(*) FROM request");
    let sums = number("SELECT coalesce(sum(requests), 0) FROM usage");
    assert_eq!(rows, sums, "rows and their sums are written together");
    u64::try_from(rows).expect("a count")
}

fn login(simulator: &codex_proxy::simulator::Simulator) -> String {
    let document = simulator.issue_login(codex_proxy::simulator::SimulatedLogin::default());
    document["tokens"]["access_token"].as_str().expect("a token").to_owned()
}

/// Kills a busy daemon `after` it has begun to answer. What it had counted as written is there, and so is everything
/// that was answered more than `grace` before.
fn kill_after(after: Duration, grace: Duration) {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    let daemon = Daemon::quiet(&mut serving(&home, &running, &login(&simulator)));
    let (answered, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let begun = Instant::now();
    let (written, killed) = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    if is_answered(daemon.address) {
                        answered.lock().expect("no panic").push(Instant::now());
                    }
                }
            });
        }
        std::thread::sleep(after.saturating_sub(begun.elapsed()));
        let (written, _) = counted(&daemon);
        let killed = Instant::now();
        daemon.signal("-KILL");
        is_over.store(true, Ordering::Relaxed);
        (written, killed)
    });
    drop(daemon);
    let answered = answered.into_inner().expect("no panic");
    let old = answered.iter().filter(|at| killed.saturating_duration_since(**at) > grace).count() as u64;
    let path = home.path().join(LEDGER);
    let found = if path.exists() { rows(&path) } else { 0 };
    assert!(found >= written, "{found} of {written} counted rows after {after:?}");
    assert!(found >= old, "{found} of {old} rows older than {grace:?}, killed after {after:?}");
}

/// Moments that are spread over the batches of the writer.
fn moments(count: u32) -> impl Iterator<Item = Duration> {
    (0..count).map(move |number| Duration::from_micros(u64::from(number * 7919 % count) * 1_300_000 / u64::from(count)))
}

#[test]
fn a_killed_daemon_leaves_a_whole_ledger() {
    std::thread::scope(|scope| {
        for part in 0..10 {
            scope.spawn(move || {
                // On a busy machine the writer may have to wait for its turn.
                moments(20).skip(part).step_by(10).for_each(|after| kill_after(after, Duration::from_secs(10)));
            });
        }
    });
}

#[test]
#[ignore = "takes minutes: just test-slow"]
fn a_killed_daemon_loses_at_most_the_last_second() {
    moments(200).for_each(|after| kill_after(after + Duration::from_millis(900), Duration::from_secs(1)));
}

#[test]
fn a_stopped_daemon_has_written_every_row() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    for round in 1..=2 {
        let daemon = Daemon::start(&mut serving(&home, &running, &login(&simulator)));
        for _ in 0..5 {
            assert!(ask(&daemon).starts_with("HTTP/1.1 200 "));
        }
        daemon.signal("-TERM");
        assert_eq!(daemon.end().0, Some(0));
        assert_eq!(rows(&home.path().join(LEDGER)), round * 5);
    }
}

#[test]
fn without_days_nothing_is_recorded() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    let mut command = serving(&home, &running, &login(&simulator));
    let daemon = Daemon::start(command.env("CODEX_PROXY_LEDGER_DAYS", "0"));
    assert!(ask(&daemon).starts_with("HTTP/1.1 200 "));
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
    assert!(!home.path().join(".local").exists());
    assert!(text(&home.run(&["usage"]).stdout).starts_with("No requests in the last 7 days."));
}

/// Requests are answered, their rows are lost, and the log says so once.
fn serves_without_a_ledger(command: &mut Command) {
    let daemon = Daemon::start(command);
    for _ in 0..3 {
        assert!(ask(&daemon).starts_with("HTTP/1.1 200 "));
        std::thread::sleep(Duration::from_millis(400));
    }
    wait_for(&daemon, |(_, lost)| lost == 3);
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("cannot be written").count(), 1, "{log}");
}

#[test]
fn a_place_that_cannot_be_written_costs_rows_and_is_told_once() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    home.write("file", "");
    let states = home.path().join("file");
    serves_without_a_ledger(serving(&home, &running, &login(&simulator)).env("XDG_STATE_HOME", &states));
    let output = home.command(&["usage"]).env("XDG_STATE_HOME", &states).output().expect("it runs");
    assert!(text(&output.stdout).starts_with("No requests"), "{output:?}");
}

/// A file system of `size`, in a directory of the test's own; `None` where the test may not make one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(directory: &Path, size: &str) -> Option<Self> {
        let size = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory);
        mount.output().is_ok_and(|output| output.status.success()).then(|| Self(directory.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_costs_rows_until_there_is_room() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    let disk = tempfile::tempdir().expect("a directory");
    // Only root can make a file system.
    let Some(_mounted) = SmallDisk::mount(disk.path(), "1m") else { return };
    let filler = disk.path().join("filler");
    let mut command = serving(&home, &running, &login(&simulator));
    let daemon = Daemon::start(command.env("XDG_STATE_HOME", disk.path()));
    assert!(ask(&daemon).starts_with("HTTP/1.1 200 "));
    wait_for(&daemon, |(written, _)| written == 1);
    // What is left of the disk, to the last byte.
    let _ = std::fs::write(&filler, vec![0; 2 << 20]);
    let before = counted(&daemon);
    let deadline = Instant::now() + PATIENCE;
    while counted(&daemon).1 == before.1 {
        assert!(ask(&daemon).starts_with("HTTP/1.1 200 "));
        assert!(Instant::now() < deadline, "the disk is never full");
    }
    std::fs::remove_file(&filler).expect("removed");
    let full = counted(&daemon);
    while counted(&daemon).0 == full.0 {
        assert!(ask(&daemon).starts_with("HTTP/1.1 200 "));
        std::thread::sleep(Duration::from_millis(100));
        assert!(Instant::now() < deadline, "nothing is written again");
    }
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert_eq!((code, log.matches("cannot be written").count()), (Some(0), 1), "{log}");
    assert!(log.contains("is written again"), "{log}");
    rows(&disk.path().join("codex-proxy/ledger.sqlite3"));
}

/// The system's limit on the size of files ends a program that does not expect it.
#[test]
fn a_limit_on_the_size_of_files_ends_nothing() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    let own = serving(&home, &running, &login(&simulator));
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""]).arg(own.get_program()).args(own.get_args()).env_clear();
    limited.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    serves_without_a_ledger(&mut limited);
}

#[test]
fn a_broken_ledger_is_set_aside_and_the_log_says_so() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    home.write(LEDGER, "no database at all");
    let daemon = Daemon::start(&mut serving(&home, &running, &login(&simulator)));
    assert!(ask(&daemon).starts_with("HTTP/1.1 200 "));
    wait_for(&daemon, |counts| counts == (1, 0));
    daemon.signal("-TERM");
    let (_, log) = daemon.end();
    let told: Vec<_> = log.lines().filter(|line| line.contains("set aside as")).collect();
    assert!(told.len() == 1 && told[0].contains("ledger.sqlite3.broken-"), "{log}");
    assert_eq!(rows(&home.path().join(LEDGER)), 1);
}

#[test]
fn usage_shows_what_was_recorded_while_the_daemon_runs_and_after() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    let daemon = Daemon::start(&mut serving(&home, &running, &login(&simulator)));
    for _ in 0..3 {
        assert!(ask(&daemon).starts_with("HTTP/1.1 200 "));
    }
    wait_for(&daemon, |counts| counts == (3, 0));
    let checks = || {
        for by in ["model", "client", "day"] {
            let shown = text(&home.run(&["usage", "--by", by, "--days", "2"]).stdout);
            assert!(shown.starts_with(by) && shown.contains("Limits, as told"), "{shown}");
            assert!(shown.contains("weekly: 12.5 % used, resets in 3 days"), "{shown}");
            assert!(shown.lines().all(|line| line.chars().count() <= 60), "{shown}");
        }
        let output = home.run(&["usage", "--json"]);
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((json["total"]["requests"].as_u64(), json["days"].as_u64()), (Some(3), Some(7)));
        let group = &json["groups"][0];
        assert_eq!((group["model"].as_str(), group["failed"].as_u64()), (Some("gpt-6.1-sol"), Some(0)));
        for count in ["input_tokens", "output_tokens", "mean_first_token_ms", "mean_duration_ms"] {
            assert!(group[count].is_u64(), "{count} in {group}");
        }
        for time in
            [&json["since"], &json["until"], &json["limits"]["observed_at"], &json["limits"]["windows"][0]["resets_at"]]
        {
            let time = time.as_str().unwrap_or_else(|| panic!("a time in {json}"));
            assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
        }
        assert_eq!(json["limits"]["windows"][0]["name"], "weekly");
    };
    checks();
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
    checks();
    let place = LedgerPlace::File(home.path().join(LEDGER));
    assert_eq!(LedgerReader::open(&place).expect("readable").expect("a ledger").newest(9).expect("rows").len(), 3);
}

#[test]
fn status_shows_what_the_last_answer_told_where_the_backend_cannot_be_asked() {
    let (_runtime, simulator, running) = simulated();
    let home = Home::new();
    let token = login(&simulator);
    let daemon = Daemon::start(&mut serving(&home, &running, &token));
    assert!(ask(&daemon).starts_with("HTTP/1.1 200 "));
    wait_for(&daemon, |counts| counts == (1, 0));
    let status = |arguments: &[&str]| {
        let arguments = [&["status", "--upstream-url", "http://127.0.0.1:9/codex"], arguments].concat();
        let mut command = home.command(&arguments);
        command.env("CREDS_STORE", "env").env("ACCESS_TOKEN", &token);
        text(&command.output().expect("it runs").stdout)
    };
    let shown = status(&[]);
    assert!(shown.contains("Usage    weekly: 12.5 % used") && shown.contains("(told "), "{shown}");
    assert!(shown.contains("not known now: "), "{shown}");
    let json: Value = serde_json::from_str(&status(&["--json"])).expect("JSON");
    assert!(json["windows_observed_at"].as_str().is_some_and(|at| at.len() == 20 && at.ends_with('Z')), "{json}");
    assert!(json["windows_error"].is_string() && json["windows"][0]["name"] == "weekly", "{json}");
}

#[test]
fn usage_tells_of_a_demo_that_records_elsewhere() {
    let home = Home::new();
    let demo = Daemon::quiet(&mut home.command(&["demo", "--port", "0"]));
    let port = demo.address.port().to_string();
    let shown = text(&home.run(&["usage", "--port", &port]).stdout);
    assert!(shown.starts_with("No requests") && shown.contains("its requests are on its page alone"), "{shown}");
    let json: Value = serde_json::from_slice(&home.run(&["usage", "--json", "--port", &port]).stdout).expect("JSON");
    assert_eq!(json["total"]["requests"], 0);
    drop(demo);
    assert!(!text(&home.run(&["usage", "--port", &port]).stdout).contains("demo"));
}

#[test]
fn usage_says_what_is_wrong() {
    let home = Home::new();
    home.write(LEDGER, "no database at all");
    let output = home.run(&["usage"]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.starts_with("codex-proxy: cannot read the ledger ") && errors.lines().count() == 1, "{errors}");
    for arguments in [&["usage", "--days", "0"][..], &["usage", "--by", "phase"], &["--ledger-days", "many"]] {
        assert_eq!(home.run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
