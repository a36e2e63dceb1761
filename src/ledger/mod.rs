//! What every request cost: one row each, in a database of this machine.
//!
//! * [`entry`] is a row. It holds names, numbers and times, never a text of anybody's.
//! * [`book`] is the handle of the server's side: a bounded queue that never makes a request wait. A row that finds no
//!   room is lost and counted.
//! * `writer` is the one thread that writes, every quarter of a second a `batch`; `control` starts it and waits for it.
//! * `file` opens the database, and sets one aside that cannot be read; `schema` has its tables.
//! * [`summary`] reads: sums, the newest rows, and the last known usage windows. It may be another process.
//! * What cannot be written costs rows, never a request.

#[cfg(not(target_arch = "wasm32"))]
mod batch;
pub mod book;
#[cfg(not(target_arch = "wasm32"))]
mod control;
pub mod entry;
#[cfg(not(target_arch = "wasm32"))]
mod file;
#[cfg(not(target_arch = "wasm32"))]
mod schema;
#[cfg(not(target_arch = "wasm32"))]
pub mod summary;
#[cfg(test)]
mod tests;
#[cfg(not(target_arch = "wasm32"))]
mod writer;

pub use book::{Ledger, LedgerPlace};
pub use entry::{LedgerEntry, MOST_TOKENS, TokenCounts};
