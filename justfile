# Every task of the project, for people and for CI alike. `just` alone lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]
set windows-shell := ["bash", "-euo", "pipefail", "-c"]

python := if os() == "windows" { "python" } else { "python3" }

[private]
default:
    @just --list --unsorted

# Build the release binary at target/release/codex-proxy
build:
    cargo build --locked --release

# Run the proxy; flags go through: just run --port 3000
run *args:
    cargo run --locked --release -- {{ args }}

# Run the proxy against the built-in simulator: no login, no network
demo *args:
    cargo run --locked --release -- demo {{ args }}

# Run every test (with cargo-nextest where it is installed), then the examples of the documentation and of examples/
test *args:
    @if cargo nextest --version >/dev/null 2>&1; then \
        cargo nextest run --locked --no-tests=fail {{ args }}; \
    else \
        cargo test --locked --lib --bins --tests {{ args }}; \
    fi
    cargo test --locked --doc
    cargo run --locked --quiet --example embed
    cargo run --locked --quiet --example translate

# Run the tests that take minutes: a long silence that is none, an upload over a slow line (as root: a network of their own), 200 kills and a million rows of the ledger
test-slow:
    @if cargo nextest --version >/dev/null 2>&1; then \
        cargo nextest run --locked --profile slow --run-ignored only --lib --test proxy --test cli; \
    else \
        cargo test --locked --test proxy --test cli --lib -- --ignored --test-threads=1; \
    fi

# Write the kept translations of requests and streams anew; read the difference before committing it
snapshots:
    INSTA_UPDATE=always cargo test --locked --test translation translated_as_ever

# Write the settings in docs/clients anew from the table of tools
client-pages:
    WRITE_CLIENT_PAGES=1 cargo test --locked --lib the_pages_say_what_the_table_says

# Type-check everything, the quickest answer
check:
    cargo check --locked --all-targets

# Format the code
fmt:
    cargo fmt --all
    cargo fmt --manifest-path fuzz/Cargo.toml

# Fail if the code is not formatted
fmt-check:
    cargo fmt --all -- --check
    cargo fmt --manifest-path fuzz/Cargo.toml -- --check

# Lint every target, those of fuzzing too; a warning is an error
lint:
    cargo clippy --locked --all-targets -- -D warnings
    cargo clippy --locked --manifest-path fuzz/Cargo.toml --target-dir target --bins -- -D warnings

# Build the documentation, private items included (so links to them lead somewhere); a broken link is an error
doc *args:
    RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --locked --no-deps --lib --document-private-items {{ args }}

# Compile without the default features, as for a container: no warning, no D-Bus, and the store that is left out says so
check-features:
    cargo clippy --locked --all-targets --no-default-features -- -D warnings
    tree=$(cargo tree --locked --no-default-features --prefix none) && ! grep dbus <<< "$tree"
    cargo test --locked --no-default-features --test credentials without_keychain

# Compile the library for wasm32-unknown-unknown, as the edge needs it
check-wasm:
    scripts/check-wasm.sh

# Build the Cloudflare Worker into build/worker
worker:
    scripts/build-worker.sh

# Test the built Worker in workerd (needs Node), two runtimes at a time: just test-worker, or some of it: just test-worker login
test-worker *args: worker
    cd tests/worker/fixture && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund; }
    CODEX_PROXY_REQUIRE_WORKER=1 RUST_TEST_THREADS=2 cargo test --locked --test worker {{ args }}

# Test the page in a browser (needs Chromium and Node), two at a time: just test-page, or some of it: just test-page keyboard
test-page *args:
    cd tests/page/fixture && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund; }
    CODEX_PROXY_REQUIRE_BROWSER=1 RUST_TEST_THREADS=2 cargo test --locked --test page {{ args }}

# Take the pictures of the page for the README anew, from the demo (needs Chromium)
screenshot:
    SCREENSHOTS=docs/images cargo test --locked --test page the_picture_of_the_readme -- --ignored

