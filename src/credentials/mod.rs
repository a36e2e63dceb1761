//! The user's login: where it is kept, and one supplier that hands out a fresh token.
//!
//! * [`supplier`]: what the rest of the program asks; refreshes before a token expires, once, and stores before use.
//! * [`store`]: the one trait behind it, and a file for each store.
//! * [`document`]: the `auth.json` all of them hold, edited as JSON so that nothing unknown is lost or altered.
//! * [`place`]: which store a login is in, and where.
//! * `open` (native): from the chosen store to a supplier, importing another tool's login on first use.
//! * `process` (native): a refresh in a process of its own, which outlives a killed daemon.
//! * [`edge`]: a Worker's login, published in KV and owned by a Durable Object.
//! * [`status`]: credentials as the admin API takes and shows them.
//! * [`error`]: one enum; every message says which command helps.

pub mod document;
pub mod edge;
pub mod error;
mod mask;
#[cfg(not(target_arch = "wasm32"))]
pub mod open;
pub mod place;
#[cfg(not(target_arch = "wasm32"))]
pub mod process;
pub mod status;
pub mod store;
pub mod supplier;

pub use document::{AuthDocument, Login};
pub use error::CredentialError;
#[cfg(not(target_arch = "wasm32"))]
pub use open::{Environment, StoreChoice, StoreOptions, open_store, open_supplier};
pub use place::{Place, StoreName};
pub use store::{CredentialStore, StoreLock};
pub use supplier::{CredentialHealth, TokenSupplier};

use crate::secret::Secret;

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
