//! Delegated refresh: a refresh outside the caller, which may end before it.
//!
//! A daemon delegates to a separate process ([`process`](crate::credentials::process)), so that a signal in the middle
//! costs no login. A Worker's isolate delegates to the Durable Object that owns the login (`edge::owner`), so that one
//! of many isolates exchanges the token.

use std::fmt;

use futures_util::future::BoxFuture;

use super::report::Report;
use super::stop::Stop;
use crate::secret::Secret;

/// Does one refresh outside its caller, which may end before it.
pub trait Delegate: fmt::Debug + Send + Sync {
    /// Renews the login, unless `stop` is requested before the exchange begins. Returns `None` if the delegate could
    /// not be reached, so that the caller has to do the refresh.
    fn renew<'a>(&'a self, need: &'a Need, stop: &'a Stop) -> BoxFuture<'a, Option<Report>>;
}

/// The token that needs to be replaced.
#[derive(Debug, Clone, Default)]
pub struct Need {
    /// The token to replace although it has not expired.
    pub replaces: Option<Secret>,
    /// Whether the backend has rejected it.
    pub is_rejected: bool,
}
