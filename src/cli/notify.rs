//! The service manager's side of a start and an end: systemd's protocol, without effect under any other manager.
//!
//! * Sockets opened by the manager are taken over in the place of the configured address
//!   (<https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html>).
//! * The manager is told when the server is ready and when it stops, and within every half of its watchdog's time that the
//!   runtime still runs tasks (<https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>).

use std::net::TcpListener;

use crate::cli::error::CliError;

/// Takes over the sockets that the manager opened; none where it opened none. Removes the variables about them, so it must
/// be called before other threads read the environment.
#[cfg(unix)]
pub(super) fn inherited_listeners() -> Result<Vec<TcpListener>, CliError> {
    if !are_handed(|name| std::env::var(name).ok(), std::process::id())? {
        return Ok(Vec::new());
    }
    let mut handed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..handed.len() {
        listeners.extend(handed.take_tcp_listener(index)?);
    }
    Ok(listeners)
}

/// Returns whether the variables hand sockets to the process `own`, and not to the one that started it.
#[cfg(unix)]
fn are_handed(variable: impl Fn(&str) -> Option<String>, own: u32) -> Result<bool, CliError> {
    let meant = variable("LISTEN_PID").and_then(|process| process.parse::<u32>().ok());
    let Some(count) = variable("LISTEN_FDS").filter(|_| meant == Some(own)) else { return Ok(false) };
    match count.parse::<usize>() {
        Ok(count) if count <= MOST_LISTENERS => Ok(true),
        Ok(_) | Err(_) => {
            let problem = format!("{count:?} is no number of sockets up to {MOST_LISTENERS}");
            Err(CliError::Option { option: "LISTEN_FDS".to_owned(), problem })
        }
    }
}

/// More sockets than a unit names addresses.
#[cfg(unix)]
const MOST_LISTENERS: usize = 64;

#[cfg(not(unix))]
pub(super) fn inherited_listeners() -> Result<Vec<TcpListener>, CliError> {
    Ok(Vec::new())
}

/// Says that requests are answered, at `url`.
#[cfg(unix)]
pub(super) fn ready(url: &str) {
    tell(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status(&format!("serving on {url}"))]);
}

#[cfg(not(unix))]
pub(super) fn ready(_url: &str) {}

/// Says that the process ends once its answers have.
#[cfg(unix)]
pub(super) fn stopping() {
    tell(&[sd_notify::NotifyState::Stopping]);
}

#[cfg(not(unix))]
pub(super) fn stopping() {}

/// Feeds the watchdog for as long as it is polled; pending for ever where there is none.
#[cfg(unix)]
pub(super) async fn feed_watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    loop {
        tell(&[sd_notify::NotifyState::Watchdog]);
        crate::platform::sleep(limit / 2).await;
    }
}

#[cfg(not(unix))]
pub(super) async fn feed_watchdog() {
    std::future::pending().await
}

/// A manager that does not listen is no reason to stop.
#[cfg(unix)]
fn tell(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_taken_only_if_they_are_meant_for_this_process() {
        let handed = |process: Option<&str>, count: Option<&str>| {
            let of = |name: &str| if name == "LISTEN_PID" { process } else { count };
            are_handed(|name| of(name).map(str::to_owned), 7)
        };
        for (process, count) in [(None, Some("1")), (Some("8"), Some("1")), (Some("7"), None), (Some("x"), Some("1"))] {
            assert!(!handed(process, count).expect("none"), "{process:?} {count:?}");
        }
        assert!(handed(Some("7"), Some("1")).expect("one"));
        for wrong in ["99999999", "-1", "x", ""] {
            let error = handed(Some("7"), Some(wrong)).expect_err(wrong).to_string();
            assert!(error.starts_with("LISTEN_FDS: "), "{error}");
        }
    }
}
