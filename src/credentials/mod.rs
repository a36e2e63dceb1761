//! The user's login: where it is kept, and one supplier that hands out a fresh token.
//!
//! * [`supplier`]: the source of access tokens; one refresh at a time, before expiry, stored before use.
//! * [`store`]: the trait of all stores, and a file for each.
//! * [`document`]: the `auth.json` in every store, edited as JSON so that no unknown field is lost or altered.
//! * [`place`]: the store of a login, and its location.
//! * `open` (native): from the chosen store to a supplier, importing another tool's login on first use.
//! * `process` (native): a refresh in a separate process, which survives the daemon's death.
//! * [`edge`]: a Worker's login, published in KV and owned by a Durable Object.
//! * [`status`]: credentials as the admin API takes and shows them.
//! * [`error`]: one enum; every message names the command that helps.

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

/// The credentials of one call to the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The bearer token.
    pub token: Secret,
    /// The ChatGPT account (workspace) the call is billed to.
    pub account_id: String,
    /// Whether the token's claims mark the account as a FedRAMP workspace.
    pub fedramp: bool,
}
