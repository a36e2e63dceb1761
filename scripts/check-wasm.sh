#!/usr/bin/env bash
# Compiles the library for wasm32-unknown-unknown: the proof that every portable room still runs on the edge.
#
# * `WASM_PROFILE` names the cargo profile (default `dev`), `WASM_TARGET_DIR` the build folder.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/wasm-compiler.sh

use_wasm_compiler -Dwarnings
cargo rustc --locked --lib --crate-type cdylib --target "$target" --profile "${WASM_PROFILE:-dev}" --target-dir "${WASM_TARGET_DIR:-target/wasm}"
say "the library compiles for $target"
