//! What is answered without asking the backend: who may call, and what every route says.

mod guards;
mod page;
mod routes;
mod sockets;

use codex_proxy::server::settings::ServerSettings;

use crate::common::answer::Answer;
use crate::common::app::{Served, Setup};
use crate::common::exact;

/// A proxy without a login, whose backend and issuer nobody can reach.
struct Proxy(Served);

impl Proxy {
    async fn start(settings: ServerSettings) -> Self {
        Self(Served::start(Setup { settings, ..Setup::default() }.app()).await)
    }

    async fn send(&self, lines: &[&str], body: &str) -> Answer {
        exact::send(self.0.address, lines, body).await
    }

    /// `GET path`, as a well-behaved program sends it.
    async fn get(&self, path: &str) -> Answer {
        self.send(&[&format!("GET {path}"), "host: localhost"], "").await
    }
}
