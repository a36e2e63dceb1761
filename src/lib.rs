//! codex-proxy: a ChatGPT Plus/Pro subscription for every tool that speaks the OpenAI API.

pub mod credentials;
pub mod models;
pub mod openai;
pub mod platform;
pub mod server;
