//! codex-proxy: a ChatGPT Plus/Pro subscription for every tool that speaks the OpenAI API.
//!
#![doc = include_str!("../ARCHITECTURE.md")]

pub mod backend;
pub mod catalogue;
#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
pub mod conversation;
pub mod credentials;
pub mod dialect;
pub mod excerpt;
pub mod fault;
#[cfg(not(target_arch = "wasm32"))]
mod files;
pub mod humanize;
pub mod json;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod models;
pub mod oauth;
#[cfg(not(target_arch = "wasm32"))]
pub mod page;
pub mod phases;
pub mod platform;
pub mod secret;
pub mod server;
pub mod upstream;
#[cfg(target_arch = "wasm32")]
pub mod worker;

#[cfg(not(target_arch = "wasm32"))]
pub use codex_proxy_simulator as simulator;
