//! codex-proxy: a ChatGPT Plus/Pro subscription for every tool that speaks the OpenAI API.

#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
pub mod credentials;
pub mod models;
pub mod oauth;
pub mod openai;
pub mod platform;
pub mod server;
#[cfg(not(target_arch = "wasm32"))]
pub mod simulator;
pub mod translate;
pub mod upstream;
