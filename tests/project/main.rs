//! The project's documents say of its code and tests what is so.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod architecture;
mod citations;