# Check licences, sources and duplicate versions of the dependencies (needs cargo-deny)
deny:
    cargo deny --locked check --hide-inclusion-graph bans licenses sources

# Check the dependencies against the public advisory database (needs cargo-deny and the internet)
audit:
    cargo deny --locked check advisories

# Measure which lines the tests reach, and fail below 95 % in all or 97 % of translation or credentials (needs cargo-llvm-cov and LLVM's tools)
coverage *args:
    scripts/coverage.sh {{ args }}

# Fuzz every target for so many seconds: just fuzz 60, or some of them: just fuzz 600 streams
fuzz seconds="60" *targets:
    scripts/fuzz.sh {{ seconds }} {{ targets }}

# Run streams for ten minutes through real processes that are stopped, unread and starved, every event counted: just soak, or just soak SECONDS STREAMS; or conversations over WebSockets: just soak sockets SECONDS SOCKETS
soak *args:
    cargo bench --locked --bench soak -- {{ args }}

# Measure beside nginx: just bench; or: just bench open 1000, just bench image, just bench input, just bench sockets, just bench translation
bench *args:
    cargo bench --locked --bench measure -- {{ args }}

# Measure processor time an event and memory over the number of open streams, and draw docs/streams.svg
streams *args: build
    python3 scripts/streams.py {{ args }}

# Count what repeats exactly (size, memory, instructions, allocations, system calls); too much of one is an error
gates *args: build
    python3 scripts/gates.py {{ args }}

# Run real clients against the demo: just conformance aider llm
conformance *args:
    cargo build --locked --release
    python3 tests/conformance/run.py {{ args }}

# Compare our answers to recorded streams with those of openai-oauth
differential *args:
    cargo build --locked --release
    python3 tests/conformance/differential.py {{ args }}

# Build, pack and check the release for this machine: archive, bill of materials and SHA256SUMS in dist/ (on Linux needs cargo-zigbuild: .ci/release.txt)
package:
    {{ python }} scripts/release package

# Rehearse a release: package, then build again in another folder and require the same bytes
release-check:
    {{ python }} scripts/release check

# Fail if anything in a released binary has no licence text in the notices, on any system
notices:
    {{ python }} scripts/release notices

# Pack this machine's archive of dist/ as a Debian package, beside it (needs cargo-deb)
deb:
    {{ python }} scripts/release deb

# Check what users install by: Dockerfile, compose file, install.sh against a release of its own, units, pages (needs hadolint, shellcheck)
lint-packages:
    cargo build --locked
    {{ python }} packaging/check.py target/debug/codex-proxy

# Walk a new user's first minute in an empty Debian in ROOT, each step timed: packaging/walk.py says how ROOT is made (as root)
walk root: build
    {{ python }} packaging/walk.py target/release/codex-proxy {{ root }}

# Carry out the Dockerfile without a container engine, and try its image in a folder (needs bubblewrap, on the Debian it names)
image:
    cargo build --locked --release --no-default-features --features jemalloc --bin codex-proxy --target {{ arch() }}-unknown-linux-gnu
    {{ python }} packaging/image.py target/{{ arch() }}-unknown-linux-gnu/release/codex-proxy

# Check that every link of the documents leads somewhere
lint-docs:
    {{ python }} scripts/links.py

# Build the book of docs/ into build/book (needs mdbook)
book:
    mdbook build docs

# Check the workflows: actions pinned to commits, least permissions, no injection, their schema (needs zizmor and check-jsonschema)
lint-workflows:
    zizmor --offline --no-progress --quiet .github
    check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
    check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
    check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml

# Install what the recipes above need beyond the Rust toolchain, at the versions CI uses
tools:
    python3 -m pip install --requirement .ci/requirements.txt

# Everything that must be true of a commit
ci: fmt-check lint test doc check-features check-wasm test-worker test-page deny notices lint-workflows lint-packages lint-docs book gates conformance
