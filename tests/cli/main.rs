//! The program as a process: what it prints, what it keeps to itself, how it ends.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::panic, reason = "a test may panic and spawn")]

#[path = "../common/mod.rs"]
mod common;
mod keys;
mod ledger;
mod log;
mod login;
mod options;
mod program;
#[cfg(unix)]
mod run;
mod secrets;
mod service;
mod setup;
mod signals;

use codex_proxy::simulator::{RunningSimulator, Simulator};

const HEALTH: &str = "GET /health HTTP/1.0\r\nhost: localhost\r\n\r\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// A backend and issuer beside the commands that are run; whoever holds the runtime keeps it alive.
fn simulated() -> (tokio::runtime::Runtime, Simulator, RunningSimulator) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let simulator = Simulator::new();
    let running = runtime.block_on(simulator.start()).expect("it listens");
    (runtime, simulator, running)
}

fn pointed_at<'a>(command: &[&'a str], upstream: &'a str, issuer: &'a str) -> Vec<&'a str> {
    [command, &["--upstream-url", upstream, "--auth-url", issuer]].concat()
}

const LOGIN_FILE: &str = ".config/codex-proxy/auth.json";
