//! The login: refreshed once for all, kept in files and keychains, shared with other processes and with the Codex CLI.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic, print and spawn"
)]

#[cfg(unix)]
mod beside_codex;
#[cfg(unix)]
mod clock;
#[cfg(unix)]
mod detached;
#[cfg(unix)]
mod files;
#[cfg(all(target_os = "linux", feature = "keychain"))]
mod keychain;
#[path = "../common/log.rs"]
mod log;
mod login;
mod migration;
#[cfg(unix)]
mod processes;
mod refresh;
mod support;
#[cfg(unix)]
mod useless_answers;
#[cfg(not(feature = "keychain"))]
mod without_keychain;
