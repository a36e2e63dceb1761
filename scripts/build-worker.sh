#!/usr/bin/env bash
# Builds the Cloudflare Worker into build/worker: the program, its JavaScript glue, and the main module that starts it.
#
# * wrangler calls it before it deploys, the tests of the Worker before they run.
# * The tool that makes the glue is built once a version of wasm-bindgen, and kept in the cache.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/wasm-compiler.sh

readonly output=build/worker

# Prints the version that the lock file $1 has of package $2.
locked_version() {
  awk -v name="name = \"$2\"" '$0 == name { getline; gsub(/version = |"/, ""); print; exit }' "$1"
}

# Prints the path of the tool, building it first if this version has none yet.
bindgen() {
  local version tool work
  version="$(locked_version Cargo.lock wasm-bindgen)"
  [ "$version" = "$(locked_version scripts/bindgen/Cargo.lock wasm-bindgen-cli-support)" ] ||
    fail "scripts/bindgen/Cargo.toml must name wasm-bindgen-cli-support $version, the version of wasm-bindgen in Cargo.lock"
  tool="$cache/bindgen-$version"
  if [ ! -x "$tool" ]; then
    say "building the tool that makes the glue of wasm-bindgen $version"
    work="$(mktemp -d)"
    cargo build --quiet --locked --release --manifest-path scripts/bindgen/Cargo.toml --target-dir "$work" >&2
    mkdir -p "$cache"
    # Two builds at once leave one whole tool.
    cp "$work/release/bindgen" "$tool.$$" && mv "$tool.$$" "$tool"
    rm -rf "$work"
  fi
  printf '%s' "$tool"
}

tool="$(bindgen)"
use_wasm_compiler
# The Worker is a dynamic library; nothing else that is built is one.
cargo rustc --locked --lib --crate-type cdylib --target "$target" --profile worker --target-dir target/wasm
rm -rf "$output"
mkdir -p "$output"
"$tool" "target/wasm/$target/worker/codex_proxy.wasm" "$output"
cp src/worker/shim.mjs "$output/"
say "built $output: $(gzip -9c "$output/index_bg.wasm" | wc -c) bytes of WebAssembly when packed"
