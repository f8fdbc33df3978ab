# syntax=docker/dockerfile:1

# The binary, built on the Debian that it will run on.
FROM rust:1.95.0-slim-bookworm AS build

# aws-lc and SQLite are C, built from source into the binary.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake g++ make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /build

# The dependencies alone first: this layer is built again only when they change. Tests and benchmarks stay outside, so
# their entries in the manifest would point at nothing.
COPY Cargo.toml Cargo.lock ./
COPY crates/oauth/Cargo.toml crates/oauth/
COPY crates/known-clients/Cargo.toml crates/known-clients/
COPY crates/diagnose/Cargo.toml crates/diagnose/
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    sed -i '/^\[\[\(bench\|test\|example\)\]\]/,/^$/d' Cargo.toml \
    && mkdir src crates/oauth/src crates/known-clients/src crates/diagnose/src \
    && echo 'fn main() {}' > src/main.rs && touch src/lib.rs crates/oauth/src/lib.rs crates/known-clients/src/lib.rs crates/diagnose/src/lib.rs \
    && cargo build --release --locked \
    && rm -r src crates/*/src

# The sources, and what is embedded at build time: defaults, migrations, templates, the manual.
COPY crates crates
COPY src src
COPY config config
COPY migrations migrations
COPY templates templates
COPY docs/manual docs/manual
# Newer than the stand-ins, whatever the time of the checkout.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    touch src/main.rs src/lib.rs crates/*/src/lib.rs \
    && cargo build --release --locked \
    && install --directory --mode=0700 data

# glibc, root certificates and nothing else: no shell, no package manager. Runs as uid 65532.
FROM gcr.io/distroless/cc-debian12:nonroot

COPY --from=build /build/target/release/portcullis /usr/local/bin/portcullis
# Where the default SQLite file and its key are kept (data/ below /); mount a volume here.
COPY --from=build --chown=65532:65532 /build/data /data

WORKDIR /
# Inside a container loopback would be out of reach. All else is set as usual, by variables or a file.
ENV PORTCULLIS__LISTEN=0.0.0.0:8080
EXPOSE 8080
VOLUME /data
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s --retries=3 CMD ["/usr/local/bin/portcullis", "health"]
ENTRYPOINT ["/usr/local/bin/portcullis"]
