//! The program as a process of its own, since whom it trusts and through whom it goes is told by its environment.

use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::Deref;
use std::process::Stdio;

use super::backend::Backend;
use crate::common::client::Client;
use crate::common::daemon::{Daemon as Process, Home};

/// The program and a client of it.
pub(crate) struct Daemon {
    _process: Process,
    client: Client,
    _home: Home,
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
        let home = Home::new();
        let process = Process::quiet(home.serving(url).envs(environment.iter().copied()));
        Self { client: Client::new(process.base()), _process: process, _home: home }
    }

    /// What the program says on stderr when it does not start with these variables in its environment.
    pub(crate) fn refusal(environment: &[(&str, &str)]) -> String {
        let home = Home::new();
        let mut command = home.serving("https://localhost:9/codex");
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
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
