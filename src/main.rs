//! The daemon's entry.

use std::process::ExitCode;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> ExitCode {
    codex_proxy::cli::main()
}

/// Gives memory back to the system some seconds after a peak.
#[cfg(all(feature = "jemalloc", not(any(target_arch = "wasm32", target_env = "msvc"))))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The edge has an entry of its own.
#[cfg(target_arch = "wasm32")]
fn main() -> ExitCode {
    ExitCode::FAILURE
}
