//! The proxy in front of the simulated backend, as a client sees it; what it says without a backend ([`server`]), over
//! HTTP/2 (`http2`), and the simulator itself ([`simulator`]).

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test runs on a laptop and may panic"
)]

mod answered;
mod answers;
mod both_modes;
mod catalogue;
mod chat_requests;
mod clock;
#[path = "../common/mod.rs"]
mod common;
mod compaction;
mod contradictions;
mod conversations;
mod error_events;
mod failed_usage;
mod failures;
mod faults;
mod frames;
mod gateways;
mod harness;
mod history;
#[cfg(target_os = "linux")]
mod http2;
mod image_sources;
mod images;
mod keys;
mod keywords;
mod ledger;
mod messages;
mod named_fields;
mod odd_streams;
mod over_sockets;
mod reasoning;
mod refused;
mod repairs;
mod responses;
mod responses_history;
mod responses_neighbours;
mod retired;
mod search;
mod server;
mod shapes;
mod shutdown;
mod simulator;
mod sockets;
mod stops;
mod streams;
mod tool_names;
mod workspaces;
