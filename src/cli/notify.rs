//! The service manager's side of a start and an end: systemd's protocol, without effect under any other manager.
//!
//! * Sockets opened by the manager are taken over in the place of the configured address
//!   (<https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html>).
//! * The manager is told when the server is ready and when it stops, and within every half of its watchdog's time that the
//!   runtime still runs tasks (<https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>).

use std::io;
use std::net::TcpListener;

/// Takes over the sockets that the manager opened; none where it opened none. Removes the variables about them, so it must
/// be called before other threads read the environment.
#[cfg(unix)]
pub(super) fn inherited_listeners() -> io::Result<Vec<TcpListener>> {
    let mut handed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..handed.len() {
        listeners.extend(handed.take_tcp_listener(index)?);
    }
    Ok(listeners)
}

#[cfg(not(unix))]
pub(super) fn inherited_listeners() -> io::Result<Vec<TcpListener>> {
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
