//! The Responses API over a WebSocket, as a client of it sees it.

mod captures;
mod ends;
mod errors;
mod limits;
mod memory;
mod turns;

use crate::common::socket::{CODEX, Socket};
use crate::harness::Proxy;

impl Proxy {
    /// Opens a socket as a Codex CLI does.
    async fn codex(&self) -> Socket {
        Socket::open(self.address(), CODEX).await
    }

    /// Opens a socket as a library does.
    async fn library(&self) -> Socket {
        Socket::open(self.address(), &[]).await
    }
}
