# To be sourced: finds a compiler for wasm32-unknown-unknown and points cargo at it.
#
# * With the target installed through rustup, that is all it takes.
# * Where rustup cannot fetch a target, Debian's `rustc-web` stands in: a compiler packaged together with the source of
#   its own standard library, from which the wasm32 library is built once (about half a minute) and kept in the cache.
#   The library must come from the very version that compiles against it, hence one cached copy a version.
# * System packages are installed where CODEX_PROXY_INSTALL_COMPILER is 1, as a check of a commit sets it, and nowhere else.

readonly target=wasm32-unknown-unknown
readonly cache="${XDG_CACHE_HOME:-$HOME/.cache}/codex-proxy"

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
fail() { say "$*"; exit 1; }

has_rustup_target() {
  command -v rustup >/dev/null && rustup target list --installed | grep -qx "$target"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_debian_compiler() {
  [ -x /usr/bin/rustc ] && compgen -G '/usr/src/rustc-*/library' >/dev/null && return
  [ "${CODEX_PROXY_INSTALL_COMPILER:-}" = 1 ] && command -v apt-get >/dev/null ||
    fail "there is no compiler for $target; run: rustup target add $target"
  say "installing Debian's compiler and the source of its standard library"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rustc-web rust-web-src
}

# Prints the sysroot that holds the standard library for wasm32, building it first if this version has none yet.
wasm_sysroot() {
  local version source root libraries work
  version="$(/usr/bin/rustc --version | awk '{print $2}')"
  source="/usr/src/rustc-$version/library"
  root="$cache/wasm-sysroot-$version"
  libraries="$root/lib/rustlib/$target/lib"
  if [ ! -e "$root/complete" ]; then
    [ -d "$source" ] || fail "the source of rustc $version is not at $source"
    say "building the standard library of rustc $version for $target"
    work="$(mktemp -d)"
    (
      cd "$source"
      RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Cembed-bitcode=yes -Zforce-unstable-if-unmarked' \
        cargo build --quiet --locked --release --target "$target" --target-dir "$work" -p sysroot --no-default-features
    ) >&2
    mkdir -p "$libraries"
    cp "$work/$target/release/deps/"*.rlib "$libraries/"
    rm -rf "$work"
    touch "$root/complete"
  fi
  printf '%s' "$root"
}

use_debian_compiler() {
  local linker sysroot
  install_debian_compiler
  sysroot="$(wasm_sysroot)"
  linker="$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | awk '/^host:/ {print $2}')/bin/rust-lld"
  export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker"
  export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$* --sysroot $sysroot"
  export RUSTC=/usr/bin/rustc
}

# The arguments are flags for the compiler.
use_wasm_compiler() {
  if has_rustup_target; then
    say "using the target installed with rustup"
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="$*"
  else
    use_debian_compiler "$@"
    say "using $($RUSTC --version)"
  fi
}
