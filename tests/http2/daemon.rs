//! The program as a process of its own, since whom it trusts and through whom it goes is told by its environment.

use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::Deref;
use std::process::{Child, Command, Stdio};

use crate::backend::Backend;
use crate::client::Client;

/// The program; killed with its owner.
pub(crate) struct Daemon {
    child: Child,
    client: Client,
    _home: tempfile::TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Deref for Daemon {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Daemon {
    /// The program before `backend`, whose certificate it trusts.
    pub(crate) fn start(backend: &Backend) -> Self {
        let certificate = backend.certificate.path().to_str().expect("a path");
        Self::start_with(&backend.url, &[("SSL_CERT_FILE", certificate)])
    }

    /// The program before the backend at `url`, with these variables in its environment.
    pub(crate) fn start_with(url: &str, environment: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut child = command(url, environment, &home).stderr(Stdio::null()).spawn().expect("it starts");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut first).expect("a first line");
        let base = first.trim().strip_prefix("listening on ").expect("the address").to_owned();
        Self { child, client: Client::new(base), _home: home }
    }

    /// What the program says on stderr when it does not start with these variables in its environment.
    pub(crate) fn refusal(environment: &[(&str, &str)]) -> String {
        let home = tempfile::tempdir().expect("a directory");
        let mut command = command("https://localhost:9/codex", environment, &home);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut first).expect("output");
        let mut said = String::new();
        if first.is_empty() {
            child.stderr.take().expect("its errors").read_to_string(&mut said).expect("text");
        }
        let _ = child.kill();
        let status = child.wait().expect("an end");
        assert!(first.is_empty() && status.code() == Some(1), "{environment:?}: {first}{said}{status}");
        said
    }
}

fn command(url: &str, environment: &[(&str, &str)], home: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
    command.args(["--port", "0", "--upstream-url", url]);
    command.env_clear().env("HOME", home.path()).env("CREDS_STORE", "env");
    command.env("ACCESS_TOKEN", "token").env("ACCOUNT_ID", "account");
    command.envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}
