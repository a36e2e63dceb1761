//! The user's login: where it is kept, and one supplier that hands out a fresh token.
//!
//! * [`supplier`]: what the rest of the program asks; refreshes before a token expires, once, and stores before use.
//! * [`store`]: the one trait behind it. [`mod@env`] and [`memory`] are portable; `file`, `keychain` are native.
//! * [`document`]: the `auth.json` all of them hold, edited as JSON so that nothing unknown is lost or altered.
//! * `open`, `migration` (native): from the chosen store to a supplier, importing another tool's login on first use.
//! * `detached` (native): a refresh in a process of its own, which outlives a killed daemon.
//! * `codex_locks` (native): the locks of a directory that is shared with the Codex CLI.
//! * `kv`, `keeper` (edge): a Worker's login, published in KV and owned by a Durable Object; [`edition`] is what they say
//!   to each other, [`report`] what comes of a refresh that somebody else did.
//! * [`admin`]: credentials as the admin API takes and shows them.
//! * [`error`]: one enum; every message says which command helps.
//! * [`secret`]: tokens print as `***` and are wiped on drop.

pub mod admin;
mod clock;
#[cfg(not(target_arch = "wasm32"))]
mod codex_locks;
#[cfg(not(target_arch = "wasm32"))]
pub mod detached;
pub mod document;
pub mod edition;
mod elsewhere;
pub mod env;
pub mod error;
mod fields;
#[cfg(not(target_arch = "wasm32"))]
pub mod file;
#[cfg(target_arch = "wasm32")]
pub mod keeper;
#[cfg(not(target_arch = "wasm32"))]
pub mod keychain;
#[cfg(not(target_arch = "wasm32"))]
mod keychain_item;
#[cfg(target_arch = "wasm32")]
pub mod kv;
#[cfg(not(target_arch = "wasm32"))]
pub mod lock;
mod mask;
pub mod memory;
#[cfg(not(target_arch = "wasm32"))]
mod migration;
#[cfg(not(target_arch = "wasm32"))]
pub mod open;
mod refresh;
pub mod report;
mod state;
mod stop;
pub mod store;
pub mod supplier;

pub use document::{AuthDocument, Login};
pub use error::CredentialError;
#[cfg(not(target_arch = "wasm32"))]
pub use open::{Environment, StoreChoice, StoreOptions, open_store, open_supplier};
pub use store::{CredentialStore, Place, StoreLock, StoreName};
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
