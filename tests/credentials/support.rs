//! What the credential tests share: a simulated issuer, a directory of their own, and the log as text.

#![cfg_attr(not(unix), allow(dead_code, reason = "what starts processes is for Unix"))]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use codex_proxy::credentials::process;
use codex_proxy::credentials::process::DetachedRefresh;
use codex_proxy::credentials::store::file::FileStore;
use codex_proxy::credentials::{CredentialStore, TokenSupplier};
use codex_proxy::oauth::Client;
use codex_proxy::platform::HttpClient;
use codex_proxy::simulator::{RunningSimulator, SimulatedLogin, Simulator};
use serde_json::Value;

pub(crate) use crate::log::Log;

/// An issuer and a directory.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) running: RunningSimulator,
    pub(crate) directory: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let simulator = Simulator::new();
        let running = simulator.start().await.unwrap();
        Self { simulator, running, directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("codex-proxy").join("auth.json")
    }

    /// Signs in somebody whose first access token expires in `seconds` and writes the document to `path`.
    pub(crate) fn sign_in(&self, path: &Path, seconds: i64) -> Value {
        let document = self.simulator.issue_login(SimulatedLogin::default().expiring_in(seconds));
        write_private(path, &serde_json::to_string_pretty(&document).unwrap());
        document
    }

    pub(crate) fn oauth(&self) -> Client {
        oauth(&self.running.auth_url())
    }

    pub(crate) fn supplier(&self) -> Arc<TokenSupplier> {
        self.supplier_of(Arc::new(FileStore::xdg(self.path())))
    }

    pub(crate) fn supplier_of(&self, store: Arc<dyn CredentialStore>) -> Arc<TokenSupplier> {
        Arc::new(TokenSupplier::new(store, self.oauth()))
    }
}

pub(crate) fn oauth(auth_url: &str) -> Client {
    let http = HttpClient::new(Duration::from_secs(5)).unwrap();
    Client::new(http, auth_url, "codex-proxy", "codex-proxy/0.0.0 (test)")
}

pub(crate) fn write_private(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

pub(crate) fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn token<'a>(document: &'a Value, name: &str) -> &'a str {
    document["tokens"][name].as_str().unwrap()
}

/// What makes this test program do one refresh: its test [`refresher`]. The harness takes unknown names for filters, so the
/// last argument does no harm there.
pub(crate) const REFRESHER: [&str; 4] = ["--exact", "support::refresher", "--nocapture", process::ARGUMENT];

/// A refresh in another process of this test program.
pub(crate) fn this_program() -> DetachedRefresh {
    DetachedRefresh::new(std::env::current_exe().unwrap(), REFRESHER)
}

/// Not a test: one refresh in a process of its own, as the program itself does when it is asked to.
#[test]
fn refresher() {
    if std::env::args().any(|argument| argument == process::ARGUMENT) {
        process::answer(std::io::stdin(), &mut std::io::stdout());
    }
}

/// A directory in which nothing can be created until this is dropped.
#[cfg(unix)]
pub(crate) struct Unwritable(PathBuf);

#[cfg(unix)]
impl Unwritable {
    /// `None` where this machine has no way to do it, which is said.
    pub(crate) fn new(directory: &Path) -> Option<Self> {
        let unwritable = Self(directory.to_owned());
        std::fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
        if unwritable.holds() {
            return Some(unwritable);
        }
        // Modes are nothing to root; an immutable directory is.
        let _ = std::process::Command::new("chattr").arg("+i").arg(directory).output();
        if unwritable.holds() {
            return Some(unwritable);
        }
        println!("skipped: neither modes nor chattr make a directory unwritable here");
        None
    }

    fn holds(&self) -> bool {
        tempfile::tempfile_in(&self.0).is_err()
    }
}

#[cfg(unix)]
impl Drop for Unwritable {
    fn drop(&mut self) {
        let _ = std::process::Command::new("chattr").arg("-i").arg(&self.0).output();
        let _ = std::fs::set_permissions(&self.0, std::os::unix::fs::PermissionsExt::from_mode(0o700));
    }
}
