//! The keys of clients: who holds one, and what it allows.
//!
//! * [`digest`]: what is known of a key, and how two are compared.
//! * [`named`]: a key with a name and limits. [`expiry`]: how its end is written. [`set`]: all of them, as JSON.
//! * [`book`]: the keys in force. A server's follow their file while it runs, which `watch` looks at.
//! * [`file`](mod@file) (native): the file, which one process at a time changes.

pub mod book;
pub mod digest;
pub mod expiry;
#[cfg(not(target_arch = "wasm32"))]
pub mod file;
pub mod named;
pub mod set;
#[cfg(not(target_arch = "wasm32"))]
mod watch;
