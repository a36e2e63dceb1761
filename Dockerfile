# The daemon in an image of its own: no shell, no root, nothing to write to but /data. docs/deployment.md tells how it is run.
#
#     docker build -t codex-proxy .
#     docker buildx build --platform linux/amd64,linux/arm64 -t codex-proxy .
ARG RUST_VERSION=1.95.0
ARG DEBIAN_RELEASE=bookworm

# Compiles on the builder's own architecture for that of the image.
FROM --platform=$BUILDPLATFORM rust:${RUST_VERSION}-slim-${DEBIAN_RELEASE} AS build
ARG TARGETARCH=amd64
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /src
# The compiler of C code (TLS, SQLite, the allocator) for both architectures; its version is the release's of Debian.
# hadolint ignore=DL3008
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends gcc-aarch64-linux-gnu gcc-x86-64-linux-gnu \
      libc6-dev-amd64-cross libc6-dev-arm64-cross make \
 && rm -rf /var/lib/apt/lists/*
COPY . .
RUN case "$TARGETARCH" in \
      amd64) triple=x86_64-unknown-linux-gnu; gcc=x86_64-linux-gnu-gcc ;; \
      arm64) triple=aarch64-unknown-linux-gnu; gcc=aarch64-linux-gnu-gcc ;; \
      *) echo "no image for $TARGETARCH" >&2; exit 1 ;; \
    esac \
 && rm -f rust-toolchain.toml \
 && rustup target add "$triple" \
 && name="${triple//-/_}" \
 && export "CC_$name=$gcc" "CARGO_TARGET_${name^^}_LINKER=$gcc" \
 && cargo build --locked --release --no-default-features --features jemalloc --bin codex-proxy --target "$triple" \
 && install -D "target/$triple/release/codex-proxy" /image/usr/local/bin/codex-proxy \
 && install -D -m 644 -t /image/usr/share/doc/codex-proxy LICENSE-APACHE LICENSE-MIT \
 && install -d -m 700 /image/data

# glibc, libgcc and the certificate authorities, and no more.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build --chown=root:root /image/usr/ /usr/
COPY --from=build --chown=65532:65532 /image/data/ /data/
# The login, the configuration, the cached list of models and the ledger live in /data, all else may be read-only.
ENV XDG_CONFIG_HOME=/data/config \
    XDG_CACHE_HOME=/data/cache \
    XDG_STATE_HOME=/data/state \
    CODEX_PROXY_HOST=0.0.0.0 \
    CODEX_PROXY_PORT=9879 \
    CODEX_PROXY_CREDS_STORE=xdg
VOLUME /data
EXPOSE 9879
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/usr/local/bin/codex-proxy", "health"]
ENTRYPOINT ["/usr/local/bin/codex-proxy"]
CMD ["serve"]
