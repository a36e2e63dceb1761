//! What every byte that the proxy passes on goes through: JSON that is kept as it stands, and the events of ChatGPT Codex.
//!
//! * [`json`]: undecoded values, read one level at a time and written again as they were.
//! * [`event`]: event streams cut into frames, and frames read for the fields that matter.
//!
//! A crate of its own, so that it is compiled for speed where the rest of the program is compiled for size. It knows no I/O. What asks
//! `serde_json`, as few values need, is marked `#[inline]`: it is compiled where it is called.

pub mod event;
pub mod json;
