//! The log as others see it: what becomes of a stderr that fails, and of text that would forge a line.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use codex_proxy::platform::Instant;

use crate::common::daemon::{Daemon, Home};

/// What a log is filled with: unlike a letter, it cannot begin a secret, which would be searched for at each.
const FILLER: &str = " ";
const MODELS: &str = "GET /v1/models/nothing HTTP/1.0\r\nhost: localhost\r\n\r\n";

fn daemon_with_stderr(home: &Home, stderr: Stdio) -> Daemon {
    let mut command = home.command(&["demo", "--port", "0", "--log-bodies", "--log-level", "trace"]);
    Daemon::logging_to(command.stderr(stderr))
}

/// Requests are answered, streams end whole, and SIGTERM is obeyed.
fn serves_and_stops(mut daemon: Daemon, requests: usize) {
    let filler = FILLER.repeat(20_000);
    let body = format!(r#"{{"messages":[{{"role":"user","content":"Hello {filler}"}}],"stream":true}}"#);
    for _ in 0..requests {
        assert!(daemon.ask(MODELS).starts_with("HTTP/1.0 404 "));
        let mut answer = String::new();
        daemon.chat(&body).read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains("data: [DONE]"), "{answer}");
    }
    let asked = Instant::now();
    daemon.signal("-TERM");
    assert_eq!(daemon.child.wait().expect("an end").code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let home = Home::new();
    let (reader, writer) = UnixStream::pair().expect("a pair");
    drop(reader);
    serves_and_stops(daemon_with_stderr(&home, OwnedFd::from(writer).into()), 10);
    #[cfg(target_os = "linux")]
    {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        serves_and_stops(daemon_with_stderr(&home, full.into()), 10);
    }
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    let home = Home::new();
    for nonblocking in [false, true] {
        let (reader, writer) = UnixStream::pair().expect("a pair");
        writer.set_nonblocking(nonblocking).expect("a mode");
        serves_and_stops(daemon_with_stderr(&home, OwnedFd::from(writer).into()), 30);
        drop(reader);
    }
}

#[test]
fn a_head_without_its_body_is_a_whole_answer() {
    let home = Home::new();
    let daemon = Daemon::start(&mut home.serving("http://127.0.0.1:9"));
    assert!(daemon.ask("HEAD /v1/models HTTP/1.0\r\nhost: localhost\r\n\r\n").starts_with("HTTP/1.0 200"));
    daemon.signal("-TERM");
    let (_, log) = daemon.end();
    assert!(log.contains("HEAD /v1/models") && !log.contains("client left"), "{log}");
}

#[test]
fn lost_lines_are_counted_and_said_once_the_log_can_be_written_again() {
    let home = Home::new();
    let (mut reader, writer) = UnixStream::pair().expect("a pair");
    let daemon = daemon_with_stderr(&home, OwnedFd::from(writer).into());
    // More than the queue and the socket hold together.
    let filler = FILLER.repeat(1 << 20);
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{filler}"}}]}}"#);
    for _ in 0..16 {
        let mut answer = String::new();
        daemon.chat(&body).read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    reader.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit");
    let mut lines = BufReader::new(&mut reader).lines();
    let told = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("lines of this log are lost")));
    let told = told.expect("it is said").expect("text");
    assert!(told.contains("lines="), "{told}");
}

#[test]
fn no_text_from_elsewhere_forges_a_line_or_fills_the_log() {
    let home = Home::new();
    let mut command = home.command(&["demo", "--port", "0"]);
    command.env("NO_COLOR", "1");
    let demo = Daemon::start(&mut command);
    let long = "a".repeat(16_000);
    for model in [r"x\n2026-11-26T00:00:00Z  INFO forged", r"x\u001b[2Jforged\u009b", &long] {
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hi"}}]}}"#);
        demo.chat(&body).read_to_string(&mut String::new()).expect("an answer");
    }
    for target in [format!("/{long}"), format!("/v1/models/{long}")] {
        demo.ask(&format!("GET {target} HTTP/1.0\r\nhost: localhost\r\norigin: http://{long}\r\n\r\n"));
        demo.ask(&format!("GET {target} HTTP/1.0\r\nhost: {long}\r\n\r\n"));
        demo.ask(&format!("GET {target} HTTP/1.0\r\nhost: localhost\r\n\r\n"));
    }
    demo.signal("-TERM");
    let (_, log) = demo.end();
    assert!(log.contains(r"x\n2026"), "{log}");
    for line in log.lines() {
        let beginning: String = line.chars().take(300).collect();
        assert!(line.len() < 4096, "{} bytes: {beginning}", line.len());
        assert!(!line.starts_with("2026-11-26T00:00:00Z"), "{beginning}");
        assert!(!line.contains(|letter: char| letter.is_control()), "{beginning}");
    }
}
