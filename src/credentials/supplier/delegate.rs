//! Delegated refresh: somewhere that outlives the caller does it.
//!
//! A daemon delegates to a process of its own ([`process`](crate::credentials::process)), so that a signal in the middle costs no
//! login. A Worker's isolate delegates to the Durable Object that owns the login (`edge::owner`), so that one of many isolates
//! exchanges the token.

use std::fmt;

use futures_util::future::BoxFuture;

use super::report::Report;
use super::stop::Stop;
use crate::secret::Secret;

/// Does one refresh somewhere that outlives its caller.
pub trait Delegate: fmt::Debug + Send + Sync {
    /// Has the login renewed, unless `stop` is requested before the exchange begins. `None` where nobody could be asked, so
    /// that the caller has to do it.
    fn renew<'a>(&'a self, need: &'a Need, stop: &'a Stop) -> BoxFuture<'a, Option<Report>>;
}

/// Which token does not serve.
#[derive(Debug, Clone, Default)]
pub struct Need {
    /// The one that is to be replaced, though it has not expired.
    pub replaces: Option<Secret>,
    /// Whether the backend has rejected it, so that it is of no use.
    pub is_rejected: bool,
}
