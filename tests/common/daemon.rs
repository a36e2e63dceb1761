//! The program as a process of its own.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use tempfile::TempDir;

use super::PATIENCE;

/// A home of its own for each process, and nothing else of the environment.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
        command.args(arguments).env_clear().env("HOME", self.path()).envs(coverage()).stdin(Stdio::null());
        // Windows finds its sockets by it.
        command.envs(std::env::var_os("SystemRoot").map(|folder| ("SystemRoot", folder)));
        command
    }

    /// A daemon on any free port before the backend at `url`, with a login that never ends.
    pub(crate) fn serving(&self, url: &str) -> Command {
        let mut command = self.command(&["--port", "0", "--upstream-url", url]);
        command.env("CREDS_STORE", "env").env("ACCESS_TOKEN", "token").env("ACCOUNT_ID", "account");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("written");
    }
}

/// Where a process measured for coverage leaves what it has seen; nothing of it in other runs.
pub(crate) fn coverage() -> Option<(&'static str, OsString)> {
    std::env::var_os(COVERAGE).map(|file| (COVERAGE, file))
}

const COVERAGE: &str = "LLVM_PROFILE_FILE";

/// A running daemon; killed with its owner.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    /// Kept open: a program whose output nobody can read ends.
    pub(crate) output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    /// One whose log a test may read.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::logging_to(command.stderr(Stdio::piped()))
    }

    /// One whose log nobody reads.
    pub(crate) fn quiet(command: &mut Command) -> Self {
        Self::logging_to(command.stderr(Stdio::null()))
    }

    /// One with the standard error that `command` says.
    pub(crate) fn logging_to(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut first = String::new();
        output.read_line(&mut first).expect("a first line");
        let Some(address) = first.trim().strip_prefix("listening on http://") else {
            let mut errors = String::new();
            let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut errors));
            panic!("{first:?} {errors}");
        };
        Self { address: address.parse().expect("an address"), child, output }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(name).arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(status.success());
    }

    pub(crate) fn send(&self, text: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).expect("connected");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        socket.write_all(text.as_bytes()).expect("written");
        socket
    }

    pub(crate) fn ask(&self, text: &str) -> String {
        let mut answer = String::new();
        self.send(text).read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Posts a JSON body and reads nothing yet.
    pub(crate) fn post(&self, path: &str, body: &str) -> TcpStream {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    pub(crate) fn chat(&self, body: &str) -> TcpStream {
        self.post("/v1/chat/completions", body)
    }

    /// Waits for the end; its exit code and what it wrote to stderr.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut errors = String::new();
        self.child.stderr.take().expect("its errors").read_to_string(&mut errors).expect("text");
        (self.child.wait().expect("an end").code(), errors)
    }
}
