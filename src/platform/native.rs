//! The laptop's side: reqwest over rustls, tokio's timers and tasks.
//!
//! * [`client`]: sending one request.
//! * [`lanes`]: how many connections there are, and which one a call takes.
//! * [`settings`]: how connections are made, kept and watched.
//! * [`trust`], [`proxies`]: checks of the environment that TLS and proxies are configured by.
//! * [`failure`]: reqwest's errors as this program's.

mod client;
mod failure;
mod lanes;
mod outgoing;
mod proxies;
mod settings;
mod trust;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub use tokio::time::Instant;
pub use tokio::time::sleep;

pub use client::HttpClient;
pub use settings::{Reach, TransportSettings};

use crate::platform::inflate::inflate;
use crate::platform::{ByteStream, TransportError, TransportErrorKind};

/// A deadline that can be moved without allocating a new timer.
#[derive(Debug)]
pub struct Timer(Pin<Box<tokio::time::Sleep>>);

impl Timer {
    /// Fires once, `delay` from now.
    pub fn after(delay: Duration) -> Self {
        Self(Box::pin(sleep(delay)))
    }

    /// Moves the deadline to `deadline`.
    pub fn reset(&mut self, deadline: Instant) {
        self.0.as_mut().reset(deadline);
    }

    /// Ready once the deadline has passed.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

/// Runs `future` beside the caller until it ends by itself.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    tokio::spawn(future);
}
