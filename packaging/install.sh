#!/bin/sh
# Installs codex-proxy from its release, for this user alone: no root, nothing started.
#
#     sh install.sh                      # the newest release into ~/.local
#     VERSION=v0.1.0 PREFIX=/opt/cp sh install.sh
#     sh install.sh --remove             # takes out what it installed; login and configuration stay
#
# * The archive has to have the sum that the release's SHA256SUMS names, or nothing is installed.
# * PREFIX gets bin/codex-proxy, manual pages and completions; what was there of an older version is replaced.
set -eu

REPOSITORY="${REPOSITORY:-OWNER/codex-proxy}"
VERSION="${VERSION:-latest}"
PREFIX="${PREFIX:-${HOME:?HOME is not set}/.local}"

fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# Prints the name of this system's archive.
archive_name() {
  case "$(uname -s)" in
    Linux) system=linux ;;
    Darwin) system=macos ;;
    *) fail "there is no archive for $(uname -s); docs/deployment.md names other ways" ;;
  esac
  case "$(uname -m)" in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) fail "there is no archive for $(uname -m); build it with cargo" ;;
  esac
  [ "$system-$machine" != macos-x86_64 ] || fail "there is no archive for Macs with Intel processors; build it with cargo"
  printf 'codex-proxy-%s-%s' "$system" "$machine"
}

# Prints the address of the release's files.
base_url() {
  if [ -n "${BASE_URL:-}" ]; then
    printf '%s' "$BASE_URL"
  elif [ "$VERSION" = latest ]; then
    printf 'https://github.com/%s/releases/latest/download' "$REPOSITORY"
  else
    printf 'https://github.com/%s/releases/download/%s' "$REPOSITORY" "$VERSION"
  fi
}

# Writes the file at the address $1 to $2.
fetch() {
  if has curl; then
    curl --fail --silent --show-error --location --retry 3 --output "$2" "$1"
  elif has wget; then
    wget --quiet --output-document="$2" "$1"
  else
    fail "curl or wget is needed"
  fi || fail "cannot fetch $1"
}

# Prints the SHA-256 of the file $1.
sum_of() {
  if has sha256sum; then
    sha256sum "$1"
  elif has shasum; then
    shasum -a 256 "$1"
  else
    fail "sha256sum or shasum is needed to check the download"
  fi | cut -d' ' -f1
}

# Copies the files $2... into the folder $1, each in one step.
put() {
  folder="$1"
  shift
  mkdir -p "$folder"
  for file in "$@"; do
    [ -e "$file" ] || continue
    cp "$file" "$folder/.${file##*/}.new"
    mv -f "$folder/.${file##*/}.new" "$folder/${file##*/}"
  done
}

# Removes what `main` puts under PREFIX.
remove() {
  rm -f "$PREFIX/bin/codex-proxy" "$PREFIX/share/man/man1/codex-proxy.1" "$PREFIX/share/man/man1"/codex-proxy-*.1 \
    "$PREFIX/share/bash-completion/completions/codex-proxy" "$PREFIX/share/zsh/site-functions/_codex-proxy" \
    "$PREFIX/share/fish/vendor_completions.d/codex-proxy.fish"
  printf 'Removed codex-proxy from %s.\n' "$PREFIX"
}

main() {
  case "${1:-}" in
    "") ;;
    --remove) remove && return ;;
    *) fail "unknown argument $1; there is --remove, and the variables VERSION and PREFIX" ;;
  esac
  name="$(archive_name)"
  url="$(base_url)"
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  fetch "$url/SHA256SUMS" "$work/SHA256SUMS"
  fetch "$url/$name.tar.gz" "$work/$name.tar.gz"
  wanted="$(sed -n "s/^\([0-9a-f]\{64\}\)  $name\.tar\.gz\$/\1/p" "$work/SHA256SUMS")"
  [ -n "$wanted" ] || fail "the release names no sum for $name.tar.gz"
  found="$(sum_of "$work/$name.tar.gz")"
  [ "$found" = "$wanted" ] || fail "$name.tar.gz has the sum $found instead of $wanted; nothing was installed"
  tar -xzf "$work/$name.tar.gz" -C "$work"
  put "$PREFIX/bin" "$work/$name/codex-proxy"
  put "$PREFIX/share/man/man1" "$work/$name"/man/*.1
  put "$PREFIX/share/bash-completion/completions" "$work/$name/completions/codex-proxy"
  put "$PREFIX/share/zsh/site-functions" "$work/$name/completions/_codex-proxy"
  put "$PREFIX/share/fish/vendor_completions.d" "$work/$name/completions/codex-proxy.fish"
  "$PREFIX/bin/codex-proxy" --version
  case ":$PATH:" in
    *":$PREFIX/bin:"*) ;;
    *) printf 'Add %s to your PATH.\n' "$PREFIX/bin" ;;
  esac
  printf 'Next: codex-proxy login, then codex-proxy; codex-proxy service install keeps it running.\n'
}

# The whole script is read before any of it runs, so that a broken download does nothing.
main "$@"
