//! The page at `/` in a real browser: Debian's Chromium, without a window.
//!
//! * A machine without Chromium or without axe-core (`just test-page` fetches it) skips this and says so; with
//!   `CODEX_PROXY_REQUIRE_BROWSER=1` it fails instead.

#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test may panic and print")]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod browser;
mod picture;
mod shown;
mod world;
