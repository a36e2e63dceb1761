//! A Worker's login: published in KV, owned by one Durable Object.
//!
//! * `kv` (edge): the login as an isolate sees it.
//! * `owner` (edge): the Durable Object that stores and renews the login.
//! * [`revision`]: the messages between the two, and the order of two documents.

#[cfg(target_arch = "wasm32")]
pub mod kv;
#[cfg(target_arch = "wasm32")]
pub mod owner;
pub mod revision;
