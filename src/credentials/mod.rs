//! The user's login: where it is kept, and one supplier that hands out a fresh token.
//!
//! * [`secret`]: tokens print as `***` and are wiped on drop.

pub mod secret;

use secret::Secret;

/// What one call to the backend needs of the login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The bearer token.
    pub token: Secret,
    /// The ChatGPT account (workspace) the call is billed to.
    pub account_id: String,
    /// Whether the account's claims say it is a FedRAMP workspace.
    pub fedramp: bool,
}
