#!/usr/bin/env bash
# Runs every fuzz target for so many seconds: scripts/fuzz.sh SECONDS [TARGET...]
# The instrumentation is asked of the compiler directly, so the toolchain at hand is enough and cargo-fuzz is not needed.
# FUZZ_FLAGS goes to libFuzzer as it is: CI fixes seed and number of runs there, so that a failure is seen again.
# What is found on the way is kept under fuzz/target/found, and starts the next run.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly seconds="${1:?usage: scripts/fuzz.sh SECONDS [TARGET...]}"
shift
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || targets=(framing requests cost streams login sockets)

host="$(rustc -vV | sed -n 's/^host: //p')"
readonly host
# An explicit target keeps these flags from build scripts and procedural macros.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --manifest-path fuzz/Cargo.toml --target-dir fuzz/target --target "$host" --release --bins

for target in "${targets[@]}"; do
  mkdir -p "fuzz/target/found/$target" "fuzz/target/failures"
  echo "fuzzing $target for $seconds s"
  "fuzz/target/$host/release/$target" -max_total_time="$seconds" -max_len=32768 -timeout=10 -rss_limit_mb=1024 \
    -dict="fuzz/dictionary" -print_final_stats=1 -artifact_prefix="fuzz/target/failures/$target-" \
    ${FUZZ_FLAGS:-} \
    "fuzz/target/found/$target" "fuzz/corpus/$target" "tests/fixtures/streams" 2>&1 |
    { grep -E 'panicked|ERROR|SUMMARY|left:|right:|assertion|Test unit|stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' || true; }
done
