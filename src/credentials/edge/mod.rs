//! A Worker's login: published in KV, owned by one Durable Object.
//!
//! * `kv` (edge): the login as an isolate of the Worker sees it.
//! * `owner` (edge): the Durable Object that writes and renews it.
//! * [`revision`]: what they say to each other, and which of two documents is newer.

#[cfg(target_arch = "wasm32")]
pub mod kv;
#[cfg(target_arch = "wasm32")]
pub mod owner;
pub mod revision;
