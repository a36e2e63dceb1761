//! `keys`: what it prints, what it keeps, and that a running server follows.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use codex_proxy::simulator::SimulatedLogin;
use serde_json::Value;

use crate::common::daemon::{Daemon, Home};
use crate::{simulated, text};

const FILE: &str = ".config/codex-proxy/keys.json";

fn add(home: &Home, name: &str, more: &[&str]) -> Output {
    home.run(&[&["keys", "add", name], more].concat())
}

/// Adds a key that must be new.
fn added(home: &Home, name: &str, more: &[&str]) -> String {
    let output = add(home, name, more);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim_end().to_owned()
}

fn listed(home: &Home) -> Vec<Value> {
    let output = home.run(&["keys", "list", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

/// The one line of a failure with this exit code.
fn failure(output: &Output, code: i32) -> String {
    let errors = text(&output.stderr);
    assert_eq!((output.status.code(), errors.lines().count()), (Some(code), 1), "{errors}");
    assert_eq!(text(&output.stdout), "");
    errors
}

fn status(daemon: &Daemon, key: &str) -> u16 {
    let head = format!("GET /v1/models HTTP/1.0\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\r\n");
    daemon.ask(&head).split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

/// Waits until a change of the file must have been seen.
fn a_second() {
    std::thread::sleep(Duration::from_secs(1));
}

#[test]
fn a_key_is_shown_once_and_only_its_digest_is_kept() {
    let home = Home::new();
    let output = add(&home, "laptop", &["--models", "gpt-6-luna,gpt-6-sol", "--max-effort", "High"]);
    let (key, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(key.starts_with("cxp-") && key.len() == "cxp-".len() + 43 + 1 && key.ends_with('\n'), "{key:?}");
    assert!(notes.contains("shown this once") && notes.contains("every client needs a key"), "{notes}");
    assert!(!notes.contains(key.trim()));
    assert!(
        notes.contains("set up without") && notes.contains("codex-proxy setup opencode --write --with-key"),
        "{notes}"
    );
    let path = home.path().join(FILE);
    let kept = std::fs::read_to_string(&path).expect("a file");
    assert!(!kept.contains(&key.trim()["cxp-".len()..]), "{kept}");
    assert_eq!((mode(&path), mode(path.parent().expect("a directory"))), (0o600, 0o700));
    let more = ["--tokens-per-day", "5G", "--requests-per-minute", "60", "--expires", "2100-12-31"];
    assert_ne!(added(&home, "ci", &more), key.trim());
    let list = listed(&home);
    assert_eq!(list[0]["models"], serde_json::json!(["gpt-6-luna", "gpt-6-sol"]));
    assert_eq!((&list[0]["max_effort"], &list[0]["expires_at"]), (&"high".into(), &Value::Null));
    assert_eq!((&list[1]["tokens_per_day"], &list[1]["requests_per_minute"]), (&5_000_000_000_u64.into(), &60.into()));
    assert_eq!((&list[1]["expires_at"], &list[1]["expired"]), (&"2101-01-01T00:00:00Z".into(), &false.into()));
    let shown = text(&home.run(&["keys", "list"]).stdout);
    let lines: Vec<_> = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines[1], ["laptop", "high", "-", "-", "-", "gpt-6-luna", "gpt-6-sol"], "{shown}");
    assert_eq!(lines[2], ["ci", "-", "5000000000", "60", "2101-01-01", "00:00", "UTC", "all"], "{shown}");
    let removed = home.run(&["keys", "remove", "laptop"]);
    assert!(removed.status.success() && !text(&removed.stderr).contains("last one"));
    let last = text(&home.run(&["keys", "remove", "ci"]).stderr);
    assert!(last.contains("the last one"), "{last}");
    assert!(text(&home.run(&["keys", "list"]).stdout).contains("no named keys") && listed(&home).is_empty());
}

#[test]
fn what_makes_no_key_is_one_line_that_names_it() {
    let home = Home::new();
    added(&home, "laptop", &[]);
    for (arguments, code, part) in [
        (&["add", "laptop"][..], 1, "there is a key laptop already"),
        (&["add", "Laptop"], 1, "there is a key laptop already"),
        (&["add", "default"], 2, "--api-key"),
        (&["add", "a b"], 2, "\"a b\" is no name"),
        (&["add", "a", "--expires", "2020-01-01"], 2, "--expires: 2020-01-02 00:00 UTC has passed"),
        (&["add", "a", "--models", ""], 2, "--models: a name in it is empty"),
        (&["add", "a", "--models", "gpt-6-sol,"], 2, "--models: a name in it is empty"),
        (&["add", "a", "--expires", "soon"], 2, "write a day like 2026-12-31"),
        (&["add", "a", "--expires", "9999-12-31T23:59:59-01:00"], 2, "after the year 9999"),
        (&["add", "a", "--tokens-per-day", "0"], 2, "--tokens-per-day"),
        (&["add", "a", "--requests-per-minute", "10001"], 2, "--requests-per-minute"),
        (&["add", "a", "--max-effort", "enormous"], 2, "\"enormous\" is none of none, minimal"),
        (&["add", "a", "--models", "gpt-6-sol,gpt-4o"], 2, "--models: \"gpt-4o\" is no model"),
        (&["remove", "other"], 1, "there is no key \"other\""),
        (&["add"], 2, "NAME"),
    ] {
        let error = failure(&home.run(&[&["keys"], arguments].concat()), code);
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    assert_eq!(listed(&home).len(), 1);
    let doubted = text(&add(&home, "slip", &["--models", "gpt-6-luna,gpt-60-soll"]).stderr);
    assert!(doubted.contains("\"gpt-60-soll\" is no model") && !doubted.contains("gpt-6-luna"), "{doubted}");
    assert!(!doubted.contains("From now on"), "{doubted}");
    added(&home, "alias", &["--models", "gpt-4o", "--model-alias", "gpt-4o=gpt-6-luna"]);
}

#[test]
fn the_last_day_of_the_calendar_is_an_end_like_any_other() {
    let home = Home::new();
    added(&home, "for-ever", &["--expires", "9999-12-31"]);
    assert_eq!(listed(&home)[0]["expires_at"], "9999-12-31T23:59:59Z");
    assert!(home.run(&["keys", "remove", "for-ever"]).status.success(), "the file is still one that can be read");
}

#[test]
fn keys_that_are_added_at_the_same_time_are_all_there() {
    let home = Home::new();
    let names: Vec<String> = (0..6).map(|number| format!("key-{number}")).collect();
    let started = names.iter().map(|name| home.command(&["keys", "add", name]).stdout(Stdio::null()).spawn());
    let started: Vec<_> = started.map(|child| child.expect("it starts")).collect();
    for mut child in started {
        assert!(child.wait().expect("an end").success());
    }
    assert_eq!(listed(&home).len(), names.len());
}

#[test]
fn a_file_that_others_can_change_is_refused_by_every_command() {
    let home = Home::new();
    added(&home, "laptop", &[]);
    let path = home.path().join(FILE);
    let directory = path.parent().expect("a directory").to_owned();
    let refuses = |part: &str| {
        for arguments in
            [&["keys", "list"][..], &["keys", "add", "other"], &["keys", "remove", "laptop"], &["--port", "0"]]
        {
            let error = failure(&home.run(arguments), 1);
            assert!(error.contains(part) && error.contains("keys"), "{arguments:?}: {error}");
        }
    };
    chmod(&path, 0o622);
    refuses("can be written by others");
    chmod(&path, 0o600);
    chmod(&directory, 0o777);
    refuses("its directory");
    chmod(&directory, 0o700);
    // A link that leads to a file of everybody's.
    let open = home.path().join("open");
    std::fs::create_dir(&open).expect("made");
    chmod(&open, 0o777);
    std::fs::rename(&path, open.join("keys.json")).expect("moved");
    symlink(open.join("keys.json"), &path).expect("linked");
    refuses("its directory");
    std::fs::remove_file(&path).expect("removed");
    // A pipe would hold everything up.
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success());
    refuses("not a regular file");
    std::fs::remove_file(&path).expect("removed");
    std::fs::write(&path, "{\"version\":1,\"keys\":[").expect("written");
    refuses("EOF");
    std::fs::write(&path, r#"{"version":1,"keys":[{"name":"a","sha256":"0","tokens_per_week":1}]}"#).expect("written");
    let doctor =
        text(&home.run(&["doctor", "--upstream-url", "http://127.0.0.1:9", "--auth-url", "http://127.0.0.1:9"]).stdout);
    assert!(doctor.lines().any(|line| line.starts_with("❌ keys") && line.contains("keys.json")), "{doctor}");
}

#[test]
fn a_server_follows_the_keys_while_it_runs() {
    let home = Home::new();
    let (_runtime, _simulator, running) = simulated();
    let daemon = Daemon::start(&mut home.serving(&running.upstream_url()));
    assert_eq!(status(&daemon, "any"), 200);
    let laptop = added(&home, "laptop", &[]);
    a_second();
    assert_eq!((status(&daemon, &laptop), status(&daemon, "any")), (200, 401));
    // A file that cannot be used leaves the keys as they are.
    let path = home.path().join(FILE);
    let kept = std::fs::read_to_string(&path).expect("text");
    for broken in ["", "{", "{ }", "{"] {
        std::fs::write(&path, broken).expect("written");
        a_second();
        assert_eq!((status(&daemon, &laptop), status(&daemon, "any")), (200, 401), "{broken}");
    }
    std::fs::write(&path, kept).expect("written");
    a_second();
    assert!(home.run(&["keys", "remove", "laptop"]).status.success());
    a_second();
    assert_eq!((status(&daemon, &laptop), status(&daemon, "any")), (401, 401));
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0));
    let told = |part: &str| log.lines().filter(|line| line.contains(part)).count();
    assert_eq!(told("the named keys stay as they were"), 4, "once for each problem: {log}");
    assert!(told("by laptop") > 0 && told("the named keys have changed: 0 keys") == 1, "{log}");
}

#[test]
fn named_keys_open_the_way_to_other_addresses_and_count_their_clients() {
    let home = Home::new();
    let (_runtime, _simulator, running) = simulated();
    let refused = home.serving(&running.upstream_url()).args(["--host", "0.0.0.0"]).output().expect("it runs");
    assert!(failure(&refused, 1).contains("without a key"));
    let laptop = added(&home, "laptop", &["--tokens-per-day", "9999"]);
    let mut serving = home.serving(&running.upstream_url());
    let daemon = Daemon::start(serving.args(["--host", "0.0.0.0", "--ledger-days", "0"]));
    assert_eq!((status(&daemon, &laptop), status(&daemon, "any")), (200, 401));
    daemon.signal("-TERM");
    let (_, log) = daemon.end();
    assert!(log.contains("the ledger is off"), "{log}");
}

#[test]
fn usage_by_client_shows_the_names() {
    let home = Home::new();
    let (_runtime, simulator, running) = simulated();
    let laptop = added(&home, "laptop", &[]);
    let login = simulator.issue_login(SimulatedLogin::default())["tokens"]["access_token"].clone();
    let mut serving = home.serving(&running.upstream_url());
    serving.env("ACCESS_TOKEN", login.as_str().expect("a token")).env_remove("ACCOUNT_ID");
    let daemon = Daemon::start(&mut serving);
    let body = r#"{"messages":[{"role":"user","content":"Hello!"}]}"#;
    let head = "POST /v1/chat/completions HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json";
    let length = body.len();
    let asked = format!("{head}\r\nx-api-key: {laptop}\r\ncontent-length: {length}\r\n\r\n{body}");
    let answer = daemon.ask(&asked);
    assert!(answer.lines().next().is_some_and(|line| line.contains(" 200 ")), "{answer}");
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
    let usage = home.run(&["usage", "--by", "client", "--json"]);
    let usage: Value = serde_json::from_slice(&usage.stdout).expect("JSON");
    assert_eq!(usage["groups"][0]["client"], "laptop", "{usage}");
}
