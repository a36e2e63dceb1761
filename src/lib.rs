//! codex-proxy: a ChatGPT Plus/Pro subscription for every tool that speaks the OpenAI API.
//!
//! # The rooms
//!
//! * [`openai`]: the public API's shapes, which are requests, errors and JSON that is looked at without being decoded. Pure.
//! * [`models`]: the one table of models, what a client's name for one means, and which effort it may work at. Pure.
//! * [`translate`]: requests into the backend's form; its events into chunks, completions and Responses. Pure.
//! * [`upstream`]: one call to the backend, from token to the first event worth showing: headers, attempts, the meaning of
//!   failures.
//! * [`credentials`]: the stores of the login, its document, and the one supplier of fresh tokens.
//! * [`oauth`]: what is said to the token issuer, which is refreshing, signing in and revoking.
//! * [`excerpt`]: text from elsewhere, made fit for a log line or a terminal. Pure.
//! * `files`: what every file of a user's has in common, such as whose it is (native).
//! * [`server`]: the HTTP surface, which is routes, guards, limits, errors as answers, numbers, and the accept loop.
//! * [`humanize`]: times and plans as a person says them. Pure.
//! * [`platform`]: what differs between a laptop and the edge: sending, sleeping, spawning, the time.
//! * `cli`: flags, configuration and commands; one file a command (native).
//! * `worker`: the entry of the Cloudflare Worker, and the Durable Object that keeps its login (edge).
//! * `simulator`: a stand-in for backend and issuer, as strict as the real ones, for tests and the demo (native).
//!
//! Pure rooms know nothing but each other: no runtime, no clock, no I/O. `upstream` knows `credentials`, `oauth`, `platform`
//! and drives `translate`; `server` knows all of those; `cli` and `worker` stand on top, each on its own side. Nobody knows
//! `server`, `cli` or `worker`. Everything but `cli`, `simulator` and the native stores compiles for
//! `wasm32-unknown-unknown`, and so do `worker` and its stores alone.
//!
//! # The way of one request
//!
//! [`server`] guards it and reads its body → [`openai`] parses, with errors that name the field → [`models`] resolves name and
//! effort → [`translate`] builds the backend's body → [`upstream`] asks the supplier for a token, sends, and reads up to the
//! first event a client would see; until then a failure has its own status. From there the backend's bytes go through the
//! framing and a state machine, bytes in, bytes out, as fast as the client takes them; a client that leaves ends the call.
//! A buffered answer is a fold over the same state machine.

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
pub mod models;
pub mod oauth;
pub mod platform;
pub mod secret;
pub mod server;
#[cfg(not(target_arch = "wasm32"))]
pub mod simulator;
pub mod upstream;
#[cfg(target_arch = "wasm32")]
pub mod worker;
