//! A proxy as a process, with a login that outlives it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use codex_proxy::simulator::{RunningSimulator, SimulatedLogin, Simulator};
use serde_json::Value;

use super::log::{LogReader, LogStatus};

/// A home directory with a login in it, and where its daemon's calls go.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    upstream: String,
    issuer: String,
}

impl Home {
    pub(crate) fn new(simulator: &Simulator, running: &RunningSimulator) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let home = Self { folder, upstream: running.upstream_url(), issuer: running.auth_url() };
        home.log_in(simulator);
        home
    }

    /// Puts a new login in the place of the one that is there.
    pub(crate) fn log_in(&self, simulator: &Simulator) {
        std::fs::write(self.login(), simulator.issue_login(SimulatedLogin::default()).to_string()).expect("written");
    }

    /// The refresh token in the store.
    pub(crate) fn refresh_token(&self) -> String {
        let document: Value =
            serde_json::from_slice(&std::fs::read(self.login()).expect("a login")).expect("a whole file");
        document["tokens"]["refresh_token"].as_str().expect("a refresh token").to_owned()
    }

    fn login(&self) -> PathBuf {
        self.folder.path().join("auth.json")
    }
}

/// The proxy; killed with its owner.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) url: String,
    pub(crate) home: Arc<Home>,
    log: LogReader,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    pub(crate) fn start(home: &Arc<Home>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
        // All that it can say, so that the pipe is soon full.
        command.args(["--port", "0", "--log-level", "trace", "--creds-store", "xdg", "--creds-path"]).arg(home.login());
        command.args(["--upstream-url", &home.upstream, "--auth-url", &home.issuer]);
        command.env_clear().env("HOME", home.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let log = LogReader::start(child.stderr.take().expect("its log"));
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut first).expect("a first line");
        let address = first.trim().strip_prefix("listening on ").expect("where it listens");
        Self { child, url: format!("{address}/v1/chat/completions"), home: Arc::clone(home), log }
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "a daemon that was told to stop is still there");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn log(&self) -> LogStatus {
        self.log.status()
    }

    /// MB in memory; 0 where the system has no such file.
    pub(crate) fn resident_megabytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
    }

    /// Open descriptors; 0 where nobody but an administrator may count them.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }
}

/// Longer than answers under way and a refresh are waited for.
const PATIENCE: Duration = Duration::from_secs(40);
