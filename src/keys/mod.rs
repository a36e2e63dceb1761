//! The keys of clients.
//!
//! * [`digest`]: what is known of a key, and how two are compared.

pub mod digest;
